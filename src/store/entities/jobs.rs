//! The jobs of which one server at a time does the work.

use sea_orm::entity::prelude::*;

use crate::store::Stamp;

/// A row. Its times are those of the database's clock.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "jobs")]
pub struct Model {
    /// Name of the job.
    #[sea_orm(primary_key, auto_increment = false)]
    pub job: String,
    /// The server that ran it last; empty before the first run.
    pub holder: String,
    /// When a run began last.
    pub last_start: Option<Stamp>,
    /// When a run ended last, whatever its outcome.
    pub last_end: Option<Stamp>,
    /// When a run succeeded last.
    pub last_success: Option<Stamp>,
    /// When a run failed last.
    pub last_failure: Option<Stamp>,
    /// Why, without the inner cause.
    pub last_error: Option<String>,
    /// Runs that ended.
    pub runs: i64,
    /// Those of them that failed.
    pub failures: i64,
    /// What they got done, in the job's own unit.
    pub items: i64,
    /// From when on it is due.
    pub next_run: Stamp,
}

/// Relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
