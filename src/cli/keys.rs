//! `tenantry keys`: the keys that seal secrets in the database.

use anyhow::Context;
use serde_json::json;

use super::{
    Common,
    config::Config,
    dev_kek_file,
    material::{Material, Purpose, read_kek},
    output,
    start::{block_on, open_migrated, with_cause},
};
use crate::{
    base::Secret,
    identity, messaging,
    store::{
        self, Keyring, Sealer, Store,
        sealing::{
            keyring,
            reseal::{NOTICED, Resealed},
            rotation::{self, KeyStatus},
        },
    },
    tenants::database::leases,
    trust, warehouse,
};

/// Commands on the keys that seal secrets.
#[derive(Clone, Copy, Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show whether the configured keys match the database and whether a rotation is finished; fail if not
    Status,
    /// Make TENANTRY_KEK the key-encryption key of the database, in place of TENANTRY_KEK_PREVIOUS; servers keep running
    ///
    /// Give every server both keys first, and restart it. If a run is interrupted, the next one continues it. Afterwards
    /// remove TENANTRY_KEK_PREVIOUS from the servers.
    Rotate,
    /// Create new data keys and re-encrypt every stored secret with them; servers keep running
    ///
    /// If a run is interrupted, the next one continues it. The old data keys stay until `keys prune`.
    Reseal,
    /// Delete data keys that were replaced at least two days ago and that no stored secret uses
    Prune,
}

pub(super) fn run(common: &Common, command: Command) -> anyhow::Result<()> {
    let config = common.load(&[])?;
    let ring = ring(&config)?;
    block_on(async {
        let store = open_migrated(&config).await?;
        let done = apply(&store, command, ring.as_ref()).await;
        store.close().await;
        done
    })
}

async fn apply(store: &Store, command: Command, ring: Option<&Keyring>) -> anyhow::Result<()> {
    match command {
        Command::Status => status(store, ring).await,
        Command::Rotate => rotate(store, needed(ring)?).await,
        Command::Reseal => reseal(store, needed(ring)?).await,
        Command::Prune => prune(store).await,
    }
}

/// The configured keys, else the one that `dev` made in the data directory.
pub(super) fn ring(config: &Config) -> anyhow::Result<Option<Keyring>> {
    let configured = Material::read(config, Purpose::Any)?.keyring;
    let made = dev_kek_file(&config.data_dir);
    if configured.is_some() || !made.exists() {
        return Ok(configured);
    }
    let kek = read_kek(&Secret::new(made.to_string_lossy().into_owned())).map_err(anyhow::Error::msg)?;
    Ok(Some(Keyring::from(kek)))
}

fn needed(ring: Option<&Keyring>) -> anyhow::Result<&Keyring> {
    ring.context("TENANTRY_KEK is not set: it must hold the new key")
}

async fn rotate(store: &Store, ring: &Keyring) -> anyhow::Result<()> {
    let progress = |done, total| output::tell(format_args!("{done} of {total} data keys are sealed with the new key"));
    let done = rotation::rotate(store, ring, progress).await.map_err(with_cause)?;
    let to = ring.current().id();
    match done.from {
        Some(from) => output::tell(format_args!("the key of the database is {to}; it was {from}")),
        None => output::tell(format_args!("the key of the database is {to}")),
    }
    anyhow::ensure!(
        done.left == 0,
        "{} data keys cannot be decrypted with TENANTRY_KEK or TENANTRY_KEK_PREVIOUS and were left as they are",
        done.left
    );
    output::tell("every data key is sealed with it; the servers no longer need TENANTRY_KEK_PREVIOUS");
    Ok(())
}

async fn status(store: &Store, ring: Option<&Keyring>) -> anyhow::Result<()> {
    let status = rotation::status(store, ring).await.map_err(with_cause)?;
    output::tell(report(&status, ring));
    keyring::fit(store.read(), ring).await?.require().context("the keys do not match the database")?;
    let KeyStatus { previous, closed, outdated, resealing, .. } = status;
    anyhow::ensure!(closed == 0, "{closed} data keys are sealed with a key that is not configured");
    anyhow::ensure!(previous == 0, "a rotation is unfinished: run `tenantry keys rotate`");
    anyhow::ensure!(outdated == 0, "the key of OpenBAO has a newer version: run `tenantry keys rotate`");
    anyhow::ensure!(!resealing, "some values are not resealed yet: run `tenantry keys reseal`");
    Ok(())
}

