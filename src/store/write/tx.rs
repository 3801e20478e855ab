//! The transaction of a write, and the effects that it records.

use std::sync::{Mutex, MutexGuard, PoisonError};

use sea_orm::{DbBackend, DbErr};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::after_commit::AfterCommit;
use crate::base::{Clock, Cx, Error, Result, TenantId};
use crate::store::{
    Change, Db, Invalidate, Revocation, TxConn,
    audit::{self, AuditRecord, Outcome},
    chain, outbox, revocations, sequence,
    tables::{audit_events, outbox as outbox_rows},
    time as database_time,
};

/// A transaction: one attempt of a write. Recorded effects are written when the attempt succeeds.
pub struct Tx {
    conn: TxConn,
    cx: Cx,
    clock: Clock,
    effects: Mutex<Effects>,
}

/// Rows to be added to the transaction at its end, and the steps after its commit.
#[derive(Default)]
pub(in crate::store) struct Effects {
    audit: Vec<audit_events::Model>,
    outbox: Vec<outbox_rows::Model>,
    after_commit: Vec<AfterCommit>,
}

impl Tx {
    pub(in crate::store) fn new(conn: TxConn, cx: Cx, clock: Clock) -> Self {
        Self { conn, cx, clock, effects: Mutex::default() }
    }

    pub fn conn(&self) -> &TxConn {
        &self.conn
    }

    pub fn backend(&self) -> DbBackend {
        self.conn.backend()
    }

    pub fn cx(&self) -> &Cx {
        &self.cx
    }

    pub(in crate::store) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// As [`Store::time`](crate::store::Store::time), inside a write.
    pub async fn time(&self) -> Result<OffsetDateTime> {
        Ok(database_time::of(self.conn(), self.clock()).await?)
    }

    pub fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    pub fn new_id(&self) -> Uuid {
        self.clock.new_id()
    }

    /// Records a change: an outbox event, and an audit event of the call with this target and these details (a JSON
    /// object, or null).
    pub fn changed(&self, change: Change, target: impl Into<String>, details: Value) {
        self.audit_only(change.tenant(), target, details);
        self.also_changed(change);
    }

    /// Records a change that is a consequence of another one, such as the end of sessions after a suspension. It has its own
    /// outbox event, but shares the audit event of the other change.
    pub fn also_changed(&self, change: Change) {
        self.effects().outbox.push(change.into_row(&self.clock));
    }

    /// Records only an audit event, for a call whose changes have no consumers, such as a login, or one that
    /// changed nothing.
    pub fn audit_only(&self, tenant: Option<TenantId>, target: impl Into<String>, details: Value) {
        let record =
            AuditRecord { tenant, target: target.into(), details, ..AuditRecord::of(&self.cx, Outcome::Success) };
        self.record(record);
    }

    /// Records an event that may belong to another call.
    pub(crate) fn record(&self, record: AuditRecord) {
        self.effects().audit.push(record.into_row(&self.clock));
    }

    /// Records a revocation whose row is written: it gets its revision with the commit, after which the listeners
    /// of this process are notified.
    pub fn revoke(&self, revocation: Revocation) {
        self.effects().after_commit.push(AfterCommit::Revoked(revocation));
    }

    /// Invalidates in-memory state of this process after the commit.
    pub fn after_commit(&self, invalidate: Invalidate) {
        self.effects().after_commit.push(AfterCommit::Invalidate(invalidate));
    }

    /// Makes this process look for due operations after the commit.
    pub fn wake_operations(&self) {
        self.effects().after_commit.push(AfterCommit::OperationDue);
    }

    /// Ends the attempt. A call's write that recorded nothing gets an audit event with the call's own action;
    /// without an action it must not commit.
    pub(in crate::store) fn finish(self, audited: bool) -> (TxConn, Result<Effects>) {
        let mut effects = self.effects.into_inner().unwrap_or_else(PoisonError::into_inner);
        if audited && effects.audit.is_empty() {
            if self.cx.audit_action.is_none() {
                return (self.conn, Err(Error::internal("a write recorded no audit event and its call has no action")));
            }
            effects.audit.push(AuditRecord::of(&self.cx, Outcome::Success).into_row(&self.clock));
        }
        (self.conn, Ok(effects))
    }

    fn effects(&self) -> MutexGuard<'_, Effects> {
        self.effects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Effects {
    pub fn is_empty(&self) -> bool {
        self.audit.is_empty() && self.outbox.is_empty()
    }

    /// Whether there are outbox events.
    pub fn has_events(&self) -> bool {
        !self.outbox.is_empty()
    }

    pub fn append(&mut self, mut other: Self) {
        self.audit.append(&mut other.audit);
        self.outbox.append(&mut other.outbox);
        self.after_commit.append(&mut other.after_commit);
    }

    /// Assigns numbers to the rows. For the single writer of SQLite, inside the transaction that will write them.
    pub async fn number(&mut self, conn: &impl Db) -> Result<(), DbErr> {
        if !self.outbox.is_empty() {
            let last = sequence::revision(conn).await?;
            for (row, revision) in self.outbox.iter_mut().zip(last + 1..) {
                row.revision = Some(revision);
            }
        }
        if !self.audit.is_empty() {
            chain::seal(sequence::seal(conn).await?, &mut self.audit);
        }
        Ok(())
    }

    /// Writes the rows, with one insert per kind, and numbers revocations. Returns the steps after the commit.
    pub async fn write(self, conn: &impl Db) -> Result<Vec<AfterCommit>, DbErr> {
        audit::insert(conn, self.audit).await?;
        outbox::insert(conn, self.outbox).await?;
        let revoked = self.after_commit.iter().filter_map(|step| match step {
            AfterCommit::Revoked(revocation) => Some(revocation),
            AfterCommit::Invalidate(_) | AfterCommit::OperationDue => None,
        });
        revocations::number(conn, revoked).await?;
        Ok(self.after_commit)
    }
}
