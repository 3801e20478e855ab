//! Deletes rows in batches, so that no transaction holds the writer, or locks, for long.

use sea_orm::{
    DeleteMany, EntityTrait, ExprTrait, IntoSimpleExpr, Iterable, PrimaryKeyToColumn, QueryFilter, QuerySelect,
    QueryTrait, Select, sea_query::Expr,
};

use crate::{
    base::Result,
    store::{Db, Exec},
};

/// Deletes at most `most` of the rows of a query. `delete` deletes at least these rows; its conditions help the database
/// to find them. Returns how many there were.
pub async fn delete_some<E: EntityTrait>(
    conn: &impl Db,
    delete: DeleteMany<E>,
    rows: Select<E>,
    most: u64,
) -> Result<u64> {
    let key = Expr::tuple(E::PrimaryKey::iter().map(|key| key.into_column().into_simple_expr()));
    let some = rows.select_only().limit(most);
    let some = E::PrimaryKey::iter().fold(some, |some, key| some.column(key.into_column()));
    Ok(delete.filter(key.in_subquery(some.into_query())).run(conn).await?)
}
