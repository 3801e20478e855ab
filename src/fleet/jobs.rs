//! Jobs for devices.

use std::time::Duration;

use time::Duration as Time;

use super::Sightings;
use crate::{
    base::{IdKind, Result},
    jobs::{Job, Placement, Report, Run, Schedule},
    store::{
        Change, ChangeKind, SPC_SKEW, Stamp, Store, Tx,
        columns::RevocationReason,
        tables::{SpcRevocation, delete_unseen_devices},
    },
};

const PERIOD: Duration = Duration::from_secs(600);
/// How often the last calls are written.
const RECORDED: Duration = Duration::from_secs(10);
/// Maximum number of devices deleted in one transaction.
const BATCH: u64 = 100;
/// How long an ephemeral device may be unseen.
const UNSEEN: Time = Time::days(1);

/// Deletes ephemeral devices that have not been seen for a day.
#[derive(Debug)]
pub struct PruneDevices(Store);

impl PruneDevices {
    pub fn new(store: &Store) -> Self {
        Self(store.clone())
    }
}

impl Job for PruneDevices {
    const NAME: &'static str = "device-pruning";
    const PLACEMENT: Placement = Placement::OneServer;

    fn schedule(&self) -> Schedule {
        Schedule::every(PERIOD)
    }

    async fn run(&self, run: &Run) -> Result<Report> {
        Ok(Report::batch(run.maintain(&self.0, "device.prune", (), prune).await?, BATCH))
    }
}

/// Writes when devices and gateways were last seen.
pub struct RecordSightings {
    sightings: Sightings,
    store: Store,
}

impl RecordSightings {
    pub fn new(sightings: &Sightings, store: &Store) -> Self {
        Self { sightings: sightings.clone(), store: store.clone() }
    }
}

impl Job for RecordSightings {
    const NAME: &'static str = "fleet-sightings";
    const PLACEMENT: Placement = Placement::EveryServer;
    const LAST_RUN: bool = true;

    fn schedule(&self) -> Schedule {
        Schedule::every(RECORDED).with_retry(RECORDED, RECORDED)
    }

    async fn run(&self, _: &Run) -> Result<Report> {
        Ok(Report::done(self.sightings.flush(&self.store).await?))
    }
}

async fn prune(tx: &Tx, (): &()) -> Result<u64> {
    let now = tx.time().await?;
    let revocation = SpcRevocation {
        reason: RevocationReason::CessationOfOperation,
        at: now.into(),
        ended: Stamp::from(now - SPC_SKEW),
    };
    let deleted = delete_unseen_devices(tx.conn(), Stamp::from(now - UNSEEN), revocation, BATCH).await?;
    tx.end_access_sessions_of(&deleted.devices).await?;
    for (tenant, sequence) in deleted.spcs {
        tx.also_changed(Change::of_spc_bundle(tenant, sequence));
    }
    for device in &deleted.devices {
        let details = serde_json::json!({"name": device.name, "reason": "an ephemeral device was not seen for a day"});
        let change = Change::of_device(ChangeKind::Deleted, device.tenant_id.tenant(), device);
        tx.changed(change, IdKind::Device.show(device.id), details);
    }
    Ok(deleted.devices.len() as u64)
}
