//! Background jobs that run on one server at a time.

use sea_orm::entity::prelude::*;

use crate::store::columns::Stamp;

/// Times are the database's.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "jobs")]
pub struct Model {
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
    /// The public error text of that run.
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

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
