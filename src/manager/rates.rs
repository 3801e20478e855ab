//! Rates of tenants, with the time from which they apply. Before the first one, and where they say nothing, the rates of the
//! configuration apply.

use serde_json::json;
use time::OffsetDateTime;

use super::{
    billing::BillingSettings,
    money::{Discount, Rate},
    usage::hour_of,
};
use crate::{
    base::{Cx, Error, Result, TenantRef, error::Reason},
    store::{Change, ChangeKind, Resource, Stamp, Store, Tx, tables::RatesRow},
    tenants,
};

/// Rates from a time on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rates {
    pub effective_from: OffsetDateTime,
    /// `None` for that of the configuration.
    pub cpu_milli: Option<Rate>,
    /// `None` for that of the configuration.
    pub mem_mib: Option<Rate>,
    pub discount: Discount,
}

/// Rates as a caller sends them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GivenRates {
    /// `None` for the current hour.
    pub effective_from: Option<OffsetDateTime>,
    pub cpu_milli: Option<String>,
    pub mem_mib: Option<String>,
    pub discount: Option<String>,
}

impl Rates {
    fn read(given: &GivenRates, now: OffsetDateTime) -> Result<Self> {
        let rate = |field: &str, text: &Option<String>| {
            let rule = || format!("{field} must be a decimal with at most 9 digits before the point and 12 after it");
            let parsed = text.as_deref().map(str::parse::<Rate>).transpose();
            parsed.map_err(|_| Error::invalid(Reason::InvalidArgument, field, rule()))
        };
        let rule = "discount must be a decimal from 0 to 1 with at most 6 digits after the point";
        let discount = given.discount.as_deref().map(str::parse::<Discount>).transpose();
        let discount = discount.map_err(|_| Error::invalid(Reason::InvalidArgument, "discount", rule))?;
        let effective_from = given.effective_from.unwrap_or_else(|| hour_of(now));
        if hour_of(effective_from) != effective_from {
            let text = "effective_from must be the beginning of an hour in UTC";
            return Err(Error::invalid(Reason::InvalidArgument, "effective_from", text));
        }
        Ok(Self {
            effective_from,
            cpu_milli: rate("cpu_milli", &given.cpu_milli)?,
            mem_mib: rate("mem_mib", &given.mem_mib)?,
            discount: discount.unwrap_or_default(),
        })
    }

    /// The stored rates.
    pub(super) fn of(row: &RatesRow) -> Result<Self> {
        let unreadable = || Error::internal("the rates of a tenant are not decimals");
        let rate =
            |text: &Option<String>| text.as_deref().map(str::parse::<Rate>).transpose().map_err(|_| unreadable());
        Ok(Self {
            effective_from: row.effective_from.time(),
            cpu_milli: rate(&row.cpu_milli)?,
            mem_mib: rate(&row.mem_mib)?,
            discount: row.discount.parse().map_err(|_| unreadable())?,
        })
    }
}

/// Sets the rates of a tenant from a time on, and replaces those from the same time.
pub async fn set(
    cx: &Cx,
    store: &Store,
    settings: &BillingSettings,
    tenant: &TenantRef,
    given: &GivenRates,
) -> Result<Rates> {
    let now = cx.clock.now();
    let rates = Rates::read(given, now)?;
    settings.refuse_closed("effective_from", rates.effective_from, now)?;
    store.write(cx, (tenant.clone(), rates), write).await
}

async fn write(tx: &Tx, (tenant, rates): &(TenantRef, Rates)) -> Result<Rates> {
    let (tenant, scope) = tenants::resolve_locked(tx, tenant).await?;
    let text = |rate: &Option<Rate>| rate.as_ref().map(Rate::to_string);
    let row = RatesRow {
        tenant_id: scope.into(),
        effective_from: Stamp::from(rates.effective_from),
        cpu_milli: text(&rates.cpu_milli),
        mem_mib: text(&rates.mem_mib),
        discount: rates.discount.to_string(),
        created_at: Stamp::from(tx.now()),
    };
    let details = json!({
        "effective_from": rates.effective_from.unix_timestamp(),
        "cpu_milli": row.cpu_milli,
        "mem_mib": row.mem_mib,
        "discount": row.discount,
    });
    tx.tenant(scope).rates().set(row).await?;
    let change = Change::new(Resource::TenantRates, ChangeKind::Updated, tenant.id.dashed()).within(tenant.id);
    tx.changed(change, tenant.name.as_str(), details);
    Ok(rates.clone())
}

/// The rates of a tenant, oldest first.
pub async fn list(cx: &Cx, store: &Store, tenant: &TenantRef) -> Result<Vec<Rates>> {
    let (_, scope) = tenants::resolve(cx, store, tenant).await?;
    store.tenant(scope).rates().all().await?.iter().map(Rates::of).collect()
}
