//! `tenantry token revoke`: writes a revocation to the database; running servers apply it within half a second.

use anyhow::Context;
use serde::Deserialize;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{
    Common,
    config::Config,
    key_file, output,
    start::{block_on, open_migrated},
};
use crate::{
    auth::authn::{authenticate::third_party_token_id, keys::Keys, legacy_tokens::ManagerKey, tokens},
    base::Cx,
    identity::sessions::revocations::revoke_token,
};

/// How long the revocation of an id is kept if the expiry of its token is unknown. Tokens of this server are valid for at most 400
/// days, but others sign manager tokens, for as long as they like.
const KEPT: Duration = Duration::days(100 * 365);
const MAX_ID: usize = 256;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The token, or its id (`jti`)
    token: String,
}

/// The claims of a token that matter here.
#[derive(Deserialize)]
struct Claims {
    jti: Option<String>,
    exp: Option<i64>,
}

/// The token to revoke.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    /// The ids of the token.
    ids: Vec<String>,
    /// The expiry that it claims, and whether a signature proves it.
    end: Option<(i64, bool)>,
}

pub(super) fn run(common: &Common, arguments: &Args) -> anyhow::Result<()> {
    let config = common.load(&[])?;
    let target = identify(&arguments.token, |token| is_signed(&config, token))?;
    block_on(async {
        let store = open_migrated(&config).await?;
        let cx = Cx::system("token revoke", store.clock().clone());
        // The later of two clocks: with a slow clock the revocation would end before the token expires.
        let until = kept_until(target.end, store.clock().now().max(store.time().await?));
        let mut done = Ok(());
        for id in &target.ids {
            done = done.and(revoke_token(&store, &cx, id.clone(), until).await);
        }
        store.close().await;
        done?;
        output::tell(format_args!("revoked {}", target.ids.join(" and ")));
        Ok(())
    })
}

/// The ids of a token and its expiry. Servers identify a token by its id, and third-party tokens also by the digest of
/// their text.
fn identify(text: &str, is_signed: impl FnOnce(&str) -> bool) -> anyhow::Result<Target> {
    let text = text.trim();
    if text.matches('.').count() != 2 {
        anyhow::ensure!(!text.is_empty() && text != "-" && text.len() <= MAX_ID, "not a token or a token id");
        // Ours are UUIDs in lower case; others may have any form.
        let ours = Uuid::parse_str(text).map(|id| id.to_string()).ok().filter(|id| id != text);
        return Ok(Target { ids: [text.to_owned()].into_iter().chain(ours).collect(), end: None });
    }
    let claims: Claims = tokens::unverified_claims(text).context("not a token")?;
    let own = claims.jti.filter(|id| !id.is_empty() && id.len() <= MAX_ID);
    let ids = own.into_iter().chain([third_party_token_id(text)]).collect();
    Ok(Target { ids, end: claims.exp.map(|end| (end, is_signed(text))) })
}

/// Whether a configured key signed the token.
fn is_signed(config: &Config, token: &str) -> bool {
    let ours = || {
        let keys = Keys::load(&key_file(config), config.jwt_key_previous.as_deref()).ok()?;
        tokens::verify(&keys, token).ok().map(|_| ())
    };
    let managers = || {
        let key = ManagerKey::from_base64(config.kubeop_jwt_signing_key.as_ref()?).ok()?;
        key.verify(token).ok().map(|_| ())
    };
    ours().or_else(managers).is_some()
}

/// How long a revocation is kept. Only a signature proves the expiry: the author of a token can claim any, and a
/// revocation that is removed too early would make the real token with that id valid again.
fn kept_until(end: Option<(i64, bool)>, now: OffsetDateTime) -> OffsetDateTime {
    let told = end.and_then(|(end, signed)| Some((OffsetDateTime::from_unix_timestamp(end).ok()?, signed)));
    match told {
        Some((end, true)) => end,
        Some((end, false)) => end.max(now + KEPT),
        None => now + KEPT,
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);

    #[test]
    fn the_revocation_of_an_id_outlives_tokens_of_others() {
        assert!(kept_until(None, NOW) > NOW + Duration::days(365 * 50));
    }

    #[test]
    fn an_expiry_is_trusted_if_it_is_signed_or_late() {
        let at = NOW.unix_timestamp();
        assert_eq!(kept_until(Some((at + 60, true)), NOW), NOW + Duration::MINUTE);
        let later = at + KEPT.whole_seconds() + 60;
        assert_eq!(kept_until(Some((later, false)), NOW).unix_timestamp(), later);
        for untold in [None, Some((at + 60, false)), Some((i64::MAX, false))] {
            assert_eq!(kept_until(untold, NOW), NOW + KEPT, "{untold:?}");
        }
    }

    #[test]
    fn a_token_is_known_by_its_id_and_its_digest() {
        // {"alg":"HS256"}.{"jti":"j1","exp":5}.
        let token = "eyJhbGciOiJIUzI1NiJ9.eyJqdGkiOiJqMSIsImV4cCI6NX0.AA";
        let target = identify(token, |_| false).unwrap();
        assert_eq!(target, Target { ids: vec!["j1".into(), third_party_token_id(token)], end: Some((5, false)) });
        assert_eq!(identify("j1", |_| true).unwrap(), Target { ids: vec!["j1".into()], end: None });
        for text in ["", " ", "-", "a.b.c"] {
            assert!(identify(text, |_| true).is_err(), "{text:?}");
        }
        let (id, upper) = ("01a22af0-7b4c-7def-8abc-0123456789ab", "01A22AF0-7B4C-7DEF-8ABC-0123456789AB");
        assert_eq!(identify(&format!(" {id}\n"), |_| true).unwrap().ids, [id]);
        assert_eq!(identify(upper, |_| true).unwrap().ids, [upper, id]);
    }
}
