//! The schema of Tenantry, one file a migration, for SQLite and PostgreSQL.
//!
//! Rules for every migration: it adds (expand) and leaves what a running older binary needs; a later one takes away
//! (contract). Names of unique indexes are part of the interface: the store turns violations into domain conflicts by
//! them. Times are whole microseconds since the epoch in `bigint` columns, so that both databases compare them alike;
//! JSON is text, so that what was hashed is what is read.

pub use sea_orm_migration;
use sea_orm_migration::{MigrationTrait, MigratorTrait};

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

/// All migrations, oldest first.
pub struct Migrator;

#[sea_orm_migration::async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20260101_000001_registry::Migration),
            Box::new(m20260101_000002_messaging::Migration),
            Box::new(m20260101_000003_journal::Migration),
            Box::new(m20260101_000004_identity::Migration),
            Box::new(m20260101_000005_released_names::Migration),
            Box::new(m20260101_000006_lifecycle::Migration),
            Box::new(m20260101_000007_people::Migration),
            Box::new(m20260101_000008_directory::Migration),
            Box::new(m20260101_000010_login_sessions::Migration),
            Box::new(m20260101_000011_directory_indexes::Migration),
            Box::new(m20260101_000012_key_encryption::Migration),
            Box::new(m20260101_000013_revisions::Migration),
            Box::new(m20260101_000014_messaging_documents::Migration),
            Box::new(m20260101_000015_text::Migration),
            Box::new(m20260101_000016_list_key::Migration),
            Box::new(m20260101_000017_lists::Migration),
        ]
    }
}
