//! Long work that continues after a crash.

use sea_orm::entity::prelude::*;

use crate::{base::TenantId, store::columns::Stamp};

/// A row. `due_at` and the times of its end are those of the database's clock.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "operations")]
pub struct Model {
    /// UUIDv7.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Name of the kind. A server leaves kinds alone that it does not know.
    pub kind: String,
    /// The tenant that it is about. It may be gone.
    pub tenant_id: Option<TenantId>,
    /// What it is about, for people: the name of the tenant or resource.
    pub target: String,
    /// Subject of the caller that asked for it.
    pub requested_by: String,
    /// Id of the request that asked for it.
    pub request_id: String,
    /// Word of the state. A text: a state that only a newer server knows must not make reads of other rows fail.
    pub state: String,
    /// Whether callers may cancel it.
    pub cancellable: bool,
    /// The steps in their order, a JSON list.
    pub steps: String,
    /// What the kind needs to know, as JSON. Never a secret.
    pub input: String,
    /// Grows with every change.
    pub version: i64,
    /// Failed attempts since the last progress.
    pub attempts: i64,
    /// Those of them that were internal errors.
    pub internal_failures: i64,
    /// Why the last attempt failed, in words for callers.
    pub cause: Option<String>,
    /// The machine reason of that.
    pub reason: Option<String>,
    /// When it is due, as long as it has not ended.
    pub due_at: Stamp,
    /// When it was asked for.
    pub created_at: Stamp,
    /// When it last changed.
    pub updated_at: Stamp,
    /// When its first step began.
    pub started_at: Option<Stamp>,
    /// When it ended.
    pub ended_at: Option<Stamp>,
}

/// Relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
