//! Invalid credentials over the wire: each is refused with 401 before the body is read, on REST and gRPC alike.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use prost_reflect::DynamicMessage;
use sea_orm::{ActiveValue::Set, Database, EntityTrait};
use serde_json::{Value, json};
use tenantry::{
    auth::{
        Surface,
        authn::{
            keys::Keys,
            tokens::{self, Claims},
        },
    },
    base::{Clock, Role},
    identity::accounts,
    store::{Store, StoreConfig, columns::Stamp, tables::released_names},
};
use tonic::Code;
use tonic_types::StatusExt;

use crate::harness::{
    eventually,
    grpc::{self, Grpc},
    server::{Server, Setup},
};

const PATH: &str = "/admin/v2/tenants";
const LIST: &str = "tenantry.messaging.v2.TenantService.ListTenants";

fn keys(server: &Server) -> Keys {
    Keys::load(&server.setup().data_dir().join("jwt.pem"), None).unwrap()
}

fn claims() -> Claims {
    let role = Role::PlatformAdmin;
    Claims::minted("ops".into(), role, &[Surface::Messaging], Duration::from_secs(600), &Clock::system())
}

/// A token with a modified header and the original signature, as an attacker could make from a valid one.
fn with_header(token: &str, change: impl FnOnce(&mut Value)) -> String {
    let (header, rest) = token.split_once('.').unwrap();
    let mut header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
    change(&mut header);
    format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()))
}

/// The reason reported over gRPC; REST must respond with 401.
async fn refusal(server: &Server, token: Option<&str>) -> String {
    let method = grpc::methods().into_iter().find(|method| method.full_name() == LIST).unwrap();
    let (mut http, mut grpc) = (server.http(), Grpc::new(server.address()));
    if let Some(token) = token {
        (http, grpc) = (http.token(token), grpc.token(token));
    }
    let answer = http.get(PATH).await;
    let challenge = if token.is_some() { r#"Bearer error="invalid_token""# } else { "Bearer" };
    assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some(challenge)), "{answer:?}");
    let status = grpc.call(&method, DynamicMessage::new(method.input())).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated, "{status:?}");
    let challenge = status.metadata().get("www-authenticate").map(|value| value.to_str().unwrap());
    assert_eq!(challenge, token.map(|_| r#"Bearer error="invalid_token""#), "{status:?}");
    status.get_details_error_info().unwrap().reason
}

#[tokio::test]
async fn invalid_tokens_are_refused() {
    let server = Server::dev().await;
    let (keys, good) = (keys(&server), claims());
    let token = tokens::issue(&keys, &good).unwrap();
    assert_eq!(server.http().token(&token).get(PATH).await.status, 200);
    assert_eq!(refusal(&server, None).await, "CREDENTIALS_MISSING");

    let issue = |claims: Claims| tokens::issue(&keys, &claims).unwrap();
    let expired = issue(Claims { iat: good.iat - 7200, exp: good.iat - 3600, ..good.clone() });
    assert_eq!(refusal(&server, Some(&expired)).await, "CREDENTIALS_EXPIRED");
    let unsigned = format!("{}.", with_header(&token, |h| h["alg"] = json!("none")).rsplit_once('.').unwrap().0);
    for bad in [
        "garbage".to_owned(),
        unsigned,
        with_header(&token, |header| header["alg"] = json!("HS256")),
        with_header(&token, |header| header["crit"] = json!(["exp"])),
        issue(Claims { aud: vec!["warehouse".into()], ..good.clone() }),
        issue(Claims { iss: "somebody".into(), ..good.clone() }),
        issue(Claims { role: "root".into(), ..good.clone() }),
        issue(Claims { role: "admin".into(), tenant: Some("nowhere".into()), ..good.clone() }),
        tokens::issue(&Keys::ephemeral(), &good).unwrap(),
    ] {
        assert_eq!(refusal(&server, Some(&bad)).await, "CREDENTIALS_INVALID", "{bad}");
    }
}

#[tokio::test]
async fn a_revoked_token_is_refused_soon_and_after_a_restart() {
    let mut server = Server::dev().await;
    let token = tokens::issue(&keys(&server), &claims()).unwrap();
    let status = async |server: &Server| server.http().token(&token).get(PATH).await.status;
    assert_eq!(status(&server).await, 200);
    let revoked = server.setup().run(&["token", "revoke", &token]).await;
    assert!(revoked.status.success(), "{}", String::from_utf8_lossy(&revoked.stderr));
    eventually("the revocation", async || (status(&server).await == 401).then_some(())).await;
    assert_eq!(refusal(&server, Some(&token)).await, "CREDENTIALS_REVOKED");
    server.terminate().await;
    server.ended().await;
    let again = server.setup().clone().start().await;
    assert_eq!(status(&again).await, 401);
}

#[tokio::test]
async fn a_token_is_not_valid_for_a_later_tenant_of_the_same_name() {
    let server = Server::dev().await;
    let keys = keys(&server);
    let now = || Clock::system().unix();
    let token = |iat| {
        let tenant = Claims { role: "admin".into(), tenant: Some("acme".into()), iat, ..claims() };
        tokens::issue(&keys, &tenant).unwrap()
    };
    let read = async |token| server.http().token(token).get("/admin/v2/tenants/acme").await.status;
    let info = r#"{"allowedClusters":["standalone"]}"#;
    let early = token(now() - 100);
    let create = async || assert_eq!(server.admin().put("/admin/v2/tenants/acme", info).await.status, 204);
    let delete = async || {
        let answer = server.admin().call(reqwest::Method::DELETE, "/admin/v2/tenants/acme", None).await;
        assert_eq!(answer.status, 204);
    };
    assert_eq!(read(early.clone()).await, 401, "tenant not found");
    create().await;
    assert_eq!(read(early.clone()).await, 200, "the first tenant with the name");
    assert_eq!(read(token(now() + 50)).await, 401, "a token issued in the future");
    let minted = server.setup().mint(&["--role", "admin", "--tenant", "ACME"]).await;
    assert_eq!(read(minted.clone()).await, 200, "the token contains the id");

    delete().await;
    create().await;
    assert_eq!(read(early).await, 401, "the token was issued for an earlier tenant with the name");
    assert_eq!(read(minted).await, 401, "ids must not be reused");
    // The issuer of a token for the earlier tenant may have had a clock that was ahead.
    assert_eq!(read(token(now())).await, 401, "it may be from before the name was released");
    let db =
        Database::connect(format!("sqlite:{}", server.setup().data_dir().join("tenantry.db").display())).await.unwrap();
    let released = released_names::Entity::find_by_id("acme").one(&db).await.unwrap().unwrap().released_at.time();
    let earlier = Stamp::from(released - time::Duration::seconds(601));
    let row = released_names::ActiveModel { name_key: Set("acme".to_owned()), released_at: Set(earlier) };
    released_names::Entity::update(row).exec(&db).await.unwrap();
    eventually("a token that is issued later", async || (read(token(now())).await == 200).then_some(())).await;
}

#[tokio::test]
async fn serve_refuses_what_dev_made() {
    let mut server = Server::dev().await;
    let url = format!("sqlite:{}", server.setup().data_dir().join("tenantry.db").display());
    let store = Store::open(StoreConfig::new(&url)).await.unwrap();
    eventually("dev to make its account", async || {
        accounts::exists(&store, None, "admin").await.unwrap().then_some(())
    })
    .await;
    store.close().await;
    server.terminate().await;
    server.ended().await;
    let (made, own) = (server.setup().data_dir().join("jwt.pem"), server.setup().home().join("own.pem"));
    let pem = std::fs::read_to_string(&made).unwrap();
    tenantry::base::private_file::write(&own, pem.split_once('\n').unwrap().1.as_bytes()).unwrap();
    for (key, told) in [(made, "made by `tenantry dev`"), (own, "the account admin has the password")] {
        let setup = server.setup().clone().database(&url).env("TENANTRY_JWT_KEY", key.to_str().unwrap());
        let output = setup.run(&["serve", "--listen", "127.0.0.1:0"]).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && said.contains(told), "{said}");
    }
}

