//! Operations written directly to the database, of a kind that no server runs.

use sea_orm::{DatabaseConnection, EntityTrait, IntoActiveModel};
use serde_json::{Value as Json, json};
use tenantry::{
    base::TenantId,
    store::{Stamp, tables::operations},
};
use time::OffsetDateTime;
use uuid::Uuid;

/// Inserts an operation, and returns its id as `id`. The members of `of` are `tenant_id`, `target`, `kind`, `state` (`pending` if it is
/// left out), `cancellable`, `steps` (as they are stored), `attempts`, `reason` and `cause`. One that is neither pending nor has ended is
/// attempted again in an hour.
pub async fn insert(db: &DatabaseConnection, of: &Json) -> Json {
    let text = |member: &str| of[member].as_str().map(str::to_owned);
    let (id, now) = (Uuid::now_v7(), OffsetDateTime::now_utc());
    let state = text("state").unwrap_or_else(|| "pending".to_owned());
    let has_ended = ["succeeded", "failed", "cancelled"].contains(&state.as_str());
    let steps =
        if of["steps"].is_array() { of["steps"].clone() } else { json!([{"name": "first"}, {"name": "second"}]) };
    let row = operations::Model {
        id,
        kind: text("kind").unwrap_or_else(|| "test.other".to_owned()),
        tenant_id: text("tenant_id").map(|tenant| tenant.parse::<TenantId>().unwrap()),
        target: text("target").unwrap_or_else(|| "something".to_owned()),
        requested_by: "ada".to_owned(),
        request_id: "r-1".to_owned(),
        cancellable: of["cancellable"].as_bool().unwrap_or_default(),
        steps: steps.to_string(),
        input: "{}".to_owned(),
        version: 1,
        attempts: of["attempts"].as_i64().unwrap_or_default(),
        internal_failures: 0,
        cause: text("cause"),
        reason: text("reason"),
        due_at: Stamp::from(now + time::Duration::HOUR),
        created_at: now.into(),
        updated_at: now.into(),
        started_at: (state != "pending").then(|| now.into()),
        ended_at: has_ended.then(|| now.into()),
        state,
    };
    operations::Entity::insert(row.into_active_model()).exec_without_returning(db).await.unwrap();
    json!({"id": id.as_hyphenated().to_string()})
}
