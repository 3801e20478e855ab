//! What is scarce in admissions: places for sessions, and addresses of pools; and the key that signs grants. On both databases.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bundle_verify::grant;
use futures::future::join_all;
use serde_json::{Value, json};
use tenantry::base::IdKind;
use time::OffsetDateTime;

use super::{
    conversation::{
        Who::{Admin, Platform},
        http, serve,
    },
    gateway_calls::{Enrolled, SESSIONS, act, enroll, enroll_as, line, pool_and_gateway, publish, sessions},
};
use crate::{db::TestDb, harness::server::Server, rows::sql};

const POOLS: &str = "/v1/admin/settings/gateway-pools";

/// Limits the sessions of `acme`.
async fn limit(server: &Server, sessions: u64) {
    let overrides = json!({"concurrent_sessions": sessions});
    let body = json!({"action": "set_plan", "tenant_id": "acme", "plan": "unlimited", "overrides": overrides});
    act(server, Platform, "/v1/admin/tenants/lifecycle", body).await;
}

/// Lets 151 seconds pass for a session: the grant that it has is over.
async fn age(db: &TestDb, session: &str) {
    let id = IdKind::Session.read(session).unwrap().simple().to_string();
    let of = if db.url.starts_with("sqlite") {
        format!("hex(id) = '{}'", id.to_uppercase())
    } else {
        format!("id = '{id}'")
    };
    let earlier = "started_at = started_at - 151000000, granted_at = granted_at - 151000000";
    sql(db, format!("UPDATE access_sessions SET {earlier} WHERE {of}")).await.unwrap();
}

fn again(session: &str) -> String {
    format!("&session_id={session}")
}

/// The claims of a grant, which the gateway verifies.
fn claims(gateway: &Enrolled, device: &Enrolled, answer: &Value) -> grant::Grant {
    let (token, now) = (answer["grant"].as_str().unwrap(), OffsetDateTime::now_utc().unix_timestamp());
    grant::verify(&gateway.anchors, token, &gateway.id, &device.thumbprint(), now, |_| false).unwrap()
}

