//! Sessions as administrators see and end them (zero-trust contract, section 4.6).

use std::collections::BTreeSet;

use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    base::{Cx, Error, IdKind, Page, PageRequest, Reach, Result, TenantId, TenantRef, TenantScope, error::Reason},
    identity::{accounts, reason as checked_reason},
    store::{
        Stamp, Store, Tx,
        columns::{EndReason, SessionStatus},
        tables::{AccessSessionRow, SessionFilter, SessionsAt},
    },
    tenants,
};

/// Maximum number of sessions in a call.
const MOST: usize = 500;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub tenant: TenantId,
    pub row: AccessSessionRow,
    /// The status when it was read.
    pub status: SessionStatus,
}

impl Session {
    pub fn shown_id(&self) -> String {
        IdKind::Session.show(self.row.id)
    }

    /// Why it ended.
    pub fn end_reason(&self) -> Option<String> {
        let unknown = || EndReason::NotStarted.as_str().to_owned();
        (self.status == SessionStatus::Ended).then(|| self.row.end_reason.clone().unwrap_or_else(unknown))
    }
}

/// What is listed; the default is all active sessions.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The user, by id, name or email address.
    pub user: Option<String>,
    /// The public ids.
    pub device: Option<String>,
    pub gateway: Option<String>,
    pub pool: Option<String>,
    /// `active`, `ended` or `all`.
    pub status: Option<String>,
    pub since: Option<OffsetDateTime>,
}

/// Which sessions are ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// Those with these public ids.
    Ids(Vec<String>),
    /// Those of a user, by id, name or email address.
    User(String),
    /// Those of a device.
    Device(String),
    /// Those at a gateway.
    Gateway(String),
}

/// A page of the sessions of a tenant; for [`Reach::Own`], those of the caller. Fails with INVALID_ARGUMENT for an invalid filter.
pub async fn page(
    cx: &Cx,
    store: &Store,
    tenant: &TenantRef,
    filter: &Filter,
    reach: Reach,
    request: PageRequest,
) -> Result<Page<Session>> {
    let now = Stamp::from(cx.clock.now());
    let mut wanted = check(filter, now)?;
    let scope = tenants::reach(cx, store, tenant).await?;
    let named = match &filter.user {
        None => None,
        Some(user) => Some(accounts::find(store.read(), Some(scope), user).await?.map(|account| account.id)),
    };
    let own = cx.caller.account;
    wanted.account = match (reach, named) {
        (Reach::All, named) => named,
        (Reach::Own, None) => Some(own),
        (Reach::Own, Some(named)) => Some(named.filter(|named| Some(*named) == own)),
    };
    let (rows, total) = store.tenant(scope).access_sessions().page(&wanted, request).await?;
    let page = Page::cut(request, rows, total, |row| row.id);
    Ok(page.map(|row| Session { tenant: scope.tenant(), status: row.status_at(now), row }))
}

/// Validates a filter without the database.
fn check(filter: &Filter, now: Stamp) -> Result<SessionFilter> {
    let id = |field: &str, kind: IdKind, text: &Option<String>, message: &'static str| {
        let read = |text: &String| kind.read(text).ok_or_else(|| invalid(field, message));
        text.as_ref().map(read).transpose()
    };
    let status = match filter.status.as_deref() {
        None | Some("active") => Some((SessionStatus::Active, now)),
        Some("ended") => Some((SessionStatus::Ended, now)),
        Some("all") => None,
        Some(_) => return Err(invalid("status", "the status must be active, ended or all")),
    };
    Ok(SessionFilter {
        account: None,
        device: id("device_id", IdKind::Device, &filter.device, "not a device id")?,
        gateway: id("gateway_id", IdKind::Gateway, &filter.gateway, "not a gateway id")?,
        pool: id("pool_id", IdKind::GatewayPool, &filter.pool, "not a pool id")?,
        status,
        since: filter.since.map(Into::into),
    })
}

