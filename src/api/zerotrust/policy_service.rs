//! `PolicyService`: the policies of a tenant and their versions.

use prost_types::Struct;

use super::request::tenant_or_installation;
use crate::{
    api::{Deps, handlers::zerotrust::v1::policy_service::PolicyService, paging, structs::to_struct, timestamp},
    base::{Cx, Error, IdKind, Reach, Result, TenantId, error::Reason},
    policy::{
        diff::Diff,
        document::{Document, EmptyLists, words::Word as _},
        explanation::{self, Question},
        global,
        publish::{self, CanaryInput, Content, GlobalPublication, NewPolicy, Publication, ScopeInput},
        scope::Scope,
        versions::{self, Version},
    },
    proto::zerotrust::v1::{
        ExplainPolicyRequest, ExplainPolicyResponse, GetPolicyVersionRequest, GetPolicyVersionResponse,
        ListPolicyVersionsRequest, ListPolicyVersionsResponse, PolicyCanary, PolicyDiff, PolicyScope, PolicyVersion,
        PublishPolicyRequest, PublishPolicyResponse, PublishedPolicy,
    },
    store::{
        Stamp,
        columns::{KeyUse, PolicyChannel, PolicyScopeKind},
        tables::{PolicyRow, global_policies::Model as GlobalPolicyRow},
    },
};

pub struct Policies {
    pub(super) deps: Deps,
}

