//! The database of a tenant.

use super::{
    TenantDatabase, fault, mark,
    owner::{self, is_duplicate},
    session::Work,
};
use crate::base::{Error, Kind, Result, error::Reason};

/// How many times a database is looked for, if another server creates or drops it at the same time.
const ATTEMPTS: u32 = 3;
/// The number of connections of a database whose removal was interrupted, and which can only be dropped.
const INVALID: i32 = -2;

/// A database on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// It has the mark: it was opened before.
    Open,
    /// It belongs to the owner role, which only the provisioner uses, and has no comment: its creation was interrupted.
    Begun,
    /// Its removal was interrupted.
    Broken,
}

/// Creates the database, or fails if another one has its name.
pub(super) async fn create(work: &mut Work, database: TenantDatabase<'_>) -> Result<()> {
    if !owner::is_ours(work, database).await? {
        return Err(missing("the owner role does not exist"));
    }
    for attempt in 1.. {
        match find(work, database).await? {
            Some(Found::Open | Found::Begun) => break,
            Some(Found::Broken) => drop_now(work, database).await?,
            None => {}
        }
        // The pristine template, in which nothing was added or granted, and which nobody can be connected to. The server rolls
        // nothing back, so the database is closed until its rights are set.
        let create = "CREATE DATABASE %I OWNER %I TEMPLATE template0 ENCODING 'UTF8' ALLOW_CONNECTIONS false";
        let right = match work.creates_databases {
            true => format!("membership in the role {} with the SET option", database.owner),
            false => "CREATEDB".to_owned(),
        };
        match work.run(create, &[database.name, database.owner], right).await {
            Ok(()) => break,
            Err(failed) if is_duplicate(failed.code.as_ref()) && attempt < ATTEMPTS => {}
            Err(failed) => return Err(failed.into()),
        }
    }
    Ok(())
}

/// Sets the rights on the database, and opens it if it is new.
pub(super) async fn open(work: &mut Work, database: TenantDatabase<'_>) -> Result<()> {
    let TenantDatabase { tenant, name, .. } = database;
    let found = match find(work, database).await? {
        Some(found @ (Found::Open | Found::Begun)) => found,
        Some(Found::Broken) | None => return Err(missing("the database was dropped in the meantime")),
    };
    let mark = mark(tenant);
    let mut statements: Vec<(&str, &[&str])> = Vec::new();
    let names = [name];
    // The provisioner itself connects too, whether or not it inherits the rights of the owner role.
    statements.push(("REVOKE ALL ON DATABASE %I FROM PUBLIC", &names));
    statements.push(("GRANT CONNECT ON DATABASE %I TO SESSION_USER", &names));
    let marked = [name, mark.as_str()];
    // A database that was opened before stays as it is: an administrator may have closed it.
    if found == Found::Begun {
        statements.push(("ALTER DATABASE %I WITH ALLOW_CONNECTIONS true", &names));
        statements.push(("COMMENT ON DATABASE %I IS %L", &marked));
    }
    as_owner(work, database).await?;
    Ok(work.run_all(&statements, format!("ownership of the database {name}")).await?)
}

/// Drops the database. Returns whether it existed.
pub(super) async fn remove(work: &mut Work, database: TenantDatabase<'_>) -> Result<bool> {
    match find(work, database).await? {
        None => return Ok(false),
        Some(Found::Broken) => {}
        Some(Found::Open | Found::Begun) => close(work, database).await?,
    }
    drop_now(work, database).await?;
    Ok(true)
}

/// Terminates the sessions on the database, and admits no further ones.
async fn close(work: &mut Work, database: TenantDatabase<'_>) -> Result<()> {
    as_owner(work, database).await?;
    let right = format!("ownership of the database {}", database.name);
    work.run("ALTER DATABASE %I WITH ALLOW_CONNECTIONS false", &[database.name], right).await?;
    // The owner may not terminate the sessions of the provisioner itself.
    work.run("RESET ROLE", &[], "").await?;
    let right = "pg_signal_backend, because other roles are connected to the database";
    let terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %L";
    Ok(work.run(terminate, &[database.name], right).await?)
}

async fn drop_now(work: &mut Work, database: TenantDatabase<'_>) -> Result<()> {
    as_owner(work, database).await?;
    let right = format!("ownership of the database {}", database.name);
    // The server waits some seconds for sessions that are ending.
    work.run("DROP DATABASE IF EXISTS %I", &[database.name], right).await?;
    Ok(work.run("RESET ROLE", &[], "").await?)
}

/// Whether the database exists and can be used. Fails if it was not created for the tenant.
pub(super) async fn is_usable(work: &mut Work, database: TenantDatabase<'_>) -> Result<bool> {
    Ok(matches!(find(work, database).await?, Some(Found::Open | Found::Begun)))
}

/// The following statements act as the owner.
pub(super) async fn as_owner(work: &mut Work, database: TenantDatabase<'_>) -> Result<()> {
    let right = format!("membership in the role {} with the SET option", database.owner);
    Ok(work.run("SET ROLE %I", &[database.owner], right).await?)
}

/// The database, if it exists. Fails if it was not created for the tenant.
async fn find(work: &mut Work, database: TenantDatabase<'_>) -> Result<Option<Found>> {
    let TenantDatabase { tenant, name, owner } = database;
    let query = "SELECT coalesce(shobj_description(d.oid, 'pg_database'), ''), r.rolname::text, \
                 coalesce(shobj_description(r.oid, 'pg_authid'), ''), d.datconnlimit \
                 FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba WHERE d.datname = $1::text";
    let rows = work.rows(query, &[&name]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let (comment, owned_by, owner_comment): (String, String, String) = (row.get(0), row.get(1), row.get(2));
    let mark = mark(tenant);
    let is_owned = owned_by == owner && owner_comment == mark;
    if !is_owned || !(comment.is_empty() || comment == mark) {
        return Err(fault::taken("database", name));
    }
    Ok(Some(match row.get::<_, i32>(3) {
        INVALID => Found::Broken,
        _ if comment.is_empty() => Found::Begun,
        _ => Found::Open,
    }))
}

/// Something that an earlier step created was removed.
fn missing(message: &'static str) -> Error {
    Error::new(Kind::FailedPrecondition, Reason::ProvisionerRefused, message)
}
