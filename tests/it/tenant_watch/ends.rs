//! The ends of watches: when the rights of the caller end, and when the server stops.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use tenantry::{
    auth::{
        CallerStanding, Surface,
        authn::{
            keys::Keys,
            tenant_lookup::Tenants,
            tokens::{self, Claims},
        },
    },
    base::{Caller, Clock, Cx, IdKind, Role, TenantRef, caller::CallerFacts, cx::CxFacts, error::Reason},
    zerotrust::tenants::{self as subscribers, SubscriberRef},
};
use tokio::time::timeout;

use super::{brief, create, lifecycle, servers, until_bookmark, watch};
use crate::{
    db::platform_cx,
    harness::{server::Server, stream::Stream},
    rows::tenant,
};

/// Much longer than the second in which a stream ends on an idle machine, and much shorter than the time to the next check without an event.
const SOON: Duration = Duration::from_secs(10);

/// The error that a stream ends with: its status and reason.
async fn last_error(stream: &mut Stream) -> (String, String) {
    loop {
        let message = stream.json().await.expect("an error before the end of the stream");
        let Some(error) = message.get("error") else { continue };
        assert!(stream.line().await.is_none(), "a message followed the error");
        let reason = error["details"].as_array().unwrap().iter().find_map(|detail| detail["reason"].as_str());
        return (error["status"].as_str().unwrap().to_owned(), reason.unwrap().to_owned());
    }
}

#[tokio::test]
async fn a_revoked_token_ends_its_streams() {
    for server in servers().await {
        let tokens = [server.setup().mint(&["--role", "platform_admin"]).await, server.admin_token()];
        let mut streams = Vec::new();
        for token in &tokens {
            streams.push(watch(&server.http().token(token), "0").await);
        }
        let [mut revoked, mut other] = <[Stream; 2]>::try_from(streams).ok().unwrap();
        let done = server.setup().run(&["token", "revoke", &tokens[0]]).await;
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let begun = Instant::now();
        assert_eq!(last_error(&mut revoked).await, ("UNAUTHENTICATED".to_owned(), "CREDENTIALS_REVOKED".to_owned()));
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
        create(&server.admin(), "acme").await;
        while brief(&other.json().await.unwrap()) != "CHANGED acme 1" {}
    }
}

