//! Phases that are due.

use std::sync::Arc;

use sea_orm::{
    ActiveValue::{Set, Unchanged},
    EntityTrait,
};
use uuid::Uuid;

use super::{keys, phases::Phases};
use crate::{
    base::{Cx, Kind, Result, TenantId, TenantRef},
    jobs::Run,
    store::{
        Fetch, Stamp, Tx, UpdateRow,
        columns::RotationPhase,
        tables::{
            rotations::{self, Entity, Model},
            tenants_without_keys,
        },
    },
    tenants,
    trust::{Installation, Trust, TrustSettings},
};

/// Maximum number of rotations that one run of the job advances, and of tenants whose sets are made one after the other.
pub const BATCH: u64 = 50;
/// When the rotation of a tenant that is being deleted is looked at again: it may be restored.
const ABSENT: time::Duration = time::Duration::hours(1);

/// What a phase needs.
struct Due {
    rotation: Uuid,
    installation: Arc<Installation>,
    settings: Arc<TrustSettings>,
    /// Whether every tenant has a set with the keys of the installation.
    spread: bool,
}

impl Trust {
    /// Whether a rotation is due.
    pub(in crate::trust) async fn is_rotation_due(&self) -> Result<bool> {
        match rotations::next_due(self.store.read()).await? {
            Some(due) => Ok(due.time() <= self.store.time().await?),
            None => Ok(false),
        }
    }

    /// Advances the rotations that are due by one phase each. Returns their number.
    pub(in crate::trust) async fn advance_rotations(&self, run: &Run) -> Result<u64> {
        let due = rotations::due(self.store.read(), self.store.time().await?.into(), BATCH).await?;
        let (mut failed, count) = (None, due.len() as u64);
        for row in due {
            if run.is_stopped() {
                break;
            }
            // One that fails does not delay the others.
            if let Err(error) = self.advance(run, row).await {
                failed = Some(error);
            }
        }
        failed.map_or(Ok(count), Err)
    }

    async fn advance(&self, run: &Run, row: Model) -> Result<()> {
        let of_installation = row.tenant_id.is_none();
        let spread = of_installation && !row.spread && self.announce_to_all(run).await?;
        if of_installation && !row.spread && !spread {
            return Ok(());
        }
        let cx = Cx::system(task(&row), self.store.clock().clone());
        let advance = || async {
            let installation = self.installation().await?;
            let due = Due { rotation: row.id, installation, settings: self.settings.clone(), spread };
            self.store.write(&cx, due, advance_in).await
        };
        match self.with_current_keys(advance).await {
            Err(error) if error.kind == Kind::NotFound => {
                self.store.maintain("trust.rotations", row.id, postpone).await
            }
            outcome => outcome,
        }?;
        self.rotated(of_installation).await;
        Ok(())
    }

    /// Makes a set with the keys of the installation for every tenant that has one without them. Returns whether all have one.
    async fn announce_to_all(&self, run: &Run) -> Result<bool> {
        self.forget_installation().await;
        let installation = self.installation().await?;
        let (mut after, mut failed) = (None, None);
        loop {
            let some = tenants_without_keys(self.store.read(), installation.digest(), after, BATCH).await?;
            let Some(last) = some.last() else { return failed.map_or(Ok(true), Err) };
            after = Some(*last);
            for tenant in some {
                if run.is_stopped() {
                    return Ok(false);
                }
                // One that fails does not keep the keys from the others.
                if let Err(error) = self.announce_to(tenant).await {
                    failed = Some(error);
                }
            }
        }
    }

    async fn announce_to(&self, tenant: TenantId) -> Result<()> {
        let cx = Cx::system("trust.anchors.renew", self.store.clock().clone());
        let scope = match tenants::resolve(&cx, &self.store, &TenantRef::Id(tenant)).await {
            // It is being deleted.
            Err(error) if error.kind == Kind::NotFound => return Ok(()),
            found => found?.1,
        };
        self.latest_anchors(scope).await.map(drop)
    }
}

async fn advance_in(tx: &Tx, due: &Due) -> Result<()> {
    let Some(row) = Entity::find_by_id(due.rotation).fetch_one(tx.conn()).await? else { return unchanged(tx) };
    let tenant = row.tenant_id.map(TenantRef::Id);
    let (owner, keys) = keys::lock(tx, tenant.as_ref(), row.key_use).await?;
    // Locked: of several servers and callers, one takes the step.
    let row = rotations::get_locked(tx.conn(), due.rotation).await?;
    let now = tx.time().await?;
    let is_due = |row: &Model| row.due_at.is_some_and(|at| at.time() <= now) && (row.spread || due.spread);
    let Some(row) = row.filter(is_due) else { return unchanged(tx) };
    let phases = Phases { tx, owner, settings: &due.settings, installation: &due.installation, now, target: None };
    let (row, set) = match row.phase {
        _ if !row.spread => (phases.spread(row), None),
        RotationPhase::Publish => phases.activate(row, &keys).await?,
        RotationPhase::Activate => (phases.retire(row, &keys).await?, None),
        RotationPhase::Retire => phases.remove(row, &keys).await?,
        RotationPhase::Remove => (phases.ended(row), None),
    };
    phases.save(row, set.as_ref()).await.map(drop)
}

/// Another server, or a caller, has taken the step.
fn unchanged(tx: &Tx) -> Result<()> {
    tx.audit_only(None, "", serde_json::Value::Null);
    Ok(())
}

async fn postpone(tx: &Tx, rotation: &Uuid) -> Result<()> {
    let due_at = Some(Stamp::from(tx.time().await? + ABSENT));
    let row = rotations::ActiveModel { id: Unchanged(*rotation), due_at: Set(due_at), ..Default::default() };
    row.update_row(tx.conn()).await?;
    Ok(())
}

/// The name of the next phase in the audit log.
fn task(row: &Model) -> &'static str {
    match row.phase {
        _ if !row.spread => "anchor.rotate.announce",
        RotationPhase::Publish => "anchor.rotate.activate",
        RotationPhase::Activate => "anchor.rotate.retire",
        RotationPhase::Retire | RotationPhase::Remove => "anchor.rotate.remove",
    }
}
