//! Runs SeaORM's statements that change rows on a connection of the store. [`Fetch`](super::Fetch) runs its queries.

use sea_orm::{
    ActiveModelBehavior, ActiveModelTrait, ColumnTrait, ConnectionTrait, DbBackend, DbErr, DeleteMany, EntityTrait,
    Insert, InsertMany, IntoActiveModel, Iterable, PrimaryKeyTrait, QueryTrait, SelectModel, Statement, UpdateMany,
    ValidatedDeleteOne,
    sea_query::{FromValueTuple, Query, UpdateStatement, ValueTuple},
};

use super::{
    db::{Db, Sqlite, Target},
    decode::{Decode, Table},
    fetch::{Fetch, every, values},
};

/// Statements that change rows.
pub trait Exec: Sized + Send {
    /// Returns the number of rows that were changed.
    fn run(self, db: &impl Db) -> impl Future<Output = Result<u64, DbErr>> + Send;
}

/// A row with changed columns.
pub trait UpdateRow: ActiveModelTrait {
    /// Writes the changed columns, and returns the row. Fails if there is no row with the key.
    fn update_row(
        self,
        db: &impl Db,
    ) -> impl Future<Output = Result<<Self::Entity as EntityTrait>::Model, DbErr>> + Send;
}

/// Updates that return the rows.
pub trait FetchUpdated<E: EntityTrait>: Sized {
    fn fetch_updated(self, db: &impl Db) -> impl Future<Output = Result<Vec<E::Model>, DbErr>> + Send;
}

/// Runs a statement in the language of the database. Returns the number of rows that were changed.
pub async fn execute(db: &impl Db, statement: Statement) -> Result<u64, DbErr> {
    match db.target() {
        Target::Orm(orm) => Ok(orm.execute_raw(statement).await?.rows_affected()),
        Target::Sqlite(sqlite) => sqlite.write(|on| on.execute(&statement.sql, values(&statement))),
    }
}

impl<E: EntityTrait> Exec for UpdateMany<E> {
    async fn run(self, db: &impl Db) -> Result<u64, DbErr> {
        // Without columns there is nothing to change.
        if self.as_query().get_values().is_empty() {
            return Ok(0);
        }
        execute(db, self.build(db.backend())).await
    }
}

impl<E: EntityTrait> Exec for DeleteMany<E> {
    async fn run(self, db: &impl Db) -> Result<u64, DbErr> {
        execute(db, self.build(db.backend())).await
    }
}

impl<E: EntityTrait> Exec for ValidatedDeleteOne<E> {
    async fn run(self, db: &impl Db) -> Result<u64, DbErr> {
        execute(db, self.build(db.backend())).await
    }
}

impl<A: ActiveModelTrait + Send> Exec for Insert<A> {
    async fn run(self, db: &impl Db) -> Result<u64, DbErr> {
        execute(db, self.build(db.backend())).await
    }
}

impl<A: ActiveModelTrait + Send> Exec for InsertMany<A> {
    async fn run(self, db: &impl Db) -> Result<u64, DbErr> {
        let statement = self.build(db.backend());
        // Without rows there is nothing to insert.
        if values(&statement).is_empty() {
            return Ok(0);
        }
        execute(db, statement).await
    }
}

impl<A> UpdateRow for A
where
    A: ActiveModelBehavior + Send,
    A::Entity: Table,
    <A::Entity as EntityTrait>::Model: IntoActiveModel<A>,
{
    async fn update_row(self, db: &impl Db) -> Result<<A::Entity as EntityTrait>::Model, DbErr> {
        let sqlite = match db.target() {
            Target::Orm(orm) => return self.update(&orm).await,
            Target::Sqlite(sqlite) => sqlite,
        };
        let key = self.get_primary_key_value();
        let update = A::Entity::update(self).validate()?.into_query();
        if update.get_values().is_empty() {
            return unchanged::<A::Entity>(db, key).await;
        }
        returning::<A::Entity>(sqlite, update)?.pop().ok_or(DbErr::RecordNotUpdated)
    }
}

impl<E: Table> FetchUpdated<E> for UpdateMany<E> {
    async fn fetch_updated(self, db: &impl Db) -> Result<Vec<E::Model>, DbErr> {
        match db.target() {
            Target::Orm(orm) => self.exec_with_returning(&orm).await,
            Target::Sqlite(_) if self.as_query().get_values().is_empty() => Ok(Vec::new()),
            Target::Sqlite(sqlite) => returning::<E>(sqlite, self.into_query()),
        }
    }
}

/// Runs an update and returns its rows.
fn returning<E: Table>(sqlite: Sqlite<'_>, mut update: UpdateStatement) -> Result<Vec<E::Model>, DbErr> {
    let columns = E::Column::iter().map(|column| column.select_as(column.into_returning_expr(DbBackend::Sqlite)));
    update.returning(Query::returning().exprs(columns));
    let (statement, layout) = (DbBackend::Sqlite.build(&update), SelectModel::<E::Model>::layout()?);
    sqlite.write(|on| every(on, &statement, |row| SelectModel::<E::Model>::decode(row, &layout)))
}

/// The row with a key, of which no column was changed.
async fn unchanged<E: Table>(db: &impl Db, key: Option<ValueTuple>) -> Result<E::Model, DbErr> {
    let key = key.ok_or(DbErr::UpdateGetPrimaryKey)?;
    let key = <<E::PrimaryKey as PrimaryKeyTrait>::ValueType as FromValueTuple>::from_value_tuple(key);
    E::find_by_id(key).fetch_one(db).await?.ok_or(DbErr::RecordNotUpdated)
}
