//! The trait that reads the states of resources.

use std::{collections::HashMap, sync::Arc};

use crate::{
    base::{Access, Error, Result, TenantId, TenantScope},
    store::Resource,
};

/// A state, or why it cannot be read even by trying again, such as a row that does not parse. Such a resource is skipped.
pub type Readable<T> = Result<T>;

/// Reads the states of one kind of resource. An error does not mean that a resource does not exist; a failed read is retried.
pub trait Source: Send + Sync + 'static {
    /// The state of a resource.
    type State: Send + Sync + 'static;

    /// The kind of resource, which determines the topic of its outbox events.
    const RESOURCE: Resource;

    /// The current states of these resources, by the keys of their events. A resource that no longer exists is omitted.
    fn load(&self, keys: &[String]) -> impl Future<Output = Result<HashMap<String, Readable<Self::State>>>> + Send;

    /// At most `limit` resources in a scope, sorted by key, after a key.
    fn page(
        &self,
        scope: WatchScope,
        after: Option<&str>,
        limit: u64,
    ) -> impl Future<Output = Result<Vec<(String, Readable<Self::State>)>>> + Send;
}

/// The ids of keys, and an error for each key that is not that of an id.
pub fn ids_of<I, T>(keys: &[String], id: impl Fn(&str) -> Result<I>) -> (Vec<I>, HashMap<String, Readable<T>>) {
    let (mut ids, mut states) = (Vec::new(), HashMap::new());
    for key in keys {
        match id(key) {
            Ok(id) => ids.push(id),
            Err(error) => drop(states.insert(key.clone(), Err(error))),
        }
    }
    (ids, states)
}

/// The resources that a stream may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchScope {
    /// The resources of all tenants and of the platform.
    Platform,
    /// The resources of one tenant.
    Tenant(TenantScope),
}

impl WatchScope {
    /// The scope of a call with this access. `own` is the tenant of [`Access::Tenant`].
    pub fn of(access: &Access, own: Option<TenantScope>) -> Result<Self> {
        match (access, own) {
            (Access::Platform, _) => Ok(Self::Platform),
            (Access::Tenant(_), Some(own)) => Ok(Self::Tenant(own)),
            _ => Err(Error::internal("a stream was opened by a call without access to a tenant")),
        }
    }

    /// The tenant; `None` for all.
    pub fn tenant(self) -> Option<TenantId> {
        match self {
            Self::Platform => None,
            Self::Tenant(scope) => Some(scope.tenant()),
        }
    }

    /// Whether a resource of a tenant, or of the platform (`None`), is in the scope.
    pub(super) fn covers(self, tenant: Option<TenantId>) -> bool {
        self.tenant().is_none_or(|own| tenant == Some(own))
    }
}

/// What a stream sends.
#[derive(Clone, Debug)]
pub struct Selection {
    pub(super) scope: WatchScope,
    /// The only resource; `None` for all in the scope.
    pub(super) key: Option<Arc<str>>,
}

impl Selection {
    /// One resource. The caller has checked that it is in the scope.
    pub fn one(scope: WatchScope, key: &str) -> Self {
        Self { scope, key: Some(key.into()) }
    }

    /// Whether a stream sends the changes of a resource.
    pub(super) fn takes(&self, tenant: Option<TenantId>, key: &str) -> bool {
        self.scope.covers(tenant) && self.key.as_deref().is_none_or(|only| only == key)
    }
}

impl From<WatchScope> for Selection {
    fn from(scope: WatchScope) -> Self {
        Self { scope, key: None }
    }
}
