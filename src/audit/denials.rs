//! Denied calls, aggregated for the audit log.
//!
//! A denied call changes nothing, so it has no transaction for an audit event. Calls of one caller to one RPC within a
//! minute become one event with a count, so that denied calls cannot flood the audit log. Logins have no caller: those
//! from one network become one event, with some of the attempted names.

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

/// Maximum number of keys between two flushes. Further calls are counted under [`OTHERS`].
const MAX_LINES: usize = 4096;
/// The subject of callers that are counted together.
const OTHERS: &str = "(others)";
/// The subject of calls without a valid credential.
const NOBODY: &str = "(nobody)";

/// Maximum length of an attempted name, in characters.
const MAX_TRIED: usize = 64;
/// Maximum number of names in one event.
const MAX_NAMES: usize = 8;

/// The audit action of denied calls.
const ACTION: &str = "call.refuse";

/// The key of an aggregate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Denied {
    pub subject: String,
    pub role: Option<Role>,
    pub tenant: Option<TenantId>,
    pub rpc: &'static str,
    pub reason: Reason,
    /// The origin of logins: an IPv4 address, or the IPv6 network of one subscriber.
    pub near: Option<IpNet>,
}

/// The counts of denied calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    pub count: u64,
    /// The first attempted names of logins.
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

/// Counts since the last flush. Cheap to clone; clones share the counts.
#[derive(Clone)]
pub struct Denials(Aggregate<Denied>);

impl Denials {
    pub fn new(clock: Clock) -> Self {
        Self(Aggregate::new(MAX_LINES, clock))
    }

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

    /// Counts a denied login with the attempted name, which is not verified.
    pub fn count_login(&self, tried: &str, client: Option<IpAddr>, rpc: &'static str, reason: Reason) {
        let plain: String = tried.chars().filter(|c| !c.is_control()).take(MAX_TRIED).collect();
        let (subject, near) = (NOBODY.to_owned(), client.and_then(near));
        let calls = Calls { count: 1, tried: vec![format!("({plain}?)")] };
        self.0.add(Denied { subject, role: None, tenant: None, rpc, reason, near }, calls);
    }

    /// Takes the counts of completed minutes, and those of the current minute if `all`.
    pub fn take(&self, all: bool) -> Vec<(Denied, Calls)> {
        self.0.take(all).into_iter().map(|counted| (counted.line, counted.count)).collect()
    }
}

/// The network of an address: a subscriber has a whole IPv6 /64.
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
        details["address"] = json!(counted.line.near.map_or("unknown".to_owned(), to_text));
    }
    details
}

/// A single address has no prefix length.
fn to_text(net: IpNet) -> String {
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
    fn logins_from_one_address_are_one_line_with_some_names() {
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
