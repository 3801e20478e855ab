use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::{
    auth::revocation::Revocation,
    base::{Secret, TenantId, error::Reason},
};

const TENANTS: &str = "/admin/v2/tenants";
const MANAGER: &str = "/v1/tenants";
const WAREHOUSE: &str = "/api/tenant";
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

struct Registry;

#[async_trait]
impl Tenants for Registry {
    async fn find(&self, tenant: &TenantRef) -> Result<Option<CallerTenant>> {
        Ok((*tenant == TenantRef::parse("acme")).then(|| CallerTenant {
            id: TenantId::from_uuid(Uuid::from_u128(7)),
            key: "acme".to_owned(),
            suspended: false,
            named_since: Clock::system().unix() - 100,
        }))
    }
}

struct Fixture {
    keys: Arc<Keys>,
    revocations: Revocations,
    authenticator: Authenticator,
}

fn fixture() -> Fixture {
    let (keys, revocations) = (Arc::new(Keys::ephemeral()), Revocations::default());
    revocations.note([], 0);
    let manager = ManagerKey::from_base64(&Secret::new(STANDARD.encode(SECRET))).unwrap();
    let warehouse = ApiKey::new(&Secret::new("letmein".to_owned()));
    let authenticator = Authenticator::new(keys.clone(), revocations.clone(), Arc::new(Registry), Clock::system())
        .with_foreign(Some(manager), warehouse);
    Fixture { keys, revocations, authenticator }
}

