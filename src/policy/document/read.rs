//! Reads a policy from a request: validates each member, and reports all that are invalid.

use std::net::IpAddr;

use super::{
    Document, routes,
    sections::{Conditions, Dns, Posture, Session, TimeOfDay, TimeWindow},
    violations::Violations,
    words::{OnFail, Word},
};
use crate::{
    base::{IdKind, Result},
    proto::zerotrust::v1::{
        PolicyConditions, PolicyDns, PolicyDocument, PolicyPosture, PolicySession, PolicyTimeWindow,
    },
};

/// Maximum number of DNS servers.
const MAX_SERVERS: usize = 8;
/// Maximum number of domains.
const MAX_DOMAINS: usize = 100;
/// Maximum number of time windows.
const MAX_WINDOWS: usize = 50;
/// Maximum number of gateway pools, countries and other words.
const MAX_WORDS: usize = 500;
/// Maximum length of a DNS name.
const MAX_DOMAIN: usize = 253;
/// Default for the age of a report, in seconds.
const MAX_AGE: i32 = 3600;

/// Which lists a policy has although they are empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EmptyLists {
    pub routes: bool,
    pub gateway_pools: bool,
}

/// Validates a policy. Fails with INVALID_ARGUMENT and a violation for each invalid member, by its JSON path in the request.
pub fn read(message: &PolicyDocument, empty: EmptyLists) -> Result<Document> {
    let mut violations = Violations::default();
    let document = sections(message, empty, &mut violations);
    violations.finish()?;
    Ok(document)
}

fn sections(message: &PolicyDocument, empty: EmptyLists, violations: &mut Violations) -> Document {
    let routes = (empty.routes || !message.routes.is_empty())
        .then(|| routes::read("policy.routes", &message.routes, violations));
    let pools = (empty.gateway_pools || !message.gateway_pools.is_empty())
        .then(|| pools("policy.gateway_pools", &message.gateway_pools, violations));
    Document {
        tunnel_mode: word("policy.tunnel_mode", message.tunnel_mode.as_deref(), violations),
        default_access: word("policy.default_access", message.default_access.as_deref(), violations),
        min_auth_mode: word("policy.min_auth_mode", message.min_auth_mode.as_deref(), violations),
        routes,
        dns: message.dns.as_ref().map(|dns| read_dns(dns, violations)),
        kill_switch: message.kill_switch,
        gateway_pools: pools,
        posture: message.posture.as_ref().and_then(|posture| read_posture(posture, violations)),
        session: message.session.as_ref().map(|session| read_session(session, violations)),
        conditions: message.conditions.as_ref().map(|conditions| read_conditions(conditions, violations)),
        refresh_seconds: message
            .refresh_seconds
            .and_then(|seconds| violations.number("policy.refresh_seconds", seconds, 60, 3600)),
        min_client_version: message
            .min_client_version
            .as_deref()
            .and_then(|text| violations.check("policy.min_client_version", client_version(text))),
    }
}

fn word<W: Word>(path: &str, text: Option<&str>, violations: &mut Violations) -> Option<W> {
    text.and_then(|text| violations.word(path, text))
}

/// Reads the items of a list of at most `most`, which must differ.
fn items<T: PartialEq>(
    path: &str,
    texts: &[String],
    most: usize,
    violations: &mut Violations,
    read: impl Fn(&str) -> Result<T, String>,
) -> Vec<T> {
    let mut found = Vec::with_capacity(texts.len().min(most));
    if violations.at_most(path, texts.len(), most) {
        for (at, text) in texts.iter().enumerate() {
            let path = format!("{path}[{at}]");
            let Some(item) = violations.check(&path, read(text)) else { continue };
            if found.contains(&item) {
                violations.add(path, "is listed more than once");
            } else {
                found.push(item);
            }
        }
    }
    found
}

fn words<W: Word>(path: &str, texts: &[String], violations: &mut Violations) -> Vec<W> {
    items(path, texts, MAX_WORDS, violations, |text| W::read(text).ok_or_else(|| format!("must be {}", W::list())))
}

/// The public ids of pools, in their canonical spelling. Whether they exist is checked where the policy is published.
fn pools(path: &str, texts: &[String], violations: &mut Violations) -> Vec<String> {
    items(path, texts, MAX_WORDS, violations, |text| {
        let id = IdKind::GatewayPool.read(text);
        id.map(|id| IdKind::GatewayPool.show(id)).ok_or_else(|| "must be the id of a gateway pool".to_owned())
    })
}

