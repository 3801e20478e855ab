//! The provisioned databases of tenants. Their names are in `derived_names` and `tenant_placements`.

use sea_orm::{
    ExprTrait, IntoActiveModel,
    entity::prelude::*,
    sea_query::{Expr, IntoColumnRef, OnConflict, Query, SimpleExpr},
};

use super::rows::{Rows, TenantRows, TenantTable};
use crate::{
    base::Result,
    store::{
        Db, Exec, Fetch,
        columns::{Owner, Stamp},
    },
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tenant_databases")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    /// When it was first ready.
    pub created_at: Stamp,
    /// When it was last provisioned.
    pub updated_at: Stamp,
    /// The objects in OpenBAO, if it has any.
    pub openbao_connection: Option<String>,
    pub openbao_role: Option<String>,
    /// The last migration that was applied.
    pub revision: Option<String>,
    /// When it was applied, or found to be the last one.
    pub migrated_at: Option<Stamp>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TenantTable for Entity {
    const TENANT: Column = Column::TenantId;
}

impl<'a, C> TenantRows<'a, C> {
    pub fn database(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// The database, if the tenant has one.
    pub async fn get(&self) -> Result<Option<Model>> {
        Ok(self.select().fetch_one(self.conn).await?)
    }

    /// Records that the database was provisioned, with the connection and the role in OpenBAO, if it has them.
    pub async fn provisioned(&self, at: Stamp, openbao: Option<(&str, &str)>) -> Result<()> {
        let row = Model {
            tenant_id: self.tenant,
            created_at: at,
            updated_at: at,
            openbao_connection: openbao.map(|(connection, _)| connection.to_owned()),
            openbao_role: openbao.map(|(_, role)| role.to_owned()),
            revision: None,
            migrated_at: None,
        };
        let mut again = OnConflict::column(Column::TenantId);
        again.update_column(Column::UpdatedAt);
        // A server without OpenBAO leaves what another one has set up.
        if openbao.is_some() {
            again.update_columns([Column::OpenbaoConnection, Column::OpenbaoRole]);
        }
        Entity::insert(row.into_active_model()).on_conflict(again).run(self.conn).await?;
        Ok(())
    }

    /// Records the last migration of the database.
    pub async fn migrated(&self, revision: Option<&str>, at: Stamp) -> Result<()> {
        let update = self
            .update_many()
            .col_expr(Column::Revision, Expr::value(revision))
            .col_expr(Column::MigratedAt, Expr::value(at));
        update.run(self.conn).await?;
        Ok(())
    }
}

/// The SQL condition that the tenant with the id in a column has a database with this last migration. For the state of all tenants.
pub fn is_at(tenant: impl IntoColumnRef, revision: &str) -> SimpleExpr {
    Expr::exists(of_tenant(tenant).and_where(Expr::col((Entity, Column::Revision)).eq(revision)).take())
}

/// The SQL condition that the tenant with the id in a column has a database with another last migration, or none. For work on all
/// tenants.
pub fn is_behind(tenant: impl IntoColumnRef, revision: &str) -> SimpleExpr {
    let column = || Expr::col((Entity, Column::Revision));
    Expr::exists(of_tenant(tenant).and_where(column().is_null().or(column().ne(revision))).take())
}

/// A query for the database of the tenant with the id in a column.
fn of_tenant(tenant: impl IntoColumnRef) -> sea_orm::sea_query::SelectStatement {
    Query::select()
        .column(Column::TenantId)
        .from(Entity)
        .and_where(Expr::col((Entity, Column::TenantId)).equals(tenant))
        .take()
}
