//! Where the states of resources come from.

use std::collections::HashMap;

use crate::{
    base::{Access, Error, Result, TenantId, TenantScope},
    store::Resource,
};

/// A state, or why it can never be read, such as a row that does not parse: the resource is skipped then.
pub type Readable<T> = Result<T>;

/// Reads the states of one kind of resource. An error is never mistaken for a resource that is not there. After an error of a whole
/// read it is tried again.
pub trait Source: Send + Sync + 'static {
    /// The state of a resource.
    type State: Send + Sync + 'static;

    /// The kind of resource: which events of the outbox are about it.
    const RESOURCE: Resource;

    /// The present states of these resources, by the keys of their events. A resource that does not exist any more is left out.
    fn load(&self, keys: &[String]) -> impl Future<Output = Result<HashMap<String, Readable<Self::State>>>> + Send;

    /// The resources that a stream can reach, sorted by their keys, after a key. At most `limit`.
    fn page(
        &self,
        reach: Reach,
        after: Option<&str>,
        limit: u64,
    ) -> impl Future<Output = Result<Vec<(String, Readable<Self::State>)>>> + Send;
}

/// Which resources a stream can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Those of every tenant, and of the platform.
    Everything,
    /// Those of one tenant.
    Tenant(TenantScope),
}

impl Reach {
    /// As far as a call with this access, whose own tenant is `own`.
    pub fn of(access: &Access, own: Option<TenantScope>) -> Result<Self> {
        match (access, own) {
            (Access::Platform, _) => Ok(Self::Everything),
            (Access::Tenant(_), Some(own)) => Ok(Self::Tenant(own)),
            _ => Err(Error::internal("a stream of a call that reaches no tenant")),
        }
    }

    /// The tenant whose resources these are; `None` for those of all.
    pub fn tenant(self) -> Option<TenantId> {
        match self {
            Self::Everything => None,
            Self::Tenant(scope) => Some(scope.tenant()),
        }
    }

    /// Whether a resource of a tenant, or of the platform, is among them.
    pub(super) fn covers(self, tenant: Option<TenantId>) -> bool {
        self.tenant().is_none_or(|own| tenant == Some(own))
    }
}
