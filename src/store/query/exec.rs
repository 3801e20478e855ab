//! Runs SeaORM's statements that change rows on a connection of the store. [`Fetch`](super::Fetch) runs its queries.

use sea_orm::{
    ActiveModelBehavior, ActiveModelTrait, ColumnTrait, DbErr, DeleteMany, EntityTrait, Insert, InsertMany,
    IntoActiveModel, Iterable, PrimaryKeyTrait, QueryTrait, SelectModel, Statement, UpdateMany, ValidatedDeleteOne,
    sea_query::{FromValueTuple, Query, UpdateStatement, ValueTuple},
};

use super::{
    db::{Db, Target},
    decode::Table,
    fetch::{Fetch, values},
    rows::{Selected, Text, returned},
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
    change(db, statement.into()).await
}

/// As [`execute`].
pub(super) async fn change(db: &impl Db, Text { sql, values }: Text) -> Result<u64, DbErr> {
    match db.target() {
        Target::Postgres(postgres) => postgres.execute(sql, values).await,
        Target::Sqlite(sqlite) => sqlite.write(|on| on.execute(&sql, &values)),
    }
}

/// Runs a statement whose result nothing waits for. In a transaction of PostgreSQL it is sent together with the next statement
/// or with the commit, which fails if this one does.
pub async fn submit(db: &impl Db, statement: Statement) -> Result<(), DbErr> {
    submit_text(db, statement.into()).await
}

/// As [`submit`].
pub(super) async fn submit_text(db: &impl Db, Text { sql, values }: Text) -> Result<(), DbErr> {
    match db.target() {
        Target::Postgres(postgres) => postgres.submit(sql, values).await,
        Target::Sqlite(sqlite) => sqlite.write(|on| on.execute(&sql, &values)).map(drop),
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
        let key = self.get_primary_key_value();
        let update = A::Entity::update(self).validate()?.into_query();
        if update.get_values().is_empty() {
            return unchanged::<A::Entity>(db, key).await;
        }
        returning::<A::Entity>(db, update).await?.pop().ok_or(DbErr::RecordNotUpdated)
    }
}

impl<E: Table> FetchUpdated<E> for UpdateMany<E> {
    async fn fetch_updated(self, db: &impl Db) -> Result<Vec<E::Model>, DbErr> {
        if self.as_query().get_values().is_empty() {
            return Ok(Vec::new());
        }
        returning::<E>(db, self.into_query()).await
    }
}

/// Runs an update and returns its rows.
async fn returning<E: Table>(db: &impl Db, mut update: UpdateStatement) -> Result<Vec<E::Model>, DbErr> {
    let backend = db.backend();
    let columns = E::Column::iter().map(|column| column.select_as(column.into_returning_expr(backend)));
    update.returning(Query::returning().exprs(columns));
    returned(db.target(), backend.build(&update).into(), Selected::<SelectModel<E::Model>>::new()?).await
}

/// The row with a key, of which no column was changed.
async fn unchanged<E: Table>(db: &impl Db, key: Option<ValueTuple>) -> Result<E::Model, DbErr> {
    let key = key.ok_or(DbErr::UpdateGetPrimaryKey)?;
    let key = <<E::PrimaryKey as PrimaryKeyTrait>::ValueType as FromValueTuple>::from_value_tuple(key);
    E::find_by_id(key).fetch_one(db).await?.ok_or(DbErr::RecordNotUpdated)
}
