//! Denied calls, counted for the audit log.
//!
//! A refused call changes nothing, so it has no transaction to be audited in. Calls of one caller to one RPC within a
//! minute become one event with a count, so that nobody can fill the audit log by being refused. Logins have no caller: those
//! from one place become one event, with some of the names that were tried.

use std::{borrow::Cow, net::IpAddr};

use ipnet::{IpNet, Ipv6Net};
use serde_json::{Value, json};

use super::aggregate::{Aggregate, Count, Counted, Line};
use crate::{
    base::{Caller, CallerKind, Clock, Result, Role, TenantId, caller::CallerFacts, error::Reason},
    store::{
        Store,
        audit::{AuditRecord, Outcome},
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
/// Most names that are told of one line.
const MAX_NAMES: usize = 8;

/// The action of refusals in the audit log.
const ACTION: &str = "call.refuse";

/// What is counted as one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Denied {
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
    /// From where logins came: an IPv4 address, or the network that one subscriber of IPv6 has.
    pub near: Option<IpNet>,
}

/// What is known of calls that are counted as one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// How many there were.
    pub count: u64,
    /// The first of the names that were tried, of logins.
    pub tried: Vec<String>,
}

impl Line for Denied {
    type Count = Calls;

    fn among_others(self) -> Self {
        Self { subject: OTHERS.to_owned(), role: None, tenant: None, near: None, ..self }
    }
}

impl Count for Calls {
    fn add(&mut self, other: Self) {
        self.count += other.count;
        for name in other.tried {
            if self.tried.len() < MAX_NAMES && !self.tried.contains(&name) {
                self.tried.push(name);
            }
        }
    }
}

/// Counts of refused calls since the last flush. Cheap to clone; clones share the counts.
#[derive(Clone)]
pub struct Denials(Aggregate<Denied>);

impl Denials {
    /// No refusals yet.
    pub fn new(clock: Clock) -> Self {
        Self(Aggregate::new(MAX_LINES, clock))
    }

    /// Counts a refused call.
    pub fn count(&self, caller: Option<&Caller>, rpc: &'static str, reason: Reason) {
        let line = Denied {
            subject: caller.map_or(NOBODY, |caller| caller.subject.as_str()).to_owned(),
            role: caller.map(|caller| caller.role),
            tenant: caller.and_then(|caller| caller.tenant.as_ref()).map(|tenant| tenant.id),
            rpc,
            reason,
            near: None,
        };
        self.0.add(line, Calls { count: 1, tried: Vec::new() });
    }

    /// Counts a refused login with the name that was tried. Anybody may have tried it, so it is told as a guess.
    pub fn count_login(&self, tried: &str, client: Option<IpAddr>, rpc: &'static str, reason: Reason) {
        let plain: String = tried.chars().filter(|c| !c.is_control()).take(MAX_TRIED).collect();
        let (subject, near) = (NOBODY.to_owned(), client.and_then(near));
        let calls = Calls { count: 1, tried: vec![format!("({plain}?)")] };
        self.0.add(Denied { subject, role: None, tenant: None, rpc, reason, near }, calls);
    }

    /// Takes the counts of whole minutes; those of the running minute too if `all`.
    pub fn take(&self, all: bool) -> Vec<(Denied, Calls)> {
        self.0.take(all).into_iter().map(|counted| (counted.line, counted.count)).collect()
    }
}

/// The place that an address stands for: whoever has one address of IPv6 has the 64 bits behind its network.
fn near(address: IpAddr) -> Option<IpNet> {
    match address.to_canonical() {
        IpAddr::V4(address) => Some(IpAddr::V4(address).into()),
        IpAddr::V6(address) => Ipv6Net::new(address, 64).ok().map(|net| net.trunc().into()),
    }
}

/// Writes the counts of completed minutes to the audit log, and those of the current minute if `all`. Returns the number of
/// events. On a failure the counts are kept.
pub async fn flush(denials: &Denials, store: &Store, all: bool) -> Result<u64> {
    let taken = denials.0.take(all);
    let lines = taken.len() as u64;
    let records = taken.iter().map(record).collect();
    match store.append_audit(records).await {
        Ok(()) => Ok(lines),
        Err(error) => {
            denials.0.put_back(taken);
            Err(error)
        }
    }
}

