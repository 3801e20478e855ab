//! The database schema of Tenantry for SQLite and PostgreSQL, one file per migration.
//!
//! A migration only adds (expand) and keeps what a running older binary needs; a later one removes it
//! (contract). Names of unique indexes are part of the interface: the store maps violations to domain errors by
//! them. Times are microseconds since the Unix epoch in `bigint` columns, so that both databases compare them
//! alike; JSON is stored as text, so that it is read exactly as it was hashed.
//!
//! The store runs the migrations (`src/store/schema.rs`) and records each by its file name in the table
//! [`record`], which is compatible with SeaORM's migrator.

use std::{future::Future, pin::Pin};

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, StatementBuilder};

mod columns;
mod m20260101_000001_registry;
mod m20260101_000002_messaging;
mod m20260101_000003_journal;
mod m20260101_000004_identity;
mod m20260101_000005_released_names;
mod m20260101_000006_lifecycle;
mod m20260101_000007_people;
mod m20260101_000008_directory;
mod m20260101_000010_login_sessions;
mod m20260101_000011_directory_indexes;
mod m20260101_000012_key_encryption;
mod m20260101_000013_revisions;
mod m20260101_000014_messaging_documents;
mod m20260101_000015_text;
mod m20260101_000016_list_key;
mod m20260101_000017_lists;
mod m20260101_000018_jobs;
mod m20260101_000019_operations;
mod m20260101_000020_factor_attempts;
mod m20260101_000021_gateway_pools;
mod m20260101_000022_enrollment_tokens;
mod m20260101_000023_trust;
mod m20260101_000024_devices;
mod m20260101_000025_policies;
mod m20260101_000026_policy_bundles;
mod m20260101_000027_artifacts;
mod m20260101_000028_rotations;
mod m20260101_000029_spcs;
mod m20260101_000030_access_sessions;
mod m20260101_000031_policy_reports;
mod m20260101_000032_gateway_materials;
mod m20260101_000033_session_addresses;
mod m20260101_000034_placements;
mod m20260101_000035_canary_ends;
mod m20260101_000036_global_policies;
mod m20260101_000037_tenant_databases;
mod m20260101_000039_hosts;
mod m20260101_000040_kek_proof;
mod m20260101_000041_grant_ends;
mod m20260101_000043_database_leases;
mod m20260101_000045_projects;
mod m20260101_000046_platform_policies;
mod m20260101_000047_usage;
pub mod record;

/// The result of a migration.
type Outcome<'a> = Pin<Box<dyn Future<Output = Result<(), DbErr>> + Send + 'a>>;

/// A migration.
#[derive(Clone, Copy)]
pub struct Migration {
    /// The name of its file, under which it is recorded.
    pub name: &'static str,
    up: for<'a> fn(&'a Schema<'a>) -> Outcome<'a>,
}

impl Migration {
    /// Applies the migration in a transaction, and records it there.
    pub async fn apply(&self, tx: &DatabaseTransaction) -> Result<(), DbErr> {
        (self.up)(&Schema(tx)).await?;
        record::insert(tx, self.name).await
    }
}

/// Lists the migrations in these files.
macro_rules! migrations {
    ($($file:ident),* $(,)?) => {
        [$(Migration { name: stringify!($file), up: |schema| Box::pin($file::up(schema)) }),*]
    };
}

/// All migrations, oldest first.
pub const MIGRATIONS: &[Migration] = &migrations![
    m20260101_000001_registry,
    m20260101_000002_messaging,
    m20260101_000003_journal,
    m20260101_000004_identity,
    m20260101_000005_released_names,
    m20260101_000006_lifecycle,
    m20260101_000007_people,
    m20260101_000008_directory,
    m20260101_000010_login_sessions,
    m20260101_000011_directory_indexes,
    m20260101_000012_key_encryption,
    m20260101_000013_revisions,
    m20260101_000014_messaging_documents,
    m20260101_000015_text,
    m20260101_000016_list_key,
    m20260101_000017_lists,
    m20260101_000018_jobs,
    m20260101_000019_operations,
    m20260101_000020_factor_attempts,
    m20260101_000021_gateway_pools,
    m20260101_000022_enrollment_tokens,
    m20260101_000023_trust,
    m20260101_000024_devices,
    m20260101_000025_policies,
    m20260101_000026_policy_bundles,
    m20260101_000027_artifacts,
    m20260101_000028_rotations,
    m20260101_000029_spcs,
    m20260101_000030_access_sessions,
    m20260101_000031_policy_reports,
    m20260101_000032_gateway_materials,
    m20260101_000033_session_addresses,
    m20260101_000034_placements,
    m20260101_000035_canary_ends,
    m20260101_000036_global_policies,
    m20260101_000037_tenant_databases,
    m20260101_000039_hosts,
    m20260101_000040_kek_proof,
    m20260101_000041_grant_ends,
    m20260101_000043_database_leases,
    m20260101_000045_projects,
    m20260101_000046_platform_policies,
    m20260101_000047_usage,
];

/// The database to be migrated.
pub(crate) struct Schema<'a>(&'a DatabaseTransaction);

impl Schema<'_> {
    /// Runs a statement in the dialect of the database.
    async fn run(&self, statement: impl StatementBuilder) -> Result<(), DbErr> {
        self.0.execute(&statement).await.map(drop)
    }

    /// Runs raw SQL.
    async fn sql(&self, statement: &str) -> Result<(), DbErr> {
        self.0.execute_unprepared(statement).await.map(drop)
    }

    fn is_postgres(&self) -> bool {
        self.0.get_database_backend() == DbBackend::Postgres
    }
}
