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
/// gateway `pool_id`.
pub async fn enroll(db: &DatabaseConnection, kind: &str, of: &Json) -> Json {
    let (id, subject) = (Uuid::now_v7(), if kind == "device" { IdKind::Device } else { IdKind::Gateway });
    match kind {
        "device" => device(db, id, of).await,
        "gateway" => gateway(db, id, of).await,
        other => panic!("nothing enrolls as {other}"),
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