fn record(counted: &Counted<Denied>) -> AuditRecord {
    let refused = &counted.line;
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
        target: counted.count.tried.first().cloned().unwrap_or_default(),
        outcome: Outcome::Refused,
        request_id: String::new(),
        rpc: Cow::Borrowed(refused.rpc),
        client: None,
        details: details(counted),
    }
}

fn details(counted: &Counted<Denied>) -> Value {
    let reason = counted.line.reason.as_str_name();
    let mut details = json!({
        "reason": reason.strip_prefix("REASON_").unwrap_or(reason),
        "count": counted.count.count,
        "minute": counted.minute * 60,
    });
    if !counted.count.tried.is_empty() {
        details["tried"] = json!(counted.count.tried);
        details["address"] = json!(counted.line.near.map_or("unknown".to_owned(), shown));
    }
    details
}

/// An address alone is shown without a prefix.
fn shown(net: IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn calls_of_one_minute_are_one_line() {
        let clock = Clock::manual(datetime!(2026-01-01 00:00:10 UTC));
        let denials = Denials::new(clock.clone());
        for _ in 0..3 {
            denials.count(None, "/a", Reason::CredentialsMissing);
        }
        denials.count(Some(&Caller::system()), "/a", Reason::PermissionDenied);
        assert!(denials.take(false).is_empty());
        clock.advance(time::Duration::MINUTE);
        denials.count(None, "/a", Reason::CredentialsMissing);
        let mut counts: Vec<_> =
            denials.take(false).into_iter().map(|(line, calls)| (line.subject, calls.count)).collect();
        counts.sort();
        assert_eq!(counts, [("(nobody)".to_owned(), 3), ("system".to_owned(), 1)]);
        assert_eq!(denials.take(true).len(), 1);
    }

    #[test]
    fn logins_from_one_place_are_one_line_with_some_of_their_names() {
        let denials = Denials::new(Clock::manual(datetime!(2026-01-01 00:00 UTC)));
        let from = |text: &str| Some(text.parse().unwrap());
        for n in 0..20 {
            denials.count_login(&format!("ada{n}\n{}", "x".repeat(99)), from("192.0.2.1"), "/l", Reason::LoginRefused);
            let own = format!("2001:db8:0:1::{n}");
            denials.count_login("ada", from(&own), "/l", Reason::LoginRefused);
        }
        let mut told: Vec<_> = denials.0.take(true).iter().map(record).collect();
        told.sort_by_key(|record| record.target.len());
        assert_eq!(told.len(), 2);
        assert_eq!((told[0].target.as_str(), told[0].details["count"].as_u64()), ("(ada?)", Some(20)));
        assert_eq!(told[0].details["address"], "2001:db8:0:1::/64");
        assert_eq!(told[0].details["tried"], json!(["(ada?)"]));
        assert!(told[1].target.starts_with("(ada0xxx") && told[1].target.len() == MAX_TRIED + 3, "{}", told[1].target);
        assert_eq!(told[1].details["address"], "192.0.2.1");
        assert_eq!(told[1].details["tried"].as_array().map(Vec::len), Some(MAX_NAMES));
    }

    #[test]
    fn the_memory_is_bounded() {
        let denials = Denials::new(Clock::system());
        let caller = |n: usize| {
            let facts = crate::base::caller::CallerFacts::clone(&Caller::system());
            Caller::new(crate::base::caller::CallerFacts { subject: n.to_string(), ..facts })
        };
        for n in 0..MAX_LINES + 100 {
            denials.count(Some(&caller(n)), "/a", Reason::PermissionDenied);
        }
        let lines = denials.take(true);
        assert!(lines.len() <= MAX_LINES + 2);
        assert_eq!(lines.iter().map(|(_, calls)| calls.count).sum::<u64>(), (MAX_LINES + 100) as u64);
    }
}
