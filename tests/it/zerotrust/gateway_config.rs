//! The directory of gateways and the configuration of a gateway, with every signature verified, on both databases.

use std::time::{Duration, Instant};

use bundle_verify::Kind;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{
    conversation::{Who::Admin, http, serve},
    enrolled::{Enrolled, admin, enroll},
};
use crate::{db::TestDb, harness::server::Server, rows::sql};

const POOLS: &str = "/v1/gateway/pools";
const CONFIG: &str = "/v1/gateway/runtime/deployment-config";
const SETTINGS: &str = "/v1/admin/settings/gateway-pools";
const GATEWAYS: &str = "/v1/admin/gateways/lifecycle";

async fn pool(server: &Server, of: Value) -> Value {
    let mut of = of;
    of["action"] = json!("create");
    admin(server, SETTINGS, of).await["pool"]["id"].clone()
}

async fn gateway(server: &Server, pool: &Value) -> Enrolled {
    enroll(server, json!({"kind": "gateway", "pool_id": pool}), "gateway").await
}

/// Makes gateways seen this number of seconds ago.
async fn seen(db: &TestDb, gateways: &[&Enrolled], ago: i64) {
    let at = (OffsetDateTime::now_utc().unix_timestamp() - ago) * 1_000_000;
    for gateway in gateways {
        let id = tenantry::base::IdKind::Gateway.read(&gateway.id).unwrap();
        let id = if db.is_sqlite() { format!("x'{}'", id.simple()) } else { format!("'{id}'") };
        sql(db, format!("UPDATE gateways SET last_seen_at = {at} WHERE id = {id}")).await.unwrap();
    }
}

/// The directory of a device or gateway: its number, and the pools with the states of their gateways.
async fn directory(server: &Server, reader: &mut Enrolled) -> (i64, Value) {
    let answer = reader.get(server, POOLS).await;
    let payload = reader.verify(Kind::GatewayPools, &answer);
    let states = |pool: &Value| {
        let gateways = pool["gateways"].as_array().unwrap().iter();
        (pool["name"].as_str().unwrap().to_owned(), gateways.map(|gateway| gateway["state"].clone()).collect())
    };
    let pools = payload["pools"].as_array().unwrap().iter().map(states).collect();
    (payload["sequence"].as_i64().unwrap(), Value::Object(pools))
}

/// The configuration of a gateway.
async fn config(server: &Server, gateway: &mut Enrolled) -> Value {
    let answer = gateway.get(server, CONFIG).await;
    gateway.verify(Kind::DeploymentConfig, &answer)
}

