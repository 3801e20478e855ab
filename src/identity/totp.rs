//! The second factor: time-based one-time passwords (RFC 6238) with six digits, SHA-1 and a period of thirty
//! seconds, and recovery codes.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sea_orm::{ColumnTrait, Condition, EntityTrait, ExprTrait, QueryFilter, sea_query::Expr};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use totp_rs::{Builder, Totp};
use uuid::Uuid;

use super::{TotpState, factor_attempts};
use crate::{
    base::{Error, Result, Secret, error::Reason, text},
    store::{
        Count, Exec, Fetch, Tx,
        tables::{accounts, recovery_codes},
    },
};

/// The issuer that authenticator apps display.
pub const ISSUER: &str = "Tenantry";
pub const DIGITS: u8 = 6;
/// The hash algorithm, as authenticator apps name it.
pub const ALGORITHM: &str = "SHA1";
/// How long a code is valid, in seconds.
pub const PERIOD: u64 = 30;
/// Accepted time steps before and after the current one, to allow for clock differences.
const SKEW: u16 = 1;
/// Length of a secret, in bytes (RFC 4226, section 4).
const SECRET: usize = 20;
/// The purpose of a sealed secret.
pub const PURPOSE: &str = "totp";

#[derive(Clone, Debug)]
pub struct TotpSecret(Secret<Vec<u8>>);

impl TotpSecret {
    pub fn generate() -> Self {
        Self(Secret::new(rand::random::<[u8; SECRET]>().to_vec()))
    }

