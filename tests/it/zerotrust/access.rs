//! Admission of devices, and the end of their sessions, with real credentials and every grant verified, on both databases.

use bundle_verify::{Refusal, grant};
use serde_json::{Value, json};
use tenantry::{
    access::{self, jobs::EndSessions},
    base::{Access, IdKind, TenantId, TenantScope},
    jobs::{Job, Run},
    store::Stamp,
};
use time::OffsetDateTime;

use super::{
    conversation::{
        Line,
        Who::{Admin, Auditor, Nobody, Operator, Other, Platform, User},
        check, http, serve,
    },
    gateway_calls::{
        Enrolled, GRANT, METERING, SESSIONS, act, enroll, enroll_as, line, pool_and_gateway, pool_and_gateway_as, post,
        publish, report, sessions,
    },
};
use crate::{db::TestDb, harness::server::Server, rows::sql};

const DEVICES: &str = "/v1/admin/devices/lifecycle";

/// The scope of the tenant of a session.
fn scope(tenant: &Value) -> TenantScope {
    let id: TenantId = tenant.as_str().unwrap().parse().unwrap();
    TenantScope::grant(&Access::Platform, id, "acme").unwrap()
}

/// The sessions that a gateway has to end.
async fn killed(db: &TestDb, server: &Server, gateway: &Enrolled) -> (i64, Vec<String>) {
    let of = sessions(server, "status=all").await;
    let rows = db.tenant(scope(&of[0]["tenant_id"]));
    let gateway = IdKind::Gateway.read(&gateway.id).unwrap();
    let list = access::kill_list(&rows, gateway, Stamp::from(OffsetDateTime::now_utc())).await.unwrap();
    (list.version, list.sessions.into_iter().map(|id| IdKind::Session.show(id)).collect())
}

/// Limits the sessions of `acme`.
async fn limit(server: &Server, sessions: Value) {
    let body = json!({"action": "set_plan", "tenant_id": "acme", "plan": "unlimited", "overrides": {"concurrent_sessions": sessions}});
    act(server, Platform, "/v1/admin/tenants/lifecycle", body).await;
}

