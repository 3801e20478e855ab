//! One page of a list that is sorted by id.

use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Select,
};

use crate::base::{PageRequest, Result};

/// The rows of a page of a query and one more if there is another page, by id; and how many rows all pages have.
pub async fn page<E, C>(query: Select<E>, id: E::Column, request: PageRequest, conn: &C) -> Result<(Vec<E::Model>, u64)>
where
    E: EntityTrait,
    E::Model: Send + Sync,
    C: ConnectionTrait,
{
    let total = query.clone().count(conn).await?;
    let after = request.after.map(|after| id.gt(after));
    let query = query.filter(Condition::all().add_option(after)).order_by_asc(id);
    Ok((query.limit(request.rows()).all(conn).await?, total))
}