both_databases! {
    async fn a_device_gets_the_gateways_that_it_may_use(db: TestDb) {
        let server = serve(&db).await;
        let group = json!({"action": "create", "name": "Ops"});
        let group = admin(&server, "/v1/admin/groups/lifecycle", group).await["group"]["id"].clone();
        let eu = pool(&server, json!({"name": "eu", "region": "eu-central"})).await;
        let ops = pool(&server, json!({"name": "ops", "allowed_group_ids": [group], "priority": 5})).await;
        let (mut one, two, three) = (gateway(&server, &eu).await, gateway(&server, &eu).await, gateway(&server, &ops).await);
        let mut ada = enroll(&server, json!({"user_id": "ada"}), "device").await;
        let mut other = enroll(&server, json!({}), "device").await;
        seen(&db, &[&one, &two, &three], -600).await;
        assert_eq!(directory(&server, &mut ada).await.1, json!({}), "without a policy it must deny");
        admin(&server, "/v1/admin/policy/publish", json!({"channel": "stable", "policy": {}})).await;
        let (first, pools) = directory(&server, &mut ada).await;
        assert_eq!(pools, json!({"eu": ["online", "online"]}));
        let answers = [ada.get(&server, POOLS).await, other.get(&server, POOLS).await];
        assert_eq!(answers[0].body, answers[1].body, "the same pools, the same bytes");
        let same = ada.http(&server, "GET", POOLS).header("if-none-match", answers[0].header("etag").unwrap());
        assert_eq!(same.get(POOLS).await.status, 304);
        assert_eq!(directory(&server, &mut one).await.1, json!({"eu": ["online", "online"], "ops": ["online"]}));
        // Its user joins the group: another directory under the same number.
        let members = |action: &str| json!({"action": action, "group_id": group, "user_ids": ["ada"]});
        admin(&server, "/v1/admin/groups/lifecycle", members("add_members")).await;
        assert_eq!(directory(&server, &mut ada).await, (first, json!({"eu": ["online", "online"], "ops": ["online"]})));
        admin(&server, "/v1/admin/groups/lifecycle", members("remove_members")).await;
        assert_eq!(directory(&server, &mut ada).await, (first, json!({"eu": ["online", "online"]})));
        // Drained gateways are shown; those that are offline, disabled or revoked are not.
        admin(&server, GATEWAYS, json!({"action": "drain", "gateway_id": one.id})).await;
        let (second, pools) = directory(&server, &mut ada).await;
        assert_eq!((second, pools), (first + 1, json!({"eu": ["draining", "online"]})));
        seen(&db, &[&two], 600).await;
        let (third, pools) = directory(&server, &mut other).await;
        assert_eq!((third, pools), (first + 2, json!({"eu": ["draining"]})));
        seen(&db, &[&two], -600).await;
        admin(&server, GATEWAYS, json!({"action": "disable", "gateway_id": two.id})).await;
        assert_eq!(directory(&server, &mut ada).await.0, third, "it says the same");
        admin(&server, GATEWAYS, json!({"action": "enable", "gateway_id": two.id})).await;
        admin(&server, SETTINGS, json!({"action": "drain", "pool_id": eu})).await;
        assert_eq!(directory(&server, &mut ada).await.1, json!({"eu": ["draining", "draining"]}));
        // A policy may name pools.
        admin(&server, "/v1/admin/policy/publish", json!({"channel": "stable", "policy": {"gateway_pools": []}})).await;
        assert_eq!(directory(&server, &mut ada).await.1, json!({}));
        let named = json!({"channel": "stable", "policy": {"gateway_pools": [ops]}});
        admin(&server, "/v1/admin/policy/publish", named).await;
        assert_eq!(directory(&server, &mut ada).await.1, json!({}), "it is not in the group");
        admin(&server, "/v1/admin/groups/lifecycle", members("add_members")).await;
        assert_eq!(directory(&server, &mut ada).await.1, json!({"ops": ["online"]}));
        assert_eq!(http(&server, Admin).await.get(POOLS).await.status, 403);
        admin(&server, "/v1/admin/devices/lifecycle", json!({"action": "suspend", "device_id": ada.id})).await;
        assert_eq!(ada.get(&server, POOLS).await.status, 403);
    }

    async fn a_directory_shows_where_a_gateway_is_and_its_key(db: TestDb) {
        let server = serve(&db).await;
        let eu = pool(&server, json!({"name": "eu", "region": "eu-central", "weight": 7, "priority": 3})).await;
        let mut gateway = gateway(&server, &eu).await;
        seen(&db, &[&gateway], -600).await;
        let answer = gateway.get(&server, POOLS).await;
        let payload = gateway.verify(Kind::GatewayPools, &answer);
        let shown = &payload["pools"][0];
        let row = http(&server, Admin).await.get("/v1/admin/gateways").await.json()["gateways"][0].clone();
        assert_eq!(shown["gateways"][0], json!({"id": gateway.id, "endpoints": row["endpoints"],
            "public_key": row["public_key"], "state": "online"}));
        let expected = json!({"id": eu, "name": "eu", "region": "eu-central", "weight": 7, "priority": 3,
            "selection": "latency", "gateways": shown["gateways"]});
        assert_eq!(*shown, expected);
    }

    async fn a_gateway_gets_its_configuration(db: TestDb) {
        let server = serve(&db).await;
        let of = json!({"name": "eu", "virtual_cidr": "10.64.0.0/16", "dns_servers": ["10.0.0.53"], "max_sessions": 50});
        let eu = pool(&server, of).await;
        let (mut one, mut two) = (gateway(&server, &eu).await, gateway(&server, &eu).await);
        let first = config(&server, &mut one).await;
        assert_eq!((&first["gateway_id"], &first["config_version"], &first["desired_state"]), (&json!(one.id), &json!(1), &json!("serve")));
        assert_eq!((&first["pool"]["id"], &first["virtual_cidr"], &first["limits"]), (&eu, &json!("10.64.0.0/16"), &json!({"max_sessions": 50})));
        assert_eq!((&first["dns"], &first["intervals"]), (&json!({"servers": ["10.0.0.53"]}), &json!({"poll": 10, "heartbeat": 30})));
        assert_eq!(config(&server, &mut one).await, first);
        assert_eq!(config(&server, &mut two).await["gateway_id"], two.id);
        // A drain of the gateway, and of its pool: the earlier deadline.
        let drain = json!({"action": "drain", "gateway_id": one.id, "drain_seconds": 3600, "force": true});
        admin(&server, GATEWAYS, drain).await;
        let second = config(&server, &mut one).await;
        assert_eq!((&second["config_version"], &second["desired_state"]), (&json!(2), &json!("drain")), "{second}");
        admin(&server, SETTINGS, json!({"action": "drain", "pool_id": eu, "drain_seconds": 60})).await;
        let third = config(&server, &mut one).await;
        assert!(third["drain_deadline"].as_str() < second["drain_deadline"].as_str(), "{second} {third}");
        assert_eq!(config(&server, &mut two).await["desired_state"], "drain");
        admin(&server, SETTINGS, json!({"action": "undrain", "pool_id": eu})).await;
        admin(&server, GATEWAYS, json!({"action": "undrain", "gateway_id": one.id})).await;
        let fourth = config(&server, &mut one).await;
        assert_eq!((&fourth["config_version"], &fourth["desired_state"]), (&json!(4), &json!("serve")), "{fourth}");
        // What is not in it does not change it.
        admin(&server, SETTINGS, json!({"action": "update", "pool_id": eu, "weight": 9})).await;
        assert_eq!(config(&server, &mut one).await, fourth);
        let tag = one.get(&server, CONFIG).await.header("etag").unwrap().to_owned();
        let same = one.http(&server, "GET", CONFIG).header("if-none-match", &tag);
        assert_eq!(same.get(CONFIG).await.status, 304);
        // It waits for a change.
        let (path, started) = (format!("{CONFIG}?wait=55"), Instant::now());
        let waiting = one.http(&server, "GET", CONFIG).header("if-none-match", &tag);
        let drain = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            admin(&server, SETTINGS, json!({"action": "drain", "pool_id": eu})).await;
        };
        let (answer, ()) = tokio::join!(waiting.get(&path), drain);
        assert!(started.elapsed() < Duration::from_secs(10), "{answer:?}");
        assert_eq!(one.verify(Kind::DeploymentConfig, &answer)["desired_state"], "drain");
        let device = enroll(&server, json!({}), "device").await;
        assert_eq!(device.get(&server, CONFIG).await.status, 403);
        assert_eq!(http(&server, Admin).await.get(CONFIG).await.status, 403);
    }

    async fn a_directory_is_renewed_before_it_expires(db: TestDb) {
        let server = serve(&db).await;
        pool(&server, json!({"name": "eu"})).await;
        admin(&server, "/v1/admin/policy/publish", json!({"channel": "stable", "policy": {}})).await;
        let mut device = enroll(&server, json!({}), "device").await;
        let (first, _) = directory(&server, &mut device).await;
        let early = (OffsetDateTime::now_utc().unix_timestamp() - 17 * 3600) * 1_000_000;
        sql(&db, format!("UPDATE gateway_directories SET issued_at = {early}")).await.unwrap();
        let answers = futures::future::join_all((0..5).map(|_| device.get(&server, POOLS))).await;
        assert!(answers.iter().all(|answer| answer.body == answers[0].body), "several numbers");
        assert_eq!(directory(&server, &mut device).await.0, first + 1);
    }
}