fn claims(role: Role) -> Claims {
    Claims::minted("ops".to_owned(), role, &[Surface::Messaging], Duration::from_secs(60), &Clock::system())
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

async fn with_token(fixture: &Fixture, path: &str, token: &str) -> Result<Caller, Reason> {
    with_headers(fixture, path, &[("authorization", &format!("Bearer {token}"))]).await.map(|c| c.expect("a caller"))
}

async fn with_headers(fixture: &Fixture, path: &str, pairs: &[(&'static str, &str)]) -> Result<Option<Caller>, Reason> {
    match fixture.authenticator.authenticate(path, &headers(pairs)).await {
        Authentication::Anonymous => Ok(None),
        Authentication::Caller(caller, _) => Ok(Some(caller)),
        Authentication::Refused(error) => Err(error.reason),
    }
}

#[tokio::test]
async fn our_token_makes_a_caller_twice() {
    let f = fixture();
    let token = tokens::issue(&f.keys, &claims(Role::PlatformAdmin)).unwrap();
    for _ in 0..2 {
        let caller = with_token(&f, TENANTS, &token).await.unwrap();
        assert!(caller.is_platform() && caller.subject == "ops" && caller.kind == CallerKind::Service);
    }
    assert_eq!(with_token(&f, MANAGER, &token).await.unwrap_err(), Reason::CredentialsInvalid);
}

#[tokio::test]
async fn a_cached_token_is_refused_once_it_is_revoked() {
    let f = fixture();
    let claims = claims(Role::PlatformAdmin);
    let token = tokens::issue(&f.keys, &claims).unwrap();
    assert!(with_token(&f, TENANTS, &token).await.is_ok());
    f.revocations.note([Revocation::Token { id: claims.jti, expires_at: claims.exp }], claims.iat);
    assert_eq!(with_token(&f, TENANTS, &token).await.unwrap_err(), Reason::CredentialsRevoked);
}

#[tokio::test]
async fn a_tenant_is_found_or_the_token_is_bad() {
    let f = fixture();
    let of = |tenant: &str| Claims { tenant: Some(tenant.to_owned()), ..claims(Role::Admin) };
    let caller = with_token(&f, TENANTS, &tokens::issue(&f.keys, &of("ACME")).unwrap()).await.unwrap();
    assert!(caller.belongs_to(&TenantRef::parse("acme")) && !caller.is_platform());
    let gone = with_token(&f, TENANTS, &tokens::issue(&f.keys, &of("gone")).unwrap()).await;
    assert_eq!(gone.unwrap_err(), Reason::CredentialsInvalid);
}

#[tokio::test]
async fn a_name_is_believed_of_its_tenants_time_alone() {
    let f = fixture();
    let good = claims(Role::Admin);
    let of = |iat| tokens::issue(&f.keys, &Claims { tenant: Some("acme".to_owned()), iat, ..good.clone() }).unwrap();
    assert!(with_token(&f, TENANTS, &of(good.iat - 50)).await.is_ok());
    for iat in [good.iat - 200, good.iat + 50] {
        assert_eq!(with_token(&f, TENANTS, &of(iat)).await.unwrap_err(), Reason::CredentialsInvalid, "{iat}");
    }
}

#[tokio::test]
async fn a_project_and_its_role_come_together() {
    let f = fixture();
    let of = |role, project: Option<&str>| {
        let project = project.map(str::to_owned);
        tokens::issue(&f.keys, &Claims { tenant: Some("acme".to_owned()), project, ..claims(role) }).unwrap()
    };
    assert!(with_token(&f, TENANTS, &of(Role::Project, Some("p"))).await.is_ok());
    for torn in [of(Role::Project, None), of(Role::Admin, Some("p"))] {
        assert_eq!(with_token(&f, TENANTS, &torn).await.unwrap_err(), Reason::CredentialsInvalid);
    }
}

#[tokio::test]
async fn a_platform_role_is_not_confined() {
    let f = fixture();
    let both = Claims { tenant: Some("acme".to_owned()), ..claims(Role::PlatformAdmin) };
    let refused = with_token(&f, TENANTS, &tokens::issue(&f.keys, &both).unwrap()).await;
    assert_eq!(refused.unwrap_err(), Reason::CredentialsInvalid);
    let unknown = Claims { role: "root".to_owned(), ..claims(Role::Admin) };
    let refused = with_token(&f, TENANTS, &tokens::issue(&f.keys, &unknown).unwrap()).await;
    assert_eq!(refused.unwrap_err(), Reason::CredentialsInvalid);
}

#[tokio::test]
async fn headers_are_read_strictly() {
    let f = fixture();
    let token = tokens::issue(&f.keys, &claims(Role::PlatformAdmin)).unwrap();
    assert!(with_headers(&f, TENANTS, &[]).await.unwrap().is_none());
    for good in [format!("Bearer {token}"), format!("bearer {token}"), format!("BEARER   {token} ")] {
        assert!(with_headers(&f, TENANTS, &[("authorization", &good)]).await.unwrap().is_some(), "{good}");
    }
    for bad in ["", "Bearer", "Bearer ", "Basic YTpi", &token, "Bearer a b", &format!("Bearer {token} x")] {
        let refused = with_headers(&f, TENANTS, &[("authorization", bad)]).await;
        assert_eq!(refused.unwrap_err(), Reason::CredentialsInvalid, "{bad}");
    }
    let value = format!("Bearer {token}");
    let twice = with_headers(&f, TENANTS, &[("authorization", &value), ("authorization", &value)]).await;
    assert_eq!(twice.unwrap_err(), Reason::CredentialsInvalid);
    assert!(with_headers(&f, "/healthz", &[("authorization", "junk")]).await.unwrap().is_none());
}

#[tokio::test]
async fn the_managers_tokens_are_good_on_its_surface_alone() {
    let f = fixture();
    let signed = |claims| {
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(SECRET)).unwrap()
    };
    let token = signed(json!({"role": "admin", "sub": "me", "exp": Clock::system().unix() + 60}));
    assert!(with_token(&f, MANAGER, &token).await.unwrap().is_platform());
    for path in [TENANTS, WAREHOUSE, "/v1/admin/users", "/registry/v1/tenants"] {
        assert_eq!(with_token(&f, path, &token).await.unwrap_err(), Reason::CredentialsInvalid, "{path}");
    }
    f.revocations.note([Revocation::Token { id: foreign_token_id(&token), expires_at: i64::MAX }], 0);
    assert_eq!(with_token(&f, MANAGER, &token).await.unwrap_err(), Reason::CredentialsRevoked);
    let token = signed(json!({"role": "admin", "jti": "j1", "exp": Clock::system().unix() + 60}));
    assert!(with_token(&f, MANAGER, &token).await.is_ok());
    f.revocations.note([Revocation::Token { id: "j1".to_owned(), expires_at: i64::MAX }], 0);
    assert_eq!(with_token(&f, MANAGER, &token).await.unwrap_err(), Reason::CredentialsRevoked, "by its own id too");
}

#[tokio::test]
async fn the_api_key_is_good_on_the_warehouse_surface_alone() {
    let f = fixture();
    let key = [("x-api-key", "letmein")];
    assert!(with_headers(&f, WAREHOUSE, &key).await.unwrap().unwrap().is_platform());
    assert!(with_headers(&f, TENANTS, &key).await.unwrap().is_none());
    let wrong = with_headers(&f, WAREHOUSE, &[("x-api-key", "letmeout")]).await;
    assert_eq!(wrong.unwrap_err(), Reason::CredentialsInvalid);
}
