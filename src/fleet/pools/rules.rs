//! Validation of pools and their changes.

use std::{net::IpAddr, ops::RangeInclusive};

use uuid::Uuid;

use super::PoolChange;
use crate::{
    base::{Error, Result, error::Reason, network, text},
    identity::groups::lists,
    store::{
        columns::{Json, PoolSelection},
        tables::GatewayPoolRow,
    },
};

/// Default of the selection.
pub(super) const SELECTION: PoolSelection = PoolSelection::Latency;
/// Default of the weight.
pub(super) const WEIGHT: i64 = 100;
/// Default of the priority.
pub(super) const PRIORITY: i64 = 0;
/// Default of the time for which gateways admit devices while they are cut off: they do not.
pub(super) const OFFLINE_GRACE: i64 = 0;
/// Maximum length of a name and of a region, in characters.
const MAX_NAME: usize = 64;
/// Maximum number of DNS servers.
const MAX_DNS_SERVERS: usize = 8;
const WEIGHTS: RangeInclusive<i64> = 1..=1000;
const PRIORITIES: RangeInclusive<i64> = 0..=1000;
const SESSIONS: RangeInclusive<i64> = 1..=10_000_000;
const OFFLINE_GRACES: RangeInclusive<i64> = 0..=900;

/// A valid [`PoolChange`].
#[derive(Clone, Debug)]
pub(super) struct Checked {
    name: Option<String>,
    region: Option<String>,
    selection: Option<PoolSelection>,
    weight: Option<i64>,
    priority: Option<i64>,
    max_sessions: Option<Option<i64>>,
    pub(super) allowed_group_ids: Option<Vec<Uuid>>,
    virtual_cidr: Option<Option<String>>,
    dns_servers: Option<Vec<String>>,
    offline_grace_seconds: Option<i64>,
}

/// Validates a change without the database.
pub(super) fn check(change: PoolChange) -> Result<Checked> {
    let within =
        |field: &'static str, range: &'static RangeInclusive<i64>| move |number: i64| number_in(field, number, range);
    Ok(Checked {
        name: change.name.map(|text| name(&text)).transpose()?,
        region: change.region.map(|text| region(&text)).transpose()?,
        selection: change.selection.map(|word| selection(&word)).transpose()?,
        weight: change.weight.map(within("weight", &WEIGHTS)).transpose()?,
        priority: change.priority.map(within("priority", &PRIORITIES)).transpose()?,
        max_sessions: change
            .max_sessions
            .map(|number| number.map(within("max_sessions", &SESSIONS)).transpose())
            .transpose()?,
        allowed_group_ids: change
            .allowed_group_ids
            .map(|ids| lists::ids("allowed_group_ids", &ids, lists::MOST))
            .transpose()?,
        virtual_cidr: change.virtual_cidr.map(|text| text.map(|text| network(&text)).transpose()).transpose()?,
        dns_servers: change.dns_servers.map(|texts| addresses(&texts)).transpose()?,
        offline_grace_seconds: change
            .offline_grace_seconds
            .map(within("offline_grace_seconds", &OFFLINE_GRACES))
            .transpose()?,
    })
}

/// Applies a change to a pool.
pub(super) fn changed(mut row: GatewayPoolRow, change: &Checked) -> GatewayPoolRow {
    fn set<T: Clone>(to: &mut T, value: &Option<T>) {
        if let Some(value) = value {
            to.clone_from(value);
        }
    }
    set(&mut row.name, &change.name);
    set(&mut row.region, &change.region);
    set(&mut row.selection, &change.selection);
    set(&mut row.weight, &change.weight);
    set(&mut row.priority, &change.priority);
    set(&mut row.max_sessions, &change.max_sessions);
    set(&mut row.allowed_group_ids, &change.allowed_group_ids.clone().map(Json));
    set(&mut row.virtual_cidr, &change.virtual_cidr);
    set(&mut row.dns_servers, &change.dns_servers.clone().map(Json));
    set(&mut row.offline_grace_seconds, &change.offline_grace_seconds);
    row
}

fn name(text: &str) -> Result<String> {
    text::name_of("name", text, 1..=MAX_NAME, "a name must have 1 to 64 characters")
}

fn region(text: &str) -> Result<String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    text::name_of("region", text, 1..=MAX_NAME, "a region must have at most 64 characters")
}

