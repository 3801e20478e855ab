//! The record of applied migrations. The table is that of SeaORM's migrator, so that databases created with it
//! can be used.

use std::{
    collections::HashSet,
    time::{SystemTime, UNIX_EPOCH},
};

use sea_orm::{ActiveValue::Set, ConnectionTrait, DbBackend, DbErr, Schema, Statement, entity::prelude::*};

const TABLE: &str = "seaql_migrations";

/// An applied migration.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "seaql_migrations")]
pub struct Model {
    /// Its name.
    #[sea_orm(primary_key, auto_increment = false)]
    pub version: String,
    /// In seconds since the Unix epoch.
    pub applied_at: i64,
}

/// There are none.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Creates the table if it is missing.
pub async fn install(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    let mut table = Schema::new(db.get_database_backend()).create_table_from_entity(Entity);
    db.execute(table.if_not_exists()).await.map(drop)
}

/// A query that returns a row if the table exists. It needs no permission to change the schema.
pub fn is_installed(backend: DbBackend) -> Statement {
    let sql = if backend == DbBackend::Postgres {
        "SELECT 1 FROM information_schema.tables WHERE table_schema = CURRENT_SCHEMA() AND table_name = $1"
    } else {
        "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = $1"
    };
    Statement::from_sql_and_values(backend, sql, [TABLE.into()])
}

/// Names of the applied migrations.
pub async fn applied(db: &impl ConnectionTrait) -> Result<HashSet<String>, DbErr> {
    Ok(Entity::find().all(db).await?.into_iter().map(|row| row.version).collect())
}

pub(crate) async fn insert(db: &impl ConnectionTrait, name: &str) -> Result<(), DbErr> {
    // Seconds fit into 64 bits.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
    ActiveModel { version: Set(name.to_owned()), applied_at: Set(now) }.insert(db).await.map(drop)
}
