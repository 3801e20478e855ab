//! The policies of many devices: the tables are read once for all of them.

use std::collections::{BTreeSet, HashMap};

use uuid::Uuid;

use super::{
    bundles::key_of_sources,
    canary,
    resolve::{Published, Subject, resolution, resolve},
    scope::Scope,
    versions,
};
use crate::{
    base::Result,
    store::{
        Db, Stamp,
        columns::{DeviceStatus, PolicyScopeKind},
        tables::{DeviceRow, PolicyRow, TenantRows},
    },
};

/// What a device should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub subject: Subject,
    /// The key of its resolution; `None` if no valid policy is for it.
    pub resolution: Option<String>,
    /// The lowest version that it may get.
    pub least: i64,
}

/// The published versions of a tenant.
struct Policies {
    active: Vec<Published>,
    /// The newest stable version of each scope, in any state.
    stable: HashMap<Scope, i64>,
    /// Those that may be newer than the newest stable version of a device.
    canaries: Vec<PolicyRow>,
    now: Stamp,
}

/// The gateway pools that the policy of a device names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPools {
    pub subject: Subject,
    /// Their public ids; the inner `None` if it names none, the outer one without a policy.
    pub pools: Option<Option<Vec<String>>>,
}

/// The number of devices in a query.
const CHUNK: usize = 500;

/// What these devices should have at a time. Those that are not active, and unknown ones, are missing.
pub async fn of_devices(rows: &TenantRows<'_, impl Db>, devices: &[Uuid], now: Stamp) -> Result<Vec<Wanted>> {
    let policies = Policies::read(rows, now).await?;
    let active = active(rows, devices).await?;
    Ok(active.into_iter().map(|(subject, floor)| policies.wanted(subject, floor)).collect())
}

/// The gateway pools that the policies of these devices name at a time. Those that are not active, and unknown ones, are missing.
pub async fn pools_of_devices(rows: &TenantRows<'_, impl Db>, devices: &[Uuid], now: Stamp) -> Result<Vec<NamedPools>> {
    let policies = versions::counting(rows, rows.policies().all_active().await?, now).await?;
    let pools = |(subject, _): (Subject, i64)| NamedPools {
        pools: resolve(&policies, &subject).map(|resolved| resolved.document.gateway_pools),
        subject,
    };
    Ok(active(rows, devices).await?.into_iter().map(pools).collect())
}

/// The active ones of these devices, and the lowest version that each may get.
async fn active(rows: &TenantRows<'_, impl Db>, devices: &[Uuid]) -> Result<Vec<(Subject, i64)>> {
    let mut subjects = Vec::with_capacity(devices.len());
    for devices in devices.chunks(CHUNK) {
        let devices = rows.devices().of(devices).await?;
        let active: Vec<_> = devices.into_iter().filter(|device| device.status == DeviceStatus::Active).collect();
        let mut groups = groups(rows, &active).await?;
        for device in active {
            let subject = Subject { device: device.id, groups: groups.remove(&device.id).unwrap_or_default() };
            subjects.push((subject, device.policy_floor));
        }
    }
    Ok(subjects)
}

/// The groups of devices: those of their users and of their tokens, without deleted ones.
async fn groups(rows: &TenantRows<'_, impl Db>, devices: &[DeviceRow]) -> Result<HashMap<Uuid, Vec<Uuid>>> {
    let of_tokens: BTreeSet<Uuid> = devices.iter().flat_map(|device| device.group_ids.iter().copied()).collect();
    let of_tokens: Vec<_> = of_tokens.into_iter().collect();
    let existing: BTreeSet<Uuid> = rows.groups().existing(&of_tokens).await?.into_iter().collect();
    let accounts: BTreeSet<Uuid> = devices.iter().filter_map(|device| device.account_id).collect();
    let accounts: Vec<_> = accounts.into_iter().collect();
    let of_accounts = rows.group_members().groups_of(&accounts).await?;
    let of_device = |device: &DeviceRow| {
        let of_token = device.group_ids.iter().filter(|group| existing.contains(group));
        let of_account = device.account_id.and_then(|account| of_accounts.get(&account));
        let all: BTreeSet<Uuid> = of_token.chain(of_account.into_iter().flatten()).copied().collect();
        (device.id, all.into_iter().collect())
    };
    Ok(devices.iter().map(of_device).collect())
}

impl Policies {
    async fn read(rows: &TenantRows<'_, impl Db>, now: Stamp) -> Result<Self> {
        let active = versions::counting(rows, rows.policies().all_active().await?, now).await?;
        let stable = rows.policies().newest_stable_of_scopes().await?;
        let stable: HashMap<_, _> = stable.into_iter().map(|(kind, id, version)| (scope(kind, id), version)).collect();
        // Those of scopes that every device is in.
        let of_all = [Scope::Global, Scope::Tenant].iter().filter_map(|scope| stable.get(scope)).copied().max();
        let canaries = rows.policies().canaries_active_or_after(of_all.unwrap_or_default()).await?;
        Ok(Self { active, stable, canaries, now })
    }

    fn wanted(&self, subject: Subject, floor: i64) -> Wanted {
        let resolution = resolution(&self.active, &subject, self.now).map(key_of_sources);
        let least = floor.max(self.newest_for(&subject));
        Wanted { subject, resolution, least }
    }

    /// As [`versions::newest_for`].
    fn newest_for(&self, subject: &Subject) -> i64 {
        let groups = subject.groups.iter().copied().map(Scope::Group);
        let scopes: Vec<_> = groups.chain([Scope::Global, Scope::Tenant, Scope::Device(subject.device)]).collect();
        let stable = scopes.iter().filter_map(|scope| self.stable.get(scope)).copied().max().unwrap_or_default();
        let concerns = |row: &&PolicyRow| {
            let cohort = row.canary.as_ref();
            scopes.contains(&Scope::of(row))
                && cohort.is_some_and(|cohort| canary::is_in_cohort(cohort, subject.device, &subject.groups))
        };
        let canaries = self.canaries.iter().filter(|row| row.least_after() > stable).filter(concerns);
        canaries.map(PolicyRow::least_after).max().unwrap_or(stable)
    }
}

fn scope(kind: PolicyScopeKind, id: Uuid) -> Scope {
    match kind {
        PolicyScopeKind::Global => Scope::Global,
        PolicyScopeKind::Tenant => Scope::Tenant,
        PolicyScopeKind::Group => Scope::Group(id),
        PolicyScopeKind::Device => Scope::Device(id),
    }
}
