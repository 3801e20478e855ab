//! Migrates the database of a tenant, with a login that acts as its owner: one that OpenBAO leases, or that the provisioner lends.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use super::files::TenantMigrations;
use crate::{
    base::{Error, Kind, Result, Secret, error::Reason},
    openbao::{LeaseKeeper, Name},
    providers::provisioner::{
        Applied, LentLogin, Migration, MigrationLimits, Provisioner, TenantDatabase, TenantSession, Unopened,
    },
};

/// How long a login that the provisioner lends can be used to connect.
const LENT: Duration = Duration::from_secs(15 * 60);

/// Migrates databases of tenants. Cheap to clone.
#[derive(Clone)]
pub struct Migrator {
    provisioner: Provisioner,
    leases: Option<LeaseKeeper>,
    migrations: Arc<TenantMigrations>,
    limits: MigrationLimits,
}

/// The database of a tenant.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    pub database: TenantDatabase<'a>,
    /// The role in OpenBAO, if it has one.
    pub openbao_role: Option<&'a str>,
}

/// What was done with a database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Migrated {
    /// Its last migration now; `None` if there are none.
    pub revision: Option<String>,
    /// The migrations that were applied.
    pub applied: Vec<String>,
    /// Whether further ones are left.
    pub more: bool,
}

/// A login in use.
enum Login {
    /// Of this role.
    Leased(Name),
    Lent(LentLogin),
}

impl Migrator {
    /// With the keeper of the leases of this process, if OpenBAO is configured.
    pub fn new(provisioner: Provisioner, leases: Option<LeaseKeeper>, migrations: Arc<TenantMigrations>) -> Self {
        Self { provisioner, leases, migrations, limits: MigrationLimits::default() }
    }

    #[must_use]
    pub fn with_limits(self, limits: MigrationLimits) -> Self {
        Self { limits, ..self }
    }

    /// The last migration.
    pub fn head(&self) -> Option<&str> {
        self.migrations.head()
    }

    /// Applies the missing migrations, each in a transaction. After `time` it begins no further one.
    pub async fn migrate(&self, target: Target<'_>, time: Duration) -> Result<Migrated> {
        if self.migrations.all().is_empty() {
            return Ok(Migrated::default());
        }
        let (session, login) = self.open(target).await?;
        let done = self.apply(&session, time).await;
        // Before the login is dropped.
        drop(session);
        self.release(target, login).await;
        done
    }

    async fn apply(&self, session: &TenantSession, time: Duration) -> Result<Migrated> {
        let begun = Instant::now();
        let known = self.migrations.all();
        let before = session.applied().await?;
        let missing = missing(known, &before)?;
        let mut done = Migrated { revision: before.last().map(|last| last.revision.clone()), ..Migrated::default() };
        for migration in missing {
            // At least one each time.
            if !done.applied.is_empty() && begun.elapsed() >= time {
                done.more = true;
                break;
            }
            session.apply(migration).await?;
            done.revision = Some(migration.revision.clone());
            done.applied.push(migration.revision.clone());
        }
        Ok(done)
    }

    /// Connects with a login. One that the database server refuses was revoked without our knowledge, and is replaced once.
    async fn open(&self, target: Target<'_>) -> Result<(TenantSession, Login)> {
        let Some(role) = target.openbao_role else {
            let login = self.provisioner.lend_login(target.database, LENT).await?;
            let opened = self.connect(target, &login.user, &login.password).await;
            let login = Login::Lent(login);
            return match opened {
                Ok(session) => Ok((session, login)),
                Err(unopened) => {
                    self.release(target, login).await;
                    Err(unopened.error)
                }
            };
        };
        let (leases, role) = (self.leases()?, role.parse::<Name>().map_err(Error::internal)?);
        for attempt in 1.. {
            let leased = leases.credentials(&role).await?;
            match self.connect(target, &leased.username, &leased.password).await {
                Ok(session) => return Ok((session, Login::Leased(role))),
                Err(Unopened { is_login_refused: true, .. }) if attempt == 1 => leases.evict(&role).await?,
                Err(unopened) => return Err(unopened.error),
            }
        }
        Err(Error::internal("no attempt was made"))
    }

