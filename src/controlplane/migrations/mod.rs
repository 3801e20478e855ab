//! The migrations of the databases of tenants: files with SQL, each of which is applied once to each database, in one transaction.
//!
//! The database of a tenant has the record of what was applied to it, in the table `tenantry.migrations`. The registry has the last
//! migration of each tenant, for lists, and is corrected when the database has another one. So a crash at any point loses nothing.

mod files;
mod migrator;
mod run;
mod status;

pub(super) use self::run::record;
pub use self::{
    files::{TenantMigrations, UnusableFiles},
    migrator::{Migrated, Migrator, Target},
    run::{Progress, RunOptions, RunOutcome, run},
    status::{pending, pending_query},
};
