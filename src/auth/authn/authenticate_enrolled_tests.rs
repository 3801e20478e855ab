use std::net::IpAddr;

use async_trait::async_trait;
use http::Request;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType, SerialNumber};
use serde_json::json;
use time::Duration;
use uuid::Uuid;

use super::{
    super::{
        authorities::{Authorities, Authority, AuthorityState},
        device_tokens, dpop,
        enrolled::{Enrolled, Presented, Standing, testing},
        peer_certificate::PeerCertificate,
    },
    *,
};
use crate::{
    auth::ClientInfo,
    base::{
        EnrolledKind, SpiffeId, TrustDomain,
        error::Reason,
        public_key::{PublicKey, sha256_base64url, testing::TestKey},
    },
    fleet::Sightings,
};

const PATH: &str = "/v1/trust/anchors";

/// No tenant has a name.
struct Nowhere;

#[async_trait]
impl Tenants for Nowhere {
    async fn find(&self, _: &TenantRef) -> Result<Option<CallerTenant>> {
        Ok(None)
    }
}

/// One authority for devices.
struct Issuing(Arc<[Authority]>);

impl Authorities for Issuing {
    fn current(&self) -> Arc<[Authority]> {
        self.0.clone()
    }
}

/// A device with a key, a certificate for another one, and a server that knows either.
struct Fixture {
    keys: Arc<Keys>,
    key: TestKey,
    certificate: PeerCertificate,
    certified: PublicKey,
    authorities: Arc<[Authority]>,
}

fn fixture() -> Fixture {
    fixture_until(OffsetDateTime::now_utc() + Duration::HOUR)
}

