//! One page of a list that is sorted by id.

use sea_orm::{ColumnTrait, Condition, QueryFilter, QueryOrder, QuerySelect, Select};

use crate::{
    base::{PageRequest, Result},
    store::{Count, Db, Fetch, Table},
};

/// The rows of a page of a query and one more if there is another page, by id; and how many rows all pages have,
/// counted for the first one.
pub async fn page<E, C>(query: Select<E>, id: E::Column, request: PageRequest, conn: &C) -> Result<(Vec<E::Model>, u64)>
where
    E: Table,
    C: Db,
{
    let total = match request.total {
        Some(counted) => counted,
        None => query.clone().fetch_count(conn).await?,
    };
    let after = request.after.map(|after| id.gt(after));
    let query = query.filter(Condition::all().add_option(after)).order_by_asc(id);
    Ok((query.limit(request.rows()).fetch_all(conn).await?, total))
}
