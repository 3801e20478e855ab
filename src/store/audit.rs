//! The audit log: events are written in the transaction of the change that they describe.

use std::{borrow::Cow, net::IpAddr};

use sea_orm::DbErr;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Db, Stamp, submit_rows, tables::audit_events};
use crate::base::{Caller, Clock, Cx, TenantId};

/// Maximum number of rows in one insert. PostgreSQL permits 65,535 parameters in a statement, SQLite 32,766.
pub(super) const ROWS: usize = 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Success,
    /// The caller was not allowed to do it.
    Refused,
    /// It was begun and did not succeed.
    Failed,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

#[derive(Clone, Debug)]
pub struct AuditRecord {
    /// None if the caller is unknown.
    pub caller: Option<Caller>,
    pub tenant: Option<TenantId>,
    /// Such as `tenant.create`.
    pub action: Cow<'static, str>,
    pub target: String,
    pub outcome: Outcome,
    pub request_id: String,
    /// The gRPC path, or the command.
    pub rpc: Cow<'static, str>,
    /// The client address, stored in the details as `client`; `unknown` for a request without a known address.
    pub client: Option<IpAddr>,
    /// A JSON object; null counts as an empty one.
    pub details: Value,
}

impl AuditRecord {
    /// The event of a call, with its caller, its action and its default target.
    pub fn of(cx: &Cx, outcome: Outcome) -> Self {
        Self {
            caller: Some(cx.caller.clone()),
            tenant: None,
            action: Cow::Borrowed(cx.operation()),
            target: cx.audit_target.clone().unwrap_or_default(),
            outcome,
            request_id: cx.request_id.clone(),
            rpc: Cow::Borrowed(cx.rpc),
            client: cx.client,
            details: Value::Null,
        }
    }

    pub(super) fn into_row(self, clock: &Clock) -> audit_events::Model {
        let caller = self.caller.as_ref();
        let client = match self.client {
            Some(client) => Some(client.to_string()),
            // Every request has a client; the program's own actions do not.
            None => (!self.request_id.is_empty()).then(|| "unknown".to_owned()),
        };
        audit_events::Model {
            // Not the injected clock: the ids determine the order of the log.
            id: Uuid::now_v7(),
            seq: None,
            prev_hash: None,
            hash: None,
            at: Stamp::from(clock.now()),
            caller_subject: caller.map(|caller| storable(&caller.subject)).unwrap_or_default(),
            caller_role: caller
                .filter(|caller| !caller.kind.is_enrolled())
                .map(|caller| caller.role.as_str().to_owned())
                .unwrap_or_default(),
            caller_kind: caller.map(|caller| caller.kind.as_str().to_owned()).unwrap_or_default(),
            tenant_id: self.tenant,
            action: self.action.into_owned(),
            target: storable(&self.target),
            outcome: self.outcome.as_str().to_owned(),
            request_id: self.request_id,
            rpc: self.rpc.into_owned(),
            details: details(self.details, client, caller.and_then(|caller| caller.principal.as_ref())),
        }
    }
}

/// The details to be stored, with the client address and the principal that the caller named.
fn details(details: Value, client: Option<String>, principal: Option<&Caller>) -> String {
    let mut details = if details.is_null() { json!({}) } else { details };
    if let Some(members) = details.as_object_mut() {
        members.extend(client.map(|client| ("client".to_owned(), client.into())));
        let principal = principal.map(|principal| storable(&principal.subject));
        members.extend(principal.map(|principal| ("original_principal".to_owned(), principal.into())));
    }
    details.to_string()
}

/// Replaces zero bytes, which PostgreSQL does not accept in text.
pub(crate) fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// Inserts rows, without waiting for the result on PostgreSQL.
pub(super) async fn insert(conn: &impl Db, rows: Vec<audit_events::Model>) -> Result<(), DbErr> {
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        submit_rows::<audit_events::Entity>(conn, rows.by_ref().take(ROWS).collect()).await?;
    }
    Ok(())
}
