//! The phases of a rotation, each in one write: what happens to the keys, and when the next phase is due.

use serde_json::json;
use time::{Duration, OffsetDateTime};

use super::{
    alive,
    keys::{self, Key, Owner},
    plan,
};
use crate::{
    base::{IdKind, Result},
    store::{
        Change, ChangeKind, Resource, Stamp, Tx,
        columns::{KeyState, RotationOutcome, RotationPhase},
        tables::{
            AnchorSetRow,
            rotations::{self, Model},
        },
    },
    trust::{Installation, TrustSettings, publish::publish},
};

/// How long the removal of a key waits at least before it looks again whether the key is needed.
const AGAIN: Duration = Duration::minutes(1);

/// What the phases need besides the rotation.
pub(super) struct Phases<'a> {
    pub(super) tx: &'a Tx,
    pub(super) owner: Owner,
    pub(super) settings: &'a TrustSettings,
    pub(super) installation: &'a Installation,
    pub(super) now: OffsetDateTime,
    /// The target in the audit log, if it is not the rotation.
    pub(super) target: Option<String>,
}

impl Phases<'_> {
    /// The new key is used, and the old one trusted for the overlap.
    pub(super) async fn activate(&self, row: Model, keys: &[Key]) -> Result<(Model, Option<AnchorSetRow>)> {
        let now = Stamp::from(self.now);
        let (old, new) = (keys::find(keys, row.old_key)?, keys::find(keys, row.new_key)?);
        self.owner.update(self.tx, &old.in_state(KeyState::Retiring, now)).await?;
        self.owner.update(self.tx, &new.in_state(KeyState::Active, now)).await?;
        let retire_at = Some(Stamp::from(self.now + Duration::seconds(row.overlap_seconds)));
        let row = Model { phase: RotationPhase::Activate, activate_at: Some(now), retire_at, due_at: retire_at, ..row };
        self.announce(row).await
    }

    /// What is current and signed with the old key is signed anew, when it is next read. The set of keys stays.
    pub(super) async fn retire(&self, row: Model, keys: &[Key]) -> Result<Model> {
        let old = keys::find(keys, row.old_key)?;
        let alive = self.alive(&row, &old).await?;
        self.owner.update(self.tx, &old.replaced(self.now.into())).await?;
        let least = self.now + plan::announced_for(self.settings.refresh);
        let remove_at = Some(Stamp::from(alive.map_or(least, |end| end.max(least))));
        let retire_at = Some(self.now.into());
        Ok(Model { phase: RotationPhase::Retire, retire_at, remove_at, due_at: remove_at, ..row })
    }

    /// The old key is no longer trusted, unless something that it signed is alive: then this waits.
    pub(super) async fn remove(&self, row: Model, keys: &[Key]) -> Result<(Model, Option<AnchorSetRow>)> {
        let old = keys::find(keys, row.old_key)?;
        if let Some(end) = self.alive(&row, &old).await? {
            let remove_at = Some(Stamp::from(end.max(self.now + AGAIN)));
            return Ok((Model { remove_at, due_at: remove_at, ..row }, None));
        }
        if old.state() == KeyState::Retiring {
            self.owner.update(self.tx, &old.in_state(KeyState::Retired, self.now.into())).await?;
        }
        let remove_at = Some(self.now.into());
        let row = Model { phase: RotationPhase::Remove, remove_at, outcome: RotationOutcome::Done, ..row };
        self.announce(self.ended(row)).await
    }

    /// Until when something that the old key of a rotation signed is valid.
    pub(super) async fn alive(&self, row: &Model, old: &Key) -> Result<Option<OffsetDateTime>> {
        let replaced_at = row.activate_at.map_or(self.now, Stamp::time);
        alive::until(self.tx, self.owner, row.key_use, old, replaced_at, self.now).await
    }

    /// A rotation with nothing left to do.
    pub(super) fn ended(&self, row: Model) -> Model {
        Model { ended_at: Some(self.now.into()), due_at: None, ..row }
    }

    /// Makes the next anchor set with the keys of this write. The sets of all tenants follow in writes of their own if it is a key of
    /// the installation: the rotation is due until then.
    pub(super) async fn announce(&self, row: Model) -> Result<(Model, Option<AnchorSetRow>)> {
        match self.owner {
            Owner::Tenant(scope) => {
                let set = publish(self.tx, scope, self.settings, self.installation).await?;
                Ok((row, Some(set)))
            }
            Owner::Installation => {
                Ok((Model { spread: false, due_at: Some(self.now.into()), ended_at: None, ..row }, None))
            }
        }
    }

    /// The rotation of a key of the installation when every tenant has a set with its keys.
    pub(super) fn spread(&self, row: Model) -> Model {
        let due_at = match row.phase {
            RotationPhase::Publish => row.activate_at,
            RotationPhase::Activate => row.retire_at,
            RotationPhase::Retire => row.remove_at,
            RotationPhase::Remove => return self.ended(Model { spread: true, ..row }),
        };
        Model { spread: true, due_at, ..row }
    }

    /// Stores a rotation, and records its change.
    pub(super) async fn save(&self, row: Model, set: Option<&AnchorSetRow>) -> Result<Model> {
        let row = Model { updated_at: self.now.into(), ..row };
        rotations::update(self.tx.conn(), &row).await?;
        self.record(&row, ChangeKind::Updated, set);
        Ok(row)
    }

    /// Records the change of a rotation.
    pub(super) fn record(&self, row: &Model, kind: ChangeKind, set: Option<&AnchorSetRow>) {
        let id = IdKind::Rotation.show(row.id);
        let details = json!({
            "use": row.key_use.as_str(), "phase": row.phase.as_str(), "outcome": row.outcome.as_str(),
            "old_key_id": row.old_key_id, "new_key_id": row.new_key_id, "emergency": row.emergency,
            "reason": row.reason, "overlap_seconds": row.overlap_seconds, "sequence": set.map(|set| set.sequence),
        });
        let target = self.target.clone().unwrap_or_else(|| id.clone());
        self.tx.changed(Change::new(Resource::Rotation, kind, id).within(row.tenant_id), target, details);
    }
}