async fn reseal(store: &Store, ring: &Keyring) -> anyhow::Result<()> {
    let Some(run) = store::sealing::reseal::begin(store, ring).await.map_err(with_cause)? else {
        output::tell("nothing is sealed in this database");
        return Ok(());
    };
    if run.resumed {
        output::tell(format_args!("resuming an interrupted run (generation {})", run.generation));
    }
    let made =
        store::sealing::reseal::renew(store, ring, run, |made| output::tell(format_args!("{made} new data keys")))
            .await
            .map_err(with_cause)?;
    // Servers that know the keys before them seal under those a moment longer; what they seal has to be found below.
    tokio::time::sleep(NOTICED).await;
    let sealer = Sealer::new(store.clone(), Some(ring.clone()));
    let factors = identity::reseal::reseal(store, &sealer, |done| tell_values("second factors", done)).await?;
    let secrets = warehouse::reseal::reseal(store, &sealer, |done| tell_values("secrets of providers", done)).await?;
    let clusters = messaging::reseal::reseal(store, &sealer, |done| tell_values("secrets of clusters", done)).await?;
    let keys = trust::reseal::reseal(store, &sealer, |done| tell_values("private keys", done)).await?;
    let leases = leases::reseal(store, &sealer, |done| tell_values("leases of programs", done)).await?;
    let left = factors.left + secrets.left + clusters.left + keys.left + leases.left;
    let details = json!({
        "data_keys": made, "second_factors": factors.resealed, "provider_secrets": secrets.resealed,
        "cluster_secrets": clusters.resealed, "private_keys": keys.resealed, "leases": leases.resealed, "left": left,
    });
    store::sealing::reseal::end(store, details).await?;
    anyhow::ensure!(left == 0, "{left} stored secrets cannot be decrypted and were left as they are");
    output::tell(
        "every value is sealed under its owner's latest data key; `tenantry keys prune` removes the older ones",
    );
    Ok(())
}

fn tell_values(what: &str, done: Resealed) {
    output::tell(format_args!("{} {what} were resealed", done.resealed));
}

async fn prune(store: &Store) -> anyhow::Result<()> {
    let mut in_use = identity::reseal::keys_in_use(store).await?;
    in_use.append(&mut warehouse::reseal::keys_in_use(store).await?);
    in_use.append(&mut messaging::reseal::keys_in_use(store).await?);
    in_use.append(&mut trust::reseal::keys_in_use(store).await?);
    in_use.append(&mut leases::keys_in_use(store).await?);
    let gone = store::sealing::reseal::prune(store, in_use).await?;
    output::tell(format_args!("removed {gone} data keys"));
    Ok(())
}

/// The state of the keys, one line each.
fn report(status: &KeyStatus, ring: Option<&Keyring>) -> String {
    let shown = |id: Option<&str>| id.unwrap_or("(none)").to_owned();
    let mut held = ring.into_iter().flat_map(Keyring::all).map(|kek| kek.id());
    let lines = [
        ("key of the database", shown(status.kek.as_deref())),
        ("TENANTRY_KEK", shown(held.next())),
        ("TENANTRY_KEK_PREVIOUS", shown(held.next())),
        ("data keys under TENANTRY_KEK", status.current.to_string()),
        ("data keys under TENANTRY_KEK_PREVIOUS", status.previous.to_string()),
        ("data keys under another key", status.closed.to_string()),
        ("of them superseded", status.earlier.to_string()),
    ];
    // Only a key of another system has versions.
    let has_versions = ring.is_some_and(|ring| ring.current().is_remote());
    let outdated = has_versions.then(|| ("of them under an earlier version", status.outdated.to_string()));
    let lines = lines.into_iter().chain(outdated).map(|(what, value)| format!("{what:38} {value}"));
    lines.collect::<Vec<_>>().join("\n")
}
