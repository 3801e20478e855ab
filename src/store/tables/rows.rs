//! The rows of one tenant: the only way to tables with rows of tenants.

use std::marker::PhantomData;

use sea_orm::{ColumnTrait, DeleteMany, IntoActiveModel, QueryFilter, QuerySelect, Select, UpdateMany};
use uuid::Uuid;

use crate::{
    base::{Result, TenantScope},
    store::{Db, Exec, Fetch, Table, columns::Owner, insert_rows},
};

/// The rows of a tenant, by table. It is made from a scope: the proof that the call may access the tenant.
pub struct TenantRows<'a, C> {
    pub(super) conn: &'a C,
    pub(super) tenant: Owner,
}

impl<'a, C> TenantRows<'a, C> {
    pub(in crate::store) fn new(conn: &'a C, scope: TenantScope) -> Self {
        Self::of_owner(conn, Owner::from(scope))
    }

    /// The rows of the tenant of another row. For work that spans tenants.
    pub(in crate::store) fn of_owner(conn: &'a C, tenant: Owner) -> Self {
        Self { conn, tenant }
    }

    /// The rows in one table.
    pub(super) fn table<E>(&self) -> Rows<'a, C, E> {
        Rows { conn: self.conn, tenant: self.tenant, table: PhantomData }
    }
}

/// The rows of a tenant in one table. The file of the table has its queries.
pub struct Rows<'a, C, E> {
    pub(super) conn: &'a C,
    pub(super) tenant: Owner,
    table: PhantomData<E>,
}

/// A table with rows of tenants.
pub trait TenantTable: Table {
    /// The column with the tenant.
    const TENANT: Self::Column;
}

/// A table with an id that is unique in the tenant.
pub trait WithId: TenantTable {
    /// The column with the id.
    const ID: Self::Column;
}

impl<C: Db, E: TenantTable> Rows<'_, C, E> {
    /// A query for the rows of the tenant.
    pub(super) fn select(&self) -> Select<E> {
        E::find().filter(E::TENANT.eq(self.tenant))
    }

    /// A change of the rows of the tenant.
    pub(super) fn update_many(&self) -> UpdateMany<E> {
        E::update_many().filter(E::TENANT.eq(self.tenant))
    }

    /// A deletion of rows of the tenant.
    pub(super) fn delete_many(&self) -> DeleteMany<E> {
        E::delete_many().filter(E::TENANT.eq(self.tenant))
    }

    /// Inserts a row.
    pub(super) async fn add(&self, row: E::Model) -> Result<()>
    where
        E::Model: IntoActiveModel<E::ActiveModel>,
    {
        insert_rows::<E>(self.conn, vec![row]).await?;
        Ok(())
    }
}

impl<C: Db, E: WithId> Rows<'_, C, E> {
    pub async fn get(&self, id: Uuid) -> Result<Option<E::Model>> {
        Ok(self.select().filter(E::ID.eq(id)).fetch_one(self.conn).await?)
    }

    /// Loads and locks a row.
    pub async fn get_locked(&self, id: Uuid) -> Result<Option<E::Model>> {
        // SQLite has one writer and needs no lock; its dialect omits the clause.
        Ok(self.select().filter(E::ID.eq(id)).lock_exclusive().fetch_one(self.conn).await?)
    }

    /// Deletes a row. Returns whether it existed.
    pub(super) async fn remove(&self, id: Uuid) -> Result<bool> {
        Ok(self.delete_many().filter(E::ID.eq(id)).run(self.conn).await? > 0)
    }
}