both_databases! {
    async fn a_grant_is_for_one_gateway_and_one_key_and_is_used_once(db: TestDb) {
        let server = serve(&db).await;
        let (pool, gateway) = pool_and_gateway(&server).await;
        let version = publish(&server, json!({"session": {"max_seconds": 3600}, "refresh_seconds": 120})).await;
        let device = enroll(&server, "device", json!({"user_id": "ada"})).await;
        let answer = gateway.ask(&server, &device, "&client_ip=192.0.2.7").await;
        assert_eq!((&answer["reason"], &answer["recheck_after_seconds"]), (&json!("ok"), &json!(120)), "{answer}");
        let (token, session) = (answer["grant"].as_str().unwrap(), answer["session_id"].as_str().unwrap());
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let verify = |gateway: &Enrolled, key: &str, at: i64, used: bool| {
            grant::verify(&gateway.anchors, token, &gateway.id, key, at, |_| used)
        };
        let key = device.thumbprint();
        let claims = verify(&gateway, &key, now, false).unwrap();
        assert_eq!((claims.sid.as_str(), claims.sub.clone()), (session, format!("device:{}", device.id)));
        assert_eq!((claims.gw.as_str(), claims.pool.as_str(), claims.cnf.jkt.as_str()), (gateway.id.as_str(), pool.as_str(), key.as_str()));
        assert_eq!(claims.exp - claims.iat, 120);
        assert!((3590..=3600).contains(&(claims.max_end - claims.iat)), "{claims:?}");
        let (_, other) = pool_and_gateway(&server).await;
        assert_eq!(verify(&gateway, &key, now, true), Err(Refusal::Replayed));
        assert_eq!(verify(&gateway, &gateway.thumbprint(), now, false), Err(Refusal::KeyMismatch));
        assert_eq!(verify(&other, &key, now, false), Err(Refusal::Audience));
        assert_eq!(verify(&gateway, &key, now + 200, false), Err(Refusal::Expired));
        // The session is there.
        let shown = sessions(&server, &format!("device_id={}", device.id)).await.remove(0);
        assert_eq!((shown["id"].as_str(), shown["grant_id"].as_str()), (Some(session), Some(claims.jti.as_str())));
        assert_eq!((&shown["client_ip"], &shown["policy_version"]), (&json!("192.0.2.7"), &json!(version)));
        // Asked again, it is the same session with another grant.
        let again = gateway.ask(&server, &device, &format!("&session_id={session}")).await;
        assert_eq!(again["session_id"], session, "{again}");
        let next = grant::verify(&gateway.anchors, again["grant"].as_str().unwrap(), &gateway.id, &key, now, |_| false).unwrap();
        assert!(next.jti != claims.jti && next.max_end == claims.max_end, "{next:?}");
        assert_eq!(sessions(&server, "status=all").await.len(), 1);
        // It belongs to this device and this gateway.
        let path = format!("{GRANT}?device_id={}&client_key={key}&auth_mode=B&session_id={session}", device.id);
        assert_eq!(other.get(&server, &path).await.status, 422);
        // A gateway may choose the id of a new one.
        let chosen = IdKind::Session.show(uuid::Uuid::now_v7());
        let more = format!("&session_id={chosen}");
        let (one, two) = tokio::join!(gateway.ask(&server, &device, &more), gateway.ask(&server, &device, &more));
        assert_eq!((&one["session_id"], &two["session_id"]), (&json!(chosen), &json!(chosen)));
        assert_eq!(sessions(&server, "status=all").await.len(), 2);
    }

    async fn each_reason_denies(db: TestDb) {
        let server = serve(&db).await;
        let (pool, gateway) = pool_and_gateway(&server).await;
        let (other_pool, _) = pool_and_gateway(&server).await;
        let device = enroll(&server, "device", json!({"user_id": "ada"})).await;
        assert_eq!(gateway.denied(&server, &device, "").await, "pool_not_allowed", "no policy");
        publish(&server, json!({})).await;
        assert_eq!(gateway.ask(&server, &device, "").await["decision"], "allow");
        let foreign = enroll_as(&server, Other, "device", json!({})).await;
        assert_eq!(gateway.denied(&server, &foreign, "").await, "unknown_device");
        let nobody = gateway.get(&server, &format!("{GRANT}?device_id=dev_1&client_key=x&auth_mode=B")).await.json();
        assert_eq!(nobody["reason"], "unknown_device", "{nobody}");
        let wrong = gateway.get(&server, &format!("{GRANT}?device_id={}&client_key=x&auth_mode=B", device.id)).await;
        assert_eq!(wrong.json()["reason"], "key_mismatch", "{wrong:?}");
        let pending = enroll(&server, "device", json!({"pre_approved": false})).await;
        assert_eq!(gateway.denied(&server, &pending, "").await, "device_not_active");
        let revoked = enroll(&server, "device", json!({})).await;
        act(&server, Admin, DEVICES, json!({"action": "revoke", "device_id": revoked.id})).await;
        assert_eq!(gateway.denied(&server, &revoked, "").await, "device_not_active");
        assert_eq!(gateway.denied(&server, &device, &format!("&pool_id={other_pool}")).await, "pool_not_allowed");
        assert_eq!(gateway.denied(&server, &device, "&auth_mode=A").await, "auth_mode_too_low");
        assert_eq!(gateway.denied(&server, &device, "&auth_mode=D").await, "auth_mode_too_low");
        publish(&server, json!({"gateway_pools": [other_pool]})).await;
        assert_eq!(gateway.denied(&server, &device, "").await, "pool_not_allowed");
        let demands = json!({"required": ["disk_encrypted"], "max_age_seconds": 3600, "on_fail": "block"});
        publish(&server, json!({"gateway_pools": [pool], "posture": demands})).await;
        assert_eq!(gateway.denied(&server, &device, "").await, "posture");
        publish(&server, json!({"min_auth_mode": "C"})).await;
        assert_eq!(gateway.denied(&server, &device, "").await, "auth_mode_too_low");
        publish(&server, json!({})).await;
        // The groups of the pool: those of the user, and of the token.
        let group = json!({"action": "create", "name": "Ops", "user_ids": ["ada"]});
        let group = act(&server, Admin, "/v1/admin/groups/lifecycle", group).await["group"]["id"].clone();
        let allow = json!({"action": "update", "pool_id": pool, "allowed_group_ids": [group]});
        act(&server, Admin, "/v1/admin/settings/gateway-pools", allow).await;
        let (alone, tagged) =
            (enroll(&server, "device", json!({})).await, enroll(&server, "device", json!({"group_ids": [group]})).await);
        assert_eq!(gateway.denied(&server, &alone, "").await, "pool_not_allowed");
        assert_eq!(gateway.ask(&server, &tagged, "").await["decision"], "allow");
        let running = gateway.admit(&server, &device).await;
        // A drain refuses new sessions only.
        let drain = json!({"action": "drain", "gateway_id": gateway.id, "force": true});
        act(&server, Admin, "/v1/admin/gateways/lifecycle", drain).await;
        assert_eq!(gateway.denied(&server, &device, "").await, "pool_draining");
        assert_eq!(gateway.ask(&server, &device, &format!("&session_id={running}")).await["decision"], "allow");
        let undrain = json!({"action": "undrain", "gateway_id": gateway.id});
        act(&server, Admin, "/v1/admin/gateways/lifecycle", undrain).await;
        act(&server, Admin, "/v1/admin/settings/gateway-pools", json!({"action": "drain", "pool_id": pool})).await;
        assert_eq!(gateway.denied(&server, &device, "").await, "pool_draining");
        act(&server, Admin, "/v1/admin/settings/gateway-pools", json!({"action": "undrain", "pool_id": pool})).await;
        limit(&server, json!(0)).await;
        assert_eq!(gateway.denied(&server, &device, "").await, "entitlement_exceeded");
        act(&server, Admin, SESSIONS, json!({"action": "terminate", "session_ids": [running]})).await;
        assert_eq!(gateway.denied(&server, &device, &format!("&session_id={running}")).await, "session_ended");
        act(&server, Admin, DEVICES, json!({"action": "force_reauth", "device_id": device.id})).await;
        assert_eq!(gateway.denied(&server, &device, "").await, "key_mismatch");
        act(&server, Admin, "/v1/admin/users/suspend", json!({"user_id": "ada"})).await;
        assert_eq!(gateway.denied(&server, &device, "").await, "user_suspended");
        // What is not a question.
        for query in ["", "client_key=x&auth_mode=B", "device_id=dev_1&auth_mode=B", "device_id=dev_1&client_key=x"] {
            assert_eq!(gateway.get(&server, &format!("{GRANT}?{query}")).await.status, 422, "{query}");
        }
        let question = format!("{GRANT}?device_id=dev_1&client_key=x");
        for more in ["&auth_mode=E", "&auth_mode=B&client_ip=here", "&auth_mode=B&session_id=one"] {
            assert_eq!(gateway.get(&server, &format!("{question}{more}")).await.status, 422, "{more}");
        }
    }

    async fn the_last_seat_is_given_once(db: TestDb) {
        let server = serve(&db).await;
        let (pool, gateway) = pool_and_gateway(&server).await;
        publish(&server, json!({})).await;
        let device = enroll(&server, "device", json!({"user_id": "ada"})).await;
        let ask_many = async || {
            let answers = futures::future::join_all((0..16).map(|_| gateway.ask(&server, &device, ""))).await;
            let denied = answers.iter().filter(|answer| answer["reason"] == "entitlement_exceeded").count();
            let allowed: Vec<_> = answers.iter().filter(|answer| answer["decision"] == "allow").cloned().collect();
            assert_eq!(denied + allowed.len(), 16, "{answers:?}");
            allowed
        };
        let first = gateway.admit(&server, &device).await;
        limit(&server, json!(2)).await;
        let allowed = ask_many().await;
        assert_eq!(allowed.len(), 1);
        // A session that exists needs no seat.
        assert_eq!(gateway.ask(&server, &device, &format!("&session_id={first}")).await["decision"], "allow");
        // One that ends, and one that does not start, free theirs.
        let mut ended = line(&first, &device, 1, 1);
        ended["ended_at"] = json!(super::gateway_calls::ago(0));
        gateway.report(&server, "r1", 1, json!([ended])).await;
        let second = allowed[0]["session_id"].as_str().unwrap();
        let id = IdKind::Session.read(second).unwrap().simple().to_string();
        let of = if db.url.starts_with("sqlite") { format!("hex(id) = '{}'", id.to_uppercase()) } else { format!("id = '{id}'") };
        sql(&db, format!("UPDATE access_sessions SET started_at = started_at - 151000000, granted_at = granted_at - 151000000 WHERE {of}")).await.unwrap();
        assert_eq!(sessions(&server, "status=active").await.len(), 0);
        let late = sessions(&server, "status=ended").await;
        assert_eq!(late.iter().filter(|session| session["end_reason"] == "not_started").count(), 1, "{late:?}");
        assert_eq!(ask_many().await.len(), 2);
        // Its gateway reports it after all.
        gateway.report(&server, "r2", 2, json!([line(second, &device, 5, 5)])).await;
        assert_eq!(sessions(&server, "status=active").await.len(), 3);
        // The limit of the pool.
        limit(&server, Value::Null).await;
        let body = json!({"action": "update", "pool_id": pool, "max_sessions": 5});
        act(&server, Admin, "/v1/admin/settings/gateway-pools", body).await;
        assert_eq!(ask_many().await.len(), 2);
    }

    async fn a_suspended_user_has_no_sessions_and_starts_none(db: TestDb) {
        let server = serve(&db).await;
        let (_, gateway) = pool_and_gateway(&server).await;
        publish(&server, json!({})).await;
        let device = enroll(&server, "device", json!({"user_id": "ada"})).await;
        let alone = enroll(&server, "device", json!({"user_id": "ada"})).await;
        let other = enroll(&server, "device", json!({"user_id": "bob"})).await;
        let session = gateway.admit(&server, &device).await;
        let others = gateway.admit(&server, &other).await;
        gateway.admit(&server, &alone).await;
        let suspended = act(&server, Admin, DEVICES, json!({"action": "suspend", "device_id": alone.id})).await;
        assert_eq!(suspended["sessions_terminated"], 1, "{suspended}");
        let done = act(&server, Admin, "/v1/admin/users/suspend", json!({"user_id": "ada"})).await;
        assert_eq!((&done["sessions_terminated"], &done["devices_suspended"]), (&json!(1), &json!(1)), "{done}");
        assert_eq!(device.get(&server, "/v1/policy/bundle").await.status, 401);
        assert_eq!(gateway.denied(&server, &device, "").await, "user_suspended");
        assert_eq!(gateway.denied(&server, &device, &format!("&session_id={session}")).await, "user_suspended");
        let reasons: Vec<_> = sessions(&server, "user_id=ada&status=ended").await.iter().map(|row| row["end_reason"].clone()).collect();
        assert_eq!(reasons, [json!("user_suspended"), json!("device_suspended")]);
        let (version, listed) = killed(&db, &server, &gateway).await;
        assert!(version == 2 && listed.len() == 2 && listed.contains(&session), "{version} {listed:?}");
        assert_eq!(sessions(&server, "").await.len(), 1);
        // What was suspended with the user comes back, not what was suspended by itself, and no session.
        act(&server, Admin, "/v1/admin/users/reactivate", json!({"user_id": "ada"})).await;
        assert_eq!(gateway.denied(&server, &alone, "").await, "device_not_active");
        assert_eq!(gateway.denied(&server, &device, &format!("&session_id={session}")).await, "session_ended");
        gateway.admit(&server, &device).await;
        // The platform suspends the tenant.
        let tenant = |action: &str| json!({"action": action, "tenant_id": "acme"});
        act(&server, Platform, "/v1/admin/tenants/lifecycle", tenant("suspend")).await;
        assert_eq!(gateway.get(&server, GRANT).await.status, 401);
        act(&server, Platform, "/v1/admin/tenants/lifecycle", tenant("reactivate")).await;
        assert!(sessions(&server, "").await.is_empty());
        let ended = sessions(&server, "status=ended&user_id=bob").await;
        assert_eq!((ended[0]["id"].as_str(), &ended[0]["end_reason"]), (Some(others.as_str()), &json!("tenant_suspended")));
    }

    async fn no_admission_outruns_a_suspension(db: TestDb) {
        let server = serve(&db).await;
        let (_, gateway) = pool_and_gateway(&server).await;
        publish(&server, json!({})).await;
        let device = enroll(&server, "device", json!({"user_id": "ada"})).await;
        let user = |what: &str| (format!("/v1/admin/users/{what}"), json!({"user_id": "ada"}));
        for _ in 0..5 {
            let (path, body) = user("suspend");
            let asks = futures::future::join_all((0..12).map(|_| gateway.ask(&server, &device, "")));
            let (answers, _) = tokio::join!(asks, act(&server, Admin, &path, body));
            let refused = |answer: &Value| answer["decision"] == "allow" || answer["reason"] == "user_suspended";
            assert!(answers.iter().all(refused), "{answers:?}");
            assert!(sessions(&server, "").await.is_empty(), "{answers:?}");
            let (path, body) = user("reactivate");
            act(&server, Admin, &path, body).await;
        }
    }

    async fn the_end_of_a_device_or_gateway_ends_its_sessions(db: TestDb) {
        let server = serve(&db).await;
        let (_, gateway) = pool_and_gateway(&server).await;
        publish(&server, json!({})).await;
        for (action, reason) in [("suspend", "device_suspended"), ("revoke", "device_revoked"), ("force_reauth", "reauth_forced")] {
            let device = enroll(&server, "device", json!({})).await;
            gateway.admit(&server, &device).await;
            gateway.admit(&server, &device).await;
            let done = act(&server, Admin, DEVICES, json!({"action": action, "device_id": device.id})).await;
            assert_eq!(done["sessions_terminated"], 2, "{done}");
            let ended = sessions(&server, &format!("device_id={}&status=ended", device.id)).await;
            assert!(ended.len() == 2 && ended.iter().all(|session| session["end_reason"] == reason), "{ended:?}");
        }
        let device = enroll(&server, "device", json!({"user_id": "bob"})).await;
        for (action, reason) in [("disable", "gateway_disabled"), ("revoke", "gateway_revoked"), ("delete", "gateway_deleted")] {
            let (_, other) = pool_and_gateway(&server).await;
            let session = other.admit(&server, &device).await;
            act(&server, Admin, "/v1/admin/gateways/lifecycle", json!({"action": action, "gateway_id": other.id})).await;
            let ended = sessions(&server, &format!("gateway_id={}&status=all", other.id)).await;
            assert_eq!((ended[0]["id"].as_str(), &ended[0]["end_reason"]), (Some(session.as_str()), &json!(reason)));
        }
        // The drain of a gateway is over.
        let session = gateway.admit(&server, &device).await;
        let drain = json!({"action": "drain", "gateway_id": gateway.id, "force": true, "drain_seconds": 0});
        act(&server, Admin, "/v1/admin/gateways/lifecycle", drain).await;
        EndSessions::new(&db).run(&Run::unleased()).await.unwrap();
        let ended = sessions(&server, "user_id=bob&status=ended").await.into_iter().find(|row| row["id"] == session.as_str());
        assert_eq!(ended.unwrap()["end_reason"], "drained");
        act(&server, Admin, "/v1/admin/gateways/lifecycle", json!({"action": "undrain", "gateway_id": gateway.id})).await;
        // Its user is deleted.
        let session = gateway.admit(&server, &device).await;
        act(&server, Admin, "/v1/admin/users/lifecycle", json!({"action": "delete", "user_id": "bob"})).await;
        let ended = sessions(&server, &format!("device_id={}&status=ended", device.id)).await;
        assert!(ended.iter().any(|row| row["id"] == session.as_str() && row["end_reason"] == "user_deleted"), "{ended:?}");
        assert!(sessions(&server, "").await.is_empty());
    }

    async fn sessions_expire(db: TestDb) {
        let server = serve(&db).await;
        let (_, gateway) = pool_and_gateway(&server).await;
        publish(&server, json!({})).await;
        let device = enroll(&server, "device", json!({})).await;
        let ended = async |id: &str| {
            EndSessions::new(&db).run(&Run::unleased()).await.unwrap();
            let all = sessions(&server, "status=ended").await;
            all.into_iter().find(|row| row["id"] == id).map(|row| row["end_reason"].as_str().unwrap().to_owned())
        };
        let unstarted = gateway.admit(&server, &device).await;
        sql(&db, "UPDATE access_sessions SET expires_at = 1".to_owned()).await.unwrap();
        assert_eq!(ended(&unstarted).await.as_deref(), Some("not_started"));
        let lost = gateway.admit(&server, &device).await;
        gateway.report(&server, "r1", 1, json!([line(&lost, &device, 1, 1)])).await;
        assert_eq!(ended(&lost).await, None);
        sql(&db, "UPDATE access_sessions SET expires_at = 1".to_owned()).await.unwrap();
        assert_eq!(ended(&lost).await.as_deref(), Some("lost"));
        let over = gateway.admit(&server, &device).await;
        gateway.report(&server, "r2", 2, json!([line(&over, &device, 1, 1)])).await;
        sql(&db, "UPDATE access_sessions SET expires_at = 1, max_end = 1".to_owned()).await.unwrap();
        assert_eq!(ended(&over).await.as_deref(), Some("expired"));
        assert_eq!(killed(&db, &server, &gateway).await.1.len(), 3);
    }

    async fn only_the_right_callers_ask_and_terminate(db: TestDb) {
        let server = serve(&db).await;
        let (_, gateway) = pool_and_gateway(&server).await;
        let (_, foreign) = pool_and_gateway_as(&server, Other).await;
        publish(&server, json!({})).await;
        act(&server, Other, "/v1/admin/policy/publish", json!({"channel": "stable", "policy": {}})).await;
        let device = enroll(&server, "device", json!({"user_id": "ada"})).await;
        let question = format!("{GRANT}?device_id={}&client_key={}&auth_mode=B", device.id, device.thumbprint());
        assert_eq!(device.get(&server, &question).await.status, 403, "a device");
        assert_eq!(http(&server, Admin).await.get(&question).await.status, 403, "an administrator");
        assert_eq!(server.http().get(&question).await.status, 401, "nobody");
        assert_eq!(foreign.denied(&server, &device, "").await, "unknown_device");
        assert_eq!(device.post(&server, METERING, &report("r", 1, json!([]))).await.status, 403, "a device");
        assert_eq!(post(&http(&server, Admin).await, METERING, &report("r", 1, json!([]))).await.status, 403);
        for client in [&device, &gateway] {
            assert_eq!(client.get(&server, SESSIONS).await.status, 401);
            assert_eq!(client.get(&server, METERING).await.status, 401);
            assert_eq!(client.get(&server, "/v1/admin/gateway/health").await.status, 401);
        }
        let own = gateway.admit(&server, &device).await;
        let theirs = enroll_as(&server, Other, "device", json!({})).await;
        let theirs = foreign.admit(&server, &theirs).await;
        let end = |ids: Value| json!({"action": "terminate", "session_ids": ids});
        assert_eq!(post(&http(&server, Admin).await, SESSIONS, &end(json!([own, theirs]))).await.status, 404);
        assert_eq!(sessions(&server, "").await.len(), 1, "nothing ended");
        for who in [Auditor, User] {
            assert_eq!(post(&http(&server, who).await, SESSIONS, &end(json!([own]))).await.status, 403, "{who:?}");
        }
        assert_eq!(act(&server, Operator, SESSIONS, end(json!([own]))).await["terminated"], 1);
        assert_eq!(act(&server, Operator, SESSIONS, end(json!([own]))).await["terminated"], 0);
    }

    async fn users_see_their_own_sessions(db: TestDb) {
        let server = serve(&db).await;
        let (_, gateway) = pool_and_gateway(&server).await;
        publish(&server, json!({})).await;
        let own = enroll(&server, "device", json!({"user_id": "ada"})).await;
        let other = enroll(&server, "device", json!({"user_id": "bob"})).await;
        let own = gateway.admit(&server, &own).await;
        gateway.admit(&server, &other).await;
        let login = json!({"tenant": "acme", "user": "ada", "password": "correct horse battery"});
        let login = post(&server.http(), "/v1/admin/login", &login).await.json();
        let ada = server.http().token(login["token"].as_str().unwrap());
        let ids = async |query: &str| {
            let answer = ada.get(&format!("{SESSIONS}{query}")).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            let shown = answer.json()["sessions"].as_array().unwrap().clone();
            shown.into_iter().map(|session| session["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(ids("").await, [own.as_str()]);
        assert_eq!(ids("?user_id=ada&status=all").await, [own.as_str()]);
        assert!(ids("?user_id=bob").await.is_empty());
    }

    async fn sessions_answer_as_documented(db: TestDb) {
        let server = serve(&db).await;
        let (_, gateway) = pool_and_gateway(&server).await;
        let (_, second) = pool_and_gateway(&server).await;
        publish(&server, json!({})).await;
        let device = enroll(&server, "device", json!({"user_id": "ada"})).await;
        let other = enroll(&server, "device", json!({})).await;
        gateway.ask(&server, &device, "&client_ip=192.0.2.7").await;
        for gateway in [&gateway, &second] {
            gateway.admit(&server, &device).await;
            gateway.admit(&server, &other).await;
        }
        check("access_sessions", &server, ABOUT_SESSIONS).await;
    }
}

#[rustfmt::skip]
const ABOUT_SESSIONS: &[Line] = &[
    (Admin, "GET", SESSIONS, None),
    (Admin, "GET", "/v1/admin/sessions?status=all&limit=1", None),
    (Admin, "GET", "/v1/admin/sessions?status=ended", None),
    (Admin, "GET", "/v1/admin/sessions?user_id=ada&gateway_id=<gw_2>", None),
    (Admin, "GET", "/v1/admin/sessions?pool_id=<pool_1>&device_id=<dev_2>", None),
    (Admin, "GET", "/v1/admin/sessions?since=2020-01-01T00:00:00Z&limit=1", None),
    (Admin, "GET", "/v1/admin/sessions?since=2100-01-01T00:00:00Z", None),
    (Admin, "GET", "/v1/admin/sessions?user_id=nobody", None),
    // Violated rules.
    (Admin, "GET", "/v1/admin/sessions?status=lost", None),
    (Admin, "GET", "/v1/admin/sessions?device_id=one", None),
    (Admin, "GET", "/v1/admin/sessions?gateway_id=one", None),
    (Admin, "GET", "/v1/admin/sessions?pool_id=one", None),
    (Admin, "GET", "/v1/admin/sessions?since=today", None),
    (Admin, "GET", "/v1/admin/sessions?limit=0", None),
    (Admin, "GET", "/v1/admin/sessions?cursor=garbage", None),
    (Admin, "POST", SESSIONS, Some(r#"{"action":"terminate"}"#)),
    (Admin, "POST", SESSIONS, Some(r#"{"action":"terminate","user_id":"ada","device_id":"<dev_1>"}"#)),
    (Admin, "POST", SESSIONS, Some(r#"{"action":"terminate","session_ids":["<ses_1>","<ses_1>"]}"#)),
    (Admin, "POST", SESSIONS, Some(r#"{"action":"terminate","session_ids":["<ses_1>","ses_1"]}"#)),
    (Admin, "POST", SESSIONS, Some(r#"{"action":"terminate","user_id":"nobody"}"#)),
    (Admin, "POST", SESSIONS, Some(r#"{"action":"terminate","device_id":"dev_1"}"#)),
    (Admin, "POST", SESSIONS, Some(r#"{"action":"terminate","gateway_id":"gw_1"}"#)),
    (Admin, "POST", SESSIONS, Some(r#"{"action":"pause","user_id":"ada"}"#)),
    (Admin, "POST", SESSIONS, None),
    // The end.
    (Admin, "POST", SESSIONS, Some(r#"{"action":"terminate","session_ids":["<ses_1>"],"reason":"maintenance"}"#)),
    (Admin, "POST", SESSIONS, Some(r#"{"action":"terminate","gateway_id":"<gw_2>"}"#)),
    (Admin, "POST", SESSIONS, Some(r#"{"action":"terminate","user_id":"ada"}"#)),
    (Admin, "POST", SESSIONS, Some(r#"{"action":"terminate","device_id":"<dev_2>"}"#)),
    (Admin, "GET", SESSIONS, None),
    (Admin, "GET", "/v1/admin/sessions?status=ended&limit=1", None),
    // Tenants and permissions.
    (Platform, "GET", SESSIONS, None),
    (Platform, "GET", "/v1/admin/sessions?tenant_id=acme&status=all&limit=1", None),
    (Platform, "POST", SESSIONS, Some(r#"{"action":"terminate","tenant_id":"acme","user_id":"ada"}"#)),
    (Other, "GET", "/v1/admin/sessions?status=all", None),
    (Other, "POST", SESSIONS, Some(r#"{"action":"terminate","device_id":"<dev_1>"}"#)),
    (Other, "POST", SESSIONS, Some(r#"{"action":"terminate","tenant_id":"acme","device_id":"<dev_1>"}"#)),
    (Auditor, "GET", "/v1/admin/sessions?status=all&limit=1", None),
    (User, "GET", "/v1/admin/sessions?status=all", None),
    (Nobody, "GET", SESSIONS, None),
    (Admin, "DELETE", SESSIONS, None),
];
