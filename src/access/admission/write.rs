//! Writing of admissions: only the row of the session is written.

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{Admissions, Asking, Question, facts::Facts, rules::Terms};
use crate::{
    base::{Result, TenantRef, TenantScope},
    entitlements,
    policy::document::words::Word as _,
    store::{
        Stamp, Tx,
        columns::{Counters, Json, SessionStatus},
        tables::AccessSessionRow,
    },
    tenants,
};

/// How long a session continues without a report of its gateway.
pub const SILENT: Duration = Duration::hours(1);

/// What became of an admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    Done,
    /// There is no room for another session.
    Full,
    /// The device or the session changed since it was read.
    Changed,
}

/// An admission to be written.
struct Admitted {
    scope: TenantScope,
    session: AccessSessionRow,
    /// Of the device, for a new session.
    device_version: Option<i64>,
    /// Whether the tenant and the pool limit their sessions.
    limited: bool,
    pool_limited: bool,
}

impl Admissions {
    /// Writes a session that exists or is new, with its grant.
    pub(super) async fn write(
        &self,
        asking: Asking,
        facts: &Facts,
        session: AccessSessionRow,
        grant: Uuid,
    ) -> Result<Written> {
        let admitted = Admitted {
            scope: asking.scope,
            session: AccessSessionRow { grant_id: grant, ..session },
            device_version: facts.session.is_none().then_some(facts.subject.version),
            limited: entitlements::concurrent_sessions(facts.place.overrides.as_ref()).is_some(),
            pool_limited: facts.place.max_sessions.is_some(),
        };
        self.store.maintain("session.admit", admitted, admit).await
    }
}

impl Facts {
    /// The row of the session: the one of the question on these terms, or a new one.
    pub(super) fn session_or_new(
        &self,
        asking: Asking,
        question: &Question,
        terms: &Terms,
        now: OffsetDateTime,
        new_id: impl FnOnce() -> Uuid,
    ) -> AccessSessionRow {
        let (max_end, expires_at) = (Stamp::from(terms.max_end), Stamp::from(terms.max_end.min(now + SILENT)));
        if let Some(session) = &self.session {
            return AccessSessionRow { max_end, expires_at, ..session.clone() };
        }
        let now = Stamp::from(now);
        AccessSessionRow {
            tenant_id: asking.scope.into(),
            id: question.session.unwrap_or_else(new_id),
            gateway_id: asking.gateway,
            pool_id: self.place.pool,
            device_id: self.subject.device,
            account_id: self.subject.account,
            grant_id: Uuid::nil(),
            client_ip: question.client_ip.map(|address| address.to_string()),
            auth_mode: question.auth_mode.as_str().to_owned(),
            policy_version: self.policy_version(),
            started_at: now,
            max_end,
            expires_at,
            reported_at: None,
            last_activity_at: now,
            bytes_in: 0,
            bytes_out: 0,
            counters: Json(Counters::default()),
            status: SessionStatus::Active,
            end_reason: None,
            ended_at: None,
            end_reported: false,
            kill_requested_at: None,
        }
    }
}

async fn admit(tx: &Tx, admitted: &Admitted) -> Result<Written> {
    let (rows, session) = (tx.tenant(admitted.scope), &admitted.session);
    let sessions = rows.access_sessions();
    let written = match admitted.device_version {
        None => sessions.grant_again(session.id, session.grant_id, session.max_end, session.expires_at).await?,
        Some(_) if is_full(tx, admitted).await? => return Ok(Written::Full),
        Some(version) => sessions.insert_for(session.clone(), version).await?,
    };
    Ok(if written { Written::Done } else { Written::Changed })
}

/// Whether the tenant or the pool has as many sessions as it may. The tenant is locked until the session is written.
async fn is_full(tx: &Tx, admitted: &Admitted) -> Result<bool> {
    if !admitted.limited && !admitted.pool_limited {
        return Ok(false);
    }
    tenants::resolve_locked(tx, &TenantRef::Id(admitted.scope.tenant())).await?;
    let (rows, now) = (tx.tenant(admitted.scope), Stamp::from(tx.now()));
    if admitted.limited {
        let settings = rows.zerotrust().get().await?;
        let limit = entitlements::concurrent_sessions(settings.as_ref().map(|settings| &settings.overrides.0));
        if let Some(limit) = limit
            && rows.access_sessions().running(None, now).await? >= limit
        {
            return Ok(true);
        }
    }
    if admitted.pool_limited {
        let pool = admitted.session.pool_id;
        let limit = rows.gateway_pools().get(pool).await?.and_then(|pool| pool.max_sessions);
        if let Some(limit) = limit
            && rows.access_sessions().running(Some(pool), now).await? >= limit.unsigned_abs()
        {
            return Ok(true);
        }
    }
    Ok(false)
}