fn selection(word: &str) -> Result<PoolSelection> {
    let found = PoolSelection::ALL.into_iter().find(|selection| selection.as_str() == word);
    found.ok_or_else(|| invalid("selection", "the selection must be latency, weighted or priority".to_owned()))
}

fn number_in(field: &str, number: i64, range: &RangeInclusive<i64>) -> Result<i64> {
    if range.contains(&number) {
        return Ok(number);
    }
    Err(invalid(field, format!("{field} must be {} to {}", range.start(), range.end())))
}

fn network(text: &str) -> Result<String> {
    let net = network::parse(text).filter(|net| *net == net.trunc());
    let message = "not a network such as 100.64.0.0/10 (host bits must be zero)";
    net.map(|net| net.to_string()).ok_or_else(|| invalid("virtual_cidr", message.to_owned()))
}

/// Parses addresses and removes duplicates.
fn addresses(texts: &[String]) -> Result<Vec<String>> {
    const FIELD: &str = "dns_servers";
    if texts.len() > MAX_DNS_SERVERS {
        return Err(invalid(FIELD, format!("at most {MAX_DNS_SERVERS} DNS servers")));
    }
    let mut addresses = Vec::with_capacity(texts.len());
    for text in texts {
        let address: IpAddr = text.parse().map_err(|_| {
            invalid(FIELD, "a DNS server must be an IP address such as 10.0.0.53 or 2001:db8::53".to_owned())
        })?;
        let address = address.to_string();
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

fn invalid(field: &str, message: String) -> Error {
    Error::invalid(Reason::InvalidArgument, field, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field_of(change: PoolChange) -> String {
        check(change).unwrap_err().violations[0].field.clone()
    }

    #[test]
    fn each_member_has_its_rule() {
        let change = PoolChange::default;
        for number in [0, 1001, -1] {
            assert_eq!(field_of(PoolChange { weight: Some(number), ..change() }), "weight");
        }
        for number in [-1, 901] {
            let offline_grace_seconds = Some(number);
            assert_eq!(field_of(PoolChange { offline_grace_seconds, ..change() }), "offline_grace_seconds");
        }
        assert_eq!(field_of(PoolChange { priority: Some(-1), ..change() }), "priority");
        assert_eq!(field_of(PoolChange { max_sessions: Some(Some(0)), ..change() }), "max_sessions");
        assert_eq!(field_of(PoolChange { selection: Some("nearest".to_owned()), ..change() }), "selection");
        assert_eq!(field_of(PoolChange { name: Some(String::new()), ..change() }), "name");
        assert_eq!(field_of(PoolChange { region: Some("x".repeat(65)), ..change() }), "region");
        for bad in ["10.0.0.1/8", "10.0.0.0/33", "", "example.com"] {
            let virtual_cidr = Some(Some(bad.to_owned()));
            assert_eq!(field_of(PoolChange { virtual_cidr, ..change() }), "virtual_cidr", "{bad}");
        }
        for bad in ["dns.example.com", "", "10.0.0.53:53", "010.0.0.53"] {
            let dns_servers = Some(vec![bad.to_owned()]);
            assert_eq!(field_of(PoolChange { dns_servers, ..change() }), "dns_servers", "{bad}");
        }
        let allowed_group_ids = Some(vec!["usr_01J7ST8Z0GFCQ9TCATDDY8V7GF".to_owned()]);
        assert_eq!(field_of(PoolChange { allowed_group_ids, ..change() }), "allowed_group_ids");
        assert!(check(PoolChange { max_sessions: Some(None), virtual_cidr: Some(None), ..change() }).is_ok());
    }

    #[test]
    fn addresses_and_networks_are_stored_in_one_spelling() {
        let checked = check(PoolChange {
            virtual_cidr: Some(Some("2001:DB8::/64".to_owned())),
            dns_servers: Some(vec!["2001:DB8:0::53".to_owned(), "2001:db8::53".to_owned()]),
            ..PoolChange::default()
        });
        let checked = checked.unwrap();
        assert_eq!(checked.virtual_cidr, Some(Some("2001:db8::/64".to_owned())));
        assert_eq!(checked.dns_servers, Some(vec!["2001:db8::53".to_owned()]));
    }
}
