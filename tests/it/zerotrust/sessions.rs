//! Sessions of administrators over the wire: how they start, in headers and in cookies, and what ends them, on
//! both databases.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    db::{TestDb, eventually},
    harness::{
        http::{Answer, Http},
        server::{Server, Setup},
        totp::code,
    },
};

const ADA: &str = "correct horse battery staple";
const USER: &str = "/v1/admin/users/lifecycle";
const SESSION: &str = "/v1/admin/session";

async fn post(http: &Http, path: &str, body: Value) -> Answer {
    http.call(Method::POST, path, Some(&body.to_string())).await
}

/// A server with the tenant `acme` and its administrators `ada` and `root`.
async fn serve(db: &TestDb) -> Server {
    let server = Setup::dev().database(&db.url).start().await;
    let admin = server.admin();
    let made = post(&admin, "/v1/admin/tenants/lifecycle", json!({"action": "create", "slug": "acme"})).await;
    assert_eq!(made.status, 201, "{made:?}");
    for id in ["ada", "root"] {
        let email = format!("{id}@example.com");
        let user = json!({"action": "create", "tenant_id": "acme", "user_id": id, "email": email, "role": "admin", "password": ADA});
        let made = post(&admin, USER, user).await;
        assert_eq!(made.status, 201, "{made:?}");
    }
    server
}

async fn log_in(server: &Server, user: &str, password: &str, code: Option<&str>) -> Answer {
    let body = json!({"tenant": "acme", "user": user, "password": password, "code": code});
    post(&server.http(), "/v1/admin/login", body).await
}

async fn session(server: &Server, user: &str, password: &str) -> Http {
    let answer = log_in(server, user, password, None).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    server.http().token(answer.json()["token"].as_str().unwrap())
}

/// The session is refused within a second, and after a restart too.
async fn is_refused(what: &str, session: &Http) {
    let start = std::time::Instant::now();
    eventually(what, || async { session.get(SESSION).await.status == 401 }).await;
    assert!(start.elapsed() < std::time::Duration::from_secs(3), "{what} took {:?}", start.elapsed());
}

