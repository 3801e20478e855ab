//! Tokens of devices and gateways where TLS does not end at this server: JWTs that are bound to a key by `cnf.jkt`
//! (RFC 9449, section 6). They have a type of their own, so they are never taken for access tokens.

use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{
    enrolled::Presented,
    jws::{self, Header},
    keys::Keys,
    tokens::{self, ISSUER, LEEWAY},
};
use crate::auth::surface::Surface;
use crate::base::{Clock, EnrolledKind, Error, Result, error::Reason, ids::read_dashed};

const TYPE: &str = "device+jwt";
/// Tokens begin earlier, as certificates do, for servers whose clocks are slow.
const BACKDATED: i64 = 15 * 60;

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    /// Always [`ISSUER`].
    iss: String,
    /// Always the zero-trust surface.
    aud: String,
    /// `device:dev_..` or `gateway:gw_..`.
    sub: String,
    /// In seconds since the Unix epoch, as is `exp`.
    iat: i64,
    exp: i64,
    /// The id of the tenant as a dashed UUID.
    tenant: String,
    /// The id of the credential.
    credential: Uuid,
    cnf: Confirmation,
}

/// RFC 7800, section 3.1; RFC 9449, section 6.1.
#[derive(Debug, Serialize, Deserialize)]
struct Confirmation {
    jkt: String,
}

/// Issues the token of a credential. `presented` says what it will prove; it is valid from now on until `presented.ends`.
pub fn issue(keys: &Keys, presented: &Presented, clock: &Clock) -> Result<String> {
    let claims = Claims {
        iss: ISSUER.to_owned(),
        aud: Surface::ZeroTrust.as_str().to_owned(),
        sub: presented.kind.subject(presented.id),
        iat: clock.unix().saturating_sub(BACKDATED),
        exp: presented.ends.unix_timestamp(),
        tenant: presented.tenant.dashed(),
        credential: presented.credential,
        cnf: Confirmation { jkt: presented.thumbprint.clone() },
    };
    jws::sign(keys.signing(), &Header::eddsa(TYPE, keys.kid()), &claims).map_err(Error::internal)
}

/// Verifies a token, which may have ended not longer ago than `grace`. The client must then prove that it has the key with the thumbprint.
pub(super) fn verify(keys: &Keys, token: &str, now: OffsetDateTime, grace: Duration) -> Result<Presented> {
    let jws = tokens::parse(token).map_err(|_| invalid())?;
    if !jws.header.typ.as_deref().is_some_and(|typ| typ.eq_ignore_ascii_case(TYPE)) {
        return Err(invalid());
    }
    let key = jws.header.kid.as_deref().and_then(|kid| keys.verifying(kid)).ok_or_else(invalid)?;
    let claims: Claims = jws.verify(key).ok_or_else(invalid)?;
    if claims.iss != ISSUER || claims.aud != Surface::ZeroTrust.as_str() {
        return Err(invalid());
    }
    let (kind, id) = EnrolledKind::of_subject(&claims.sub).ok_or_else(invalid)?;
    let tenant = read_dashed(&claims.tenant).and_then(|_| claims.tenant.parse().ok()).ok_or_else(invalid)?;
    let ends = OffsetDateTime::from_unix_timestamp(claims.exp).map_err(|_| invalid())?;
    // Both times are of this server's clock, or of a server beside it.
    if claims.iat > now.unix_timestamp().saturating_add(LEEWAY) {
        return Err(invalid());
    }
    if ends <= now - grace {
        return Err(Error::unauthenticated(Reason::DeviceTokenInvalid, "the device token has expired"));
    }
    Ok(Presented { tenant, kind, id, credential: claims.credential, thumbprint: claims.cnf.jkt, ends })
}

/// The token cannot be used; the error does not say why.
pub(super) fn invalid() -> Error {
    Error::unauthenticated(Reason::DeviceTokenInvalid, "the device token is not valid")
}

/// The error of a token that the lookup of its credential refused, so that its challenge names the scheme of the token.
pub(super) fn of_scheme(error: Error) -> Error {
    let of_token = matches!(error.reason, Reason::CredentialsInvalid | Reason::CredentialsRevoked);
    if of_token { Error { reason: Reason::DeviceTokenInvalid, ..error } } else { error }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use time::macros::datetime;

    use super::{
        super::enrolled::{Standing, testing},
        *,
    };
    use crate::base::Kind;

    const NOW: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);

    fn presented(kind: EnrolledKind) -> Presented {
        let ends = NOW + Duration::hours(24);
        Presented { ends, ..testing::presented(&testing::enrolled(kind, "thumb", Standing::Active)) }
    }

    #[test]
    fn a_token_says_what_it_was_issued_for() {
        let keys = Keys::ephemeral();
        for kind in EnrolledKind::ALL {
            let token = issue(&keys, &presented(kind), &Clock::manual(NOW)).unwrap();
            assert_eq!(verify(&keys, &token, NOW, Duration::ZERO).unwrap(), presented(kind));
            let rotated = Keys::ephemeral();
            assert_eq!(verify(&rotated, &token, NOW, Duration::ZERO).unwrap_err().reason, Reason::DeviceTokenInvalid);
        }
    }

    #[test]
    fn a_token_has_its_times() {
        let keys = Keys::ephemeral();
        let token = issue(&keys, &presented(EnrolledKind::Device), &Clock::manual(NOW)).unwrap();
        let at = |now| verify(&keys, &token, now, Duration::ZERO).map(drop).map_err(|error| (error.kind, error.reason));
        let refused = Err((Kind::Unauthenticated, Reason::DeviceTokenInvalid));
        assert_eq!(at(NOW + Duration::hours(24) - Duration::SECOND), Ok(()));
        assert_eq!(at(NOW + Duration::hours(24)), refused);
        // A server whose clock is slow takes it as long as it takes the certificate, with the tolerance of tokens.
        let least = Duration::minutes(15) + Duration::seconds(60);
        assert_eq!((at(NOW - least), at(NOW - least - Duration::SECOND)), (Ok(()), refused));
        let late = |now| verify(&keys, &token, now, Duration::days(7)).is_ok();
        let end = NOW + Duration::hours(24) + Duration::days(7);
        assert_eq!((late(end - Duration::SECOND), late(end)), (true, false));
    }

    #[test]
    fn no_other_token_is_one_of_a_device_and_the_other_way_round() {
        let keys = Keys::ephemeral();
        let token = issue(&keys, &presented(EnrolledKind::Device), &Clock::manual(NOW)).unwrap();
        assert_eq!(tokens::verify(&keys, &token).unwrap_err().kind, Kind::Unauthenticated);
        let claims: Value = tokens::unverified_claims(&token).unwrap();
        let signed = |typ: &str, change: Value| {
            let mut claims = claims.clone();
            claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            let token = jws::sign(keys.signing(), &Header::eddsa(typ, keys.kid()), &claims).unwrap();
            verify(&keys, &token, NOW, Duration::ZERO).is_ok()
        };
        assert!(signed(TYPE, json!({})) && signed(TYPE, json!({"unknown": 1})));
        for (typ, change) in [
            ("at+jwt", json!({})),
            (TYPE, json!({"iss": "other"})),
            (TYPE, json!({"aud": "messaging"})),
            (TYPE, json!({"sub": "ops"})),
            (TYPE, json!({"tenant": "acme"})),
            (TYPE, json!({"cnf": {}})),
            (TYPE, json!({"credential": "x"})),
        ] {
            assert!(!signed(typ, change.clone()), "{typ} {change}");
        }
    }
}
