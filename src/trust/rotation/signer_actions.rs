//! What administrators do with the signers of a tenant (zero-trust contract, section 4.9). Each action is a step of a rotation.

use serde_json::json;
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    alive,
    keys::{self, Key, find},
    phases::Phases,
    plan::{self, Asked, Timing},
    start::Start,
};
use crate::{
    base::{Cx, Error, IdKind, Page, PageRequest, Result, TenantRef, error::Reason},
    identity::reason as checked_reason,
    store::{
        Stamp, Tx,
        columns::{KeyState, KeyUse, RotationOutcome, RotationPhase},
        tables::{SignerRow, rotations},
    },
    tenants,
    trust::Trust,
};

/// A reference to a signer in a request.
#[derive(Clone, Debug)]
pub struct SignerRef {
    pub tenant: TenantRef,
    /// The public id.
    pub id: String,
}

/// How a signer is activated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activation {
    /// How long both signers are trusted.
    pub overlap_seconds: Option<i64>,
    /// The signer before is revoked at once, and the new one need not have been announced.
    pub emergency: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Activate(Option<Duration>),
    Retire,
    /// With another one in its place, if it is in use.
    Revoke {
        emergency: bool,
    },
}

/// An action with what it needs.
struct Act {
    id: uuid::Uuid,
    action: Action,
    start: Start,
}

impl Trust {
    /// A page of the signers of a tenant, oldest first.
    pub async fn signers(
        &self,
        cx: &Cx,
        tenant: &TenantRef,
        key_use: Option<KeyUse>,
        request: PageRequest,
    ) -> Result<Page<SignerRow>> {
        let scope = tenants::reach(cx, &self.store, tenant).await?;
        let (rows, total) = self.store.tenant(scope).signers().page(key_use, request).await?;
        Ok(Page::cut(request, rows, total, |row| row.id))
    }

    /// Makes a signer and announces it: the first phase of a rotation. Fails as [`Trust::rotate`] does.
    pub async fn create_signer(
        &self,
        cx: &Cx,
        tenant: &TenantRef,
        key_use: KeyUse,
        reason: Option<String>,
    ) -> Result<SignerRow> {
        let asked = Asked { key_use, reason, timing: Timing::Later };
        let started = self.rotate(cx, Some(tenant), asked).await?;
        let scope = tenants::reach(cx, &self.store, tenant).await?;
        let row = self.store.tenant(scope).signers().get(started.rotation.row().new_key).await?;
        row.ok_or_else(not_found)
    }

    /// Uses a signer that was announced, in place of the one before. Fails with FAILED_PRECONDITION for one that consumers do not know
    /// yet, unless it is an emergency, and for one that is out of use.
    pub async fn activate_signer(
        &self,
        cx: &Cx,
        signer: &SignerRef,
        how: Activation,
        reason: Option<String>,
    ) -> Result<SignerRow> {
        let overlap = match how {
            Activation { emergency: true, overlap_seconds: None } => None,
            Activation { emergency: true, overlap_seconds: Some(_) } => {
                let message = "an emergency has no overlap; leave overlap_seconds out";
                return Err(Error::invalid(Reason::InvalidArgument, "overlap_seconds", message));
            }
            Activation { overlap_seconds, .. } => Some(plan::overlap(overlap_seconds, self.settings.refresh)?),
        };
        self.act(cx, signer, Action::Activate(overlap), reason).await
    }

    /// Ends the trust in a signer that was replaced. Fails with FAILED_PRECONDITION while something that it signed is valid, and for one
    /// that was not replaced.
    pub async fn retire_signer(&self, cx: &Cx, signer: &SignerRef, reason: Option<String>) -> Result<SignerRow> {
        self.act(cx, signer, Action::Retire, reason).await
    }

    /// Ends the trust in a signer at once. The one in use is revoked only in an emergency, with another one in its place.
    pub async fn revoke_signer(
        &self,
        cx: &Cx,
        signer: &SignerRef,
        emergency: bool,
        reason: Option<String>,
    ) -> Result<SignerRow> {
        self.act(cx, signer, Action::Revoke { emergency }, reason).await
    }

    async fn act(&self, cx: &Cx, signer: &SignerRef, action: Action, reason: Option<String>) -> Result<SignerRow> {
        let reason = checked_reason(reason)?;
        let scope = tenants::reach(cx, &self.store, &signer.tenant).await?;
        let id = IdKind::Signer.read(&signer.id).ok_or_else(not_found)?;
        let row = self.store.tenant(scope).signers().get(id).await?.ok_or_else(not_found)?;
        let act = || async {
            let asked = Asked { key_use: row.key_use, reason: reason.clone(), timing: Timing::Emergency };
            let start = self.prepare(cx, Some(&signer.tenant), asked).await?;
            self.store.write(cx, Act { id, action, start }, act_in).await
        };
        let row = self.with_current_keys(act).await?;
        self.rotated(false).await;
        Ok(row)
    }
}

