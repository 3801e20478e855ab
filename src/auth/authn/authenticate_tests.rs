use std::time::Duration;

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::STANDARD};
use http::Request;
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::{
    auth::{
        ClientInfo,
        authn::{csrf, jws, revocation::Revocation},
    },
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
            named_since: Some(Clock::system().unix() - 100),
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
        .with_third_party(Some(manager), warehouse);
    Fixture { keys, revocations, authenticator }
}

fn claims(role: Role) -> Claims {
    Claims::minted("ops".to_owned(), role, &[Surface::Messaging], Duration::from_secs(60), &Clock::system())
}

async fn with_token(fixture: &Fixture, path: &str, token: &str) -> Result<Caller, Reason> {
    with_headers(fixture, path, &[("authorization", &format!("Bearer {token}"))]).await.map(|c| c.expect("a caller"))
}

async fn with_headers(fixture: &Fixture, path: &str, pairs: &[(&'static str, &str)]) -> Result<Option<Caller>, Reason> {
    let call = pairs.iter().fold(Request::get(path), |call, (name, value)| call.header(*name, *value));
    identify(&fixture.authenticator, call).await
}

async fn identify(authenticator: &Authenticator, call: http::request::Builder) -> Result<Option<Caller>, Reason> {
    match authenticator.authenticate(&call.body(()).unwrap().into_parts().0).await {
        Authentication::Anonymous => Ok(None),
        Authentication::Caller(caller, _) => Ok(Some(caller)),
        Authentication::Refused(error) | Authentication::Held(_, error) => Err(error.reason),
    }
}

#[tokio::test]
async fn a_token_authenticates_uncached_and_cached() {
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
async fn a_token_with_an_unknown_tenant_is_refused() {
    let f = fixture();
    let of = |tenant: &str| Claims { tenant: Some(tenant.to_owned()), ..claims(Role::Admin) };
    let caller = with_token(&f, TENANTS, &tokens::issue(&f.keys, &of("ACME")).unwrap()).await.unwrap();
    assert!(caller.belongs_to(&TenantRef::parse("acme")) && !caller.is_platform());
    let gone = with_token(&f, TENANTS, &tokens::issue(&f.keys, &of("gone")).unwrap()).await;
    assert_eq!(gone.unwrap_err(), Reason::CredentialsInvalid);
}

#[tokio::test]
async fn a_tenant_name_is_valid_only_for_tokens_issued_after_its_release() {
    let f = fixture();
    let good = claims(Role::Admin);
    let of = |iat| tokens::issue(&f.keys, &Claims { tenant: Some("acme".to_owned()), iat, ..good.clone() }).unwrap();
    assert!(with_token(&f, TENANTS, &of(good.iat - 50)).await.is_ok());
    for iat in [good.iat - 200, good.iat + 50] {
        assert_eq!(with_token(&f, TENANTS, &of(iat)).await.unwrap_err(), Reason::CredentialsInvalid, "{iat}");
    }
}

#[tokio::test]
async fn a_project_requires_the_project_role_and_the_reverse() {
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
async fn a_platform_role_with_a_tenant_or_project_is_refused() {
    let f = fixture();
    let both = Claims { tenant: Some("acme".to_owned()), ..claims(Role::PlatformAdmin) };
    let refused = with_token(&f, TENANTS, &tokens::issue(&f.keys, &both).unwrap()).await;
    assert_eq!(refused.unwrap_err(), Reason::CredentialsInvalid);
    let unknown = Claims { role: "root".to_owned(), ..claims(Role::Admin) };
    let refused = with_token(&f, TENANTS, &tokens::issue(&f.keys, &unknown).unwrap()).await;
    assert_eq!(refused.unwrap_err(), Reason::CredentialsInvalid);
}

#[tokio::test]
async fn malformed_headers_are_refused() {
    let f = fixture();
    let token = tokens::issue(&f.keys, &claims(Role::PlatformAdmin)).unwrap();
    assert!(with_headers(&f, TENANTS, &[]).await.unwrap().is_none());
    for good in [format!("Bearer {token}"), format!("bearer {token}"), format!("BEARER   {token} ")] {
        assert!(with_headers(&f, TENANTS, &[("authorization", &good)]).await.unwrap().is_some(), "{good}");
    }
    for good in [format!(" Bearer {token}"), format!("\tBearer {token}\t")] {
        // HTTP/1.1 strips the space around a value; HTTP/2 does not.
        assert!(with_headers(&f, TENANTS, &[("authorization", &good)]).await.unwrap().is_some(), "{good:?}");
    }
    for bad in [
        "Bearer",
        "Bearer ",
        "Bearer a b",
        &format!("Bearer {token} x"),
        &format!("Bearer\t{token}"),
        &format!("bearer \t{token}"),
        &format!("Bearer {token}\tx"),
        &format!("Bearer,{token}"),
        &format!("Bearer:{token}"),
        &format!("Bearer\u{a0}{token}"),
    ] {
        let refused = with_headers(&f, TENANTS, &[("authorization", bad)]).await;
        assert_eq!(refused.unwrap_err(), Reason::CredentialsInvalid, "{bad}");
    }
    for other in ["", "Basic YTpi", "Basic\tYTpi", "BearerX a", &token] {
        assert!(with_headers(&f, TENANTS, &[("authorization", other)]).await.unwrap().is_none(), "{other}");
    }
    let value = format!("Bearer {token}");
    let twice = with_headers(&f, TENANTS, &[("authorization", &value), ("authorization", &value)]).await;
    assert_eq!(twice.unwrap_err(), Reason::CredentialsInvalid);
    assert!(with_headers(&f, "/healthz", &[("authorization", "junk")]).await.unwrap().is_none());
}

#[tokio::test]
async fn manager_tokens_are_valid_only_on_the_manager_surface() {
    let f = fixture();
    let signed = |claims: serde_json::Value| jws::sign_hmac("HS256", SECRET, &claims);
    let token = signed(json!({"role": "admin", "sub": "me", "exp": Clock::system().unix() + 60}));
    assert!(with_token(&f, MANAGER, &token).await.unwrap().is_platform());
    for path in [TENANTS, WAREHOUSE, "/v1/admin/users"] {
        assert_eq!(with_token(&f, path, &token).await.unwrap_err(), Reason::CredentialsInvalid, "{path}");
    }
    f.revocations.note([Revocation::Token { id: third_party_token_id(&token), expires_at: i64::MAX }], 0);
    assert_eq!(with_token(&f, MANAGER, &token).await.unwrap_err(), Reason::CredentialsRevoked);
    let token = signed(json!({"role": "admin", "jti": "j1", "exp": Clock::system().unix() + 60}));
    assert!(with_token(&f, MANAGER, &token).await.is_ok());
    f.revocations.note([Revocation::Token { id: "j1".to_owned(), expires_at: i64::MAX }], 0);
    assert_eq!(with_token(&f, MANAGER, &token).await.unwrap_err(), Reason::CredentialsRevoked, "by its own id too");
}

#[tokio::test]
async fn the_static_key_is_valid_only_on_the_warehouse_surface() {
    let f = fixture();
    let key = [("x-api-key", "letmein")];
    assert!(with_headers(&f, WAREHOUSE, &key).await.unwrap().unwrap().is_platform());
    assert!(with_headers(&f, TENANTS, &key).await.unwrap().is_none());
    let wrong = with_headers(&f, WAREHOUSE, &[("x-api-key", "letmeout")]).await;
    assert_eq!(wrong.unwrap_err(), Reason::CredentialsInvalid);
    for (one, other) in [("letmein", "letmeout"), ("letmeout", "letmein"), ("letmein", "letmein")] {
        let twice = with_headers(&f, WAREHOUSE, &[("x-api-key", one), ("x-api-key", other)]).await;
        assert_eq!(twice.unwrap_err(), Reason::CredentialsInvalid, "{one} {other}");
    }
}

/// A call of a page of `https://db.example`.
fn paged(method: &str, path: &str) -> http::request::Builder {
    let address = Some(std::net::IpAddr::from([192, 0, 2, 1]));
    let host = "db.example".parse().ok();
    let client = ClientInfo {
        address,
        peer: std::net::Ipv4Addr::LOCALHOST.into(),
        secure: Some(true),
        host,
        local: false,
        user_agent: None,
    };
    Request::builder().method(method).uri(path).extension(client)
}

#[tokio::test]
async fn changes_with_a_session_cookie_require_its_csrf_token() {
    let f = fixture();
    let claims = Claims { aud: vec!["warehouse".to_owned()], ..claims(Role::PlatformAdmin) };
    let cookie = format!("qod_session={}", tokens::issue(&f.keys, &claims).unwrap());
    let call = |method| paged(method, WAREHOUSE).header("cookie", &cookie);
    assert_eq!(identify(&f.authenticator, call("GET")).await.unwrap().unwrap().token_id, claims.jti);
    for method in ["POST", "PUT", "PATCH", "DELETE", "PURGE"] {
        let refused = identify(&f.authenticator, call(method)).await.unwrap_err();
        assert_eq!(refused, Reason::CsrfTokenInvalid, "{method}");
    }
    let good = csrf::token(&f.keys, &claims.jti);
    let post = || call("POST").header("x-csrf-token", &good);
    assert!(identify(&f.authenticator, post()).await.unwrap().is_some());
    assert!(identify(&f.authenticator, post().header("origin", "https://db.example")).await.unwrap().is_some());
    let other = call("POST").header("x-csrf-token", csrf::token(&f.keys, "another session"));
    assert_eq!(identify(&f.authenticator, other).await.unwrap_err(), Reason::CsrfTokenInvalid);
    f.revocations.note([Revocation::Token { id: claims.jti, expires_at: claims.exp }], claims.iat);
    assert_eq!(identify(&f.authenticator, call("GET")).await.unwrap_err(), Reason::CredentialsRevoked);
}

#[tokio::test]
async fn changes_with_a_cookie_from_another_site_require_a_listed_origin() {
    let f = fixture();
    let claims = Claims { aud: vec!["zero-trust".to_owned()], ..claims(Role::PlatformAdmin) };
    let cookie = format!("tenantry_session={}", tokens::issue(&f.keys, &claims).unwrap());
    let good = csrf::token(&f.keys, &claims.jti);
    let post = |name, value: &str| {
        paged("POST", "/v1/admin/users").header("cookie", &cookie).header("x-csrf-token", &good).header(name, value)
    };
    let console = "https://console.example";
    for (name, foreign) in [("origin", console), ("origin", "null"), ("sec-fetch-site", "cross-site")] {
        assert_eq!(
            identify(&f.authenticator, post(name, foreign)).await.unwrap_err(),
            Reason::OriginRefused,
            "{foreign}"
        );
    }
    let any = f.authenticator.with_origins("*".parse().unwrap());
    assert_eq!(identify(&any, post("origin", console)).await.unwrap_err(), Reason::OriginRefused);
    let listed = any.with_origins(console.parse().unwrap());
    assert!(identify(&listed, post("origin", console)).await.unwrap().is_some());
    assert_eq!(identify(&listed, post("origin", "null")).await.unwrap_err(), Reason::OriginRefused);
}

#[tokio::test]
async fn headers_take_precedence_over_cookies_and_bad_cookies_are_ignored() {
    let f = fixture();
    let key = [("x-api-key", "letmein"), ("cookie", "qod_session=junk")];
    assert_eq!(with_headers(&f, WAREHOUSE, &key).await.unwrap().unwrap().subject, "api-key");
    let key = paged("POST", WAREHOUSE).header("x-api-key", "letmein").header("cookie", "qod_session=junk");
    assert!(identify(&f.authenticator, key).await.unwrap().is_some(), "a header must not require an additional token");
    for junk in ["qod_session=junk", "qod_session=", "qod_session=letmein"] {
        let refused = with_headers(&f, WAREHOUSE, &[("cookie", junk)]).await;
        assert_eq!(refused.unwrap_err(), Reason::CredentialsInvalid, "{junk}");
    }
    assert!(with_headers(&f, TENANTS, &[("cookie", "qod_session=junk")]).await.unwrap().is_none());
}

#[tokio::test]
async fn an_unknown_scheme_does_not_hide_another_credential() {
    let f = fixture();
    let claims = Claims { aud: vec!["warehouse".to_owned()], ..claims(Role::PlatformAdmin) };
    let session = tokens::issue(&f.keys, &claims).unwrap();
    let cookie = format!("qod_session={session}");
    for scheme in [b"Basic YTpi".as_slice(), b"Digest username=\"\xfc\"", b"Negotiate", b""] {
        let call = || paged("GET", WAREHOUSE).header("authorization", scheme);
        for (name, value) in [("x-api-key", "letmein"), ("x-api-key", session.as_str()), ("cookie", cookie.as_str())] {
            let found = identify(&f.authenticator, call().header(name, value)).await;
            assert!(found.unwrap().is_some(), "{name} beside {scheme:?}");
        }
        assert!(
            identify(&f.authenticator, call()).await.unwrap().is_none(),
            "{scheme:?} alone must not be a credential"
        );
    }
    let bad = paged("GET", WAREHOUSE).header("authorization", "Bearer junk").header("x-api-key", "letmein");
    assert_eq!(identify(&f.authenticator, bad).await.unwrap_err(), Reason::CredentialsInvalid);
}

#[tokio::test]
async fn open_manager_mode_admits_local_callers_but_no_invalid_token() {
    let f = fixture();
    let local = |path: &str| {
        let address = Some(std::net::IpAddr::from([127, 0, 0, 1]));
        let host = "localhost:8080".parse().ok();
        Request::post(path).extension(ClientInfo {
            address,
            peer: std::net::Ipv4Addr::LOCALHOST.into(),
            secure: Some(false),
            host,
            local: true,
            user_agent: None,
        })
    };
    assert!(identify(&f.authenticator, local(MANAGER)).await.unwrap().is_none(), "it is closed");
    let open = f.authenticator.with_open_manager(true);
    let caller = identify(&open, local(MANAGER)).await.unwrap().unwrap();
    assert!(caller.subject == "open-manager" && caller.is_platform() && caller.kind == CallerKind::Service);
    let basic = local(MANAGER).header("authorization", "Basic YTpi");
    assert!(identify(&open, basic).await.unwrap().is_some(), "of a scheme that nobody reads");
    let bad = local(MANAGER).header("authorization", "Bearer junk");
    assert_eq!(identify(&open, bad).await.unwrap_err(), Reason::CredentialsInvalid);
    for closed in [TENANTS, WAREHOUSE, "/v1/admin/users", "/registry/v1/tenants", "/tenantry.manager.v1.S/M"] {
        assert!(identify(&open, local(closed)).await.unwrap().is_none(), "{closed}");
    }
    assert!(identify(&open, Request::post(MANAGER)).await.unwrap().is_none(), "nothing is known of the client");
}