impl PolicyService for Policies {
    async fn publish_policy(
        &self,
        cx: &Cx,
        reach: Reach,
        message: PublishPolicyRequest,
    ) -> Result<PublishPolicyResponse> {
        let is_global = message.scope.as_ref().is_some_and(|scope| scope.r#type == PolicyScopeKind::Global.as_str());
        if is_global {
            refuse_tenant(cx, message.tenant_id.as_deref())?;
            let done = publish::publish_global(cx, &self.deps.store, new_policy(message)?).await?;
            let created = done.is_published;
            return Ok(PublishPolicyResponse { answer: Some(global_published(done)), created });
        }
        let done = publish::publish(cx, &self.deps.store, cx.tenant()?, new_policy(message)?, reach).await?;
        let created = done.is_published;
        let key_id = match created {
            true => Some(self.deps.trust.signer_id(cx, cx.tenant()?, KeyUse::PolicySigning).await?),
            false => None,
        };
        Ok(PublishPolicyResponse { answer: Some(PublishedPolicy { key_id, ..to_published(done) }), created })
    }

    async fn explain_policy(&self, cx: &Cx, message: ExplainPolicyRequest) -> Result<ExplainPolicyResponse> {
        let question = Question {
            device: message.device_id().to_owned(),
            destination: message.destination().to_owned(),
            protocol: message.protocol,
            port: message.port,
        };
        let found = explanation::explain(cx, &self.deps.store, cx.tenant()?, &question).await?;
        Ok(ExplainPolicyResponse {
            decision: found.access.as_str().to_owned(),
            rule_id: found.rule,
            scope: found.policy.map(|(scope, _)| shown_scope(found.tenant, scope)),
            version: found.policy.map(|(_, version)| version),
            reason: found.grounds.as_str().to_owned(),
        })
    }

    async fn list_policy_versions(
        &self,
        cx: &Cx,
        message: ListPolicyVersionsRequest,
    ) -> Result<ListPolicyVersionsResponse> {
        let request = paging::request(cx, &message)?;
        let Some(tenant) = tenant_or_installation(cx)? else {
            let (page, now) = (global::page(&self.deps.store, request).await?, cx.clock.now().into());
            return Ok(paging::response(page, |row| global_to_proto(row, now, None)));
        };
        let page = versions::page(cx, &self.deps.store, tenant, request).await?;
        Ok(paging::response(page, |version| to_proto(version, None)))
    }

    async fn get_policy_version(&self, cx: &Cx, message: GetPolicyVersionRequest) -> Result<GetPolicyVersionResponse> {
        let Some(tenant) = tenant_or_installation(cx)? else {
            let (row, document) = global::get(&self.deps.store, message.version).await?;
            let version = global_to_proto(row, cx.clock.now().into(), Some(to_object(&document)?));
            return Ok(GetPolicyVersionResponse { version: Some(version) });
        };
        let (version, document) = versions::get(cx, &self.deps.store, tenant, message.version).await?;
        Ok(GetPolicyVersionResponse { version: Some(to_proto(version, Some(to_object(&document)?))) })
    }
}

/// Fails unless the caller may publish for every tenant, and names none.
fn refuse_tenant(cx: &Cx, tenant: Option<&str>) -> Result<()> {
    if !cx.caller.is_platform() {
        let text = "only the platform publishes for every tenant; use the scope tenant, group or device";
        return Err(Error::denied(Reason::PlatformRequired, text));
    }
    match tenant {
        None | Some("") => Ok(()),
        Some(_) => {
            let text = "a global policy is for every tenant; leave tenant_id out";
            Err(Error::invalid(Reason::InvalidArgument, "tenant_id", text))
        }
    }
}

fn new_policy(message: PublishPolicyRequest) -> Result<NewPolicy> {
    let given = message.given.map(|mask| mask.paths).unwrap_or_default();
    let has = |path: &str| given.iter().any(|given| given == path);
    let empty = EmptyLists { routes: has("policy.routes"), gateway_pools: has("policy.gateway_pools") };
    let content = match (message.policy, message.from_version) {
        (Some(policy), None) => Content::Policy(Box::new(policy), empty),
        (None, Some(version)) => Content::Version(version),
        (None, None) => {
            return Err(Error::invalid(Reason::FieldRequired, "policy", "set policy or from_version"));
        }
        (Some(_), Some(_)) => {
            let text = "policy and from_version must not both be set";
            return Err(Error::invalid(Reason::InvalidArgument, "from_version", text));
        }
    };
    Ok(NewPolicy {
        channel: message.channel.unwrap_or_default(),
        scope: message.scope.map(|scope| ScopeInput { kind: scope.r#type, id: scope.id }),
        priority: message.priority.map(i64::from),
        content,
        canary: message.canary.map(|canary| CanaryInput {
            percent: canary.percent,
            groups: canary.group_ids,
            devices: canary.device_ids,
        }),
        notes: message.notes,
        expires_in: message.expires_in_seconds,
        dry_run: message.dry_run,
        expected_base: message.expected_base_version,
    })
}

fn to_published(publication: Publication) -> PublishedPolicy {
    let Publication { version, diff, warnings, affected, is_published } = publication;
    let (id, row) = (version.shown_id(), version.row);
    PublishedPolicy {
        bundle_id: is_published.then_some(id),
        version: row.version,
        channel: row.channel.as_str().to_owned(),
        scope: Some(to_scope(version.tenant, &row)),
        digest: digest(&row.digest),
        published_at: is_published.then(|| timestamp(row.published_at.time())),
        expires_at: is_published.then(|| timestamp(row.expires_at.time())),
        diff: Some(to_diff(diff)),
        warnings,
        affected_devices: i64::try_from(affected).unwrap_or(i64::MAX),
        key_id: None,
    }
}

/// Each tenant signs it with its own key, so it has none.
fn global_published(publication: GlobalPublication) -> PublishedPolicy {
    let GlobalPublication { row, diff, warnings, affected, is_published } = publication;
    PublishedPolicy {
        bundle_id: is_published.then(|| IdKind::Policy.show(row.id)),
        version: row.version,
        channel: row.channel.as_str().to_owned(),
        scope: Some(global_scope()),
        digest: digest(&row.digest),
        published_at: is_published.then(|| timestamp(row.published_at.time())),
        expires_at: is_published.then(|| timestamp(row.expires_at.time())),
        diff: Some(to_diff(diff)),
        warnings,
        affected_devices: i64::try_from(affected).unwrap_or(i64::MAX),
        key_id: None,
    }
}

fn to_diff(Diff { added, removed, changed }: Diff) -> PolicyDiff {
    PolicyDiff { added, removed, changed }
}

fn to_proto(version: Version, policy: Option<Struct>) -> PolicyVersion {
    let (bundle_id, scope, row) = (version.shown_id(), to_scope(version.tenant, &version.row), version.row);
    let of_canary = |number: i64| (row.channel == PolicyChannel::Canary).then_some(number);
    PolicyVersion {
        reported: of_canary(row.reported),
        refused: of_canary(row.refused),
        gateways_reported: of_canary(row.gateways_reported),
        gateways_refused: of_canary(row.gateways_refused),
        version: row.version,
        bundle_id,
        channel: row.channel.as_str().to_owned(),
        scope: Some(scope),
        priority: matches!(Scope::of(&row), Scope::Group(_)).then(|| small(row.priority)),
        state: row.state.as_str().to_owned(),
        digest: digest(&row.digest),
        canary: row.canary.map(|canary| to_canary(&canary)),
        notes: row.notes,
        published_by: row.published_by,
        published_at: Some(timestamp(row.published_at.time())),
        expires_at: Some(timestamp(row.expires_at.time())),
        from_version: row.from_version,
        policy,
    }
}

/// A global version. Reports about it are counted in each tenant.
fn global_to_proto(row: GlobalPolicyRow, now: Stamp, policy: Option<Struct>) -> PolicyVersion {
    let percent = row.percent.and_then(|percent| i32::try_from(percent).ok());
    PolicyVersion {
        version: row.version,
        bundle_id: IdKind::Policy.show(row.id),
        scope: Some(global_scope()),
        state: row.state_at(now).as_str().to_owned(),
        channel: row.channel.as_str().to_owned(),
        digest: digest(&row.digest),
        canary: percent.map(|percent| PolicyCanary { percent: Some(percent), ..PolicyCanary::default() }),
        notes: row.notes,
        published_by: row.published_by,
        published_at: Some(timestamp(row.published_at.time())),
        expires_at: Some(timestamp(row.expires_at.time())),
        from_version: row.from_version,
        policy,
        ..PolicyVersion::default()
    }
}

fn global_scope() -> PolicyScope {
    PolicyScope { r#type: PolicyScopeKind::Global.as_str().to_owned(), id: None }
}

fn to_scope(tenant: TenantId, row: &PolicyRow) -> PolicyScope {
    shown_scope(tenant, Scope::of(row))
}

fn shown_scope(tenant: TenantId, scope: Scope) -> PolicyScope {
    PolicyScope { r#type: scope.kind().as_str().to_owned(), id: scope.shown_id(tenant) }
}

fn to_canary(canary: &crate::store::columns::PolicyCanary) -> PolicyCanary {
    PolicyCanary {
        percent: canary.percent.and_then(|percent| i32::try_from(percent).ok()),
        group_ids: canary.group_ids.iter().map(|id| IdKind::Group.show(*id)).collect(),
        device_ids: canary.device_ids.iter().map(|id| IdKind::Device.show(*id)).collect(),
    }
}

/// The policy as it is stored: without the sections that it does not have.
fn to_object(document: &Document) -> Result<Struct> {
    match serde_json::to_value(document).map_err(Error::internal)? {
        serde_json::Value::Object(members) => Ok(to_struct(members)),
        _ => Err(Error::internal("a policy is not an object")),
    }
}

fn digest(hex: &str) -> String {
    format!("sha256:{hex}")
}

/// Stored priorities are at most 1000.
fn small(number: i64) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
