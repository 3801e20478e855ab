//! Namespaces of tenants.

use sea_orm::{Condition, DbBackend, Order, QueryOrder, QuerySelect, entity::prelude::*, sea_query::ExprTrait};

use super::rows::{Rows, TenantRows, TenantTable};
use crate::{
    base::{Cx, Result, TenantId, TenantScope, error::Reason},
    store::{
        Db, Exec, Fetch, Pages, Store,
        columns::{Json, Owner, Stamp},
        pages::by_bytes,
        unique::Unique,
    },
};

/// The unique indexes whose violations callers see.
pub(super) const UNIQUE: &[Unique] = &[Unique {
    index: "namespaces_name_unique",
    columns: "namespaces.tenant_id, namespaces.name",
    reason: Reason::NamespaceExists,
    message: "a namespace with that name already exists in the tenant",
}];

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "namespaces")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    /// UUIDv7.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub name: String,
    /// Clusters with the namespace, without duplicates; if empty, those of the tenant.
    pub replication_clusters: Json<Vec<String>>,
    /// The policies that were set, without the replication clusters: a JSON object.
    pub policies: String,
    pub created_at: Stamp,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TenantTable for Entity {
    const TENANT: Column = Column::TenantId;
}

impl<'a, C> TenantRows<'a, C> {
    pub fn namespaces(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// Whether the tenant has a namespace.
    pub async fn exist(&self) -> Result<bool> {
        let one = self.select().select_only().column(Column::Id).limit(1);
        Ok(one.into_tuple::<Uuid>().fetch_one(self.conn).await?.is_some())
    }

    /// The names of some namespaces, at most `most`.
    pub async fn some_names(&self, most: u64) -> Result<Vec<String>> {
        Ok(self.select().select_only().column(Column::Name).limit(most).into_tuple().fetch_all(self.conn).await?)
    }

    pub async fn all(&self) -> Result<Vec<Model>> {
        Ok(self.select().fetch_all(self.conn).await?)
    }

    /// The namespace with a name (case-sensitive).
    pub async fn named(&self, name: &str) -> Result<Option<Model>> {
        Ok(self.select().filter(Column::Name.eq(name)).fetch_one(self.conn).await?)
    }

    /// Inserts a namespace. Fails with [`NamespaceExists`](Reason::NamespaceExists) if the name is taken.
    pub async fn insert(&self, namespace: Model) -> Result<()> {
        self.add(namespace).await
    }

    /// Deletes a namespace. Returns whether it existed.
    pub async fn delete(&self, name: &str) -> Result<bool> {
        Ok(self.delete_many().filter(Column::Name.eq(name)).run(self.conn).await? > 0)
    }

    /// Deletes at most `most` namespaces, and returns their names.
    pub async fn purge(&self, most: u64) -> Result<Vec<String>> {
        let names = self.some_names(most).await?;
        self.delete_many().filter(Column::Name.is_in(names.iter().map(String::as_str))).run(self.conn).await?;
        Ok(names)
    }
}

impl Store {
    /// The names of a tenant's namespaces, in byte order.
    pub async fn namespace_names(&self, cx: &Cx, scope: TenantScope) -> Result<Pages<String>> {
        let (backend, tenant) = (self.backend(), scope.tenant());
        let query = move |after, limit| names_query(backend, tenant, after).limit(limit).into_tuple();
        Pages::read(cx, self, String::clone, query).await
    }
}

/// The query for the names of a tenant's namespaces after a name.
pub fn names_query(backend: DbBackend, tenant: TenantId, after: Option<String>) -> Select<Entity> {
    let name = by_bytes(backend, Column::Name);
    let after = after.map(|after| name.clone().gt(after));
    let query = Entity::find().select_only().column(Column::Name);
    let query = query.filter(Column::TenantId.eq(tenant)).filter(Condition::all().add_option(after));
    query.order_by(name, Order::Asc)
}
