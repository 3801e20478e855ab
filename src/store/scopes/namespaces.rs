//! Namespaces of tenants.

use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, EntityTrait, ExprTrait, IntoActiveModel, Order, QueryFilter,
    QueryOrder, QuerySelect, Select,
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::TenantRows;
use crate::{
    base::{Cx, Result, TenantScope},
    store::{Pages, Stamp, Store, entities::namespaces, json, pages::by_bytes},
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceRow {
    pub id: Uuid,
    pub name: String,
    /// Clusters with the namespace, without duplicates; if empty, those of the tenant.
    pub replication_clusters: Vec<String>,
    /// The policies that were set, without the replication clusters: a JSON object.
    pub policies: String,
    pub created_at: OffsetDateTime,
}

impl TryFrom<namespaces::Model> for NamespaceRow {
    type Error = crate::base::Error;

    fn try_from(row: namespaces::Model) -> Result<Self> {
        Ok(Self {
            id: row.id,
            name: row.name,
            replication_clusters: json::from_text(&row.replication_clusters)?,
            policies: row.policies,
            created_at: row.created_at.time(),
        })
    }
}

impl Store {
    /// The names of a tenant's namespaces, in byte order.
    pub async fn namespace_names(&self, cx: &Cx, scope: TenantScope) -> Result<Pages<String>> {
        let (backend, tenant) = (self.backend(), scope.tenant().uuid());
        Pages::read(cx, self, String::clone, move |after, limit| {
            names_query(backend, tenant, after).limit(limit).into_tuple()
        })
        .await
    }
}

/// The query for the names of a tenant's namespaces after a name.
pub fn names_query(backend: DbBackend, tenant: Uuid, after: Option<String>) -> Select<namespaces::Entity> {
    let name = by_bytes(backend, namespaces::Column::Name);
    let after = after.map(|after| name.clone().gt(after));
    let query = namespaces::Entity::find().select_only().column(namespaces::Column::Name);
    let query = query.filter(namespaces::Column::TenantId.eq(tenant)).filter(Condition::all().add_option(after));
    query.order_by(name, Order::Asc)
}

impl<C: ConnectionTrait> TenantRows<'_, C> {
    pub async fn has_namespaces(&self) -> Result<bool> {
        let one = namespaces::Entity::find()
            .select_only()
            .column(namespaces::Column::Id)
            .filter(namespaces::Column::TenantId.eq(self.uuid()))
            .limit(1)
            .into_tuple::<Uuid>()
            .one(self.conn)
            .await?;
        Ok(one.is_some())
    }

    /// The names of some namespaces, at most so many.
    pub async fn some_namespaces(&self, most: u64) -> Result<Vec<String>> {
        let some = namespaces::Entity::find().select_only().column(namespaces::Column::Name);
        let some = some.filter(namespaces::Column::TenantId.eq(self.uuid())).limit(most);
        Ok(some.into_tuple().all(self.conn).await?)
    }

    pub async fn namespaces(&self) -> Result<Vec<NamespaceRow>> {
        let rows =
            namespaces::Entity::find().filter(namespaces::Column::TenantId.eq(self.uuid())).all(self.conn).await?;
        rows.into_iter().map(NamespaceRow::try_from).collect()
    }

    /// The namespace with a name (case-sensitive).
    pub async fn namespace(&self, name: &str) -> Result<Option<NamespaceRow>> {
        let row = namespaces::Entity::find()
            .filter(namespaces::Column::TenantId.eq(self.uuid()))
            .filter(namespaces::Column::Name.eq(name))
            .one(self.conn)
            .await?;
        row.map(NamespaceRow::try_from).transpose()
    }

    /// Inserts a namespace. Fails with [`NamespaceExists`](crate::base::error::Reason::NamespaceExists) if the name
    /// is taken.
    pub async fn insert_namespace(&self, namespace: &NamespaceRow) -> Result<()> {
        let row = namespaces::Model {
            tenant_id: self.uuid(),
            id: namespace.id,
            name: namespace.name.clone(),
            replication_clusters: json::to_text(&namespace.replication_clusters)?,
            policies: namespace.policies.clone(),
            created_at: Stamp::from(namespace.created_at),
        };
        namespaces::Entity::insert(row.into_active_model()).exec_without_returning(self.conn).await?;
        Ok(())
    }

    /// Deletes a namespace. Returns whether it existed.
    pub async fn delete_namespace(&self, name: &str) -> Result<bool> {
        let deleted = namespaces::Entity::delete_many()
            .filter(namespaces::Column::TenantId.eq(self.uuid()))
            .filter(namespaces::Column::Name.eq(name))
            .exec(self.conn)
            .await?;
        Ok(deleted.rows_affected > 0)
    }
}
