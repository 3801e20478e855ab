//! Emergencies: the key in use is revoked at once, and another one is used at once. That is the key which was announced already, if there
//! is one, because consumers know it, and a new one otherwise.

use super::{
    keys::{self, Key},
    phases::Phases,
    start::{self, Start},
};
use crate::{
    base::Result,
    store::{
        Stamp,
        audit::storable,
        columns::{KeyState, RotationOutcome, RotationPhase},
        tables::{AnchorSetRow, rotations::Model},
    },
};

impl Phases<'_> {
    /// All phases in this write. A rotation whose new key is already used continues with the removal of its old one.
    pub(super) async fn emergency(
        &self,
        start: &Start,
        keys: &[Key],
        running: &[Model],
    ) -> Result<(Model, Option<AnchorSetRow>)> {
        let now = Stamp::from(self.now);
        let announced = running.iter().find(|row| is_announced(row));
        let new = match announced {
            Some(row) => keys::find(keys, row.new_key)?,
            None => {
                self.owner.insert(self.tx, start.new.clone()).await?;
                start.new.clone()
            }
        };
        self.owner.update(self.tx, &keys::active(keys)?.in_state(KeyState::Revoked, now)).await?;
        self.owner.update(self.tx, &new.clone().in_state(KeyState::Active, now)).await?;
        let row = match announced {
            Some(row) => row.clone(),
            None => start::row(self, start, keys, &new)?,
        };
        let row = self.ended(Model {
            phase: RotationPhase::Remove,
            outcome: RotationOutcome::Done,
            emergency: true,
            reason: start.asked.reason.clone().or(row.reason.clone()),
            requested_by: storable(&self.tx.cx().caller.subject),
            activate_at: Some(now),
            retire_at: Some(now),
            remove_at: Some(now),
            ..row
        });
        let (row, set) = self.announce(row).await?;
        match announced {
            Some(_) => Ok((self.save(row, set.as_ref()).await?, set)),
            None => start::insert(self, row, set).await,
        }
    }
}

/// Whether the new key of a rotation is announced and not used yet.
fn is_announced(row: &Model) -> bool {
    row.phase == RotationPhase::Publish && row.outcome == RotationOutcome::Running
}
