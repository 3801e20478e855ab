//! Runs SeaORM's queries on a connection of the store.
//!
//! The methods are those of SeaORM (`one`, `all`, `count`), which cannot run on a connection that is not SeaORM's: its
//! rows can only be made by its drivers.

use sea_orm::{
    DbErr, QuerySelect, QueryTrait, Select, SelectModel, Selector, Statement, Value,
    sea_query::{Expr, Query},
};

use super::{
    db::Db,
    decode::{Decode, Table},
    rows::{First, Selected, every, first},
};

/// Queries for rows.
pub trait Fetch: Sized + Send {
    type Item: Send;

    /// The first row.
    fn fetch_one(self, db: &impl Db) -> impl Future<Output = Result<Option<Self::Item>, DbErr>> + Send;

    /// All rows.
    fn fetch_all(self, db: &impl Db) -> impl Future<Output = Result<Vec<Self::Item>, DbErr>> + Send;
}

/// Queries whose rows can be counted.
pub trait Count: Sized + Send {
    /// The number of rows.
    fn fetch_count(self, db: &impl Db) -> impl Future<Output = Result<u64, DbErr>> + Send;
}

impl<E: Table> Fetch for Select<E> {
    type Item = E::Model;

    async fn fetch_one(self, db: &impl Db) -> Result<Option<E::Model>, DbErr> {
        let statement = self.limit(1).build(db.backend());
        first(db.target(), statement.into(), Selected::<SelectModel<E::Model>>::new()?).await
    }

    async fn fetch_all(self, db: &impl Db) -> Result<Vec<E::Model>, DbErr> {
        let statement = self.build(db.backend());
        every(db.target(), statement.into(), Selected::<SelectModel<E::Model>>::new()?).await
    }
}

/// [`Fetch::fetch_one`] reads the first row, but cannot set a limit: say `limit(1)` before `into_tuple` or `into_model` if the
/// rows are sorted without an index.
impl<S: Decode + Send + 'static> Fetch for Selector<S> {
    type Item = S::Item;

    async fn fetch_one(self, db: &impl Db) -> Result<Option<S::Item>, DbErr> {
        first(db.target(), self.into_statement(db.backend()).into(), Selected::<S>::new()?).await
    }

    async fn fetch_all(self, db: &impl Db) -> Result<Vec<S::Item>, DbErr> {
        every(db.target(), self.into_statement(db.backend()).into(), Selected::<S>::new()?).await
    }
}

impl<E: Table> Count for Select<E> {
    async fn fetch_count(self, db: &impl Db) -> Result<u64, DbErr> {
        let rows = self.into_query().clear_order_by().to_owned();
        let count = Query::select().expr(Expr::cust("COUNT(*)")).from_subquery(rows, "sub_query").to_owned();
        let statement = db.backend().build(&count);
        // A count is not negative.
        Ok(first(db.target(), statement.into(), First::<i64>::new()).await?.map_or(0, i64::unsigned_abs))
    }
}

/// The values of a statement's parameters.
pub(super) fn values(statement: &Statement) -> &[Value] {
    statement.values.as_ref().map_or(&[], |values| &values.0)
}
