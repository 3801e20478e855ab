//! Who may connect to a database: the members of its owner role, or only the provisioner while its tenant is suspended.

use std::time::Duration;

use tokio::time::sleep;

use super::{
    TenantDatabase,
    database::{as_owner, is_usable},
    fault,
    session::Work,
};
use crate::base::Result;

/// How often the sessions are terminated, and the pause in between: a session may have begun just before the database was closed.
const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// Sessions of others on a database. Those of superusers are not the tenant's, and cannot be terminated.
const SESSIONS: &str = "FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid \
                        WHERE a.datname = %L AND NOT r.rolsuper AND a.pid <> pg_backend_pid()";

/// Takes the right to connect from the owner role, and so from all logins, and terminates the sessions.
pub(super) async fn close(work: &mut Work, database: TenantDatabase<'_>) -> Result<()> {
    if is_usable(work, database).await? {
        change(work, database, "REVOKE CONNECT ON DATABASE %I FROM %I").await?;
        end_sessions(work, database.name).await?;
    }
    Ok(())
}

/// Gives the right to connect back.
pub(super) async fn reopen(work: &mut Work, database: TenantDatabase<'_>) -> Result<()> {
    if is_usable(work, database).await? {
        change(work, database, "GRANT CONNECT ON DATABASE %I TO %I").await?;
    }
    Ok(())
}

/// Changes the rights of the owner role, as the owner.
async fn change(work: &mut Work, database: TenantDatabase<'_>, statement: &str) -> Result<()> {
    let TenantDatabase { name, owner, .. } = database;
    as_owner(work, database).await?;
    work.run(statement, &[name, owner], format!("ownership of the database {name}")).await?;
    Ok(work.run("RESET ROLE", &[], "").await?)
}

async fn end_sessions(work: &mut Work, name: &str) -> Result<()> {
    let find =
        format!("SELECT DISTINCT r.rolname::text, pg_has_role(r.oid, 'USAGE') {}", SESSIONS.replace("%L", "$1::text"));
    let terminate = format!("SELECT pg_terminate_backend(a.pid) {SESSIONS}");
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            sleep(PAUSE).await;
        }
        let others = work.rows(&find, &[&name]).await?;
        if others.is_empty() {
            return Ok(());
        }
        for other in &others {
            let (login, is_member): (String, bool) = (other.get(0), other.get(1));
            if !is_member {
                join(work, &login).await;
            }
        }
        let right = "pg_signal_backend, because other roles are connected to the database";
        work.run(&terminate, &[name], right).await?;
    }
    Err(fault::connected())
}

/// Makes the provisioner a member of a login that it created, which terminating its sessions requires. If it did not create the
/// login, that fails, and terminating names the missing right.
async fn join(work: &mut Work, login: &str) {
    let grant = match work.has_options_of_members() {
        true => "GRANT %I TO CURRENT_USER WITH INHERIT TRUE",
        false => "GRANT %I TO CURRENT_USER",
    };
    if let Err(failed) = work.run(grant, &[login], "").await {
        tracing::debug!(error = %failed.error, "cannot become a member of a login");
    }
}
