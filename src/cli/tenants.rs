//! `tenantry tenants`: the databases of tenants.

use std::time::Duration;

use anyhow::Context;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    Common, Usage,
    config::{Config, duration},
    material::{Material, Purpose},
    output,
    progress::ProgressBar,
    report,
    start::{block_on_server, open_migrated},
};
use crate::{
    base::{Cx, TenantRef},
    controlplane::migrations::{self, Migrator, Progress, RunOptions, RunOutcome},
    openbao::{LeaseKeeper, keeper},
    providers::provisioner::MigrationLimits,
    server::Signals,
    store::Store,
};

/// How often the leases of a run are looked at.
const TEND: Duration = Duration::from_secs(1);

/// Commands on the databases of tenants.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Apply the missing migrations to databases of tenants, with TENANTRY_PROVISIONER_URL and the settings of OpenBAO
    ///
    /// Each migration is one transaction. Stops at the first failure, after what has begun. If a run is interrupted, the
    /// next one continues it. Servers keep running.
    Migrate(MigrateArgs),
}

/// Arguments of `tenants migrate`.
#[derive(Debug, clap::Args)]
pub(super) struct MigrateArgs {
    /// Only the database of the tenant with this name or id
    #[arg(long, value_name = "TENANT", required_unless_present = "all", conflicts_with = "all")]
    tenant: Option<String>,
    /// Every database that lacks a migration; suspended tenants are skipped
    #[arg(long)]
    all: bool,
    /// How many databases are migrated at the same time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    parallel: u16,
    /// Continue with the other databases after a failure
    #[arg(long)]
    keep_going: bool,
    /// How long a migration waits for a lock
    #[arg(long, value_name = "DURATION", default_value = "5s")]
    lock_timeout: String,
    /// How long a migration may take
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    statement_timeout: String,
}

pub(super) fn run(common: &Common, command: Command) -> anyhow::Result<()> {
    let Command::Migrate(arguments) = command;
    let config = common.load(&[])?;
    let limits = arguments.limits()?;
    let material = Material::read(&config, Purpose::Any)?;
    let provisioner = material.provisioner.context("TENANTRY_PROVISIONER_URL is not set")?;
    let leases = material.openbao.map(|bao| LeaseKeeper::new(bao, keeper::Bounds::default()));
    let migrator = Migrator::new(provisioner, leases.clone(), material.migrations).with_limits(limits);
    block_on_server(migrate(config, arguments, migrator, leases))
}

impl MigrateArgs {
    fn limits(&self) -> anyhow::Result<MigrationLimits> {
        let read = |text: &str| duration(text).filter(|limit| *limit <= Duration::from_secs(24 * 3600));
        let (Some(lock), Some(statement)) = (read(&self.lock_timeout), read(&self.statement_timeout)) else {
            let message =
                "--lock-timeout and --statement-timeout must be durations such as 500ms, 30s or 15m, at most 24h";
            return Err(Usage(message).into());
        };
        Ok(MigrationLimits { lock, statement, ..MigrationLimits::default() })
    }
}

async fn migrate(
    config: Config,
    arguments: MigrateArgs,
    migrator: Migrator,
    leases: Option<LeaseKeeper>,
) -> anyhow::Result<()> {
    let (mut signals, stop) = (Signals::catch()?, CancellationToken::new());
    let store = open_migrated(&config).await?;
    let work = async {
        let outcome = apply(&store, &arguments, &migrator, &stop).await;
        if let Some(leases) = &leases {
            let failed = leases.end().await;
            if failed > 0 {
                output::complain(format_args!(
                    "warning: {failed} leases could not be revoked; they end with their time"
                ));
            }
        }
        store.close().await;
        outcome
    };
    let tending = async {
        let Some(leases) = &leases else { return std::future::pending().await };
        loop {
            sleep(TEND).await;
            if leases.is_due() {
                leases.step().await;
            }
        }
    };
    let signalled = async {
        signals.next().await;
        output::complain("stopping after the databases that were begun; a second signal stops at once");
        stop.cancel();
        signals.next().await
    };
    let outcome = tokio::select! {
        outcome = work => outcome?,
        () = tending => return Ok(()),
        signal = signalled => std::process::exit(128 + signal.as_raw_value()),
    };
    let RunOutcome { migrated, skipped, failed, left } = outcome;
    if migrated + skipped + failed + left == 0 {
        output::tell("no database of a tenant lacks a migration");
    } else {
        output::tell(format_args!("{migrated} migrated, {skipped} skipped, {failed} failed, {left} not begun"));
    }
    anyhow::ensure!(failed == 0, "{failed} databases could not be migrated");
    anyhow::ensure!(left == 0, "{left} databases were not begun: run the command again");
    Ok(())
}

async fn apply(
    store: &Store,
    arguments: &MigrateArgs,
    migrator: &Migrator,
    stop: &CancellationToken,
) -> anyhow::Result<RunOutcome> {
    let cx = Cx::system("tenant.migrate", store.clock().clone());
    let options = RunOptions {
        only: arguments.tenant.as_deref().map(TenantRef::parse),
        parallel: usize::from(arguments.parallel),
        keep_going: arguments.keep_going,
    };
    let mut bar = ProgressBar::new("databases", 0);
    let reported = |progress: Progress<'_>| match progress {
        Progress::Began(total) => bar = ProgressBar::new("databases", total),
        Progress::Migrated { tenant, before, revision, applied, took } => bar.item(false, || {
            let (before, revision) = (before.unwrap_or("nothing"), revision.unwrap_or("nothing"));
            let took = took.as_millis();
            output::tell(format_args!("{tenant}: from {before} to {revision}, {applied} applied in {took} ms"));
        }),
        Progress::Skipped { tenant, status } => {
            bar.item(false, || output::tell(format_args!("{tenant}: skipped, because it is {status}")));
        }
        Progress::Failed { tenant, error } => bar.item(true, || {
            output::complain(format_args!("{tenant}: {}", report::text(&error.into())));
        }),
    };
    Ok(migrations::run(&cx, store, migrator, &options, stop, reported).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_durations_of_at_most_a_day() {
        let limits = |lock: &str, statement: &str| {
            let arguments = MigrateArgs {
                tenant: None,
                all: true,
                parallel: 1,
                keep_going: false,
                lock_timeout: lock.to_owned(),
                statement_timeout: statement.to_owned(),
            };
            arguments.limits().ok().map(|limits| (limits.lock.as_millis(), limits.statement.as_millis()))
        };
        assert_eq!(limits("500ms", "2m"), Some((500, 120_000)));
        for (lock, statement) in [("5", "1m"), ("1s", "soon"), ("1s", "25h"), ("0s", "1s")] {
            assert_eq!(limits(lock, statement), None, "{lock} {statement}");
        }
    }
}
