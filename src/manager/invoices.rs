//! Invoices: the usage of a month, and what it costs.
//!
//! The amounts are exact sums over the hours, and each is rounded once. The invoice of a closed month is stored: it does not change
//! with the rates of the configuration, and is kept after the tenant is gone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use super::{
    billing::BillingSettings,
    measures,
    money::{Amount, Discount},
    months::Month,
    rates::Rates,
};
use crate::{
    base::{Access, Cx, Error, Result, TenantId, TenantRef, error::Reason},
    store::{
        Db, Store, Tx, json,
        tables::{TenantRows, UsageRow, invoice_of, rows_of_gone_tenant, unclosed_months},
    },
    tenants,
};

/// How long after a month is closed its invoice is stored: lines that were accepted before, also by a server whose clock is behind, are
/// committed by then.
const SETTLED: Duration = Duration::minutes(15);

/// The usage of an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hour {
    /// Its beginning, in seconds since the Unix epoch.
    pub at: i64,
    pub cpu_milli: i64,
    pub mem_mib: i64,
}

impl From<UsageRow> for Hour {
    fn from(row: UsageRow) -> Self {
        Self { at: row.hour.time().unix_timestamp(), cpu_milli: row.cpu_milli, mem_mib: row.mem_mib }
    }
}

/// What a month costs: decimals, rounded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amounts {
    /// Before discounts.
    pub subtotal: String,
    pub discount: String,
    pub total: String,
}

/// An invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoice {
    pub tenant: TenantId,
    pub month: Month,
    /// Oldest first.
    pub hours: Vec<Hour>,
    pub amounts: Amounts,
    /// Nothing in it changes.
    pub closed: bool,
}

/// The stored part of an invoice.
#[derive(Serialize, Deserialize)]
struct Document {
    hours: Vec<Hour>,
    amounts: Amounts,
}

/// The amounts for some hours. `rates` are sorted by the time from which they apply.
pub fn amounts(settings: &BillingSettings, rates: &[Rates], hours: &[Hour]) -> Amounts {
    // The quantities under each rates, by how many of them have begun.
    let mut quantities: BTreeMap<usize, (i128, i128)> = BTreeMap::new();
    for hour in hours {
        let begun = rates.partition_point(|rates| rates.effective_from.unix_timestamp() <= hour.at);
        let sums = quantities.entry(begun).or_default();
        sums.0 += i128::from(hour.cpu_milli);
        sums.1 += i128::from(hour.mem_mib);
    }
    let (mut subtotal, mut discount) = (Amount::default(), Amount::default());
    for (begun, (cpu, mem)) in quantities {
        let own = begun.checked_sub(1).and_then(|last| rates.get(last));
        let cpu_milli = own.and_then(|own| own.cpu_milli.as_ref()).unwrap_or(&settings.cpu_milli);
        let mem_mib = own.and_then(|own| own.mem_mib.as_ref()).unwrap_or(&settings.mem_mib);
        let price = cpu_milli.of(cpu).plus(&mem_mib.of(mem));
        discount = discount.plus(&own.map_or_else(Discount::default, |own| own.discount.clone()).of(&price));
        subtotal = subtotal.plus(&price);
    }
    let total = subtotal.minus(&discount);
    Amounts { subtotal: subtotal.rounded(), discount: discount.rounded(), total: total.rounded() }
}

/// The invoice of a tenant for a month, `YYYY-MM`, or the current one.
pub async fn get(
    cx: &Cx,
    store: &Store,
    settings: &BillingSettings,
    tenant: &TenantRef,
    month: &str,
) -> Result<Invoice> {
    let now = cx.clock.now();
    let month = match month {
        "" => Month::of(now),
        text => text.parse().map_err(|()| {
            Error::invalid(Reason::InvalidArgument, "month", "month must have the form YYYY-MM, such as 2026-11")
        })?,
    };
    let scope = match tenants::resolve(cx, store, tenant).await {
        Ok((_, scope)) => scope,
        Err(error) => return of_gone_tenant(cx, store, tenant, month).await?.ok_or(error),
    };
    if let Some(kept) = stored(store.read(), scope.tenant(), month).await? {
        measures::invoice_lines(kept.hours.len());
        return Ok(kept);
    }
    let (hours, amounts) = computed(&store.tenant(scope), settings, month).await?;
    measures::invoice_lines(hours.len());
    let closed = month.is_closed(now, settings.close_after);
    Ok(Invoice { tenant: scope.tenant(), month, hours, amounts, closed })
}

/// The invoice of a tenant that is gone, for platform callers that name its id.
async fn of_gone_tenant(cx: &Cx, store: &Store, tenant: &TenantRef, month: Month) -> Result<Option<Invoice>> {
    match (tenant, &cx.access) {
        (TenantRef::Id(id) | TenantRef::Either(id, _), Access::Platform) => stored(store.read(), *id, month).await,
        _ => Ok(None),
    }
}

async fn stored(conn: &impl Db, tenant: TenantId, month: Month) -> Result<Option<Invoice>> {
    let Some(row) = invoice_of(conn, tenant, month.number()).await? else { return Ok(None) };
    let Document { hours, amounts } = json::from_text(&row.document)?;
    Ok(Some(Invoice { tenant, month, hours, amounts, closed: true }))
}

async fn computed<C: Db>(
    rows: &TenantRows<'_, C>,
    settings: &BillingSettings,
    month: Month,
) -> Result<(Vec<Hour>, Amounts)> {
    let hours: Vec<_> = rows.usage().of_month(month.number()).await?.into_iter().map(Hour::from).collect();
    let rates = rows.rates().all().await?.iter().map(Rates::of).collect::<Result<Vec<_>>>()?;
    let amounts = amounts(settings, &rates, &hours);
    Ok((hours, amounts))
}

