//! Devices of a tenant (zero-trust contract, section 4.4).

pub mod batch;
mod change;
mod filter;
mod rules;

use std::collections::HashMap;

use uuid::Uuid;

use crate::{
    base::{Cx, IdKind, Page, PageRequest, Reach, Result, TenantId, TenantRef},
    store::{
        Store,
        tables::{CredentialRow, DeviceRow, PolicyReportRow},
    },
    tenants,
};

pub use change::{Changed, change};
pub use filter::Filter;
pub use rules::Action;

#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    pub tenant: TenantId,
    pub row: DeviceRow,
    /// Its newest credential.
    pub credential: Option<CredentialRow>,
    /// What it reported last.
    pub report: Option<PolicyReportRow>,
}

/// A reference to a device in a request.
#[derive(Clone, Debug)]
pub struct DeviceRef {
    pub tenant: TenantRef,
    /// The public id.
    pub id: String,
    /// The expected version, if the call must fail on another one.
    pub version: Option<i64>,
}

impl Device {
    pub fn shown_id(&self) -> String {
        IdKind::Device.show(self.row.id)
    }
}

/// A page of the devices of a tenant; for [`Reach::Own`], those of the caller. Fails with INVALID_ARGUMENT for an invalid filter.
pub async fn page(
    cx: &Cx,
    store: &Store,
    tenant: &TenantRef,
    filter: &Filter,
    reach: Reach,
    request: PageRequest,
) -> Result<Page<Device>> {
    let checked = filter::check(filter)?;
    let scope = tenants::reach(cx, store, tenant).await?;
    let Some(wanted) = filter::resolve(cx, store, scope, &checked, reach).await? else {
        return Ok(Page::cut(request, Vec::new(), 0, |device: &Device| device.row.id));
    };
    let tables = store.tenant(scope);
    let devices = tables.devices();
    let (rows, total) = devices.page(&wanted, request).await?;
    let page = Page::cut(request, rows, total, |row| row.id);
    let ids: Vec<Uuid> = page.items.iter().map(|row| row.id).collect();
    let mut credentials: HashMap<_, _> = devices.credentials(&ids).await?;
    let reports = tables.policy_reports().of(&ids).await?;
    let mut reports: HashMap<_, _> = reports.into_iter().map(|report| (report.device_id, report)).collect();
    Ok(page.map(|row| Device {
        tenant: scope.tenant(),
        credential: credentials.remove(&row.id),
        report: reports.remove(&row.id),
        row,
    }))
}