#[tokio::test]
async fn a_suspended_account_and_a_suspended_tenant_end_their_streams() {
    for server in servers().await {
        let admin = server.admin();
        create(&admin, "acme").await;
        let body = json!({"action": "create", "tenant_id": "acme", "email": "ada@example.com", "role": "read_only",
            "password": "correct horse battery staple"});
        let made = admin.call(Method::POST, "/v1/admin/users/lifecycle", Some(&body.to_string())).await;
        assert_eq!(made.status, 201, "{made:?}");
        let user = made.json()["user"]["id"].as_str().unwrap().to_owned();
        let account = IdKind::User.read(&user).unwrap();
        let keys = Keys::load(&server.setup().data_dir().join("jwt.pem"), None).unwrap();
        let minted = Claims::minted(
            "ada".into(),
            Role::ReadOnly,
            &[Surface::Native],
            Duration::from_secs(600),
            &Clock::system(),
        );
        let claims = Claims { account: Some(account), epoch: Some(0), tenant: Some("acme".into()), ..minted };
        let session = tokens::issue(&keys, &claims).unwrap();
        let program = server.setup().mint(&["--role", "read_only", "--tenant", "acme"]).await;
        let mut of_user = watch(&server.http().token(session), "0").await;
        let mut of_program = watch(&server.http().token(program), "0").await;
        for stream in [&mut of_user, &mut of_program] {
            until_bookmark(stream).await;
        }
        let body = json!({"action": "suspend", "tenant_id": "acme", "user_id": user}).to_string();
        let done = admin.call(Method::POST, "/v1/admin/users/lifecycle", Some(&body)).await;
        assert_eq!(done.status, 200, "{done:?}");
        let begun = Instant::now();
        assert_eq!(last_error(&mut of_user).await, ("UNAUTHENTICATED".to_owned(), "CREDENTIALS_REVOKED".to_owned()));
        lifecycle(&admin, json!({"action": "suspend", "tenant_id": "acme"})).await;
        assert_eq!(last_error(&mut of_program).await, ("PERMISSION_DENIED".to_owned(), "TENANT_SUSPENDED".to_owned()));
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn a_new_name_ends_the_streams_of_tokens_with_the_old_name() {
    for server in servers().await {
        let admin = server.admin();
        create(&admin, "acme").await;
        let keys = Keys::load(&server.setup().data_dir().join("jwt.pem"), None).unwrap();
        let lifetime = Duration::from_secs(600);
        let minted = || Claims::minted("ada".into(), Role::ReadOnly, &[Surface::Native], lifetime, &Clock::system());
        let with_name = tokens::issue(&keys, &Claims { tenant: Some("acme".into()), ..minted() }).unwrap();
        let with_id = server.setup().mint(&["--role", "read_only", "--tenant", "acme"]).await;
        let mut streams =
            [watch(&server.http().token(with_name), "0").await, watch(&server.http().token(with_id), "0").await];
        for stream in &mut streams {
            until_bookmark(stream).await;
        }
        let begun = Instant::now();
        lifecycle(&admin, json!({"action": "update", "tenant_id": "acme", "slug": "acme-two"})).await;
        let [named, identified] = &mut streams;
        assert_eq!(last_error(named).await, ("UNAUTHENTICATED".to_owned(), "CREDENTIALS_INVALID".to_owned()));
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
        assert_eq!(brief(&identified.json().await.unwrap()), "CHANGED acme-two 2");
    }
}

both_databases! {
    async fn a_name_that_was_given_up_meanwhile_does_not_continue_a_stream(db: TestDb) {
        let acme = tenant(&db, "acme").await;
        let named = TenantRef::Name("acme".to_owned());
        let found = Tenants::find(&db.store, &named).await.unwrap();
        let caller = |tenant| Caller::new(CallerFacts { tenant, ..CallerFacts::default() });
        let of = |tenant| Cx::new(CxFacts { caller: caller(tenant), ..CxFacts::clone(&platform_cx("tenant.watch")) });
        let standing = CallerStanding::new(&db);
        let by_id = Tenants::find(&db.store, &TenantRef::Id(acme.tenant())).await.unwrap();
        let (by_name, by_id) = (of(found), of(by_id));
        let still = async |cx| timeout(Duration::from_millis(300), standing.end_of(cx)).await;
        assert!(still(&by_name).await.is_err() && still(&by_id).await.is_err());
        // Away and back, before the next check.
        for name in ["beta", "acme"] {
            let of = SubscriberRef { tenant: TenantRef::Id(acme.tenant()), version: None };
            subscribers::update(&platform_cx("tenant.update"), &db, &of, Some(name.to_owned()), None).await.unwrap();
        }
        let end = timeout(SOON, standing.end_of(&by_name)).await.expect("an end");
        assert_eq!(end.reason, Reason::CredentialsInvalid);
        assert!(still(&by_id).await.is_err());
    }

    async fn an_expired_token_ends_a_stream_as_expired(db: TestDb) {
        let ends = |end| Caller::new(CallerFacts { ends: Some(end), ..CallerFacts::default() });
        let now = db.clock().now();
        let cx = |end| Cx::new(CxFacts { caller: ends(end), ..CxFacts::clone(&platform_cx("tenant.watch")) });
        let standing = CallerStanding::new(&db);
        let end = timeout(SOON, standing.end_of(&cx(now - Duration::from_secs(1)))).await.expect("an end");
        assert_eq!(end.reason, Reason::CredentialsExpired);
        let later = cx(now + Duration::from_secs(60));
        assert!(timeout(Duration::from_millis(300), standing.end_of(&later)).await.is_err());
    }
}

#[tokio::test]
async fn the_drain_ends_a_watch() {
    let mut server = Server::dev().await;
    let mut stream = watch(&server.admin(), "0").await;
    until_bookmark(&mut stream).await;
    server.terminate().await;
    assert_eq!(last_error(&mut stream).await, ("UNAVAILABLE".to_owned(), "SERVER_STOPPING".to_owned()));
    assert!(server.ended().await.success());
}