    pub fn kept(bytes: Secret<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// The bytes to be sealed.
    pub fn bytes(&self) -> &[u8] {
        self.0.expose()
    }

    /// The secret as text, and as a URI for authenticator apps.
    pub fn provisioning(&self, account: &str) -> Result<(String, String)> {
        let totp = self.builder().with_issuer(Some(ISSUER)).with_account_name(account).build();
        let totp = totp.map_err(|error| Error::internal(error.to_string()))?;
        let uri = totp.to_url().map_err(|error| Error::internal(error.to_string()))?;
        // The library omits the default values; the contract includes all parameters.
        let uri = format!("{uri}&algorithm={ALGORITHM}&digits={DIGITS}&period={PERIOD}");
        Ok((totp.secret().to_base32(), uri))
    }

    /// The time step of a code, if it is valid at `now`. The code is normalized by [`text::code`].
    pub fn step(&self, code: &str, now: OffsetDateTime) -> Result<Option<i64>> {
        let code = text::code(code);
        if !is_code(&code) {
            return Ok(None);
        }
        let totp: Totp = self.builder().build().map_err(|error| Error::internal(error.to_string()))?;
        let now = u64::try_from(now.unix_timestamp()).unwrap_or_default();
        Ok(totp.check(&code, now).and_then(|step| i64::try_from(step).ok()))
    }

    fn builder(&self) -> Builder {
        let secret = self.0.expose().clone();
        Builder::new().with_secret(secret).with_digits(DIGITS).with_skew(SKEW).with_step_duration(PERIOD)
    }
}

/// Whether a text, normalized by [`text::code`], has the form of a TOTP code. Recovery codes do not.
pub fn is_code(text: &str) -> bool {
    text.len() == usize::from(DIGITS) && text.bytes().all(|b| b.is_ascii_digit())
}

/// Consumes the code of a time step: a second use of the same code, or of an older one, fails (RFC 6238, section 5.2).
pub async fn take_step(tx: &Tx, account: Uuid, step: i64) -> Result<()> {
    let taken = accounts::Entity::update_many()
        .col_expr(accounts::Column::TotpLastStep, Expr::value(step))
        .filter(is_unused(account, step))
        .run(tx.conn())
        .await?;
    if taken == 1 { Ok(()) } else { Err(invalid()) }
}

/// Fails as [`take_step`] does, but does not consume the code.
pub async fn check_step(tx: &Tx, account: Uuid, step: i64) -> Result<()> {
    let unused = accounts::Entity::find().filter(is_unused(account, step)).fetch_count(tx.conn()).await?;
    if unused == 1 { Ok(()) } else { Err(invalid()) }
}

fn is_unused(account: Uuid, step: i64) -> Condition {
    let last = accounts::Column::TotpLastStep;
    Condition::all().add(accounts::Column::Id.eq(account)).add(last.is_null().or(last.lt(step)))
}

/// Consumes a recovery code.
pub async fn take_recovery(tx: &Tx, account: Uuid, code: &str) -> Result<()> {
    let key = (account, recovery_hash(code));
    let taken = recovery_codes::Entity::delete_by_id(key).run(tx.conn()).await?;
    if taken == 1 { Ok(()) } else { Err(invalid()) }
}

/// Fails as [`take_recovery`] does, but does not consume the code.
pub async fn check_recovery(tx: &Tx, account: Uuid, code: &str) -> Result<()> {
    let key = (account, recovery_hash(code));
    let found = recovery_codes::Entity::find_by_id(key).fetch_one(tx.conn()).await?;
    if found.is_some() { Ok(()) } else { Err(invalid()) }
}

/// Generates recovery codes of 50 bits each, in two halves.
pub fn recovery_codes(count: usize) -> Vec<String> {
    const ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";
    let half = || (0..5).map(|_| ALPHABET[rand::random_range(0..ALPHABET.len())] as char).collect::<String>();
    (0..count).map(|_| format!("{}-{}", half(), half())).collect()
}

/// The digest under which a recovery code is stored. Case and dashes are ignored.
pub fn recovery_hash(code: &str) -> String {
    let plain: String =
        text::code(code).chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    URL_SAFE_NO_PAD.encode(Sha256::digest(plain))
}

pub fn invalid() -> Error {
    Error::unauthenticated(Reason::SecondFactorInvalid, "the code is wrong or was used before")
}

/// Binds the sealed secret to its account, so that it cannot be moved to another one.
pub fn totp_purpose(account: Uuid) -> String {
    format!("{}:{account}", PURPOSE)
}

/// Removes the second factor of an account, with its recovery codes.
pub(super) async fn clear(tx: &Tx, account: Uuid) -> Result<()> {
    accounts::Entity::update_many()
        .col_expr(accounts::Column::TotpState, Expr::value(TotpState::None.as_str()))
        .col_expr(accounts::Column::TotpSecret, Expr::value(None::<String>))
        .col_expr(accounts::Column::TotpPendingUntil, Expr::value(None::<i64>))
        .filter(accounts::Column::Id.eq(account))
        .run(tx.conn())
        .await?;
    factor_attempts::forget(tx, account).await?;
    forget_codes(tx, account).await
}

pub(super) async fn forget_codes(tx: &Tx, account: Uuid) -> Result<()> {
    let codes = recovery_codes::Entity::delete_many().filter(recovery_codes::Column::AccountId.eq(account));
    codes.run(tx.conn()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(seconds).unwrap()
    }

    /// RFC 6238, appendix B, the last six of the eight digits.
    #[test]
    fn codes_match_the_rfc() {
        let secret = TotpSecret::kept(Secret::new(b"12345678901234567890".to_vec()));
        for (time, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(secret.step(code, at(time)).unwrap(), Some(time / 30), "{time}");
            assert_eq!(secret.step(code, at(time + 30)).unwrap(), Some(time / 30), "a step late");
            assert_eq!(secret.step(code, at(time + 90)).unwrap(), None, "three steps late");
        }
    }

    #[test]
    fn codes_may_contain_blanks_and_other_texts_are_refused() {
        let secret = TotpSecret::kept(Secret::new(b"12345678901234567890".to_vec()));
        for code in ["287 082", "287-082", " 287082\n", "2 8 7 0 8 2", "287\u{a0}082", "\u{ff12}87082"] {
            assert_eq!(secret.step(code, at(59)).unwrap(), Some(1), "{code:?} as apps show and people type it");
        }
        for code in ["", "12345", "1234567", "12345a", "١٢٣٤٥٦", "      "] {
            assert_eq!(secret.step(code, at(59)).unwrap(), None, "{code}");
        }
    }

    #[test]
    fn the_provisioning_uri_is_complete() {
        let secret = TotpSecret::kept(Secret::new(b"12345678901234567890".to_vec()));
        let (text, uri) = secret.provisioning("ada@example.com").unwrap();
        assert_eq!(text, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert!(uri.starts_with("otpauth://totp/Tenantry:ada%40example.com?secret=GEZDGNBV"), "{uri}");
        assert!(uri.ends_with("&issuer=Tenantry&algorithm=SHA1&digits=6&period=30"), "{uri}");
    }

    #[test]
    fn recovery_codes_are_read_as_people_type_them() {
        let codes = recovery_codes(10);
        assert_eq!(codes.iter().collect::<std::collections::HashSet<_>>().len(), 10);
        assert_eq!(recovery_hash(&codes[0]), recovery_hash(&codes[0].to_uppercase().replace('-', " ")));
        let apart: String = codes[0].chars().flat_map(|c| [c, ' ']).collect();
        assert_eq!(recovery_hash(&codes[0]), recovery_hash(&apart.replace('-', "\u{2013}")));
        assert_ne!(recovery_hash(&codes[0]), recovery_hash(&codes[1]));
    }
}