/// Ends active sessions, and returns their number. Fails with INVALID_ARGUMENT for an invalid list or reason, with NOT_FOUND if one of the
/// sessions, or the user, device or gateway, is unknown.
pub async fn terminate(
    cx: &Cx,
    store: &Store,
    tenant: &TenantRef,
    which: Which,
    reason: Option<String>,
) -> Result<u64> {
    if let Which::Ids(ids) = &which {
        let distinct: BTreeSet<_> = ids.iter().map(|id| id.to_ascii_lowercase()).collect();
        if !(1..=MOST).contains(&ids.len()) || distinct.len() != ids.len() {
            return Err(invalid("session_ids", "1 to 500 different sessions at once"));
        }
    }
    store.write(cx, (tenant.clone(), which, checked_reason(reason)?), terminate_in).await
}

async fn terminate_in(tx: &Tx, (tenant, which, reason): &(TenantRef, Which, Option<String>)) -> Result<u64> {
    let (_, scope) = tenants::resolve_locked(tx, tenant).await?;
    let end = async |of: SessionsAt<'_>| tx.end_access_sessions(scope, of, EndReason::Terminated).await;
    let (target, ended) = match which {
        Which::Ids(texts) => {
            let ids = known(tx, scope, texts).await?;
            let target =
                if let [one] = ids.as_slice() { IdKind::Session.show(*one) } else { scope.tenant().zero_trust() };
            (target, end(SessionsAt::Ids(&ids)).await?)
        }
        Which::User(user) => {
            let found = accounts::find(tx.conn(), Some(scope), user).await?;
            let account = found.ok_or_else(|| Error::not_found(Reason::AccountNotFound, "user not found"))?.id;
            (IdKind::User.show(account), end(SessionsAt::Account(account)).await?)
        }
        Which::Device(text) => {
            let not_found = || Error::not_found(Reason::DeviceNotFound, "device not found");
            let id = IdKind::Device.read(text).ok_or_else(not_found)?;
            tx.tenant(scope).devices().get(id).await?.ok_or_else(not_found)?;
            (IdKind::Device.show(id), end(SessionsAt::Devices(&[id])).await?)
        }
        Which::Gateway(text) => {
            let not_found = || Error::not_found(Reason::GatewayNotFound, "gateway not found");
            let id = IdKind::Gateway.read(text).ok_or_else(not_found)?;
            tx.tenant(scope).gateways().get(id).await?.ok_or_else(not_found)?;
            (IdKind::Gateway.show(id), end(SessionsAt::Gateway(id)).await?)
        }
    };
    tx.audit_only(Some(scope.tenant()), target, details(which, reason.as_deref(), ended));
    Ok(ended)
}

/// The ids of sessions, which all must exist.
async fn known(tx: &Tx, scope: TenantScope, texts: &[String]) -> Result<Vec<Uuid>> {
    let not_found = || Error::not_found(Reason::AccessSessionNotFound, "session not found");
    let ids = texts.iter().map(|text| IdKind::Session.read(text).ok_or_else(not_found)).collect::<Result<Vec<_>>>()?;
    let existing = tx.tenant(scope).access_sessions().existing(&ids).await?;
    if existing.len() == ids.len() { Ok(ids) } else { Err(not_found()) }
}

fn details(which: &Which, reason: Option<&str>, ended: u64) -> Value {
    match which {
        Which::Ids(ids) => json!({"reason": reason, "sessions": ended, "session_ids": ids}),
        _ => json!({"reason": reason, "sessions": ended}),
    }
}

fn invalid(field: &str, message: &'static str) -> Error {
    Error::invalid(Reason::InvalidArgument, field, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_member_of_a_filter_has_its_rule() {
        let now = Stamp::from_micros(7);
        let field = |filter: Filter| check(&filter, now).unwrap_err().violations[0].field.clone();
        let word = || Some("lost".to_owned());
        assert_eq!(field(Filter { status: word(), ..Filter::default() }), "status");
        assert_eq!(field(Filter { device: word(), ..Filter::default() }), "device_id");
        assert_eq!(field(Filter { gateway: word(), ..Filter::default() }), "gateway_id");
        assert_eq!(field(Filter { pool: word(), ..Filter::default() }), "pool_id");
        assert_eq!(check(&Filter::default(), now).unwrap().status, Some((SessionStatus::Active, now)));
        let all = Filter { status: Some("all".to_owned()), ..Filter::default() };
        assert_eq!(check(&all, now).unwrap(), SessionFilter::default());
    }
}
