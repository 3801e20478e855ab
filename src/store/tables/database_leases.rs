//! Leases of credentials of the databases of tenants, which programs hold. Credentials are not stored.

use sea_orm::{QueryOrder, QuerySelect, entity::prelude::*, sea_query::Expr};

use super::rows::{Rows, TenantRows, TenantTable, WithId};
use crate::{
    base::Result,
    store::{
        Count, Db, Exec, Fetch, TxConn,
        columns::{Owner, Stamp},
    },
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "database_leases")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    /// UUIDv7.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The id of the lease in OpenBAO, sealed.
    pub sealed: String,
    /// How long OpenBAO granted it at first, in seconds, which renewals ask for again.
    pub duration: i64,
    /// It was released, or its tenant was suspended: it is revoked, and not renewed.
    pub ended: bool,
    /// Consecutive failures to renew or revoke it.
    pub failures: i64,
    pub created_at: Stamp,
    /// The time that its program asked for is over then.
    pub ends_at: Stamp,
    /// It ends in OpenBAO then, unless it is renewed.
    pub lapses_at: Stamp,
    /// When it must be renewed or revoked, or is dropped.
    pub due_at: Stamp,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TenantTable for Entity {
    const TENANT: Column = Column::TenantId;
}

impl WithId for Entity {
    const ID: Column = Column::Id;
}

impl<'a, C> TenantRows<'a, C> {
    pub fn database_leases(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    pub async fn insert(&self, lease: Model) -> Result<()> {
        self.add(Model { tenant_id: self.tenant, ..lease }).await
    }

    /// How many leases the tenant's programs hold.
    pub async fn held(&self) -> Result<u64> {
        Ok(self.select().filter(Column::Ended.eq(false)).fetch_count(self.conn).await?)
    }

    /// Marks a lease as ended, and due. Returns whether it was not ended before.
    pub async fn end(&self, id: Uuid, now: Stamp) -> Result<bool> {
        self.end_some(Some(id), now).await.map(|ended| ended > 0)
    }

    /// Marks all leases as ended, and due. Returns how many there were.
    pub async fn end_all(&self, now: Stamp) -> Result<u64> {
        self.end_some(None, now).await
    }

    async fn end_some(&self, id: Option<Uuid>, now: Stamp) -> Result<u64> {
        let mut update = self
            .update_many()
            .col_expr(Column::Ended, Expr::value(true))
            .col_expr(Column::Failures, Expr::value(0_i64))
            .col_expr(Column::DueAt, Expr::value(now))
            .filter(Column::Ended.eq(false));
        if let Some(id) = id {
            update = update.filter(Column::Id.eq(id));
        }
        Ok(update.run(self.conn).await?)
    }

    /// Leases that were ended and are not revoked yet, at most `most`, in the order of their ids after one of them.
    pub async fn to_revoke(&self, after: Option<Uuid>, most: u64) -> Result<Vec<Model>> {
        let mut query = self.select().filter(Column::Ended.eq(true)).order_by_asc(Column::Id).limit(most);
        if let Some(after) = after {
            query = query.filter(Column::Id.gt(after));
        }
        Ok(query.fetch_all(self.conn).await?)
    }
}

/// What became of a lease that was due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is valid until then, and due again.
    Renewed { lapses_at: Stamp, due_at: Stamp },
    /// It is tried again.
    Delayed { due_at: Stamp },
    /// It is over.
    Gone,
}

/// The leases of any tenant that are due, at most `most`. For the job that keeps them.
pub async fn due(conn: &impl Db, now: Stamp, most: u64) -> Result<Vec<Model>> {
    let due = Entity::find().filter(Column::DueAt.lte(now)).order_by_asc(Column::DueAt).limit(most);
    Ok(due.fetch_all(conn).await?)
}

/// Whether leases of any tenant are due. For the job that keeps them.
pub async fn are_due(conn: &impl Db, now: Stamp) -> Result<bool> {
    let due = Entity::find().filter(Column::DueAt.lte(now)).order_by_asc(Column::DueAt).limit(1);
    Ok(due.fetch_one(conn).await?.is_some())
}

/// Records what became of a lease of any tenant that was due. A lease that was ended meanwhile remains due. For the job that keeps them.
pub async fn settle(conn: &TxConn, lease: &Model, outcome: Outcome) -> Result<()> {
    let rows = TenantRows::of_owner(conn, lease.tenant_id).database_leases();
    let update = rows.update_many().filter(Column::Id.eq(lease.id)).filter(Column::Ended.eq(lease.ended));
    match outcome {
        Outcome::Renewed { lapses_at, due_at } => {
            let update = update
                .col_expr(Column::LapsesAt, Expr::value(lapses_at))
                .col_expr(Column::DueAt, Expr::value(due_at))
                .col_expr(Column::Failures, Expr::value(0_i64));
            update.run(conn).await?;
        }
        Outcome::Delayed { due_at } => {
            let update = update
                .col_expr(Column::DueAt, Expr::value(due_at))
                .col_expr(Column::Failures, Expr::value(lease.failures.saturating_add(1)));
            update.run(conn).await?;
        }
        Outcome::Gone => drop(rows.remove(lease.id).await?),
    }
    Ok(())
}
