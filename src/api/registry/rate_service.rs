//! `RateService`: what tenants pay for their usage.

use crate::{
    api::{Deps, handlers::registry::v1::rate_service::RateService, times::time, timestamp},
    base::{Cx, Result},
    manager::rates::{self, GivenRates, Rates},
    proto::registry::v1::{
        ListTenantRatesRequest, ListTenantRatesResponse, SetTenantRatesRequest, SetTenantRatesResponse, TenantRates,
    },
};

pub struct TenantPrices {
    pub(super) deps: Deps,
}

impl RateService for TenantPrices {
    async fn list_tenant_rates(&self, cx: &Cx, _: ListTenantRatesRequest) -> Result<ListTenantRatesResponse> {
        let rates = rates::list(cx, &self.deps.store, cx.tenant()?).await?;
        Ok(ListTenantRatesResponse { rates: rates.iter().map(to_proto).collect() })
    }

    async fn set_tenant_rates(&self, cx: &Cx, message: SetTenantRatesRequest) -> Result<SetTenantRatesResponse> {
        let given = GivenRates {
            effective_from: message.effective_from.map(|at| time("effective_from", &at)).transpose()?,
            cpu_milli: message.cpu_milli,
            mem_mib: message.mem_mib,
            discount: message.discount,
        };
        let settings = &self.deps.settings.billing;
        let rates = rates::set(cx, &self.deps.store, settings, cx.tenant()?, &given).await?;
        Ok(SetTenantRatesResponse { rates: Some(to_proto(&rates)) })
    }
}

fn to_proto(rates: &Rates) -> TenantRates {
    TenantRates {
        effective_from: Some(timestamp(rates.effective_from)),
        cpu_milli: rates.cpu_milli.as_ref().map(ToString::to_string),
        mem_mib: rates.mem_mib.as_ref().map(ToString::to_string),
        discount: rates.discount.to_string(),
    }
}
