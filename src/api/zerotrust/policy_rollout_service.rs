//! `PolicyRolloutService`: how far the policies are that gateways enforce.

use futures::{Stream, StreamExt};

use crate::{
    api::{Deps, handlers::zerotrust::v1::policy_rollout_service::PolicyRolloutService, paging, timestamp},
    base::{Cx, IdKind, Result},
    edge::{
        self, RolloutEvent,
        rollout::{self, Rollout},
    },
    proto::zerotrust::v1::{
        GatewayRollout, GetPolicyRolloutRequest, GetPolicyRolloutResponse, RefusedUpdate, WatchPolicyRolloutRequest,
        WatchPolicyRolloutResponse,
    },
    tenants,
};

pub struct PolicyRollouts {
    pub(super) deps: Deps,
}

impl PolicyRolloutService for PolicyRollouts {
    async fn get_policy_rollout(&self, cx: &Cx, message: GetPolicyRolloutRequest) -> Result<GetPolicyRolloutResponse> {
        let request = paging::request(cx, &message)?;
        let page = rollout::page(cx, &self.deps.store, cx.tenant()?, request).await?;
        Ok(paging::response(page, to_proto))
    }

    async fn watch_policy_rollout(
        &self,
        cx: &Cx,
        _: WatchPolicyRolloutRequest,
    ) -> Result<impl Stream<Item = Result<WatchPolicyRolloutResponse>> + Send + 'static> {
        let scope = tenants::reach(cx, &self.deps.store, cx.tenant()?).await?;
        let streams = &self.deps.streams;
        let (place, lost) = (streams.board.places().take(&cx.caller)?, streams.standing.rights_lost(cx));
        let events = edge::watch_rollout(cx, &self.deps.store, &streams.changes, (scope, place), lost);
        Ok(events.map(|event| event.map(shown)))
    }
}

fn shown(event: RolloutEvent) -> WatchPolicyRolloutResponse {
    let of = |kind: &str| WatchPolicyRolloutResponse { r#type: kind.to_owned(), ..Default::default() };
    match event {
        RolloutEvent::State(rollout) => WatchPolicyRolloutResponse { gateway: Some(to_proto(*rollout)), ..of("state") },
        RolloutEvent::Removed(id) => {
            WatchPolicyRolloutResponse { removed_gateway_id: Some(IdKind::Gateway.show(id)), ..of("removed") }
        }
        RolloutEvent::Bookmark => of("bookmark"),
        RolloutEvent::Drain { reconnect_after } => {
            let milliseconds = i64::try_from(reconnect_after.as_millis()).unwrap_or(i64::MAX);
            WatchPolicyRolloutResponse { reconnect_after_ms: Some(milliseconds), ..of("drain") }
        }
    }
}

fn to_proto(rollout: Rollout) -> GatewayRollout {
    let (gateway_id, channel) = (rollout.shown_id(), rollout.channel().as_str().to_owned());
    let reported = rollout.reported;
    let applied = reported.as_ref().filter(|reported| reported.applied_number > 0);
    let refused = reported.as_ref().filter(|reported| reported.is_refusing());
    GatewayRollout {
        gateway_id,
        name: rollout.gateway.name,
        pool_id: IdKind::GatewayPool.show(rollout.gateway.pool_id),
        channel,
        wanted: rollout.wanted.map(|wanted| wanted.version),
        acknowledged: applied.map(|reported| reported.applied_number),
        acknowledged_at: applied.and_then(|reported| reported.applied_at).map(|at| timestamp(at.time())),
        refused: refused.map(|reported| RefusedUpdate {
            version: reported.refused_number,
            code: reported.refused_code.clone(),
            detail: reported.refused_detail.clone(),
            at: reported.refused_at.map(|at| timestamp(at.time())),
        }),
        lag_seconds: rollout.lag_seconds,
        wanted_since: rollout.wanted.map(|wanted| timestamp(wanted.since.time())),
    }
}
