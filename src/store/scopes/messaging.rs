//! Settings of tenants on the messaging surface.

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, sea_query::OnConflict};

use super::{TenantRows, may_look_up, reach};
use crate::{
    base::{Access, Result, TenantId, TenantRef, TenantScope},
    store::{
        Store,
        entities::{messaging_tenants, tenants},
        json,
    },
};

/// Settings of a tenant on the messaging surface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessagingRow {
    /// Token subjects that administer the tenant, without duplicates.
    pub admin_roles: Vec<String>,
    /// Clusters that the tenant may use, without duplicates.
    pub allowed_clusters: Vec<String>,
}

impl TryFrom<messaging_tenants::Model> for MessagingRow {
    type Error = crate::base::Error;

    fn try_from(row: messaging_tenants::Model) -> Result<Self> {
        Ok(Self {
            admin_roles: json::from_text(&row.admin_roles)?,
            allowed_clusters: json::from_text(&row.allowed_clusters)?,
        })
    }
}

impl<C: ConnectionTrait> TenantRows<'_, C> {
    /// The settings, if the tenant has any.
    pub async fn messaging(&self) -> Result<Option<MessagingRow>> {
        let row = messaging_tenants::Entity::find_by_id(self.uuid()).one(self.conn).await?;
        row.map(MessagingRow::try_from).transpose()
    }

    /// Inserts the settings of a new tenant.
    pub async fn insert_messaging(&self, facet: &MessagingRow) -> Result<()> {
        let row = self.messaging_model(facet)?;
        messaging_tenants::Entity::insert(row.into_active_model()).exec_without_returning(self.conn).await?;
        Ok(())
    }

    /// Inserts or replaces the settings.
    pub async fn put_messaging(&self, facet: &MessagingRow) -> Result<()> {
        let row = self.messaging_model(facet)?;
        let replace = OnConflict::column(messaging_tenants::Column::TenantId)
            .update_columns([messaging_tenants::Column::AdminRoles, messaging_tenants::Column::AllowedClusters])
            .to_owned();
        messaging_tenants::Entity::insert(row.into_active_model())
            .on_conflict(replace)
            .exec_without_returning(self.conn)
            .await?;
        Ok(())
    }

    fn messaging_model(&self, facet: &MessagingRow) -> Result<messaging_tenants::Model> {
        Ok(messaging_tenants::Model {
            tenant_id: self.uuid(),
            admin_roles: json::to_text(&facet.admin_roles)?,
            allowed_clusters: json::to_text(&facet.allowed_clusters)?,
        })
    }
}

impl Store {
    /// A tenant with its messaging settings, in one query.
    pub async fn tenant_with_messaging(
        &self,
        access: &Access,
        reference: &TenantRef,
    ) -> Result<Option<(TenantScope, tenants::Model, Option<MessagingRow>)>> {
        may_look_up(access, reference)?;
        let Some(query) = tenants::Entity::find_by_ref(reference) else {
            return Ok(reach(access, reference, None)?.and(None));
        };
        let found = query.find_also_related(messaging_tenants::Entity).one(self.read()).await?;
        let key = found.as_ref().map(|(tenant, _)| (TenantId::from_uuid(tenant.id), tenant.name_key.as_str()));
        let scope = reach(access, reference, key)?;
        match (scope, found) {
            (Some(scope), Some((tenant, facet))) => {
                Ok(Some((scope, tenant, facet.map(MessagingRow::try_from).transpose()?)))
            }
            _ => Ok(None),
        }
    }

    /// The id and the admin roles of a tenant in one of these statuses, in one query. Takes no scope, because the guard
    /// needs it before there is one; it returns nothing else.
    pub async fn messaging_admin_roles(
        &self,
        reference: &TenantRef,
        statuses: &[&str],
    ) -> Result<Option<(TenantId, Vec<String>)>> {
        let Some(query) = tenants::Entity::find_by_ref(reference) else { return Ok(None) };
        let found = query
            .filter(tenants::Column::Status.is_in(statuses.iter().copied()))
            .find_also_related(messaging_tenants::Entity)
            .one(self.read())
            .await?;
        match found {
            Some((tenant, Some(facet))) => {
                Ok(Some((TenantId::from_uuid(tenant.id), json::from_text(&facet.admin_roles)?)))
            }
            _ => Ok(None),
        }
    }
}
