//! Long lists, read in pages by key (keyset pagination).
//!
//! Each page is a short read of the rows after the last key of the previous page: no transaction waits for a
//! slow client, no skipped rows are counted, and a row that does not change during the list appears exactly
//! once, whatever else is written.

use std::fmt;

use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use sea_orm::{
    ColumnTrait, DbBackend, Selector,
    sea_query::{Expr, SimpleExpr},
};

use super::{Decode, Fetch, Store, apart};
use crate::base::{Cx, Result};

/// Number of items in a page.
const ITEMS: u64 = 1000;

/// A list as its first page and a stream of the others.
pub struct Pages<T> {
    pub first: Vec<T>,
    /// The other pages, each read on demand; `None` if there are none.
    pub rest: Option<BoxStream<'static, Result<Vec<T>>>>,
}

impl<T> fmt::Debug for Pages<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pages({}{})", self.first.len(), if self.rest.is_some() { " and more" } else { "" })
    }
}

impl<T: Send + 'static> Pages<T> {
    /// A list that is completely in memory.
    pub fn whole(items: Vec<T>) -> Self {
        Self { first: items, rest: None }
    }

    /// Reads the first page. `query` selects up to a number of rows after a key, sorted by the key; `key` returns
    /// the key of a row. Before each further page the caller's credentials are checked again, because a slow client
    /// may read for a long time.
    pub async fn read<K, S>(
        cx: &Cx,
        store: &Store,
        key: fn(&T) -> K,
        query: impl Fn(Option<K>, u64) -> Selector<S> + Send + 'static,
    ) -> Result<Self>
    where
        K: Send + 'static,
        S: Decode<Item = T> + Send + 'static,
    {
        let (first, next) = cut(query(None, ITEMS + 1).fetch_all(store.read()).await?, key);
        let (cx, store) = (cx.clone(), store.clone());
        let rest = next.map(|next| {
            let further = stream::try_unfold(Some(next), move |after| {
                let (cx, store) = (cx.clone(), store.clone());
                let query = after.map(|after| query(Some(after), ITEMS + 1));
                apart(async move {
                    let Some(query) = query else { return Ok(None) };
                    store.check_still_valid(&cx.caller).await?;
                    Ok(Some(cut(query.fetch_all(store.read()).await?, key)))
                })
            });
            further.boxed()
        });
        Ok(Self { first, rest })
    }

    /// Converts the list page by page, asynchronously.
    pub async fn then<U, F>(self, change: impl Fn(Vec<T>) -> F + Send + 'static) -> Result<Pages<U>>
    where
        U: Send + 'static,
        F: Future<Output = Result<Vec<U>>> + Send + 'static,
    {
        let first = change(self.first).await?;
        Ok(Pages { first, rest: self.rest.map(|rest| rest.and_then(move |page| apart(change(page))).boxed()) })
    }

    /// Converts the list item by item.
    pub fn map<U: Send + 'static>(self, change: impl Fn(T) -> U + Send + 'static) -> Pages<U> {
        let first = self.first.into_iter().map(&change).collect();
        let page = move |page: Vec<T>| page.into_iter().map(&change).collect();
        Pages { first, rest: self.rest.map(|rest| rest.map_ok(page).boxed()) }
    }

    /// Collects the list, for callers that know it to be short.
    pub async fn all(self) -> Result<Vec<T>> {
        let mut all = self.first;
        if let Some(mut rest) = self.rest {
            while let Some(page) = rest.try_next().await? {
                all.extend(page);
            }
        }
        Ok(all)
    }
}

/// Cuts a page from the rows, which include one extra row if there are more. Also returns the key after which
/// the next page begins, if there is one.
fn cut<T, K>(mut rows: Vec<T>, key: fn(&T) -> K) -> (Vec<T>, Option<K>) {
    // 1000 fits any `usize`.
    let items = ITEMS as usize;
    let more = rows.len() > items;
    rows.truncate(items);
    let next = rows.last().filter(|_| more).map(key);
    (rows, next)
}

/// A text column in byte order, as Rust compares strings. PostgreSQL uses its locale unless told otherwise.
pub fn by_bytes(backend: DbBackend, column: impl ColumnTrait) -> SimpleExpr {
    let column = Expr::col(column.as_column_ref());
    match backend {
        DbBackend::Postgres => Expr::cust_with_expr("$1 COLLATE \"C\"", column),
        _ => column,
    }
}
