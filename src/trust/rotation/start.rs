//! The start of a rotation.

use std::sync::Arc;

use time::OffsetDateTime;

use super::{
    keys::{self, Key, Owner},
    phases::Phases,
    plan::{self, Asked, Timing, is_of_installation},
    queries::Rotation,
};
use crate::{
    base::{Cx, Error, IdKind, Result, TenantRef, error::Reason, scope::platform_only},
    identity::reason,
    store::{
        ChangeKind, Stamp, Tx,
        audit::storable,
        columns::{KeyState, RotationOutcome, RotationPhase},
        tables::{AnchorSetRow, rotations},
    },
    tenants,
    trust::{Installation, Trust, TrustSettings},
};

/// A rotation that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    pub rotation: Rotation,
    /// The number of the first anchor set with the new key; none for a key of the installation, because each tenant has its own.
    pub sequence: Option<i64>,
}

/// What the start of a rotation needs.
pub(super) struct Start {
    /// None for the installation.
    pub(super) tenant: Option<TenantRef>,
    pub(super) asked: Asked,
    /// The new key, which is not stored.
    pub(super) new: Key,
    pub(super) installation: Arc<Installation>,
    pub(super) settings: Arc<TrustSettings>,
}

impl Trust {
    /// Replaces a key of a tenant, or one of the installation if there is no tenant. Fails with INVALID_ARGUMENT for times that consumers
    /// could not follow and for a use that does not fit, with FAILED_PRECONDITION while another rotation of the use is in progress, unless
    /// it is an emergency.
    pub async fn rotate(&self, cx: &Cx, tenant: Option<&TenantRef>, asked: Asked) -> Result<Started> {
        let asked = Asked { reason: reason(asked.reason)?, ..asked };
        // Before the write: it needs no key for a request that it refuses.
        plan::times(asked.timing, self.store.time().await?, self.settings.refresh)?;
        let begin = || async {
            let start = self.prepare(cx, tenant, asked.clone()).await?;
            self.store.write(cx, start, start_in).await
        };
        let started = self.with_current_keys(begin).await?;
        self.rotated(tenant.is_none()).await;
        Ok(started)
    }

    /// A new key for a rotation, and the keys to sign with.
    pub(super) async fn prepare(&self, cx: &Cx, tenant: Option<&TenantRef>, asked: Asked) -> Result<Start> {
        let new = match tenant {
            Some(tenant) => {
                let scope = tenants::reach(cx, &self.store, tenant).await?;
                // The keys that are replaced.
                self.latest_anchors(scope).await?;
                Key::Signer(self.new_signer(scope, asked.key_use, KeyState::Pending).await?)
            }
            None => {
                platform_only(&cx.access)?;
                let (id, now) = (self.store.clock().new_id(), self.store.clock().now());
                Key::Installation(self.new_installation_key(asked.key_use, id, KeyState::Pending, now).await?)
            }
        };
        let installation = self.installation().await?;
        Ok(Start { tenant: tenant.cloned(), asked, new, installation, settings: self.settings.clone() })
    }

    /// Wakes what must know of a rotation in this process. Other servers look at the database.
    pub(super) async fn rotated(&self, of_installation: bool) {
        if of_installation {
            self.forget_installation().await;
            self.changed().activate();
        }
        self.rotations.activate();
    }
}

impl Start {
    pub(super) fn phases<'a>(&'a self, tx: &'a Tx, owner: Owner, now: OffsetDateTime) -> Phases<'a> {
        Phases { tx, owner, settings: &self.settings, installation: &self.installation, now, target: None }
    }
}

async fn start_in(tx: &Tx, start: &Start) -> Result<Started> {
    let key_use = start.asked.key_use;
    if is_of_installation(key_use) != start.tenant.is_none() {
        return Err(Error::internal("the keys for this use have another owner"));
    }
    let (owner, keys) = keys::lock(tx, start.tenant.as_ref(), key_use).await?;
    let phases = start.phases(tx, owner, tx.time().await?);
    let running = rotations::running(tx.conn(), owner.tenant(), key_use).await?;
    let (row, set) = match start.asked.timing {
        Timing::Emergency => phases.emergency(start, &keys, &running).await?,
        Timing::Overlap(_) | Timing::At(_) | Timing::Later => {
            refuse_second(&running)?;
            begin(&phases, start, &keys).await?
        }
    };
    Ok(Started { rotation: Rotation(row), sequence: set.map(|set| set.sequence) })
}

/// Begins a regular rotation: announces the new key.
pub(super) async fn begin(
    phases: &Phases<'_>,
    start: &Start,
    keys: &[Key],
) -> Result<(rotations::Model, Option<AnchorSetRow>)> {
    let times = plan::times(start.asked.timing, phases.now, start.settings.refresh)?;
    phases.owner.insert(phases.tx, start.new.clone()).await?;
    let activate_at = times.activate_at.map(Stamp::from);
    let row = row(phases, start, keys, &start.new)?;
    let overlap_seconds = times.overlap.whole_seconds();
    let retire_at = times.activate_at.map(|at| Stamp::from(at + times.overlap));
    let row = rotations::Model { activate_at, retire_at, overlap_seconds, due_at: activate_at, ..row };
    let (row, set) = phases.announce(row).await?;
    insert(phases, row, set).await
}

/// The row of a rotation that begins now.
pub(super) fn row(phases: &Phases<'_>, start: &Start, keys: &[Key], new: &Key) -> Result<rotations::Model> {
    let (old, now) = (keys::active(keys)?, Stamp::from(phases.now));
    Ok(rotations::Model {
        id: phases.tx.new_id(),
        tenant_id: phases.owner.tenant(),
        key_use: start.asked.key_use,
        old_key: old.id(),
        old_key_id: old.key_id().to_owned(),
        new_key: new.id(),
        new_key_id: new.key_id().to_owned(),
        phase: RotationPhase::Publish,
        outcome: RotationOutcome::Running,
        emergency: false,
        spread: true,
        overlap_seconds: 0,
        reason: start.asked.reason.clone(),
        requested_by: storable(&phases.tx.cx().caller.subject),
        published_at: now,
        activate_at: None,
        retire_at: None,
        remove_at: None,
        due_at: None,
        updated_at: now,
        ended_at: None,
    })
}

/// Stores a new rotation.
pub(super) async fn insert(
    phases: &Phases<'_>,
    row: rotations::Model,
    set: Option<AnchorSetRow>,
) -> Result<(rotations::Model, Option<AnchorSetRow>)> {
    rotations::insert(phases.tx.conn(), row.clone()).await?;
    phases.record(&row, ChangeKind::Created, set.as_ref());
    Ok((row, set))
}

fn refuse_second(running: &[rotations::Model]) -> Result<()> {
    let Some(row) = running.first() else { return Ok(()) };
    let id = IdKind::Rotation.show(row.id);
    let message = format!(
        "the rotation {id} of {} is in progress; wait for its end, or rotate with emergency, which revokes the key in use at once",
        row.key_use.as_str()
    );
    Err(Error::precondition(Reason::RotationInProgress, message))
}
