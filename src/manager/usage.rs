//! Usage of tenants: lines that are added up by hour when they arrive (manager contract, section 5).

use std::collections::{BTreeMap, HashMap};

use serde_json::json;
use time::{Duration, OffsetDateTime};

use super::{billing::BillingSettings, months::Month};
use crate::{
    base::{Cx, Error, Result, TenantRef, TenantScope, error::Reason},
    store::{
        Stamp, Store, Tx,
        tables::{UsageRow, usage_totals},
    },
    tenants,
};

/// How far ahead of the clock of this server a line may be.
const AHEAD: Duration = Duration::hours(1);
/// Most that a line may have of one kind: a million CPUs, or a thousand TiB of memory, for 1000 hours.
const MOST: i64 = 1_000_000_000_000;

/// What a tenant used in a part of an hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageLine {
    pub tenant: String,
    /// Any time in the hour; `None` if the line has none.
    pub at: Option<OffsetDateTime>,
    pub cpu_milli: i64,
    pub mem_mib: i64,
}

/// The usage of some hours of one tenant.
type Hours = BTreeMap<OffsetDateTime, (i64, i64)>;

/// Adds lines to the usage of their tenants: all of them, or none.
pub async fn ingest(cx: &Cx, store: &Store, settings: &BillingSettings, lines: &[UsageLine]) -> Result<()> {
    let now = cx.clock.now();
    let mut by_reference: BTreeMap<&str, Hours> = BTreeMap::new();
    for (number, line) in lines.iter().enumerate() {
        let hour = check(settings, line, now).map_err(|error| of_line(number, error))?;
        let sums = by_reference.entry(&line.tenant).or_default().entry(hour).or_default();
        let added = (sums.0.checked_add(line.cpu_milli), sums.1.checked_add(line.mem_mib));
        let (Some(cpu), Some(mem)) = added else { return Err(too_much()) };
        *sums = (cpu, mem);
    }
    // Several references may mean one tenant.
    let mut by_tenant: HashMap<TenantScope, Hours> = HashMap::new();
    for (reference, hours) in by_reference {
        let scope = tenants::reach(cx, store, &TenantRef::parse(reference)).await.map_err(hidden)?;
        let sums = by_tenant.entry(scope).or_default();
        for (hour, (cpu, mem)) in hours {
            let sum = sums.entry(hour).or_default();
            let (Some(cpu), Some(mem)) = (sum.0.checked_add(cpu), sum.1.checked_add(mem)) else {
                return Err(too_much());
            };
            *sum = (cpu, mem);
        }
    }
    // In one order, so that concurrent batches do not wait for each other in a circle.
    let mut batch: Vec<_> = by_tenant.into_iter().collect();
    batch.sort_by_key(|(scope, _)| scope.tenant());
    if batch.is_empty() {
        return Ok(());
    }
    store.write(cx, (batch, lines.len()), add).await
}

async fn add(tx: &Tx, (batch, lines): &(Vec<(TenantScope, Hours)>, usize)) -> Result<()> {
    for (scope, hours) in batch {
        let rows = hours.iter().map(|(hour, (cpu_milli, mem_mib))| UsageRow {
            tenant_id: (*scope).into(),
            hour: Stamp::from(*hour),
            month: Month::of(*hour).number(),
            cpu_milli: *cpu_milli,
            mem_mib: *mem_mib,
        });
        if !tx.tenant(*scope).usage().add_hours(rows.collect()).await? {
            return Err(too_much());
        }
    }
    let tenant = match batch.as_slice() {
        [(scope, _)] => Some(scope.tenant()),
        _ => None,
    };
    let target = tenant.map(|tenant| tenant.manager()).unwrap_or_default();
    tx.audit_only(tenant, target, json!({"lines": lines, "tenants": batch.len()}));
    Ok(())
}