    async fn connect(
        &self,
        target: Target<'_>,
        user: &str,
        password: &Secret<String>,
    ) -> Result<TenantSession, Unopened> {
        let TenantDatabase { name, owner, .. } = target.database;
        TenantSession::open(self.provisioner.server(), (user, password), (name, owner), self.limits).await
    }

    /// The keeper of leases. A server without OpenBAO leaves the work to the others.
    fn leases(&self) -> Result<&LeaseKeeper> {
        self.leases.as_ref().ok_or_else(|| {
            let message = "OpenBAO is not configured here, and the database has its logins from there";
            Error::new(Kind::Unavailable, Reason::ProvisionerUnavailable, message)
        })
    }

    /// Drops a login. If that fails, it ends with its time, and the migrations have still been applied.
    async fn release(&self, target: Target<'_>, login: Login) {
        let released = match &login {
            Login::Leased(role) => match &self.leases {
                Some(leases) => leases.evict(role).await.map_err(Error::from),
                None => Ok(()),
            },
            Login::Lent(login) => self.provisioner.take_back(target.database, login).await,
        };
        if let Err(error) = released {
            tracing::warn!(%error, cause = error.cause.as_deref(), "cannot drop a login for migrations; it ends with its time");
        }
    }
}

impl fmt::Debug for Migrator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Migrator").field("head", &self.head()).finish_non_exhaustive()
    }
}

/// The migrations that are missing. Those that were applied must be the first of the known ones, unchanged.
fn missing<'m>(known: &'m [Migration], applied: &[Applied]) -> Result<&'m [Migration]> {
    let refused = |message: String| Err(Error::precondition(Reason::TenantMigrationFailed, message));
    for (index, applied) in applied.iter().enumerate() {
        let revision = &applied.revision;
        match known.get(index) {
            Some(known) if known.revision == *revision && known.digest == applied.digest => {}
            Some(known) if known.revision == *revision => {
                return refused(format!(
                    "the migration {revision} was changed after it was applied; add a new one instead"
                ));
            }
            Some(known) if known.revision < *revision => {
                return refused(format!(
                    "the migration {} was added before {revision}, which was already applied; give it a higher number",
                    known.revision
                ));
            }
            _ => {
                return refused(format!(
                    "the database has the migration {revision}, which is not among those of this server; a newer version applied it"
                ));
            }
        }
    }
    Ok(&known[applied.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(names: &[&str]) -> Vec<Migration> {
        let of =
            |name: &&str| Migration { revision: (*name).to_owned(), sql: String::new(), digest: format!("d{name}") };
        names.iter().map(of).collect()
    }

    fn left(names: &[&str], applied: &[(&str, &str)]) -> Result<Vec<String>, String> {
        let applied: Vec<_> = applied
            .iter()
            .map(|(name, digest)| Applied { revision: (*name).to_owned(), digest: (*digest).to_owned() })
            .collect();
        let known = known(names);
        let missing = missing(&known, &applied).map_err(|error| error.to_string())?;
        Ok(missing.iter().map(|migration| migration.revision.clone()).collect())
    }

    #[test]
    fn the_applied_migrations_must_be_the_first_of_the_known_ones() {
        assert_eq!(left(&["1", "2"], &[]).unwrap(), ["1", "2"]);
        assert_eq!(left(&["1", "2"], &[("1", "d1")]).unwrap(), ["2"]);
        assert_eq!(left(&["1", "2"], &[("1", "d1"), ("2", "d2")]).unwrap(), [""; 0]);
        for (names, applied, text) in [
            (&["1", "2"][..], &[("1", "other")][..], "1 was changed after it was applied"),
            (&["1", "2", "3"], &[("1", "d1"), ("3", "d3")], "2 was added before 3"),
            (&["1"], &[("1", "d1"), ("2", "d2")], "has the migration 2, which is not among"),
            (&["2"], &[("1", "d1")], "has the migration 1, which is not among"),
        ] {
            let error = left(names, applied).unwrap_err();
            assert!(error.contains(text), "{error}");
        }
    }
}