/// The id of the key that signed a grant.
fn signer(answer: &Value) -> String {
    let header = answer["grant"].as_str().unwrap_or_else(|| panic!("{answer}")).split('.').next().unwrap();
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

/// Creates a pool with this network, and a gateway in it.
async fn pool_with(server: &Server, cidr: &str) -> (String, Enrolled) {
    let name = cidr.replace(|c: char| !c.is_alphanumeric(), "-");
    let body = json!({"action": "create", "name": name, "virtual_cidr": cidr});
    let pool = act(server, Admin, POOLS, body).await["pool"]["id"].as_str().unwrap().to_owned();
    let gateway = enroll_as(server, Admin, "gateway", json!({"kind": "gateway", "pool_id": pool})).await;
    (pool, gateway)
}

both_databases! {
    async fn a_silent_session_that_is_asked_for_again_needs_a_place(db: TestDb) {
        let server = serve(&db).await;
        let (_, gateway) = pool_and_gateway(&server).await;
        publish(&server, json!({})).await;
        let device = enroll(&server, "device", json!({})).await;
        limit(&server, 2).await;
        let (first, second) = (gateway.admit(&server, &device).await, gateway.admit(&server, &device).await);
        age(&db, &first).await;
        age(&db, &second).await;
        // Others have their places now.
        let third = gateway.admit(&server, &device).await;
        gateway.admit(&server, &device).await;
        assert_eq!(gateway.denied(&server, &device, &again(&first)).await, "entitlement_exceeded");
        assert_eq!(sessions(&server, "").await.len(), 2);
        // One place is free again: of both, asked for at once and often, one gets it.
        let mut ended = line(&third, &device, 1, 1);
        ended["ended_at"] = json!(super::gateway_calls::ago(0));
        gateway.report(&server, "r1", 1, json!([ended])).await;
        let asked = [&first, &second].into_iter().cycle().take(12);
        let more: Vec<_> = asked.map(|session| again(session)).collect();
        let answers = join_all(more.iter().map(|more| gateway.ask(&server, &device, more))).await;
        let allowed: Vec<_> = answers.iter().filter(|answer| answer["decision"] == "allow").collect();
        assert!(!allowed.is_empty() && allowed.iter().all(|one| one["session_id"] == allowed[0]["session_id"]), "{answers:?}");
        assert_eq!(sessions(&server, "").await.len(), 2);
        // It counts from that grant on, as long as a new one.
        let granted = allowed[0]["session_id"].as_str().unwrap();
        assert!(sessions(&server, "").await.iter().any(|session| session["id"] == granted));
        assert_eq!(gateway.denied(&server, &device, "").await, "entitlement_exceeded");
        assert_eq!(gateway.ask(&server, &device, &again(granted)).await["decision"], "allow");
        // A session that its gateway reports is never counted twice.
        gateway.report(&server, "r2", 2, json!([line(granted, &device, 1, 1)])).await;
        age(&db, granted).await;
        assert_eq!(gateway.ask(&server, &device, &again(granted)).await["decision"], "allow");
    }

    async fn a_session_counts_from_its_newest_grant(db: TestDb) {
        let server = serve(&db).await;
        let (pool, gateway) = pool_and_gateway(&server).await;
        publish(&server, json!({})).await;
        let device = enroll(&server, "device", json!({})).await;
        act(&server, Admin, POOLS, json!({"action": "update", "pool_id": pool, "max_sessions": 1})).await;
        let session = gateway.admit(&server, &device).await;
        // Its first grant is over, and the next one is new.
        age(&db, &session).await;
        assert_eq!(gateway.ask(&server, &device, &again(&session)).await["decision"], "allow");
        assert_eq!(gateway.denied(&server, &device, "").await, "entitlement_exceeded");
    }

    async fn no_grant_is_signed_by_a_key_that_was_revoked(db: TestDb) {
        let server = serve(&db).await;
        let second = if db.url.starts_with("sqlite") { None } else { Some(server.setup().start().await) };
        let other = second.as_ref().unwrap_or(&server);
        let (_, gateway) = pool_and_gateway(&server).await;
        publish(&server, json!({})).await;
        let device = enroll(&server, "device", json!({})).await;
        for round in 0..3 {
            // Both servers know the key.
            let session = gateway.admit(&server, &device).await;
            let before = signer(&gateway.ask(&server, &device, "").await);
            assert_eq!(signer(&gateway.ask(other, &device, "").await), before);
            let body = json!({"use": "admission-signing", "reason": "lost", "emergency": true});
            act(&server, Admin, "/v1/trust/anchors/rotate", body).await;
            // On another server, for a session that exists, and on the same one.
            let asked = gateway.ask(if round == 1 { &server } else { other }, &device, "").await;
            assert_ne!(signer(&asked), before);
            assert_eq!(signer(&gateway.ask(other, &device, &again(&session)).await), signer(&asked));
            assert_eq!(signer(&gateway.ask(&server, &device, "").await), signer(&asked));
        }
        // Nor in the moment of the revocation: what is asked after it was answered has the new key.
        let before = signer(&gateway.ask(&server, &device, "").await);
        let body = json!({"use": "admission-signing", "emergency": true});
        let revoked = async {
            act(&server, Admin, "/v1/trust/anchors/rotate", body).await;
            join_all((0..8).map(|_| gateway.ask(other, &device, ""))).await
        };
        let (after, _) = tokio::join!(revoked, join_all((0..8).map(|_| gateway.ask(other, &device, ""))));
        assert!(after.iter().all(|answer| signer(answer) != before), "{after:?}");
    }

    async fn each_session_of_a_pool_has_its_own_address(db: TestDb) {
        let server = serve(&db).await;
        // Room for five.
        let (pool, gateway) = pool_with(&server, "10.7.0.0/29").await;
        let (_, same) = pool_with(&server, "10.8.0.0/29").await;
        let (_, without) = pool_and_gateway(&server).await;
        publish(&server, json!({})).await;
        let device = enroll(&server, "device", json!({})).await;
        let address = |gateway: &Enrolled, answer: &Value| claims(gateway, &device, answer).vip;
        assert_eq!(address(&without, &without.ask(&server, &device, "").await), None);
        let answers = join_all((0..16).map(|_| gateway.ask(&server, &device, ""))).await;
        let (allowed, denied): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer["decision"] == "allow");
        assert!(denied.iter().all(|answer| answer["reason"] == "addresses_exhausted"), "{denied:?}");
        let mut addresses: Vec<_> = allowed.iter().map(|answer| address(&gateway, answer).unwrap()).collect();
        addresses.sort();
        assert_eq!(addresses, ["10.7.0.2", "10.7.0.3", "10.7.0.4", "10.7.0.5", "10.7.0.6"]);
        let shown = sessions(&server, &format!("pool_id={pool}")).await;
        let mut ips: Vec<_> = shown.iter().map(|session| session["virtual_ip"].as_str().unwrap().to_owned()).collect();
        ips.sort();
        assert_eq!(ips, addresses);
        // A session keeps its address, and frees it at its end; another pool has its own.
        let (session, held) = (allowed[0]["session_id"].as_str().unwrap(), address(&gateway, &allowed[0]));
        assert_eq!(address(&gateway, &gateway.ask(&server, &device, &again(session)).await), held);
        assert!(address(&same, &same.ask(&server, &device, "").await).unwrap().starts_with("10.8.0."));
        assert_eq!(gateway.denied(&server, &device, "").await, "addresses_exhausted");
        act(&server, Admin, SESSIONS, json!({"action": "terminate", "session_ids": [session]})).await;
        let next = gateway.ask(&server, &device, "").await;
        assert_eq!(address(&gateway, &next), held);
        let ended = sessions(&server, &format!("pool_id={pool}&status=ended")).await;
        assert_eq!((ended.len(), ended[0]["virtual_ip"].as_str()), (1, held.as_deref()), "the past stays known");
        // One that never started gives its address to another one, and is over.
        let (silent, started) = (allowed[1]["session_id"].as_str().unwrap(), allowed[2]["session_id"].as_str().unwrap());
        gateway.report(&server, "r1", 1, json!([line(started, &device, 1, 1)])).await;
        age(&db, silent).await;
        age(&db, started).await;
        assert_eq!(address(&gateway, &gateway.ask(&server, &device, "").await), address(&gateway, &allowed[1]));
        assert_eq!(gateway.denied(&server, &device, &again(silent)).await, "session_ended");
        assert_eq!(gateway.denied(&server, &device, "").await, "addresses_exhausted");
        // Sessions keep the address of a network that the pool no longer has.
        act(&server, Admin, POOLS, json!({"action": "update", "pool_id": pool, "virtual_cidr": "2001:db8::/64"})).await;
        assert!(address(&gateway, &gateway.ask(&server, &device, "").await).unwrap().starts_with("2001:db8:"));
        assert_eq!(address(&gateway, &gateway.ask(&server, &device, &again(started)).await), address(&gateway, &allowed[2]));
        // A network without hosts has no addresses.
        act(&server, Admin, POOLS, json!({"action": "update", "pool_id": pool, "virtual_cidr": "10.0.0.0/31"})).await;
        assert_eq!(gateway.denied(&server, &device, "").await, "addresses_exhausted");
        assert_eq!(http(&server, Admin).await.get(SESSIONS).await.status, 200);
    }
}