/// The same with the end of the certificate.
fn fixture_until(end: OffsetDateTime) -> Fixture {
    let (ca_key, own_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut ca = CertificateParams::new([]).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_der = ca.self_signed(&ca_key).unwrap().der().to_vec();
    let authority = Authority::of_certificate(EnrolledKind::Device, &ca_der, AuthorityState::Active).unwrap();
    let enrolled = testing::enrolled(EnrolledKind::Device, "", Standing::Active);
    let id = SpiffeId { tenant: enrolled.tenant.id, kind: EnrolledKind::Device, id: enrolled.id };
    let mut params = CertificateParams::new([]).unwrap();
    params.subject_alt_names = vec![SanType::URI(id.uri(&TrustDomain::default()).try_into().unwrap())];
    params.serial_number = Some(SerialNumber::from_slice(Uuid::from_u128(9).as_bytes()));
    (params.not_before, params.not_after) = (end - Duration::days(30), end);
    let certificate = params.signed_by(&own_key, &Issuer::from_params(&ca, &ca_key)).unwrap();
    let (_, read) = x509_parser::parse_x509_certificate(certificate.der()).unwrap();
    Fixture {
        keys: Arc::new(Keys::ephemeral()),
        key: TestKey::p256(),
        certified: PublicKey::from_spki(read.tbs_certificate.subject_pki.raw).unwrap(),
        certificate: PeerCertificate::new(certificate.der().to_vec()),
        authorities: [authority].into(),
    }
}

impl Fixture {
    fn enrolled(&self, key: &PublicKey, standing: Standing) -> Enrolled {
        testing::enrolled(EnrolledKind::Device, key.thumbprint(), standing)
    }

    fn without_enrolled(&self) -> Authenticator {
        let revocations = Revocations::default();
        revocations.note([], 0);
        Authenticator::new(self.keys.clone(), revocations, Arc::new(Nowhere), Clock::system())
    }

    /// An authenticator that knows one device.
    fn knowing(&self, enrolled: Enrolled) -> Authenticator {
        let (finder, authorities) = (testing::finder(enrolled), Arc::new(Issuing(self.authorities.clone())));
        let domain = TrustDomain::default();
        let (sightings, clock) = (Sightings::new(Clock::system()), Clock::system());
        self.without_enrolled().with_enrolled(EnrolledCredentials::new(finder, authorities, domain, sightings, clock))
    }

    fn token(&self) -> String {
        self.token_until(Clock::system().now() + Duration::HOUR)
    }

    fn token_until(&self, ends: OffsetDateTime) -> String {
        let of = self.enrolled(&self.key.public(), Standing::Active);
        let presented = Presented { ends, ..testing::presented(&of) };
        device_tokens::issue(&self.keys, &presented, &Clock::system()).unwrap()
    }

    /// A call with a token under a scheme, with a proof by the key of the device.
    fn call(&self, path: &str, scheme: &str, token: &str) -> Parts {
        let claims = json!({
            "jti": Uuid::new_v4(),
            "htm": "GET",
            "htu": format!("https://api.example{path}"),
            "iat": Clock::system().unix(),
            "ath": sha256_base64url(token.as_bytes()),
        });
        let proof = self.key.jws(&json!({"typ": "dpop+jwt", "jwk": self.key.jwk()}), &claims);
        let call = Request::get(path).header("authorization", format!("{scheme} {token}")).header(dpop::HEADER, proof);
        with_client(call)
    }

    fn certified_call(&self, path: &str) -> Parts {
        let mut call = with_client(Request::get(path));
        call.extensions.insert(self.certificate.clone());
        call
    }
}

fn with_client(call: http::request::Builder) -> Parts {
    let address = IpAddr::from([192, 0, 2, 1]);
    let (mut parts, ()) = call.body(()).unwrap().into_parts();
    let host = Some("api.example".parse().unwrap());
    let client =
        ClientInfo { address: Some(address), peer: address, secure: Some(true), host, local: false, user_agent: None };
    parts.extensions.insert(client);
    parts
}

/// The kind of the caller, `None` if anonymous, or the reason of the refusal.
async fn result(authenticator: &Authenticator, call: &Parts) -> Result<Option<CallerKind>, Reason> {
    match authenticator.authenticate(call).await {
        Authentication::Anonymous => Ok(None),
        Authentication::Caller(caller, _) => Ok(Some(caller.kind)),
        Authentication::Refused(error) | Authentication::Held(_, error) => Err(error.reason),
    }
}

const DEVICE: Result<Option<CallerKind>, Reason> = Ok(Some(CallerKind::Device));

#[tokio::test]
async fn a_device_token_needs_its_scheme_and_a_new_proof() {
    let fixture = fixture();
    let authenticator = fixture.knowing(fixture.enrolled(&fixture.key.public(), Standing::Active));
    let token = fixture.token();
    let call = fixture.call(PATH, "DPoP", &token);
    assert_eq!(result(&authenticator, &call).await, DEVICE);
    assert_eq!(result(&authenticator, &call).await, Err(Reason::DpopProofInvalid), "the same proof again");
    assert_eq!(result(&authenticator, &fixture.call(PATH, "dpop", &token)).await, DEVICE);
    let bearer = fixture.call(PATH, "Bearer", &token);
    assert_eq!(result(&authenticator, &bearer).await, Err(Reason::CredentialsInvalid));
    let mut bare = fixture.call(PATH, "DPoP", &token);
    bare.headers.remove(dpop::HEADER);
    assert_eq!(result(&authenticator, &bare).await, Err(Reason::DpopProofInvalid));
    let other = fixture.call(PATH, "DPoP", "a.b.c");
    assert_eq!(result(&authenticator, &other).await, Err(Reason::DeviceTokenInvalid));
}

#[tokio::test]
async fn the_registered_state_of_the_credential_decides() {
    let fixture = fixture();
    let call = || fixture.call(PATH, "DPoP", &fixture.token());
    for (standing, expected) in [
        (Standing::Active, DEVICE),
        (Standing::Pending, Err(Reason::DevicePending)),
        (Standing::Suspended, Err(Reason::DeviceSuspended)),
    ] {
        let authenticator = fixture.knowing(fixture.enrolled(&fixture.key.public(), standing));
        assert_eq!(result(&authenticator, &call()).await, expected);
        let held = matches!(authenticator.authenticate(&call()).await, Authentication::Held(CallerKind::Device, _));
        assert_eq!(held, standing != Standing::Active);
    }
    let other_key = fixture.knowing(fixture.enrolled(&fixture.certified, Standing::Active));
    assert_eq!(result(&other_key, &call()).await, Err(Reason::DeviceTokenInvalid));
    let mut other_tenant = fixture.enrolled(&fixture.key.public(), Standing::Active);
    other_tenant.tenant.id = crate::base::TenantId::from_uuid(Uuid::nil());
    assert_eq!(result(&fixture.knowing(other_tenant), &call()).await, Err(Reason::DeviceTokenInvalid));
}

#[tokio::test]
async fn a_certificate_is_a_credential_if_there_is_no_other() {
    let fixture = fixture();
    let authenticator = fixture.knowing(fixture.enrolled(&fixture.certified, Standing::Active));
    let mut call = fixture.certified_call(PATH);
    assert_eq!(result(&authenticator, &call).await, DEVICE);
    assert_eq!(result(&authenticator, &call).await, DEVICE, "on the same connection");
    call.headers.insert("authorization", "Bearer a.b.c".parse().unwrap());
    assert_eq!(result(&authenticator, &call).await, Err(Reason::CredentialsInvalid));
    for page in ["origin", "sec-fetch-site"] {
        let mut call = fixture.certified_call(PATH);
        call.headers.insert(page, "null".parse().unwrap());
        assert_eq!(result(&authenticator, &call).await, Err(Reason::CredentialsInvalid), "{page}");
    }
    let revoked = Authority { state: AuthorityState::Revoked, ..fixture.authorities[0].clone() };
    let without = Fixture { authorities: [revoked].into(), ..fixture };
    let authenticator = without.knowing(without.enrolled(&without.certified, Standing::Active));
    assert_eq!(result(&authenticator, &without.certified_call(PATH)).await, Err(Reason::CredentialsInvalid));
}

#[tokio::test]
async fn devices_call_only_on_the_zero_trust_surface() {
    let fixture = fixture();
    let authenticator = fixture.knowing(fixture.enrolled(&fixture.certified, Standing::Active));
    for path in ["/admin/v2/tenants", "/registry/v1/tenants", "/healthz"] {
        assert_eq!(result(&authenticator, &fixture.certified_call(path)).await, Ok(None), "{path}");
        assert_eq!(result(&authenticator, &fixture.call(path, "DPoP", &fixture.token())).await, Ok(None), "{path}");
    }
}

#[tokio::test]
async fn without_a_registry_of_devices_their_credentials_are_refused() {
    let fixture = fixture();
    let authenticator = fixture.without_enrolled();
    let by_token = fixture.call(PATH, "DPoP", &fixture.token());
    assert_eq!(result(&authenticator, &by_token).await, Err(Reason::DeviceTokenInvalid));
    assert_eq!(result(&authenticator, &fixture.certified_call(PATH)).await, Err(Reason::CredentialsInvalid));
}

#[tokio::test]
async fn only_the_renewal_accepts_a_credential_that_has_expired_and_only_for_a_while() {
    const ENROLL: &str = "/v1/enroll";
    const OVER_GRPC: &str = "/tenantry.zerotrust.v1.EnrollmentService/Enroll";
    let (now, week) = (OffsetDateTime::now_utc(), Duration::days(7));
    let (expired, invalid) = (Err(Reason::DeviceTokenInvalid), Err(Reason::CredentialsInvalid));
    for (age, grace, accepted) in [
        (Duration::HOUR, week, true),
        (week - Duration::MINUTE, week, true),
        (week + Duration::MINUTE, week, false),
        (Duration::MINUTE, Duration::ZERO, false),
    ] {
        let fixture = fixture_until(now - age);
        let knowing = |key: &PublicKey| {
            let known = fixture.knowing(fixture.enrolled(key, Standing::Active));
            Authenticator { enrolled: known.enrolled.map(|known| known.with_renewal_grace(grace)), ..known }
        };
        let (by_token, by_certificate) = (knowing(&fixture.key.public()), knowing(&fixture.certified));
        let token = fixture.token_until(now - age);
        for path in [ENROLL, OVER_GRPC] {
            let (found, expected) = (result(&by_token, &fixture.call(path, "DPoP", &token)).await, expired);
            assert_eq!(found, if accepted { DEVICE } else { expected }, "{path} {age}");
            let found = result(&by_certificate, &fixture.certified_call(path)).await;
            assert_eq!(found, if accepted { DEVICE } else { invalid }, "{path} {age}");
        }
        for path in [
            PATH,
            "/v1/policy/bundle",
            "/v1/enroll/",
            "/v1/enroll/oidc",
            "/v1//enroll",
            "/v1/%65nroll",
            "/v1/admin/devices",
        ] {
            assert_eq!(result(&by_token, &fixture.call(path, "DPoP", &token)).await, expired, "{path}");
            assert_eq!(result(&by_certificate, &fixture.certified_call(path)).await, invalid, "{path}");
        }
    }
}
