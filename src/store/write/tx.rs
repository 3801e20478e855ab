//! What a write sees: the transaction, and the effects of what it leaves behind.

use std::sync::{Mutex, MutexGuard, PoisonError};

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::after_commit::AfterCommit;
use crate::base::{Clock, Cx, Error, Result, TenantId};
use crate::store::{
    Change, Invalidate, Revocation,
    audit::{self, AuditRecord, Outcome},
    chain,
    entities::{audit_events, outbox as outbox_rows},
    outbox, revocations, sequence,
};

/// A transaction, one run of a write. What it records is written when the run succeeds.
pub struct Tx {
    conn: DatabaseTransaction,
    cx: Cx,
    clock: Clock,
    effects: Mutex<Effects>,
}

/// Rows that go into the transaction after the run, and what follows its commit.
#[derive(Default)]
pub(in crate::store) struct Effects {
    audit: Vec<audit_events::Model>,
    outbox: Vec<outbox_rows::Model>,
    after_commit: Vec<AfterCommit>,
}

impl Tx {
    pub(in crate::store) fn new(conn: DatabaseTransaction, cx: Cx, clock: Clock) -> Self {
        Self { conn, cx, clock, effects: Mutex::default() }
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
    pub(in crate::store) fn clock(&self) -> &Clock {
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

    /// Records a change: an audit event of the call with this target and these details (a JSON object, or null), and an
    /// outbox event.
    pub fn changed(&self, change: Change, target: impl Into<String>, details: Value) {
        self.audit_only(change.tenant(), target, details);
        self.also_changed(change);
    }

    /// Records a change that comes with another one, such as the end of sessions with a suspension. It has an outbox event
    /// of its own, and the audit event of the other one.
    pub fn also_changed(&self, change: Change) {
        self.effects().outbox.push(change.into_row(&self.clock));
    }

    /// Records in the audit log a call that changes nothing that others follow, such as a login, or one that left all as
    /// it was.
    pub fn audit_only(&self, tenant: Option<TenantId>, target: impl Into<String>, details: Value) {
        let record =
            AuditRecord { tenant, target: target.into(), details, ..AuditRecord::of(&self.cx, Outcome::Success) };
        self.record(record);
    }

    /// Records an event that may be another call's.
    pub(in crate::store) fn record(&self, record: AuditRecord) {
        self.effects().audit.push(record.into_row(&self.clock));
    }

    /// Records a revocation whose row is written: it gets its revision with the commit, and the listeners of this process
    /// hear of it after that.
    pub fn revoke(&self, revocation: Revocation) {
        self.effects().after_commit.push(AfterCommit::Revoked(revocation));
    }

    /// Has something that this process keeps in memory read anew after the commit.
    pub fn after_commit(&self, invalidate: Invalidate) {
        self.effects().after_commit.push(AfterCommit::Invalidate(invalidate));
    }

    /// Ends the run. A call's write that recorded nothing is recorded under the call's own action; if it has none
    /// either, it must not commit.
    pub(in crate::store) fn finish(self, audited: bool) -> (DatabaseTransaction, Result<Effects>) {
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
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.audit.is_empty() && self.outbox.is_empty()
    }

    /// Takes over what another one holds.
    pub fn append(&mut self, mut other: Self) {
        self.audit.append(&mut other.audit);
        self.outbox.append(&mut other.outbox);
        self.after_commit.append(&mut other.after_commit);
    }

    /// Gives the rows their numbers. For the one writer of SQLite, inside the transaction that will write them.
    pub async fn number(&mut self, conn: &impl ConnectionTrait) -> Result<(), DbErr> {
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

    /// Writes the rows, one insert for each kind, and numbers what is revoked. Returns what follows the commit.
    pub async fn write(self, conn: &impl ConnectionTrait) -> Result<Vec<AfterCommit>, DbErr> {
        audit::insert(conn, self.audit).await?;
        outbox::insert(conn, self.outbox).await?;
        let revoked = self.after_commit.iter().filter_map(|step| match step {
            AfterCommit::Revoked(revocation) => Some(revocation),
            AfterCommit::Invalidate(_) => None,
        });
        revocations::number(conn, revoked).await?;
        Ok(self.after_commit)
    }
}