async fn act_in(tx: &Tx, act: &Act) -> Result<SignerRow> {
    let start = &act.start;
    let (owner, keys) = keys::lock(tx, start.tenant.as_ref(), start.asked.key_use).await?;
    let target = Some(IdKind::Signer.show(act.id));
    let phases = Phases { target, ..start.phases(tx, owner, tx.time().await?) };
    let running = rotations::running(tx.conn(), owner.tenant(), start.asked.key_use).await?;
    let signer = find(&keys, act.id)?;
    match (act.action, signer.state()) {
        (Action::Activate(_), KeyState::Active)
        | (Action::Retire, KeyState::Retired)
        | (Action::Revoke { .. }, KeyState::Revoked) => unchanged(&phases, &signer),
        (Action::Activate(None), KeyState::Pending) | (Action::Revoke { emergency: true }, KeyState::Active) => {
            phases.emergency(start, &keys, &running).await?;
        }
        (Action::Activate(Some(overlap)), KeyState::Pending) => {
            let row = rotation_of(&running, |row| row.new_key == act.id)?;
            refuse_new(row, phases.now, start.settings.refresh)?;
            let row = rotations::Model { overlap_seconds: overlap.whole_seconds(), ..row.clone() };
            let (row, set) = phases.activate(row, &keys).await?;
            phases.save(row, set.as_ref()).await?;
        }
        (Action::Retire, KeyState::Retiring) => {
            let row = rotation_of(&running, |row| row.old_key == act.id)?;
            refuse_used(row, phases.alive(row, &signer).await?)?;
            phases.end(row, &signer, KeyState::Retired, RotationOutcome::Done).await?;
        }
        (Action::Revoke { .. }, KeyState::Retiring) => {
            let row = rotation_of(&running, |row| row.old_key == act.id)?;
            phases.end(row, &signer, KeyState::Revoked, RotationOutcome::Done).await?;
        }
        (Action::Revoke { .. }, KeyState::Pending) => {
            let row = rotation_of(&running, |row| row.new_key == act.id)?;
            phases.end(row, &signer, KeyState::Revoked, RotationOutcome::Withdrawn).await?;
        }
        (action, state) => return Err(refused(action, state)),
    }
    let scope = tenants::resolve_locked(tx, start.tenant.as_ref().ok_or_else(not_found)?).await?.1;
    tx.tenant(scope).signers().get(act.id).await?.ok_or_else(not_found)
}

impl Phases<'_> {
    /// Ends a rotation with one of its keys out of use.
    async fn end(
        &self,
        row: &rotations::Model,
        key: &Key,
        state: KeyState,
        outcome: RotationOutcome,
    ) -> Result<rotations::Model> {
        let now = Stamp::from(self.now);
        self.owner.update(self.tx, &key.clone().in_state(state, now)).await?;
        let row = match outcome {
            RotationOutcome::Withdrawn => rotations::Model { activate_at: None, retire_at: None, ..row.clone() },
            _ => rotations::Model { phase: RotationPhase::Remove, remove_at: Some(now), ..row.clone() },
        };
        let (row, set) = self.announce(self.ended(rotations::Model { outcome, ..row })).await?;
        self.save(row, set.as_ref()).await
    }
}

/// Records that an action changed nothing.
fn unchanged(phases: &Phases<'_>, signer: &Key) {
    let details = json!({"key_id": signer.key_id(), "state": signer.state().as_str()});
    phases.tx.audit_only(phases.owner.tenant(), phases.target.clone().unwrap_or_default(), details);
}

fn rotation_of(running: &[rotations::Model], of: impl FnMut(&&rotations::Model) -> bool) -> Result<&rotations::Model> {
    running.iter().find(of).ok_or_else(|| Error::internal("a signer has no rotation"))
}

fn refuse_new(row: &rotations::Model, now: OffsetDateTime, refresh: Duration) -> Result<()> {
    let least = row.published_at.time() + plan::announced_for(refresh);
    if least <= now {
        return Ok(());
    }
    let message = format!(
        "consumers may not know the signer before {}; activate it after that, or with emergency, which revokes the one in use",
        shown(least)
    );
    Err(Error::precondition(Reason::SignerTooNew, message))
}

fn refuse_used(row: &rotations::Model, end: Option<OffsetDateTime>) -> Result<()> {
    let Some(end) = end else { return Ok(()) };
    let what = alive::what(row.key_use);
    let message = format!("{what} valid until {}; retire the signer after that, or revoke it", shown(end));
    Err(Error::precondition(Reason::SignerInUse, message))
}

fn refused(action: Action, state: KeyState) -> Error {
    let message = match (action, state) {
        (Action::Activate(_), _) => "only a pending signer can be activated; create another one",
        (Action::Retire, KeyState::Active) => "the signer is in use; activate another one first",
        (Action::Retire, KeyState::Pending) => "the signer was never in use; revoke it",
        (Action::Retire, _) => "only a signer that was replaced can be retired",
        (Action::Revoke { .. }, KeyState::Active) => {
            "the signer is in use; activate another one first, or revoke it with emergency, which replaces it at once"
        }
        (Action::Revoke { .. }, _) => "the signer is retired, and no longer trusted",
    };
    Error::precondition(Reason::SignerStateConflict, message)
}

fn shown(time: OffsetDateTime) -> String {
    time.replace_nanosecond(0).ok().and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
}

fn not_found() -> Error {
    Error::not_found(Reason::SignerNotFound, "signer not found")
}
