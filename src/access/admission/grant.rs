//! Grants: signed permissions to start a session (zero-trust contract, section 6.3).

use std::{net::IpAddr, sync::Arc, time::Duration};

use serde::Serialize;
use time::OffsetDateTime;

use super::{Question, facts::Facts};
use crate::{
    base::{ExpiringCache, IdKind, Result, TenantId, TenantScope},
    store::{columns::KeyUse, tables::AccessSessionRow},
    trust::{ArtifactKey, Trust, sign_jws},
};

/// The type in the header.
const TYP: &str = "grant+jwt";
/// Validity of a grant.
pub const LIFE: time::Duration = time::Duration::seconds(120);
/// Maximum number of tenants whose keys are kept, and how long.
const KEPT: u64 = 10_000;
const FRESH: Duration = Duration::from_secs(60);

/// The keys that sign grants. A key that is kept may have been replaced: the write of a grant requires that it is the one in use.
#[derive(Clone, Debug)]
pub struct Keys {
    trust: Trust,
    read: ExpiringCache<TenantId, Arc<ArtifactKey>>,
}

impl Keys {
    pub fn new(trust: Trust) -> Self {
        Self { trust, read: ExpiringCache::new(KEPT, FRESH) }
    }

    /// The key of a tenant. The first call makes the keys of the tenant.
    pub async fn of(&self, scope: TenantScope) -> Result<Arc<ArtifactKey>> {
        if let Some(key) = self.read.get(&scope.tenant()) {
            return Ok(key);
        }
        // In a box, because it rarely runs.
        let key = Box::pin(self.load(scope)).await?;
        self.read.insert(scope.tenant(), key.clone());
        Ok(key)
    }

    async fn load(&self, scope: TenantScope) -> Result<Arc<ArtifactKey>> {
        self.trust.latest_anchors(scope).await?;
        self.trust.signing_key(scope, KeyUse::AdmissionSigning).await
    }

    /// Forgets the key of a tenant, which may have been replaced.
    pub fn forget(&self, scope: TenantScope) {
        self.read.remove(&scope.tenant());
    }
}

/// The claims of a grant, in the documented order.
#[derive(Debug, Serialize)]
pub struct Claims<'a> {
    jti: String,
    sid: String,
    sub: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<String>,
    gw: String,
    pool: String,
    cnf: Confirmation<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vip: Option<IpAddr>,
    pol: Policy,
    max_end: i64,
    iat: i64,
    exp: i64,
}

#[derive(Debug, Serialize)]
struct Confirmation<'a> {
    jkt: &'a str,
}

#[derive(Debug, Serialize)]
struct Policy {
    version: i64,
}

impl<'a> Claims<'a> {
    pub fn new(
        facts: &Facts,
        question: &'a Question,
        session: &AccessSessionRow,
        vip: Option<IpAddr>,
        max_end: OffsetDateTime,
        now: OffsetDateTime,
    ) -> Self {
        Self {
            jti: IdKind::Grant.show(session.grant_id),
            sid: IdKind::Session.show(session.id),
            sub: format!("device:{}", facts.shown_device()),
            uid: facts.subject.account.map(|id| IdKind::User.show(id)),
            gw: IdKind::Gateway.show(session.gateway_id),
            pool: IdKind::GatewayPool.show(facts.place.pool),
            cnf: Confirmation { jkt: &question.client_key },
            vip,
            pol: Policy { version: facts.policy_version() },
            max_end: max_end.unix_timestamp(),
            iat: now.unix_timestamp(),
            exp: (now + LIFE).unix_timestamp(),
        }
    }

    pub fn sign(&self, key: &ArtifactKey) -> Result<String> {
        sign_jws(TYP, self, key)
    }

    pub fn expires_at(&self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(self.exp).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}
