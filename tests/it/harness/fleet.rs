//! Devices and gateways as they are after their enrollment, written directly to the database: also in states that only time brings about.

use sea_orm::{ConnectionTrait, Database, DatabaseConnection, EntityTrait, sea_query::Query};
use serde_json::{Value as Json, json};
use tenantry::{
    base::{IdKind, TenantId},
    store::tables::accounts,
};
use time::OffsetDateTime;
use uuid::Uuid;

/// Inserts a `device` or a `gateway` with a credential, and returns its public id as `id`. The members of `of` are `tenant_id`, `name`,
/// `status`, `token_id`, `seen` and `created` (seconds ago); for a device also `user_id`, `platform`, `group_ids` and `ephemeral`, for a
/// gateway `pool_id`; with `id` (a UUID) it has this id. Or inserts a `session` with `user_id`, `device_id`, `gateway_id`, `pool_id`,
/// `status` and `started` (seconds ago), or a `report` with `report_id`, `gateway_id` and `end` (seconds ago).
pub async fn enroll(db: &DatabaseConnection, kind: &str, of: &Json) -> Json {
    let id = of["id"].as_str().map_or_else(Uuid::now_v7, |id| id.parse().unwrap());
    let subject = match kind {
        "device" => IdKind::Device,
        "gateway" => IdKind::Gateway,
        "session" => {
            session(db, id, of).await;
            return json!({"id": IdKind::Session.show(id)});
        }
        "report" => {
            report(db, id, of).await;
            return json!({"id": of["report_id"]});
        }
        other => panic!("nothing enrolls as {other}"),
    };
    match subject {
        IdKind::Device => device(db, id, of).await,
        _ => gateway(db, id, of).await,
    }
    credential(db, kind, id, of).await;
    json!({"id": subject.show(id)})
}

async fn device(db: &DatabaseConnection, id: Uuid, of: &Json) {
    let created = ago(of, "created").unwrap_or_else(now);
    let groups = of["group_ids"].as_array().cloned().unwrap_or_default();
    let groups: Vec<Uuid> = groups.iter().map(|id| IdKind::Group.read(id.as_str().unwrap()).unwrap()).collect();
    let name = text(of, "name", "laptop");
    let row = Query::insert()
        .into_table("devices")
        .columns([
            "tenant_id",
            "id",
            "account_id",
            "name",
            "name_key",
            "platform",
            "os_version",
            "client_version",
            "status",
            "suspended_with_user",
            "enrolled_via",
            "token_id",
            "group_ids",
            "ephemeral",
            "labels",
            "last_seen_at",
            "last_ip",
            "version",
            "created_at",
            "updated_at",
        ])
        .values_panic([
            tenant(of).into(),
            id.into(),
            of["user_id"].as_str().map(|id| IdKind::User.read(id).unwrap()).into(),
            name.clone().into(),
            name.to_lowercase().into(),
            text(of, "platform", "linux").into(),
            "6.1".into(),
            "1.4.0".into(),
            text(of, "status", "active").into(),
            false.into(),
            "token".into(),
            token(of).into(),
            serde_json::to_string(&groups).unwrap().into(),
            of["ephemeral"].as_bool().unwrap_or(false).into(),
            r#"{"site":"berlin"}"#.into(),
            ago(of, "seen").into(),
            ago(of, "seen").map(|_| "192.0.2.7".to_owned()).into(),
            1_i64.into(),
            created.into(),
            created.into(),
        ])
        .take();
    db.execute(&row).await.unwrap();
}

async fn gateway(db: &DatabaseConnection, id: Uuid, of: &Json) {
    let created = ago(of, "created").unwrap_or_else(now);
    let row = Query::insert()
        .into_table("gateways")
        .columns([
            "tenant_id",
            "id",
            "pool_id",
            "name",
            "region",
            "endpoints",
            "gateway_version",
            "status",
            "token_id",
            "last_seen_at",
            "last_ip",
            "version",
            "created_at",
            "updated_at",
        ])
        .values_panic([
            tenant(of).into(),
            id.into(),
            IdKind::GatewayPool.read(of["pool_id"].as_str().unwrap()).unwrap().into(),
            text(of, "name", "gateway").into(),
            "eu-central".into(),
            r#"["gw.example.com:443"]"#.into(),
            "2.0.1".into(),
            text(of, "status", "active").into(),
            token(of).into(),
            ago(of, "seen").into(),
            ago(of, "seen").map(|_| "192.0.2.8".to_owned()).into(),
            1_i64.into(),
            created.into(),
            created.into(),
        ])
        .take();
    db.execute(&row).await.unwrap();
}

