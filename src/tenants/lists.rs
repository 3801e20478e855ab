//! Lists of tenants: of any length, read a page at a time in the order of an index.

use sea_orm::{
    ColumnTrait, Condition, DbBackend, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, Select,
    sea_query::{Expr, Order as Direction},
};
use uuid::Uuid;

use super::{Status, Tenant};
use crate::{
    base::{Cx, Page, PageRequest, Result, scope::platform_only, text},
    store::{
        Store,
        page::page as rows_of_page,
        pages::{Pages, by_bytes},
        tables::tenants::{Column, Entity, Model},
    },
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By age.
    OldestFirst,
    /// By age.
    NewestFirst,
    /// By display name in the form for comparison, then by handle.
    ByDisplayName,
}

/// The position of a tenant in any order.
type Place = (String, Uuid);

/// A page of the tenants in one of these statuses, oldest first. For platform callers.
pub async fn page(cx: &Cx, store: &Store, statuses: &[Status], request: PageRequest) -> Result<Page<Tenant>> {
    platform_only(&cx.access)?;
    let (rows, total) = rows_of_page(within(statuses), Column::Id, request, store.read()).await?;
    let rows = rows.into_iter().map(Tenant::from).collect();
    Ok(Page::cut(request, rows, total, |tenant| tenant.id.uuid()))
}

/// All tenants in one of these statuses. For platform callers.
pub async fn list(cx: &Cx, store: &Store, order: Order, statuses: &[Status]) -> Result<Pages<Tenant>> {
    platform_only(&cx.access)?;
    let statuses = statuses.to_vec();
    let place = |row: &Model| (row.list_key.clone(), row.id.uuid());
    let query = move |after, limit| query(order, &statuses, after).limit(limit).into_model::<Model>();
    Pages::read(cx, store, place, query).await.map(|pages| pages.map(Tenant::from))
}

/// The handles of all tenants with one of these statuses, as entered, sorted by their bytes. For platform callers.
pub async fn names(cx: &Cx, store: &Store, statuses: &[Status]) -> Result<Pages<String>> {
    platform_only(&cx.access)?;
    let (backend, statuses) = (store.backend(), statuses.to_vec());
    let query = move |after, limit| names_query(backend, &statuses, after).limit(limit).into_tuple::<String>();
    Pages::read(cx, store, String::clone, query).await
}

/// The query of [`list`], after a position.
pub fn query(order: Order, statuses: &[Status], after: Option<Place>) -> Select<Entity> {
    let query = within(statuses);
    match order {
        Order::OldestFirst => {
            let after = after.map(|(_, id)| Column::Id.gt(id));
            query.filter(Condition::all().add_option(after)).order_by_asc(Column::Id)
        }
        Order::NewestFirst => {
            let after = after.map(|(_, id)| Column::Id.lt(id));
            query.filter(Condition::all().add_option(after)).order_by_desc(Column::Id)
        }
        Order::ByDisplayName => {
            let place =
                Expr::tuple([Expr::col(Column::ListKey.as_column_ref()), Expr::col(Column::Id.as_column_ref())]);
            let after = after.map(|(key, id)| place.gt(Expr::tuple([Expr::value(key), Expr::value(id)])));
            query.filter(Condition::all().add_option(after)).order_by_asc(Column::ListKey).order_by_asc(Column::Id)
        }
    }
}

/// The query of [`names`], after a name.
pub fn names_query(backend: DbBackend, statuses: &[Status], after: Option<String>) -> Select<Entity> {
    let name = by_bytes(backend, Column::Name);
    let after = after.map(|after| name.clone().gt(after));
    let query = within(statuses).select_only().column(Column::Name);
    query.filter(Condition::all().add_option(after)).order_by(name, Direction::Asc)
}

/// The tenants with one of these statuses.
pub(super) fn within(statuses: &[Status]) -> Select<Entity> {
    Entity::find().filter(Column::Status.is_in(statuses.iter().copied()))
}

/// The sort key for display names. Folded text never has a line feed or a lower character, so display names are
/// compared first.
pub(super) fn key(display_name: &str, name: &str) -> String {
    text::search_key([display_name, name])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::names::fold;

    #[test]
    fn one_key_sorts_as_both_names_do() {
        let mut pairs = [
            ("Acme", "zed"),
            ("acme", "A.b:c=d"),
            ("Acme Inc.", "a"),
            ("acme-inc", "a-b"),
            ("\u{c9}lodie", "e"),
            ("Elodie", "E2"),
            ("\u{200b}", "seen"),
            ("a", "b"),
            ("a", "_"),
            ("a!", "a"),
            ("\u{1f600}", "smile"),
        ];
        pairs.sort_by_key(|(display_name, name)| (text::fold(display_name), fold(name)));
        assert!(pairs.is_sorted_by_key(|(display_name, name)| key(display_name, name)));
    }
}
