//! How many devices a publication is for.

use std::collections::{BTreeSet, HashMap};

use uuid::Uuid;

use crate::{
    base::{IdKind, Result},
    policy::{canary, scope::Scope},
    store::{
        Db,
        columns::PolicyCanary,
        tables::{DeviceFilter, DeviceMember, TenantRows, count_devices, device_ids},
    },
};

/// Accounts whose groups are read at once.
const AT_ONCE: usize = 500;
/// Devices that are read at once.
const PAGE: u64 = 5000;

/// The number of devices in a scope, and in the cohort if there is one. Revoked devices do not count.
pub(super) async fn count(rows: &TenantRows<'_, impl Db>, scope: Scope, cohort: Option<&PolicyCanary>) -> Result<u64> {
    let filter = match scope {
        Scope::Global | Scope::Tenant if cohort.is_none() => return rows.devices().seats(None).await,
        Scope::Global | Scope::Tenant => DeviceFilter::default(),
        Scope::Group(group) => DeviceFilter { group: Some(group), ..DeviceFilter::default() },
        Scope::Device(device) => DeviceFilter { device: Some(device), ..DeviceFilter::default() },
    };
    let devices = rows.devices().members(&filter).await?;
    let Some(cohort) = cohort else { return Ok(devices.len() as u64) };
    let users = match cohort.group_ids.is_empty() {
        true => HashMap::new(),
        false => groups_of(rows, devices.iter().filter_map(|device| device.account).collect()).await?,
    };
    let is_in = |device: &&DeviceMember| {
        let of_user = device.account.and_then(|account| users.get(&account));
        let groups: Vec<_> = device.groups.iter().chain(of_user.into_iter().flatten()).copied().collect();
        canary::is_in_cohort(cohort, device.id, &groups)
    };
    Ok(devices.iter().filter(is_in).count() as u64)
}

/// The number of devices of all tenants, and in a percentage if there is one. Revoked devices do not count.
pub(super) async fn count_everywhere(conn: &impl Db, percent: Option<u32>) -> Result<u64> {
    let Some(percent) = percent else { return count_devices(conn).await };
    let (mut count, mut after) = (0, None);
    loop {
        let devices = device_ids(conn, after, PAGE).await?;
        count += devices.iter().filter(|id| canary::bucket(&IdKind::Device.show(**id)) < percent).count() as u64;
        if (devices.len() as u64) < PAGE {
            return Ok(count);
        }
        after = devices.last().copied();
    }
}

/// The groups of accounts.
async fn groups_of(rows: &TenantRows<'_, impl Db>, accounts: BTreeSet<Uuid>) -> Result<HashMap<Uuid, Vec<Uuid>>> {
    let accounts: Vec<_> = accounts.into_iter().collect();
    let mut groups = HashMap::new();
    for some in accounts.chunks(AT_ONCE) {
        groups.extend(rows.group_members().groups_of(some).await?);
    }
    Ok(groups)
}