async fn credential(db: &DatabaseConnection, kind: &str, subject: Uuid, of: &Json) {
    let created = ago(of, "created").unwrap_or_else(now);
    let row = Query::insert()
        .into_table("credentials")
        .columns([
            "tenant_id",
            "id",
            "kind",
            "subject_id",
            "thumbprint",
            "public_key",
            "issuer_key_id",
            "token_id",
            "ip",
            "not_before",
            "not_after",
            "created_at",
        ])
        .values_panic([
            tenant(of).into(),
            Uuid::now_v7().into(),
            kind.into(),
            subject.into(),
            "rSQZbfVHeVVmBFYM0b6ZmX4Xb8YgzQZ4bXw7VFDoPnM".into(),
            "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=".into(),
            "0123456789abcdef".into(),
            token(of).into(),
            "192.0.2.9".into(),
            created.into(),
            (created + 86_400_000_000).into(),
            created.into(),
        ])
        .take();
    db.execute(&row).await.unwrap();
}

async fn session(db: &DatabaseConnection, id: Uuid, of: &Json) {
    let started = ago(of, "started").unwrap_or_else(now);
    let (status, day) = (text(of, "status", "active"), 86_400_000_000);
    let ended = (status == "ended").then_some(started);
    let row = Query::insert()
        .into_table("access_sessions")
        .columns([
            "tenant_id",
            "id",
            "gateway_id",
            "pool_id",
            "device_id",
            "account_id",
            "grant_id",
            "auth_mode",
            "policy_version",
            "started_at",
            "max_end",
            "expires_at",
            "reported_at",
            "last_activity_at",
            "bytes_in",
            "bytes_out",
            "counters",
            "status",
            "end_reason",
            "ended_at",
            "end_reported",
        ])
        .values_panic([
            tenant(of).into(),
            id.into(),
            named(of, "gateway_id", IdKind::Gateway).into(),
            named(of, "pool_id", IdKind::GatewayPool).into(),
            named(of, "device_id", IdKind::Device).into(),
            of["user_id"].as_str().map(|id| IdKind::User.read(id).unwrap()).into(),
            id.into(),
            "B".into(),
            1_i64.into(),
            started.into(),
            (now() + day).into(),
            (now() + day).into(),
            started.into(),
            started.into(),
            1_i64.into(),
            2_i64.into(),
            "{}".into(),
            status.into(),
            ended.map(|_| "closed").into(),
            ended.into(),
            ended.is_some().into(),
        ])
        .take();
    db.execute(&row).await.unwrap();
}

async fn report(db: &DatabaseConnection, id: Uuid, of: &Json) {
    let end = ago(of, "end").unwrap_or_else(now);
    let row = Query::insert()
        .into_table("metering_reports")
        .columns([
            "tenant_id",
            "gateway_id",
            "report_id",
            "id",
            "sequence",
            "window_start",
            "window_end",
            "received_at",
            "accepted",
            "rejected",
            "bytes_in",
            "bytes_out",
            "totals",
        ])
        .values_panic([
            tenant(of).into(),
            named(of, "gateway_id", IdKind::Gateway).into(),
            text(of, "report_id", "r1").into(),
            id.into(),
            1_i64.into(),
            (end - 60_000_000).into(),
            end.into(),
            end.into(),
            1_i64.into(),
            0_i64.into(),
            1_i64.into(),
            2_i64.into(),
            r#"{"active_sessions":1,"peak_sessions":1,"cpu":null,"mem":null,"mbps":null}"#.into(),
        ])
        .take();
    db.execute(&row).await.unwrap();
}

/// The id in a member.
fn named(of: &Json, member: &str, kind: IdKind) -> Uuid {
    of[member].as_str().map_or_else(Uuid::now_v7, |id| kind.read(id).unwrap())
}

/// A connection that may write.
pub async fn connect(url: &str) -> DatabaseConnection {
    Database::connect(url).await.unwrap()
}

/// The id of an account with a name.
pub async fn account(db: &DatabaseConnection, name: &str) -> String {
    let accounts = accounts::Entity::find().all(db).await.unwrap();
    let found = accounts.into_iter().find(|account| account.username == name);
    IdKind::User.show(found.unwrap_or_else(|| panic!("no account {name}")).id)
}

fn tenant(of: &Json) -> Uuid {
    of["tenant_id"].as_str().unwrap().parse::<TenantId>().unwrap().uuid()
}

fn token(of: &Json) -> Option<Uuid> {
    of["token_id"].as_str().map(|id| IdKind::EnrollmentToken.read(id).unwrap())
}

fn text(of: &Json, member: &str, default: &str) -> String {
    of[member].as_str().unwrap_or(default).to_owned()
}

/// A time some seconds ago, in microseconds.
fn ago(of: &Json, member: &str) -> Option<i64> {
    of[member].as_i64().map(|seconds| now() - seconds * 1_000_000)
}

fn now() -> i64 {
    (OffsetDateTime::now_utc().unix_timestamp_nanos() / 1000) as i64
}