#[tokio::test]
async fn a_token_is_minted_without_a_database() {
    let setup = Setup::dev();
    std::fs::create_dir(setup.data_dir()).unwrap();
    let keys = Keys::load_or_create(&setup.data_dir().join("jwt.pem"), None).unwrap();
    let minted = setup.run(&["token", "mint", "--role", "admin", "--tenant", "acme"]).await;
    assert!(minted.status.success() && !setup.data_dir().join("tenantry.db").exists());
    assert!(String::from_utf8_lossy(&minted.stderr).contains("the token holds the name"), "{minted:?}");
    let claims = tokens::verify(&keys, String::from_utf8(minted.stdout).unwrap().trim()).unwrap();
    assert_eq!((claims.tenant.as_deref(), claims.sub), (Some("acme"), format!("minted:admin:{}", claims.jti)));
    for bad in [&["--ttl", "401d"][..], &["--sub", ""], &["--sub", "a\nb"]] {
        let arguments = [&["token", "mint", "--role", "platform_admin"], bad].concat();
        assert_eq!(setup.run(&arguments).await.status.code(), Some(2), "{bad:?}");
    }
}

#[tokio::test]
async fn the_expiry_in_a_forged_token_does_not_shorten_a_revocation() {
    let server = Server::dev().await;
    let good = claims();
    let token = tokens::issue(&keys(&server), &good).unwrap();
    assert_eq!(server.http().token(&token).get(PATH).await.status, 200);
    // The same id, and an expiry in the past, signed with another key.
    let forged = Claims { iat: good.iat - 7200, exp: good.iat - 3600, ..good };
    let forged = tokens::issue(&Keys::ephemeral(), &forged).unwrap();
    let revoked = server.setup().run(&["token", "revoke", &forged]).await;
    assert!(revoked.status.success(), "{}", String::from_utf8_lossy(&revoked.stderr));
    eventually("the revocation", async || (server.http().token(&token).get(PATH).await.status == 401).then_some(()))
        .await;
    assert_eq!(refusal(&server, Some(&token)).await, "CREDENTIALS_REVOKED");
}
