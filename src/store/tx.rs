//! What a write sees: the transaction, and the journal of what it will leave behind.

use std::sync::{Mutex, MutexGuard, PoisonError};

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    OutboxEvent, Revocation,
    audit::{self, AuditRecord, Outcome},
    chain,
    entities::{audit_events, outbox as outbox_rows},
    heads, outbox, revocations,
};
use crate::base::{Clock, Cx, Error, Result, TenantId};

/// A transaction, one run of a write. What it records is written when the run succeeds.
pub struct Tx {
    conn: DatabaseTransaction,
    cx: Cx,
    clock: Clock,
    journal: Mutex<Journal>,
}

/// Rows that go into the transaction after the run.
#[derive(Default)]
pub(super) struct Journal {
    audit: Vec<audit_events::Model>,
    outbox: Vec<outbox_rows::Model>,
    /// Whether a cluster was made or deleted.
    pub clusters_changed: bool,
    /// What is revoked; the rows are there already.
    pub revoked: Vec<Revocation>,
}

impl Tx {
    pub(super) fn new(conn: DatabaseTransaction, cx: Cx, clock: Clock) -> Self {
        Self { conn, cx, clock, journal: Mutex::default() }
    }

    /// The connection, for queries.
    pub fn conn(&self) -> &DatabaseTransaction {
        &self.conn
    }

    /// Which database it is.
    pub fn backend(&self) -> DbBackend {
        self.conn.get_database_backend()
    }

    /// The context of the call.
    pub fn cx(&self) -> &Cx {
        &self.cx
    }

    /// The clock.
    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The time.
    pub fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    /// A new id.
    pub fn new_id(&self) -> Uuid {
        self.clock.new_id()
    }

    /// Records the call's success on a target that belongs to no tenant.
    pub fn audit(&self, target: impl Into<String>) {
        self.audit_in(None, target, Value::Null);
    }

    /// Records the call's success on a target of a tenant, with details (a JSON object, or null).
    pub fn audit_in(&self, tenant: Option<TenantId>, target: impl Into<String>, details: Value) {
        let record =
            AuditRecord { tenant, target: target.into(), details, ..AuditRecord::of(&self.cx, Outcome::Success) };
        self.record(record);
    }

    /// Records an event that may be another call's.
    pub(super) fn record(&self, record: AuditRecord) {
        self.journal().audit.push(record.into_row(&self.clock));
    }

    /// Says that something is revoked: a row says so already. It gets its revision with the commit.
    pub fn revoke(&self, revocation: Revocation) {
        self.journal().revoked.push(revocation);
    }

    /// Says that a cluster is made or deleted.
    pub fn clusters_change(&self) {
        self.journal().clusters_changed = true;
    }

    /// Records that something changed.
    pub fn emit(&self, event: OutboxEvent) {
        self.journal().outbox.push(event.into_row(&self.clock));
    }

    /// Ends the run. A call's write that recorded nothing is recorded under the call's own action; if it has none
    /// either, it must not commit.
    pub(super) fn finish(self, audited: bool) -> (DatabaseTransaction, Result<Journal>) {
        let mut journal = self.journal.into_inner().unwrap_or_else(PoisonError::into_inner);
        if audited && journal.audit.is_empty() {
            if self.cx.audit_action.is_none() {
                return (self.conn, Err(Error::internal("a write recorded no audit event and its call has no action")));
            }
            journal.audit.push(AuditRecord::of(&self.cx, Outcome::Success).into_row(&self.clock));
        }
        (self.conn, Ok(journal))
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.audit.is_empty() && self.outbox.is_empty()
    }

    /// Takes over what another one holds.
    pub fn append(&mut self, mut other: Self) {
        self.audit.append(&mut other.audit);
        self.outbox.append(&mut other.outbox);
        self.clusters_changed |= other.clusters_changed;
        self.revoked.append(&mut other.revoked);
    }

    /// Gives the rows their numbers. For the one writer of SQLite, inside the transaction that will write them.
    pub async fn number(&mut self, conn: &impl ConnectionTrait) -> Result<(), DbErr> {
        if !self.outbox.is_empty() {
            let last = heads::revision(conn).await?;
            for (row, revision) in self.outbox.iter_mut().zip(last + 1..) {
                row.revision = Some(revision);
            }
        }
        if !self.audit.is_empty() {
            chain::seal(heads::seal(conn).await?, &mut self.audit);
        }
        Ok(())
    }

    /// Writes the rows, one insert for each kind, and numbers what is revoked.
    pub async fn write(self, conn: &impl ConnectionTrait) -> Result<(), DbErr> {
        audit::insert(conn, self.audit).await?;
        outbox::insert(conn, self.outbox).await?;
        revocations::number(conn, &self.revoked).await
    }
}
