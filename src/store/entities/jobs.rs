//! The background jobs that one server runs for all.

use sea_orm::entity::prelude::*;

use crate::store::Stamp;

/// A row. Its times are those of the database's clock.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "jobs")]
pub struct Model {
    /// Name of the job.
    #[sea_orm(primary_key, auto_increment = false)]
    pub job: String,
    /// The server of the last run; empty before the first.
    pub holder: String,
    /// Start of the last run.
    pub last_start: Option<Stamp>,
    /// End of the last run.
    pub last_end: Option<Stamp>,
    /// End of the last run that succeeded.
    pub last_success: Option<Stamp>,
    /// End of the last run that failed.
    pub last_failure: Option<Stamp>,
    /// Its public error text.
    pub last_error: Option<String>,
    /// Completed runs.
    pub runs: i64,
    /// Completed runs that failed.
    pub failures: i64,
    /// Items processed by all runs.
    pub items: i64,
    /// When the next run is due.
    pub next_run: Stamp,
}

/// Relations.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
