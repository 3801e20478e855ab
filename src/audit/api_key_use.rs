//! Uses of API keys. There are too many for an audit event each, so the uses of a key within a minute become one event
//! with a count. The same write updates the key's last use and address.

use std::{borrow::Cow, collections::BTreeSet, net::IpAddr};

use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::aggregate::{Aggregate, Count, Counted, Line};
use crate::{
    base::{Caller, CallerKind, Clock, IdKind, Result, Role, TenantId, caller::CallerFacts},
    identity::ApiKey,
    store::{
        Store,
        audit::{AuditRecord, Outcome},
        tables::ApiKeyUse,
    },
};

/// Maximum number of keys that are counted between two flushes. Uses of further keys are counted together.
const MAX_LINES: usize = 50_000;
/// Maximum number of addresses in an event.
const MAX_ADDRESSES: usize = 8;
/// Maximum number of keys in one write.
const BATCH: usize = 200;
/// The audit action of uses.
const ACTION: &str = "apikey.use";
/// The target of uses that are counted together.
const OTHERS: &str = "(others)";

/// Counts of uses since the last flush. Cheap to clone; clones share the counts.
#[derive(Clone)]
pub struct ApiKeyUses(Aggregate<Used>);

/// The key of an aggregate: an API key or the overflow, with the role for the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Used(Option<(TenantId, Uuid, Role)>);

/// The counts of uses.
#[derive(Debug, Default, PartialEq, Eq)]
struct Uses {
    count: u64,
    /// The time and address of the last use.
    last: Option<(OffsetDateTime, Option<IpAddr>)>,
    /// Includes unknown addresses.
    addresses: BTreeSet<Option<IpAddr>>,
}

impl Line for Used {
    type Count = Uses;

    fn among_others(self) -> Self {
        Self(None)
    }
}

impl Count for Uses {
    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.last = self.last.max(other.last);
        let room = MAX_ADDRESSES.saturating_sub(self.addresses.len());
        let new: Vec<_> = other.addresses.difference(&self.addresses).copied().take(room).collect();
        self.addresses.extend(new);
    }
}

impl ApiKeyUses {
    pub fn new(clock: Clock) -> Self {
        Self(Aggregate::new(MAX_LINES, clock))
    }

    pub fn count(&self, key: &ApiKey, client: Option<IpAddr>) {
        let last = Some((self.0.clock().now(), client));
        let uses = Uses { count: 1, last, addresses: [client].into() };
        self.0.add(Used(Some((key.tenant, key.id, key.role))), uses);
    }
}

/// Writes the counts of completed minutes to the audit log, and those of the current minute if `all`. Returns the number of
/// events. On a failure the counts are kept.
pub async fn flush(uses: &ApiKeyUses, store: &Store, all: bool) -> Result<u64> {
    let mut taken = uses.0.take(all);
    let lines = taken.len() as u64;
    while !taken.is_empty() {
        let batch = &taken[taken.len().saturating_sub(BATCH)..];
        let last = batch.iter().filter_map(last_use).collect();
        let events = batch.iter().map(event).collect();
        if let Err(error) = store.note_api_key_uses(last, events).await {
            uses.0.put_back(taken);
            return Err(error);
        }
        taken.truncate(taken.len().saturating_sub(BATCH));
    }
    Ok(lines)
}

fn last_use(counted: &Counted<Used>) -> Option<ApiKeyUse> {
    let ((tenant, key, _), (at, address)) = (counted.line.0?, counted.count.last?);
    Some(ApiKeyUse { tenant, key, at: at.into(), address })
}

fn event(counted: &Counted<Used>) -> AuditRecord {
    let (line, uses) = (counted.line.0, &counted.count);
    let shown = line.map(|(_, key, _)| IdKind::ApiKey.show(key));
    let caller = line.zip(shown.as_ref()).map(|((_, _, role), id)| {
        let (kind, subject) = (CallerKind::Service, format!("key:{id}"));
        Caller::new(CallerFacts { kind, subject, role, ..CallerFacts::default() })
    });
    AuditRecord {
        caller,
        tenant: line.map(|(tenant, ..)| tenant),
        action: Cow::Borrowed(ACTION),
        target: shown.unwrap_or_else(|| OTHERS.to_owned()),
        outcome: Outcome::Success,
        request_id: String::new(),
        rpc: Cow::Borrowed(""),
        client: uses.last.and_then(|(_, address)| address),
        details: json!({
            "count": uses.count,
            "minute": counted.minute * 60,
            "addresses": uses.addresses.iter().map(to_text).collect::<Vec<_>>(),
        }),
    }
}

fn to_text(address: &Option<IpAddr>) -> String {
    address.map_or("unknown".to_owned(), |address| address.to_string())
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn uses_are_counted_with_the_time_of_the_last() {
        let one = |second: i64, address: [u8; 4]| {
            let address = IpAddr::from(address);
            let at = datetime!(2026-01-01 0:00 UTC) + time::Duration::seconds(second);
            Uses { count: 1, last: Some((at, Some(address))), addresses: [Some(address)].into() }
        };
        let mut uses = Uses::default();
        for (second, last) in [(2, 1), (9, 2), (5, 1)] {
            uses.add(one(second, [10, 0, 0, last]));
        }
        assert_eq!((uses.count, uses.addresses.len(), uses.last), (3, 2, one(9, [10, 0, 0, 2]).last));
        for last in 0..20 {
            uses.add(one(0, [10, 0, 1, last]));
        }
        assert_eq!((uses.count, uses.addresses.len()), (23, MAX_ADDRESSES));
    }
}
