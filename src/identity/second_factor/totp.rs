//! The second factor: time-based one-time passwords (RFC 6238), six digits of SHA-1 each thirty seconds, and codes for the
//! day when the phone is gone.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sea_orm::{ColumnTrait, EntityTrait, ExprTrait, QueryFilter, sea_query::Expr};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use totp_rs::{Builder, Totp};
use uuid::Uuid;

use crate::{
    base::{Error, Result, Secret, error::Reason, text},
    store::{
        Tx,
        entities::{accounts, recovery_codes},
    },
};

/// Who the secrets are for, as authenticator apps show it.
pub const ISSUER: &str = "Tenantry";
/// Digits of a code.
pub const DIGITS: u8 = 6;
/// The hash of the codes, as authenticator apps call it.
pub const ALGORITHM: &str = "SHA1";
/// How long a code is the current one, in seconds.
pub const PERIOD: u64 = 30;
/// Steps before and after the current one whose codes are good: clocks differ.
const SKEW: u16 = 1;
/// Length of a secret, in bytes (RFC 4226, section 4).
const SECRET: usize = 20;
/// What a sealed secret is for.
pub const PURPOSE: &str = "totp";

/// The secret of a second factor.
#[derive(Clone, Debug)]
pub struct TotpSecret(Secret<Vec<u8>>);

impl TotpSecret {
    /// A new secret.
    pub fn generate() -> Self {
        Self(Secret::new(rand::random::<[u8; SECRET]>().to_vec()))
    }

    /// A secret that was kept.
    pub fn kept(bytes: Secret<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// The secret as it is sealed.
    pub fn bytes(&self) -> &[u8] {
        self.0.expose()
    }

    /// The secret as people type it, and the URI that authenticator apps scan.
    pub fn provisioning(&self, account: &str) -> Result<(String, String)> {
        let totp = self.builder().with_issuer(Some(ISSUER)).with_account_name(account).build();
        let totp = totp.map_err(|error| Error::internal(error.to_string()))?;
        let uri = totp.to_url().map_err(|error| Error::internal(error.to_string()))?;
        // The library leaves out what is usual; the contract has it all.
        let uri = format!("{uri}&algorithm={ALGORITHM}&digits={DIGITS}&period={PERIOD}");
        Ok((totp.secret().to_base32(), uri))
    }

    /// The time step whose code this is, at a moment. It is read as [`text::code`] does.
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

/// Whether a text, as [`text::code`] reads it, has the form of a code of the second factor. Recovery codes have not.
pub fn is_code(text: &str) -> bool {
    text.len() == usize::from(DIGITS) && text.bytes().all(|b| b.is_ascii_digit())
}

/// Takes a time step's code from an account, once: whoever comes second with the same code, or with an older one, fails
/// (RFC 6238, section 5.2).
pub async fn take_step(tx: &Tx, account: Uuid, step: i64) -> Result<()> {
    let last = accounts::Column::TotpLastStep;
    let taken = accounts::Entity::update_many()
        .col_expr(last, Expr::value(step))
        .filter(accounts::Column::Id.eq(account))
        .filter(last.is_null().or(last.lt(step)))
        .exec(tx.conn())
        .await?;
    if taken.rows_affected == 1 { Ok(()) } else { Err(invalid()) }
}

/// Takes a recovery code from an account, once.
pub async fn take_recovery(tx: &Tx, account: Uuid, code: &str) -> Result<()> {
    let key = (account, recovery_hash(code));
    let taken = recovery_codes::Entity::delete_by_id(key).exec(tx.conn()).await?;
    if taken.rows_affected == 1 { Ok(()) } else { Err(invalid()) }
}

/// New recovery codes: 50 bits each, in two halves.
pub fn recovery_codes(count: usize) -> Vec<String> {
    const ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";
    let half = || (0..5).map(|_| ALPHABET[rand::random_range(0..ALPHABET.len())] as char).collect::<String>();
    (0..count).map(|_| format!("{}-{}", half(), half())).collect()
}

/// The digest under which a recovery code is kept. Case and dashes do not matter.
pub fn recovery_hash(code: &str) -> String {
    let plain: String =
        text::code(code).chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    URL_SAFE_NO_PAD.encode(Sha256::digest(plain))
}

/// The code is wrong or was used before.
pub fn invalid() -> Error {
    Error::unauthenticated(Reason::SecondFactorInvalid, "the code is wrong or was used before")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(seconds).unwrap()
    }

    /// RFC 6238, appendix B, the last six of the eight digits.
    #[test]
    fn codes_are_those_of_the_rfc() {
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
    fn codes_are_read_with_blanks_and_what_is_none_is_none() {
        let secret = TotpSecret::kept(Secret::new(b"12345678901234567890".to_vec()));
        for code in ["287 082", "287-082", " 287082\n", "2 8 7 0 8 2", "287\u{a0}082", "\u{ff12}87082"] {
            assert_eq!(secret.step(code, at(59)).unwrap(), Some(1), "{code:?} as apps show and people type it");
        }
        for code in ["", "12345", "1234567", "12345a", "١٢٣٤٥٦", "      "] {
            assert_eq!(secret.step(code, at(59)).unwrap(), None, "{code}");
        }
    }

    #[test]
    fn apps_are_told_all_they_need() {
        let secret = TotpSecret::kept(Secret::new(b"12345678901234567890".to_vec()));
        let (text, uri) = secret.provisioning("ada@example.com").unwrap();
        assert_eq!(text, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert!(uri.starts_with("otpauth://totp/Tenantry:ada%40example.com?secret=GEZDGNBV"), "{uri}");
        assert!(uri.ends_with("&issuer=Tenantry&algorithm=SHA1&digits=6&period=30"), "{uri}");
    }

    #[test]
    fn recovery_codes_are_read_as_people_write_them() {
        let codes = recovery_codes(10);
        assert_eq!(codes.iter().collect::<std::collections::HashSet<_>>().len(), 10);
        assert_eq!(recovery_hash(&codes[0]), recovery_hash(&codes[0].to_uppercase().replace('-', " ")));
        let apart: String = codes[0].chars().flat_map(|c| [c, ' ']).collect();
        assert_eq!(recovery_hash(&codes[0]), recovery_hash(&apart.replace('-', "\u{2013}")));
        assert_ne!(recovery_hash(&codes[0]), recovery_hash(&codes[1]));
    }
}
