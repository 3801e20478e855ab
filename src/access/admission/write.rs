//! Writing of admissions: only the row of the session is written.

use std::net::IpAddr;

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{
    Admissions, Asking, Question, addresses,
    facts::Facts,
    rules::{Denial, Terms},
};
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
    /// The session has this address, if any.
    Done(Option<IpAddr>),
    /// There is no room for another session.
    Full(Denial),
    /// The device, the session or the key changed since it was read, or another session got the address.
    Changed,
}

/// An admission to be written.
struct Admitted {
    scope: TenantScope,
    session: AccessSessionRow,
    /// The id of the key that signs the grant.
    key: String,
    /// Of the device, for a new session.
    device_version: Option<i64>,
    /// The network of the addresses, for a new session.
    virtual_cidr: Option<String>,
    /// Whether the tenant and the pool limit their sessions.
    limited: bool,
    pool_limited: bool,
    /// Whether it was tried before.
    again: bool,
}

impl Admissions {
    /// Writes a session that exists or is new, with its grant, which the key with this id signs.
    pub(super) async fn write(
        &self,
        asking: Asking,
        facts: &Facts,
        session: AccessSessionRow,
        key: &str,
        again: bool,
    ) -> Result<Written> {
        let is_new = facts.session.is_none();
        let admitted = Admitted {
            scope: asking.scope,
            session,
            key: key.to_owned(),
            device_version: is_new.then_some(facts.subject.version),
            virtual_cidr: facts.place.virtual_cidr.clone().filter(|_| is_new),
            limited: entitlements::concurrent_sessions(facts.place.overrides.as_ref()).is_some(),
            pool_limited: facts.place.max_sessions.is_some(),
            again,
        };
        self.store.maintain("session.admit", admitted, admit).await
    }
}

impl Facts {
    /// The row of the session: the one of the question on these terms, or a new one. Its grant is new.
    pub(super) fn session_or_new(
        &self,
        asking: Asking,
        question: &Question,
        terms: &Terms,
        now: OffsetDateTime,
        new_id: impl Fn() -> Uuid,
    ) -> AccessSessionRow {
        let (max_end, expires_at) = (Stamp::from(terms.max_end), Stamp::from(terms.max_end.min(now + SILENT)));
        let (grant_id, now) = (new_id(), Stamp::from(now));
        if let Some(session) = &self.session {
            return AccessSessionRow { grant_id, granted_at: now, max_end, expires_at, ..session.clone() };
        }
        AccessSessionRow {
            tenant_id: asking.scope.into(),
            id: question.session.unwrap_or_else(new_id),
            gateway_id: asking.gateway,
            pool_id: self.place.pool,
            device_id: self.subject.device,
            account_id: self.subject.account,
            grant_id,
            client_ip: question.client_ip.map(|address| address.to_string()),
            auth_mode: question.auth_mode.as_str().to_owned(),
            policy_version: self.policy_version(),
            started_at: now,
            granted_at: now,
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
            virtual_ip: None,
            admitted_offline: false,
        }
    }
}

async fn admit(tx: &Tx, admitted: &Admitted) -> Result<Written> {
    match admitted.device_version {
        None => grant_again(tx, admitted).await,
        Some(version) => start(tx, admitted, version).await,
    }
}

/// Writes the new grant of a session. One that its gateway did not report in time may have lost its place to another one.
async fn grant_again(tx: &Tx, admitted: &Admitted) -> Result<Written> {
    let (rows, session) = (tx.tenant(admitted.scope), &admitted.session);
    if session.reported_at.is_none() && (admitted.limited || admitted.pool_limited) {
        tenants::resolve_locked(tx, &TenantRef::Id(admitted.scope.tenant())).await?;
        let current = rows.access_sessions().get(session.id).await?;
        let counts = current.is_some_and(|current| current.status_at(tx.now().into()) == SessionStatus::Active);
        if !counts && is_full(tx, admitted).await? {
            return Ok(Written::Full(Denial::EntitlementExceeded));
        }
    }
    let address = session.virtual_ip.as_ref().and_then(|address| address.parse().ok());
    let written = rows.access_sessions().grant_again(session, &admitted.key).await?;
    Ok(if written { Written::Done(address) } else { Written::Changed })
}

/// Writes a new session of a device with this version.
async fn start(tx: &Tx, admitted: &Admitted, version: i64) -> Result<Written> {
    // Many sessions may compete for the last addresses of a pool: one that lost an address looks for the next one alone.
    if admitted.limited || admitted.pool_limited || (admitted.again && admitted.virtual_cidr.is_some()) {
        tenants::resolve_locked(tx, &TenantRef::Id(admitted.scope.tenant())).await?;
    }
    if is_full(tx, admitted).await? {
        return Ok(Written::Full(Denial::EntitlementExceeded));
    }
    let pool = admitted.session.pool_id;
    let address = match &admitted.virtual_cidr {
        None => None,
        Some(cidr) => match addresses::choose(tx, admitted.scope, pool, cidr).await? {
            None => return Ok(Written::Full(Denial::AddressesExhausted)),
            address => address,
        },
    };
    let virtual_ip = address.map(|address| address.to_string());
    let session = AccessSessionRow { virtual_ip, ..admitted.session.clone() };
    let written = tx.tenant(admitted.scope).access_sessions().insert_for(session, version, &admitted.key).await?;
    Ok(if written { Written::Done(address) } else { Written::Changed })
}

/// Whether the tenant or the pool, if they are limited, has as many sessions as it may. Lock the tenant first.
async fn is_full(tx: &Tx, admitted: &Admitted) -> Result<bool> {
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
