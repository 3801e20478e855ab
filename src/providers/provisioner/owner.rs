//! The owner role of a database.

use tokio_postgres::error::SqlState;

use super::{
    TenantDatabase,
    fault::{self, Right},
    mark,
    session::Work,
};
use crate::base::Result;

/// How many times a role is looked for, if another server creates or drops it at the same time.
const ATTEMPTS: u32 = 3;

/// Creates the role, or fails if another one has its name.
pub(super) async fn create(work: &mut Work, database: TenantDatabase<'_>) -> Result<()> {
    let TenantDatabase { tenant, owner, .. } = database;
    let mark = mark(tenant);
    for attempt in 1.. {
        if is_ours(work, database).await? {
            break;
        }
        // Both or none: a role without the mark would not be recognized.
        let create: &[(&str, &[&str])] =
            &[("CREATE ROLE %I NOLOGIN", &[owner]), ("COMMENT ON ROLE %I IS %L", &[owner, &mark])];
        match work.run_all(create, "CREATEROLE").await {
            Ok(()) => break,
            Err(failed) if is_duplicate(failed.code.as_ref()) && attempt < ATTEMPTS => {}
            Err(failed) => return Err(failed.into()),
        }
    }
    join(work, owner).await
}

/// Makes the provisioner a member, which may act as the owner.
async fn join(work: &mut Work, owner: &str) -> Result<()> {
    let is_member = match work.has_options_of_members() {
        true => "SELECT pg_has_role($1::name, 'SET') AND pg_has_role($1::name, 'USAGE')",
        false => "SELECT pg_has_role($1::name, 'MEMBER')",
    };
    let found = work.rows(is_member, &[&owner]).await?;
    if found.first().is_some_and(|row| row.get(0)) {
        return Ok(());
    }
    // Without the options, the attributes of the provisioner role and settings of the server decide.
    let join = match work.has_options_of_members() {
        true => "GRANT %I TO CURRENT_USER WITH INHERIT TRUE, SET TRUE",
        false => "GRANT %I TO CURRENT_USER",
    };
    let right = right_to_manage(work, owner);
    Ok(work.run(join, &[owner], right).await?)
}

/// What the provisioner lacks if it may not grant or drop the role.
pub(super) fn right_to_manage(work: &Work, owner: &str) -> Right {
    match work.creates_roles {
        true => format!("the ADMIN option on the role {owner}").into(),
        false => "CREATEROLE".into(),
    }
}

/// Drops the role. Returns whether it existed.
pub(super) async fn remove(work: &mut Work, database: TenantDatabase<'_>) -> Result<bool> {
    if !is_ours(work, database).await? {
        return Ok(false);
    }
    let right = right_to_manage(work, database.owner);
    work.run("DROP ROLE IF EXISTS %I", &[database.owner], right).await?;
    Ok(true)
}

/// Whether the role exists. Fails if it was not created for the tenant.
pub(super) async fn is_ours(work: &mut Work, database: TenantDatabase<'_>) -> Result<bool> {
    let find = "SELECT coalesce(shobj_description(oid, 'pg_authid'), '') FROM pg_roles WHERE rolname = $1::text";
    let found = work.rows(find, &[&database.owner]).await?;
    match found.first().map(|row| row.get::<_, String>(0)) {
        None => Ok(false),
        Some(comment) if comment == mark(database.tenant) => Ok(true),
        Some(_) => Err(fault::taken("role", database.owner)),
    }
}

/// Whether another connection created the same role or database.
pub(super) fn is_duplicate(code: Option<&SqlState>) -> bool {
    code.is_some_and(|code| {
        [SqlState::DUPLICATE_OBJECT, SqlState::DUPLICATE_DATABASE, SqlState::UNIQUE_VIOLATION].contains(code)
    })
}