fn read_dns(dns: &PolicyDns, violations: &mut Violations) -> Dns {
    let address =
        |text: &str| text.parse::<IpAddr>().map_err(|_| "must be an IP address, such as 10.0.0.53".to_owned());
    Dns {
        servers: items("policy.dns.servers", &dns.servers, MAX_SERVERS, violations, address),
        match_domains: items("policy.dns.match_domains", &dns.match_domains, MAX_DOMAINS, violations, domain),
    }
}

/// A DNS name in lower case and punycode (RFC 5891).
fn domain(text: &str) -> Result<String, String> {
    let ascii = idna::domain_to_ascii_strict(text).ok().filter(|ascii| (1..=MAX_DOMAIN).contains(&ascii.len()));
    ascii.ok_or_else(|| "must be a DNS name, such as corp.example".to_owned())
}

fn read_posture(posture: &PolicyPosture, violations: &mut Violations) -> Option<Posture> {
    let seconds = posture.max_age_seconds.unwrap_or(MAX_AGE);
    let max_age_seconds = violations.number("policy.posture.max_age_seconds", seconds, 60, 604_800);
    let on_fail = match posture.on_fail.as_deref() {
        None => Some(OnFail::Block),
        text => word("policy.posture.on_fail", text, violations),
    };
    let required = words("policy.posture.required", &posture.required, violations);
    Some(Posture { required, max_age_seconds: max_age_seconds?, on_fail: on_fail? })
}

fn read_session(session: &PolicySession, violations: &mut Violations) -> Session {
    let mut limit = |name: &str, seconds: Option<i32>, least, most| {
        seconds.and_then(|seconds| violations.number(&format!("policy.session.{name}"), seconds, least, most))
    };
    let max_seconds = limit("max_seconds", session.max_seconds, 300, 2_592_000);
    let idle_seconds = limit("idle_seconds", session.idle_seconds, 60, 86_400);
    let reauth_seconds = limit("reauth_seconds", session.reauth_seconds, 300, 2_592_000);
    if let (Some(max), Some(idle)) = (max_seconds, idle_seconds)
        && idle > max
    {
        violations.add("policy.session.idle_seconds", "must not be more than max_seconds");
    }
    Session { max_seconds, idle_seconds, reauth_seconds }
}

fn read_conditions(conditions: &PolicyConditions, violations: &mut Violations) -> Conditions {
    let path = "policy.conditions.time_windows";
    let windows = &conditions.time_windows;
    let is_read = violations.at_most(path, windows.len(), MAX_WINDOWS);
    let windows = windows.iter().enumerate().filter(|_| is_read);
    Conditions {
        countries_allow: items(
            "policy.conditions.countries_allow",
            &conditions.countries_allow,
            MAX_WORDS,
            violations,
            country,
        ),
        time_windows: windows
            .filter_map(|(at, window)| read_window(&format!("{path}[{at}]"), window, violations))
            .collect(),
    }
}

fn country(text: &str) -> Result<String, String> {
    let is_code = text.len() == 2 && text.bytes().all(|b| b.is_ascii_alphabetic());
    is_code.then(|| text.to_ascii_uppercase()).ok_or_else(|| "must be a two-letter country code, such as DE".to_owned())
}

fn read_window(path: &str, window: &PolicyTimeWindow, violations: &mut Violations) -> Option<TimeWindow> {
    let days = words(&format!("{path}.days"), &window.days, violations);
    let start = violations.check(&format!("{path}.start"), TimeOfDay::read(&window.start));
    let end = violations.check(&format!("{path}.end"), TimeOfDay::read(&window.end));
    let (start, end) = (start?, end?);
    if start >= end {
        let rule = "must be after the start; a window that includes midnight is two windows";
        violations.add(format!("{path}.end"), rule);
    }
    Some(TimeWindow { days, start, end })
}

/// A version of three numbers without leading zeros.
fn client_version(text: &str) -> Result<String, String> {
    let number = |part: &str| {
        let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        digits && (part == "0" || !part.starts_with('0')) && part.parse::<u32>().is_ok()
    };
    let is_version = text.split('.').count() == 3 && text.split('.').all(number);
    is_version.then(|| text.to_owned()).ok_or_else(|| "must be a version of three numbers, such as 1.4.0".to_owned())
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