/// The hour of a line in UTC. Fails for a line that breaks a rule.
fn check(settings: &BillingSettings, line: &UsageLine, now: OffsetDateTime) -> Result<OffsetDateTime> {
    let at = line.at.ok_or_else(|| Error::invalid(Reason::UsageTimeRequired, "ts", "ts is required"))?;
    if line.tenant.is_empty() {
        return Err(Error::invalid(Reason::FieldRequired, "tenant_id", "tenant_id is required"));
    }
    for (field, number) in [("cpu_milli", line.cpu_milli), ("mem_mib", line.mem_mib)] {
        if !(0..=MOST).contains(&number) {
            let text = format!("{field} must be a number from 0 to {MOST}");
            return Err(Error::invalid(Reason::InvalidArgument, field, text));
        }
    }
    if at > now + AHEAD {
        return Err(Error::invalid(Reason::InvalidArgument, "ts", "ts is more than one hour ahead"));
    }
    settings.refuse_closed("ts", at, now)?;
    Ok(hour_of(at))
}

/// The beginning of the hour of a time, in UTC.
pub(super) fn hour_of(at: OffsetDateTime) -> OffsetDateTime {
    let seconds = at.unix_timestamp();
    OffsetDateTime::from_unix_timestamp(seconds - seconds.rem_euclid(3600)).unwrap_or(at)
}

fn of_line(number: usize, mut error: Error) -> Error {
    error.message = format!("line {}: {}", number + 1, error.message).into();
    error
}

fn too_much() -> Error {
    Error::invalid(Reason::InvalidArgument, "lines", "an hour of a tenant has too much usage")
}

/// The same error for a tenant that does not exist and for one that the call may not access.
fn hidden(error: Error) -> Error {
    if error.reason == Reason::TenantForeign { tenants::not_found() } else { error }
}

/// The usage of all tenants at all times: CPU and memory. A sum beyond 64 bits is the largest number.
pub async fn totals(store: &Store) -> Result<(i64, i64)> {
    let (cpu, mem) = usage_totals(store.read()).await?;
    let number = |sum: i128| i64::try_from(sum).unwrap_or(i64::MAX);
    Ok((number(cpu), number(mem)))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-12-03 23:30 UTC);

    fn checked(at: Option<OffsetDateTime>, cpu_milli: i64) -> Result<OffsetDateTime> {
        let rate = || "1".parse().unwrap();
        let settings = BillingSettings { cpu_milli: rate(), mem_mib: rate(), close_after: Duration::hours(72) };
        check(&settings, &UsageLine { tenant: "acme".to_owned(), at, cpu_milli, mem_mib: 0 }, NOW)
    }

    #[test]
    fn a_line_is_of_an_hour_in_utc() {
        let good = |at| checked(Some(at), 1).unwrap();
        assert_eq!(good(datetime!(2026-12-03 15:13:07.5 UTC)), datetime!(2026-12-03 15:00 UTC));
        assert_eq!(good(datetime!(2026-12-03 15:45 +05:30)), datetime!(2026-12-03 10:00 UTC));
        assert_eq!(good(datetime!(2026-12-04 00:30 UTC)), datetime!(2026-12-04 00:00 UTC));
        assert_eq!(good(datetime!(2026-11-01 00:00 UTC)), datetime!(2026-11-01 00:00 UTC));
    }

    #[test]
    fn late_early_and_negative_lines_are_refused() {
        assert_eq!(checked(None, 1).unwrap_err().reason, Reason::UsageTimeRequired);
        for at in [
            datetime!(2026-12-04 00:30:01 UTC),
            datetime!(2026-10-31 23:59:59 UTC),
            datetime!(2020-01-01 0:00 UTC),
            datetime!(2026-11-01 00:00 +00:01),
        ] {
            assert_eq!(checked(Some(at), 1).unwrap_err().reason, Reason::InvalidArgument, "{at}");
        }
        for number in [-1, MOST + 1, i64::MAX, i64::MIN] {
            assert!(checked(Some(NOW), number).is_err(), "{number}");
        }
        assert!(checked(Some(NOW), 0).is_ok() && checked(Some(NOW), MOST).is_ok());
    }
}