/// Stores the invoices of the months with usage that have been closed for some time, at most `most`. Returns how many.
pub async fn close(store: &Store, settings: &BillingSettings, now: OffsetDateTime, most: u64) -> Result<u64> {
    let after = settings.close_after + SETTLED;
    let mut before = Month::of(now - after);
    // The month at that time has not ended by it.
    while before.is_closed(now, after) {
        before = before.next();
    }
    let due = unclosed_months(store.read(), before.number(), most).await?;
    let count = due.len() as u64;
    if count > 0 {
        store.maintain("billing.close", (due, settings.clone(), now), write).await?;
    }
    Ok(count)
}

async fn write(tx: &Tx, (due, settings, now): &(Vec<(TenantId, i64)>, BillingSettings, OffsetDateTime)) -> Result<()> {
    for (tenant, month) in due {
        let rows = rows_of_gone_tenant(tx.conn(), *tenant);
        let (hours, amounts) = computed(&rows, settings, Month::numbered(*month)).await?;
        let document = json::to_text(&Document { hours, amounts })?;
        rows.invoices().insert(*month, document, (*now).into()).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};
    use time::macros::datetime;

    use super::*;

    fn settings(cpu: &str, mem: &str) -> BillingSettings {
        let close_after = Duration::hours(72);
        BillingSettings { cpu_milli: cpu.parse().unwrap(), mem_mib: mem.parse().unwrap(), close_after }
    }

    fn hour(at: OffsetDateTime, cpu_milli: i64, mem_mib: i64) -> Hour {
        Hour { at: at.unix_timestamp(), cpu_milli, mem_mib }
    }

    fn rates(from: OffsetDateTime, cpu: Option<&str>, mem: Option<&str>, discount: &str) -> Rates {
        let rate = |text: Option<&str>| text.map(|text| text.parse().unwrap());
        Rates { effective_from: from, cpu_milli: rate(cpu), mem_mib: rate(mem), discount: discount.parse().unwrap() }
    }

    #[test]
    fn the_documented_values_are_exact() {
        let used = [hour(datetime!(2026-11-20 15:00 UTC), 100, 200)];
        let subtotal = |settings: &BillingSettings, rates: &[Rates]| amounts(settings, rates, &used).subtotal;
        assert_eq!(subtotal(&settings("0.000001", "0.0000002"), &[]), "0.00014");
        assert_eq!(subtotal(&settings("0.01", "0.0000002"), &[]), "1.00004");
        let own = rates(datetime!(2026-11-01 0:00 UTC), None, Some("0.5"), "0.9");
        let charged = amounts(&settings("0.01", "0.0000002"), &[own], &used);
        assert_eq!(
            (charged.subtotal.as_str(), charged.discount.as_str(), charged.total.as_str()),
            ("101", "90.9", "10.1")
        );
        assert_eq!(subtotal(&settings("1", "1"), &[]), "300");
        assert_eq!(amounts(&settings("1", "1"), &[], &[]).subtotal, "0");
    }

    #[test]
    fn rates_apply_from_their_hour_on() {
        let change = datetime!(2026-11-15 12:00 UTC);
        let hours =
            [hour(change - Duration::hours(1), 1, 0), hour(change, 10, 0), hour(change + Duration::hours(1), 100, 0)];
        let list = [rates(change, Some("3"), None, "0.5"), rates(change + Duration::hours(1), None, None, "0")];
        let charged = amounts(&settings("2", "0"), &list, &hours);
        assert_eq!((charged.subtotal.as_str(), charged.discount.as_str()), ("232", "15"));
    }

    #[test]
    fn the_lines_add_up_to_the_subtotal_in_any_order() {
        let mut random = StdRng::seed_from_u64(7);
        for _ in 0..200 {
            let start = datetime!(2026-11-01 0:00 UTC);
            let decimal = |random: &mut StdRng| {
                format!("{}.{:012}", random.random_range(0..9), random.random_range(0..10_u64.pow(12)))
            };
            let settings = settings(&decimal(&mut random), &decimal(&mut random));
            let mut own: Vec<_> = (0..random.random_range(0..4))
                .map(|_| {
                    let from = start + Duration::hours(random.random_range(0..720));
                    rates(from, Some(&decimal(&mut random)), None, "0")
                })
                .collect();
            own.sort_by_key(|rates| rates.effective_from);
            own.dedup_by_key(|rates| rates.effective_from);
            let mut hours: Vec<_> = (0..100)
                .map(|n| {
                    hour(
                        start + Duration::hours(7 * n),
                        random.random_range(0..1 << 40),
                        random.random_range(0..1 << 40),
                    )
                })
                .collect();
            let whole = amounts(&settings, &own, &hours).subtotal;
            hours.shuffle(&mut random);
            let mut sum = Amount::default();
            for hour in &hours {
                let begun = own.iter().rev().find(|rates| rates.effective_from.unix_timestamp() <= hour.at);
                let cpu = begun.and_then(|own| own.cpu_milli.as_ref()).unwrap_or(&settings.cpu_milli);
                sum = sum.plus(&cpu.of(hour.cpu_milli.into())).plus(&settings.mem_mib.of(hour.mem_mib.into()));
            }
            assert_eq!(sum.rounded(), whole);
            assert_eq!(amounts(&settings, &own, &hours).subtotal, whole);
        }
    }
}
