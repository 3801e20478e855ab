//! Which devices a change of a group or of a policy concerns: the work grows with them, and not with all devices of the tenant.

use std::collections::HashSet;

use uuid::Uuid;

use super::{
    Board, State,
    concern::{concerns, device_of},
};
use crate::{
    base::{IdKind, Result, TenantId, TenantScope},
    policy::scope::Scope,
    store::outbox::Event,
};

impl Board {
    /// The scope of a tenant with devices that are followed.
    fn with_devices(&self, tenant: TenantId) -> Option<TenantScope> {
        self.tenants().get(&tenant).filter(|followed| followed.has_devices()).map(|followed| followed.scope)
    }

    /// The policies and directories of the devices that are or were in a group are to be read again.
    pub(super) async fn mark_group(&self, tenant: TenantId, group: Uuid) -> Result<()> {
        let Some(scope) = self.with_devices(tenant) else { return Ok(()) };
        let members = self.members(scope, group).await?;
        // Groups that are being read now may be those before the change.
        let being_read = self.reading().get(&tenant).cloned().unwrap_or_default();
        self.mark_where(Some(tenant), |slot| {
            let concerns = |device| being_read.contains(&slot.topic) || members.contains(&device) || slot.was_in(group);
            device_of(slot.topic).is_some_and(concerns)
        });
        Ok(())
    }

    /// What a version of a policy concerns is to be read again: of the devices, only those of its scope.
    pub(super) async fn mark_policy(&self, tenant: TenantId, event: &Event) -> Result<()> {
        let scope = match self.with_devices(tenant) {
            Some(scope) => self.scope_of(scope, &event.key).await?.map(|of| (scope, of)),
            None => None,
        };
        let members = match scope {
            Some((scope, Scope::Group(group))) => self.members(scope, group).await?,
            _ => HashSet::new(),
        };
        self.mark_where(Some(tenant), |slot| {
            let is_of = |device| match scope.map(|(_, of)| of) {
                Some(Scope::Device(only)) => device == only,
                // The groups of one that is read for the first time are not known.
                Some(Scope::Group(group)) => {
                    members.contains(&device) || slot.was_in(group) || slot.state() == State::Unknown
                }
                Some(Scope::Global | Scope::Tenant) | None => true,
            };
            concerns(event, slot.topic) && device_of(slot.topic).is_none_or(is_of)
        });
        Ok(())
    }

    /// The scope of the version of a policy with a public id; none if there is no such version.
    async fn scope_of(&self, scope: TenantScope, id: &str) -> Result<Option<Scope>> {
        let Some(id) = IdKind::Policy.read(id) else { return Ok(None) };
        let version = self.store().tenant(scope).policies().get(id).await?;
        Ok(version.as_ref().map(Scope::of))
    }

    /// The devices of the users in a group.
    async fn members(&self, scope: TenantScope, group: Uuid) -> Result<HashSet<Uuid>> {
        Ok(self.store().tenant(scope).devices().of_members(group).await?.into_iter().collect())
    }
}
