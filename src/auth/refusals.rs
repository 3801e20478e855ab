//! Refused calls, counted for the audit log.
//!
//! A refused call changes nothing, so it has no transaction to be audited in. Calls of one caller to one RPC within a
//! minute become one event with a count, so that nobody can fill the audit log by being refused.

use std::borrow::Cow;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::tally::{self, Counted, Line, Tally};
use crate::{
    base::{Caller, CallerKind, Clock, Role, TenantId, caller::CallerFacts, error::Reason},
    store::{
        Store,
        audit::{self, AuditRecord, Outcome},
    },
};

/// Most lines that are kept between two flushes. What does not fit is counted under [`OTHERS`].
const MAX_LINES: usize = 4096;
/// The subject under which callers are counted when there are too many.
const OTHERS: &str = "(others)";
/// The subject of calls without a usable credential.
const NOBODY: &str = "(nobody)";

/// Most characters of a name that was tried.
const MAX_TRIED: usize = 64;

/// The action of refusals in the audit log.
const ACTION: &str = "call.refuse";

/// What is counted as one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Refused {
    /// Subject of the caller.
    pub subject: String,
    /// Role of the caller, if there is one.
    pub role: Option<Role>,
    /// Tenant of the caller.
    pub tenant: Option<TenantId>,
    /// gRPC path of the RPC.
    pub rpc: &'static str,
    /// Why the calls were refused.
    pub reason: Reason,
}

impl Line for Refused {
    type Count = u64;

    fn among_others(self) -> Self {
        Self { subject: OTHERS.to_owned(), role: None, tenant: None, ..self }
    }
}

/// Counts of refused calls since the last flush. Cheap to clone; clones share the counts.
#[derive(Clone)]
pub struct Refusals(Tally<Refused>);

impl Refusals {
    /// No refusals yet.
    pub fn new(clock: Clock) -> Self {
        Self(Tally::new(MAX_LINES, clock))
    }

    /// Counts a refused call.
    pub fn count(&self, caller: Option<&Caller>, rpc: &'static str, reason: Reason) {
        let line = Refused {
            subject: caller.map_or(NOBODY, |caller| caller.subject.as_str()).to_owned(),
            role: caller.map(|caller| caller.role),
            tenant: caller.and_then(|caller| caller.tenant.as_ref()).map(|tenant| tenant.id),
            rpc,
            reason,
        };
        self.0.add(line, 1);
    }

    /// Counts a refused login under the name that was tried. Anybody may have tried it, so it is told as a guess.
    pub fn count_login(&self, tried: &str, rpc: &'static str, reason: Reason) {
        let plain: String = tried.chars().filter(|c| !c.is_control()).take(MAX_TRIED).collect();
        let subject = format!("({plain}?)");
        self.0.add(Refused { subject, role: None, tenant: None, rpc, reason }, 1);
    }

    /// Takes the counts of whole minutes; those of the running minute too if `all`.
    pub fn take(&self, all: bool) -> Vec<(Refused, u64)> {
        self.0.take(all).into_iter().map(|counted| (counted.line, counted.count)).collect()
    }
}

/// Writes the counts of whole minutes to the audit log until `stop`, and all that is left then.
pub async fn follow(refusals: Refusals, store: Store, stop: CancellationToken) {
    while tally::due(&stop).await {
        flush(&refusals, &store, false).await;
    }
    flush(&refusals, &store, true).await;
}

async fn flush(refusals: &Refusals, store: &Store, all: bool) {
    let taken = refusals.0.take(all);
    let records = taken.iter().map(record).collect();
    if let Err(error) = audit::append(store, records).await {
        tracing::warn!(%error, lines = taken.len(), "refused calls cannot be audited now");
        refusals.0.put_back(taken);
    }
}

fn record(counted: &Counted<Refused>) -> AuditRecord {
    let refused = &counted.line;
    let reason = refused.reason.as_str_name();
    AuditRecord {
        caller: refused.role.map(|role| {
            Caller::new(CallerFacts {
                kind: CallerKind::Service,
                subject: refused.subject.clone(),
                role,
                ..CallerFacts::default()
            })
        }),
        tenant: refused.tenant,
        action: Cow::Borrowed(ACTION),
        target: String::new(),
        outcome: Outcome::Refused,
        request_id: String::new(),
        rpc: Cow::Borrowed(refused.rpc),
        client: None,
        details: json!({
            "reason": reason.strip_prefix("REASON_").unwrap_or(reason),
            "count": counted.count,
            "minute": counted.minute * 60,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn calls_of_one_minute_are_one_line() {
        let clock = Clock::manual(datetime!(2026-01-01 00:00:10 UTC));
        let refusals = Refusals::new(clock.clone());
        for _ in 0..3 {
            refusals.count(None, "/a", Reason::CredentialsMissing);
        }
        refusals.count(Some(&Caller::system()), "/a", Reason::PermissionDenied);
        assert!(refusals.take(false).is_empty());
        clock.advance(time::Duration::MINUTE);
        refusals.count(None, "/a", Reason::CredentialsMissing);
        let mut counts: Vec<_> = refusals.take(false).into_iter().map(|(line, count)| (line.subject, count)).collect();
        counts.sort();
        assert_eq!(counts, [("(nobody)".to_owned(), 3), ("system".to_owned(), 1)]);
        assert_eq!(refusals.take(true).len(), 1);
    }

    #[test]
    fn the_memory_is_bounded() {
        let refusals = Refusals::new(Clock::system());
        let caller = |n: usize| {
            let facts = crate::base::caller::CallerFacts::clone(&Caller::system());
            Caller::new(crate::base::caller::CallerFacts { subject: n.to_string(), ..facts })
        };
        for n in 0..MAX_LINES + 100 {
            refusals.count(Some(&caller(n)), "/a", Reason::PermissionDenied);
        }
        let lines = refusals.take(true);
        assert!(lines.len() <= MAX_LINES + 2);
        assert_eq!(lines.iter().map(|(_, count)| count).sum::<u64>(), (MAX_LINES + 100) as u64);
    }
}
