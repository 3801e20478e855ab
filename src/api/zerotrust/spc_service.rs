//! `SpcService`: security policy certificates.

use futures::{Stream, StreamExt};

use super::{
    artifacts::envelope,
    wait::{self, On, Wait},
    watched::{watch, watch_deltas},
};
use crate::{
    api::{Deps, handlers::zerotrust::v1::spc_service::SpcService, timestamp},
    base::{Cx, Error, IdKind, Result, error::Reason},
    edge::Topic,
    proto::zerotrust::v1::{
        GetSpcBundleRequest, GetSpcBundleResponse, IssueSpcRequest, IssueSpcResponse, RevokeSpcsRequest,
        RevokeSpcsResponse, SpcCheck, SpcClaims, SpcConfirmation, SpcPolicyClaim, SpcPostureClaim, SpcSubject,
        ValidateSpcRequest, ValidateSpcResponse, WatchSpcBundleRequest, WatchSpcBundleResponse,
    },
    spc::{self, Check, Claims, NewSpc, Question, RevokeInput, SubjectInput, Verdict, bundles},
    streams::Interest,
    tenants,
};

pub struct Spcs {
    pub(super) deps: Deps,
}

impl SpcService for Spcs {
    async fn issue_spc(&self, cx: &Cx, message: IssueSpcRequest) -> Result<IssueSpcResponse> {
        let scopes = message.scopes.unwrap_or_default();
        let new = NewSpc {
            subject: message.subject.map(subject),
            policy_version: message.policy_version,
            ttl_seconds: message.ttl_seconds,
            pools: scopes.pools,
            min_auth_mode: scopes.min_auth_mode,
            audience: message.audience,
        };
        let issued = spc::issue(cx, &self.deps.store, &self.deps.trust, cx.tenant()?, new).await?;
        let row = issued.row;
        Ok(IssueSpcResponse {
            spc_id: IdKind::Spc.show(row.id),
            serial: row.serial,
            spc: issued.signed,
            key_id: row.key_id,
            not_before: Some(timestamp(row.not_before.time())),
            not_after: Some(timestamp(row.not_after.time())),
            policy_digest: format!("sha256:{}", row.policy_digest),
        })
    }

    async fn get_spc_bundle(&self, cx: &Cx, message: GetSpcBundleRequest) -> Result<GetSpcBundleResponse> {
        let (wait, sequence) = (Wait::read(message.wait, message.known)?, message.since_sequence);
        let (store, trust, tenant) = (&self.deps.store, &self.deps.trust, cx.tenant()?);
        let read = || bundles::since(cx, store, trust, tenant, sequence);
        let bundle = wait::current(cx, &self.deps, On::tenant(Interest::Spcs), wait, read).await?;
        Ok(GetSpcBundleResponse { envelope: Some(envelope(&bundle.envelope)?), digest: bundle.digest })
    }

    async fn watch_spc_bundle(
        &self,
        cx: &Cx,
        message: WatchSpcBundleRequest,
    ) -> Result<impl Stream<Item = Result<WatchSpcBundleResponse>> + Send + 'static> {
        let WatchSpcBundleRequest { resume, since_sequence, .. } = message;
        bundles::check_sequence(since_sequence)?;
        let scope = tenants::reach(cx, &self.deps.store, cx.tenant()?).await?;
        let streams = &self.deps.streams;
        let events = match since_sequence {
            Some(sequence) => watch_deltas(cx, streams, scope, resume, sequence)?.left_stream(),
            None => watch(cx, streams, (scope, Topic::SpcBundle), resume)?.right_stream(),
        };
        Ok(events.map(|event| event.map(|event| WatchSpcBundleResponse { event: Some(event) })))
    }

    async fn revoke_spcs(&self, cx: &Cx, message: RevokeSpcsRequest) -> Result<RevokeSpcsResponse> {
        let input = RevokeInput {
            id: message.spc_id,
            serial: message.serial,
            subject: message.subject.map(subject),
            key_id: message.key_id,
            all: message.all,
            reason: message.reason,
        };
        let done = spc::revoke(cx, &self.deps.store, cx.tenant()?, input).await?;
        let revoked = i64::try_from(done.count).map_err(Error::internal)?;
        Ok(RevokeSpcsResponse { revoked, sequence: done.sequence })
    }

    async fn validate_spc(&self, cx: &Cx, message: ValidateSpcRequest) -> Result<ValidateSpcResponse> {
        let question = match (message.spc, message.spc_id) {
            (Some(signed), None) => Question::Signed(signed),
            (None, Some(id)) => Question::Id(id),
            _ => {
                let message = "give a certificate in the header X-SPC, or else its spc_id";
                return Err(Error::invalid(Reason::InvalidArgument, "spc_id", message));
            }
        };
        let found = spc::validate(cx, &self.deps.store, &self.deps.trust, cx.tenant()?, &question).await?;
        let reason = found.reason();
        Ok(ValidateSpcResponse {
            valid: reason == Verdict::Ok,
            reason: reason.as_str().to_owned(),
            checks: found.checks.into_iter().map(to_check).collect(),
            spc: found.claims.map(to_claims),
        })
    }
}

fn subject(subject: SpcSubject) -> SubjectInput {
    SubjectInput { kind: subject.r#type().to_owned(), id: subject.id().to_owned() }
}

fn to_check(check: Check) -> SpcCheck {
    SpcCheck { name: check.name.to_owned(), ok: check.verdict == Verdict::Ok }
}

fn to_claims(claims: Claims) -> SpcClaims {
    let pol = claims.pol;
    SpcClaims {
        iss: claims.iss,
        sub: claims.sub,
        aud: claims.aud,
        tid: claims.tid,
        jti: claims.jti,
        serial: claims.serial,
        cnf: Some(SpcConfirmation { jkt: claims.cnf.jkt }),
        pol: Some(SpcPolicyClaim { version: pol.version, digest: pol.digest, channel: pol.channel }),
        amr_min: claims.amr_min,
        groups: claims.groups,
        posture: Some(SpcPostureClaim { status: claims.posture.status }),
        epoch: claims.epoch,
        iat: claims.iat,
        nbf: claims.nbf,
        exp: claims.exp,
    }
}
