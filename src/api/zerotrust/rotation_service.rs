//! `RotationService`: rotations of keys.

use crate::{
    api::{Deps, handlers::zerotrust::v1::rotation_service::RotationService, paging, timestamp, zerotrust::request},
    base::{Cx, Error, Result, error::Reason},
    proto::zerotrust::v1::{
        self as proto, GetRotationRequest, GetRotationResponse, ListRotationsRequest, ListRotationsResponse,
        RotateSpcKeysRequest, RotateSpcKeysResponse, RotateTrustAnchorsRequest, RotateTrustAnchorsResponse,
    },
    store::{Stamp, columns::KeyUse},
    trust::rotation::{Asked, Filter, PhaseAt, Rotation, Timing, is_of_installation},
};

pub struct Rotations {
    pub(super) deps: Deps,
}

impl RotationService for Rotations {
    async fn rotate_trust_anchors(
        &self,
        cx: &Cx,
        message: RotateTrustAnchorsRequest,
    ) -> Result<RotateTrustAnchorsResponse> {
        let key_use = key_use(message.r#use())?;
        let tenant = match is_of_installation(key_use) {
            true => {
                refuse_tenant(cx, message.tenant_id.as_deref())?;
                None
            }
            false => Some(cx.tenant()?),
        };
        let timing = timing(&message)?;
        let started = self.deps.trust.rotate(cx, tenant, Asked { key_use, reason: message.reason, timing }).await?;
        let row = started.rotation.row();
        Ok(RotateTrustAnchorsResponse {
            rotation_id: started.rotation.shown_id(),
            old_id: row.old_key_id.clone(),
            new_id: row.new_key_id.clone(),
            phases: phases(&started.rotation),
            sequence: started.sequence,
        })
    }

    async fn rotate_spc_keys(&self, cx: &Cx, message: RotateSpcKeysRequest) -> Result<RotateSpcKeysResponse> {
        let timing = overlap(message.overlap_seconds, message.emergency)?;
        let asked = Asked { key_use: KeyUse::SpcSigning, reason: message.reason, timing };
        let started = self.deps.trust.rotate(cx, Some(cx.tenant()?), asked).await?;
        let row = started.rotation.row();
        let time = |at: Option<Stamp>| at.map(|at| timestamp(at.time()));
        Ok(RotateSpcKeysResponse {
            new_key_id: row.new_key_id.clone(),
            old_key_id: row.old_key_id.clone(),
            activate_at: time(row.activate_at),
            retire_at: time(row.retire_at),
        })
    }

    async fn list_rotations(&self, cx: &Cx, message: ListRotationsRequest) -> Result<ListRotationsResponse> {
        let request = paging::request(cx, &message)?;
        let filter = Filter { key_use: message.r#use.as_deref().map(key_use).transpose()?, running: message.running };
        let page = self.deps.trust.rotations(cx, request::tenant_or_installation(cx)?, filter, request).await?;
        Ok(paging::response(page, to_proto))
    }

    async fn get_rotation(&self, cx: &Cx, message: GetRotationRequest) -> Result<GetRotationResponse> {
        let rotation = self.deps.trust.rotation(cx, request::tenant_or_installation(cx)?, &message.rotation_id).await?;
        Ok(GetRotationResponse { rotation: Some(to_proto(rotation)) })
    }
}

/// Fails unless the caller may change keys of the installation, and names no tenant.
fn refuse_tenant(cx: &Cx, tenant: Option<&str>) -> Result<()> {
    if !cx.caller.is_platform() {
        let message = "only platform administrators rotate the keys of the installation";
        return Err(Error::denied(Reason::PlatformRequired, message));
    }
    match tenant {
        None => Ok(()),
        Some(_) => {
            let message = "a key for this use belongs to the installation; leave tenant_id out";
            Err(Error::invalid(Reason::InvalidArgument, "tenant_id", message))
        }
    }
}

fn key_use(word: &str) -> Result<KeyUse> {
    let unknown = |_| {
        let words: Vec<_> = KeyUse::ALL.iter().map(|key_use| key_use.as_str()).collect();
        Error::invalid(Reason::InvalidArgument, "use", format!("must be one of {}", words.join(", ")))
    };
    word.parse().map_err(unknown)
}

fn timing(message: &RotateTrustAnchorsRequest) -> Result<Timing> {
    let Some(at) = &message.activate_at else { return overlap(message.overlap_seconds, message.emergency) };
    if message.emergency || message.overlap_seconds.is_some() {
        let message = "leave activate_at out with emergency or overlap_seconds";
        return Err(Error::invalid(Reason::InvalidArgument, "activate_at", message));
    }
    Ok(Timing::At(request::time("activate_at", at)?))
}

fn overlap(seconds: Option<i64>, emergency: bool) -> Result<Timing> {
    match (emergency, seconds) {
        (false, seconds) => Ok(Timing::Overlap(seconds)),
        (true, None) => Ok(Timing::Emergency),
        (true, Some(_)) => {
            let message = "an emergency has no overlap; leave overlap_seconds out";
            Err(Error::invalid(Reason::InvalidArgument, "overlap_seconds", message))
        }
    }
}

fn phases(rotation: &Rotation) -> Vec<proto::RotationPhase> {
    let phase = |phase: PhaseAt| proto::RotationPhase {
        name: phase.phase.as_str().to_owned(),
        at: phase.at.map(timestamp),
        done: phase.is_done,
    };
    rotation.phases().into_iter().map(phase).collect()
}

fn to_proto(rotation: Rotation) -> proto::Rotation {
    let (id, phases, row) = (rotation.shown_id(), phases(&rotation), rotation.row().clone());
    let time = |at: Stamp| timestamp(at.time());
    proto::Rotation {
        id,
        tenant_id: row.tenant_id.map(|tenant| tenant.zero_trust()),
        r#use: row.key_use.as_str().to_owned(),
        old_id: row.old_key_id,
        new_id: row.new_key_id,
        phase: row.phase.as_str().to_owned(),
        state: row.outcome.as_str().to_owned(),
        emergency: row.emergency,
        phases,
        due_at: row.due_at.map(time),
        reason: row.reason,
        requested_by: row.requested_by,
        created_at: Some(time(row.published_at)),
        updated_at: Some(time(row.updated_at)),
        ended_at: row.ended_at.map(time),
        overlap_seconds: row.overlap_seconds,
    }
}
