//! The same change of many devices, each in its own write.

use std::collections::HashSet;

use super::{
    DeviceRef, Filter, change, filter,
    rules::{self, Action},
};
use crate::{
    base::{Cx, Error, IdKind, Kind, Reach, Result, Secret, TenantRef, TenantScope, error::Reason},
    identity::reason as checked_reason,
    store::Store,
    tenants,
};

/// Maximum number of devices in a call.
const MOST: usize = 500;

/// Which devices are changed.
#[derive(Clone, Debug)]
pub enum Which {
    /// Those with these public ids.
    Ids(Vec<String>),
    /// Those that a filter selects, and how many the caller expects.
    Filter(Filter, i64),
}

/// A change of many devices.
#[derive(Clone, Debug)]
pub struct Batch {
    pub which: Which,
    pub action: Action,
    pub reason: Option<String>,
    /// Change nothing, and return what would be done.
    pub dry_run: bool,
}

/// What was done to a device.
#[derive(Debug)]
pub struct Outcome {
    /// The device as it was named.
    pub id: String,
    /// The token with which it enrolls again, if the action generates one.
    pub done: Result<Option<Secret<String>>>,
}

/// Does the same to many devices. Fails with INVALID_ARGUMENT for an invalid list, filter or reason, and for a filter that selects more
/// than 500 devices; with ABORTED if it selects another number than the caller expects. Failures with a device are in its outcome.
pub async fn run(cx: &Cx, store: &Store, tenant: &TenantRef, batch: Batch) -> Result<Vec<Outcome>> {
    let reason = checked_reason(batch.reason)?;
    let scope = tenants::reach(cx, store, tenant).await?;
    let ids = match batch.which {
        Which::Ids(ids) => distinct(ids)?,
        Which::Filter(filter, expected) => selected(cx, store, scope, &filter, expected).await?,
    };
    let mut outcomes = Vec::with_capacity(ids.len());
    for id in ids {
        let done = match batch.dry_run {
            true => try_one(store, scope, &id, &batch.action).await.map(|()| None),
            false => {
                let device = DeviceRef { tenant: tenant.clone(), id: id.clone(), version: None };
                change::one(cx, store, &device, &batch.action, reason.as_deref()).await.map(|changed| changed.token)
            }
        };
        outcomes.push(Outcome { id, done });
    }
    Ok(outcomes)
}

/// Fails as the change of a device would.
async fn try_one(store: &Store, scope: TenantScope, id: &str, action: &Action) -> Result<()> {
    let id = IdKind::Device.read(id).ok_or_else(rules::not_found)?;
    let row = store.tenant(scope).devices().get(id).await?.ok_or_else(rules::not_found)?;
    rules::after(&row, action)?;
    rules::refuse_access(store.read(), &store.tenant(scope), scope, &row, action).await
}

/// Checks a list of ids.
fn distinct(ids: Vec<String>) -> Result<Vec<String>> {
    let invalid = |message: &'static str| Error::invalid(Reason::InvalidArgument, "device_ids", message);
    if !(1..=MOST).contains(&ids.len()) {
        return Err(invalid("1 to 500 devices at once"));
    }
    let mut seen = HashSet::new();
    let is_new = |id: &String| seen.insert(IdKind::Device.read(id).map_or_else(|| id.clone(), |id| id.to_string()));
    if ids.iter().all(is_new) { Ok(ids) } else { Err(invalid("the devices must be different")) }
}

/// The ids of the devices that a filter selects.
async fn selected(cx: &Cx, store: &Store, scope: TenantScope, filter: &Filter, expected: i64) -> Result<Vec<String>> {
    let checked = filter::check(filter)?;
    let found = match filter::resolve(cx, store, scope, &checked, Reach::All).await? {
        Some(wanted) => store.tenant(scope).devices().ids(&wanted, MOST as u64 + 1).await?,
        None => Vec::new(),
    };
    if found.len() > MOST {
        let message = "the filter selects more than 500 devices; narrow it";
        return Err(Error::invalid(Reason::InvalidArgument, "filter", message));
    }
    if i64::try_from(found.len()) != Ok(expected) {
        let message = format!("the filter selects another number of devices than expected: {}", found.len());
        return Err(Error::new(Kind::Aborted, Reason::VersionStale, message));
    }
    Ok(found.into_iter().map(|id| IdKind::Device.show(id)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_1_to_500_different_devices() {
        let id = "dev_01J7ST8Z0GFCQ9TCATDDY8V7GF".to_owned();
        assert!(distinct(Vec::new()).is_err());
        assert!(distinct(vec![id.clone(), id.to_lowercase()]).is_err());
        let many = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
        assert_eq!(distinct(many(500)).unwrap().len(), 500);
        assert!(distinct(many(501)).is_err());
        assert_eq!(distinct(vec![id.clone(), "laptop".to_owned()]).unwrap(), [id, "laptop".to_owned()]);
    }
}