both_databases! {
    async fn a_suspended_deleted_or_demoted_users_session_ends(db: TestDb) {
        let mut server = serve(&db).await;
        let root = session(&server, "root", ADA).await;
        let (first, second) = (session(&server, "ada", ADA).await, session(&server, "ada", ADA).await);
        let elsewhere = json!({"userid": "acme/ada", "password": ADA});
        assert_eq!(post(&server.http(), "/api/login", elsewhere).await.status, 200);
        assert_eq!(first.get(SESSION).await.json()["user"]["id"], "ada");
        let suspended = post(&root, "/v1/admin/users/suspend", json!({"user_id": "ada", "reason": "a drill"})).await;
        let body = suspended.json();
        assert_eq!((&body["sessions_terminated"], &body["devices_suspended"]), (&3.into(), &0.into()), "sessions of every surface count: {suspended:?}");
        is_refused("the first session", &first).await;
        is_refused("the second session", &second).await;
        assert_eq!(log_in(&server, "ada", ADA, None).await.status, 401);
        let again = post(&root, "/v1/admin/users/suspend", json!({"user_id": "ada"})).await.json();
        assert_eq!(again["sessions_terminated"], 0);

        assert_eq!(post(&root, "/v1/admin/users/reactivate", json!({"user_id": "ada"})).await.status, 200);
        let third = session(&server, "ada", ADA).await;
        let demote = json!({"action": "update", "user_id": "ada", "role": "auditor"});
        assert_eq!(post(&root, USER, demote).await.status, 200);
        is_refused("the session of an administrator", &third).await;

        let fourth = session(&server, "ada", ADA).await;
        assert_eq!(fourth.get(SESSION).await.json()["role"], "auditor");
        let own = json!({"user_id": "root"});
        assert_eq!(post(&root, "/v1/admin/users/suspend", own).await.status, 422, "users must not suspend themselves");
        assert_eq!(post(&root, USER, json!({"action": "delete", "user_id": "ada"})).await.status, 200);
        is_refused("the session of a deleted user", &fourth).await;

        server.kill().await;
        let restarted = server.setup().start().await;
        for ended in [&first, &third, &fourth] {
            let ended = ended.clone().at(restarted.address());
            assert_eq!(ended.get(SESSION).await.status, 401, "the session was valid again after a restart");
        }
        assert_eq!(root.clone().at(restarted.address()).get(SESSION).await.status, 200);
    }

    async fn a_granted_role_is_in_the_next_session_and_ends_it_when_taken(db: TestDb) {
        let server = serve(&db).await;
        let root = session(&server, "root", ADA).await;
        let user = json!({"action": "create", "user_id": "bob", "email": "bob@example.com", "password": ADA});
        assert_eq!(post(&root, USER, user).await.status, 201);
        let before = session(&server, "bob", ADA).await;
        let list = "/v1/admin/users";
        assert_eq!(before.get(list).await.json()["total"], 1, "users must see their own account");
        let grant = json!({"user_id": "bob", "role": "auditor"});
        assert_eq!(post(&root, "/v1/admin/rbac/grant", grant.clone()).await.status, 200);
        is_refused("the earlier session", &before).await;
        let auditor = session(&server, "bob", ADA).await;
        let body = auditor.get(SESSION).await.json();
        assert_eq!((&body["role"], &body["roles"]), (&"user".into(), &json!(["auditor", "user"])));
        assert_eq!(auditor.get(list).await.json()["total"], 3);
        assert_eq!(post(&root, "/v1/admin/rbac/revoke", grant).await.status, 200);
        is_refused("the session of an auditor", &auditor).await;
        // A session does not outlast the role.
        let end = time::OffsetDateTime::now_utc() + time::Duration::hours(1);
        let end = end.replace_nanosecond(0).unwrap();
        let text = end.format(&time::format_description::well_known::Rfc3339).unwrap();
        let grant = json!({"user_id": "bob", "role": "auditor", "expires_at": text});
        assert_eq!(post(&root, "/v1/admin/rbac/grant", grant).await.status, 200);
        assert_eq!(log_in(&server, "bob", ADA, None).await.json()["expires_at"], text);
    }

    async fn users_change_their_own_password_with_the_current_one(db: TestDb) {
        let server = serve(&db).await;
        let (ada, elsewhere) = (session(&server, "ada", ADA).await, session(&server, "ada", ADA).await);
        let path = "/v1/admin/users/password";
        let missing = post(&ada, path, json!({"password": "another long enough one"})).await;
        assert_eq!((missing.status, &missing.json()["fields"]), (422, &json!({"current_password": "required"})));
        let wrong = json!({"password": "another long enough one", "current_password": "wrong"});
        assert_eq!(post(&ada, path, wrong).await.status, 401);
        let good = json!({"password": "another long enough one", "current_password": ADA});
        let changed = post(&ada, path, good).await;
        assert_eq!(changed.status, 200, "{changed:?}");
        assert!(changed.header("set-cookie").unwrap().starts_with("tenantry_session="), "{changed:?}");
        is_refused("the other session", &elsewhere).await;
        is_refused("the session that did it", &ada).await;
        let fresh = server.http().token(changed.json()["session"]["token"].as_str().unwrap());
        assert_eq!(fresh.get(SESSION).await.json()["user"]["id"], "ada");
        assert_eq!(log_in(&server, "ada", ADA, None).await.status, 401);
        // A password generated for another user must be changed.
        let made = post(&fresh, path, json!({"user_id": "root", "generate": true})).await.json();
        assert_eq!((&made["must_change"], &made["session"]), (&true.into(), &Value::Null));
        let temporary = made["temporary_password"].as_str().unwrap();
        let body = log_in(&server, "root", temporary, None).await;
        assert_eq!((body.status, body.header("set-cookie")), (403, None), "{body:?}");
    }

    async fn a_second_factor_is_enrolled_confirmed_used_and_removed(db: TestDb) {
        let server = serve(&db).await;
        let (ada, root) = (session(&server, "ada", ADA).await, session(&server, "root", ADA).await);
        let (enroll, verify) = ("/v1/admin/users/totp/enroll", "/v1/admin/users/totp/verify");
        let made = post(&ada, enroll, json!({})).await.json();
        let secret = made["secret"].as_str().unwrap();
        let uri = format!("otpauth://totp/Tenantry:ada%40example.com?secret={secret}&issuer=Tenantry&algorithm=SHA1&digits=6&period=30");
        assert_eq!(made["provisioning_uri"], uri);
        assert_eq!(log_in(&server, "ada", ADA, None).await.status, 200, "an unconfirmed second factor must not be required");
        assert_eq!(post(&ada, verify, json!({"code": "000000x"})).await.status, 401);
        let first = code(secret, 0);
        let confirmed = post(&ada, verify, json!({"code": first})).await;
        assert_eq!((confirmed.status, &confirmed.json()["status"]), (200, &"enabled".into()), "{confirmed:?}");
        let codes = confirmed.json()["recovery_codes"].clone();
        assert_eq!(codes.as_array().unwrap().len(), 10);
        assert_eq!(post(&ada, verify, json!({"code": first})).await.status, 409, "there is no pending enrollment");
        assert_eq!(post(&ada, enroll, json!({})).await.status, 409);

        let without = log_in(&server, "ada", ADA, None).await;
        assert_eq!((without.status, &without.json()["detail"]), (401, &"a second-factor code is required".into()));
        assert_eq!(log_in(&server, "ada", ADA, Some(&first)).await.status, 401, "a code must not be accepted twice");
        let next = code(secret, 1);
        assert_eq!(log_in(&server, "ada", ADA, Some(&next)).await.status, 200);
        assert_eq!(log_in(&server, "ada", ADA, Some(&next)).await.status, 401, "a code must not be accepted twice");
        let recovery = codes[0].as_str().unwrap();
        assert_eq!(log_in(&server, "ada", ADA, Some(recovery)).await.status, 200);
        assert_eq!(log_in(&server, "ada", ADA, Some(recovery)).await.status, 401, "a recovery code must not be accepted twice");

        // The refusal that asks for a new password does not use up the code.
        let temporary = "a temporary password 7";
        let set = json!({"user_id": "ada", "password": temporary, "must_change": true});
        assert_eq!(post(&root, "/v1/admin/users/password", set).await.status, 200);
        let recovery = codes[1].as_str().unwrap();
        for _ in 0..2 {
            assert_eq!(log_in(&server, "ada", temporary, Some(recovery)).await.status, 403);
        }
        for (new, status) in [("short", 422), (temporary, 422), (ADA, 200)] {
            let renew = json!({"tenant": "acme", "user": "ada", "password": temporary, "code": recovery, "new_password": new});
            assert_eq!(post(&server.http(), "/v1/admin/login", renew).await.status, status, "{new}");
        }
        assert_eq!(log_in(&server, "ada", ADA, Some(recovery)).await.status, 401);

        let disable = json!({"user_id": "ada", "reason": "lost her phone"});
        assert_eq!(post(&root, "/v1/admin/users/totp/disable", disable).await.json()["status"], "none");
        is_refused("the earlier session", &ada).await;
        assert_eq!(log_in(&server, "ada", ADA, None).await.status, 200);
    }

    async fn wrong_codes_are_bounded(db: TestDb) {
        let server = serve(&db).await;
        let ada = session(&server, "ada", ADA).await;
        let secret = post(&ada, "/v1/admin/users/totp/enroll", json!({})).await.json();
        let verify = async |code: &str| post(&ada, "/v1/admin/users/totp/verify", json!({"code": code})).await;
        for _ in 0..5 {
            assert_eq!(verify("no code").await.status, 401);
        }
        let refused = verify(&code(secret["secret"].as_str().unwrap(), 0)).await;
        assert_eq!((refused.status, &refused.json()["error"]), (429, &"rate_limited".into()));
        let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((800..=901).contains(&wait), "{wait}");
    }

    async fn a_browser_has_its_session_in_a_cookie(db: TestDb) {
        let server = serve(&db).await;
        let answer = log_in(&server, "ada", ADA, None).await;
        let cookie = answer.header("set-cookie").unwrap().to_owned();
        for part in ["HttpOnly", "SameSite=Strict", "Path=/v1/admin", "Max-Age=28800"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        let body = answer.json();
        let page = server.http().header("cookie", cookie.split(';').next().unwrap());
        let asked = page.get(SESSION).await.json();
        assert_eq!((&asked["user"]["id"], &asked["csrf_token"]), (&"ada".into(), &body["csrf_token"]));
        let invite = json!({"action": "invite", "email": "eve@example.com"});
        let origin = format!("http://{}", server.address());
        let own = page.clone().header("origin", &origin);
        assert_eq!(post(&own, USER, invite.clone()).await.status, 403, "a call without the CSRF token must be refused");
        let own = own.header("x-csrf-token", body["csrf_token"].as_str().unwrap());
        assert_eq!(post(&own, USER, invite).await.status, 201);
        let out = own.call(Method::POST, "/v1/admin/logout", None).await;
        assert_eq!((out.status, out.body.as_str()), (204, ""), "{out:?}");
        assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"), "{out:?}");
        is_refused("the session in the cookie", &page).await;
    }

    async fn a_tenant_that_the_platform_suspends_loses_its_sessions(db: TestDb) {
        let server = serve(&db).await;
        let (ada, path) = (session(&server, "ada", ADA).await, "/v1/admin/tenants/lifecycle");
        assert_eq!(post(&ada, path, json!({"action": "suspend"})).await.status, 200);
        let list = "/v1/admin/users";
        eventually("the tenant to be suspended", || async { ada.get(list).await.status == 401 }).await;
        assert_eq!(log_in(&server, "root", ADA, None).await.status, 401);
        assert_eq!(post(&ada, path, json!({"action": "reactivate"})).await.status, 200, "an administrator must be able to lift the suspension");
        eventually("the tenant to be active", || async { ada.get(list).await.status == 200 }).await;
        let suspend = json!({"action": "suspend", "tenant_id": "acme"});
        assert_eq!(post(&server.admin(), path, suspend).await.status, 200);
        is_refused("the session", &ada).await;
        let reactivate = json!({"action": "reactivate", "tenant_id": "acme"});
        assert_eq!(post(&server.admin(), path, reactivate).await.status, 200);
        eventually("the tenant to be active", || async { log_in(&server, "root", ADA, None).await.status == 200 }).await;
        assert_eq!(ada.get(list).await.status, 401, "the suspension must end the session");
    }
}
