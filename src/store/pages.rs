//! Long lists, read a page at a time in the order of a key.
//!
//! A page is a short read of its own, of what comes after the last key of the page before: no transaction waits for a peer
//! that is slow, no row is counted past, and what stays as it is while the list is read is in it once, whatever else is
//! written meanwhile.

use std::fmt;

use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use sea_orm::{
    ColumnTrait, DbBackend, Selector, SelectorTrait,
    sea_query::{Expr, SimpleExpr},
};

use super::Store;
use crate::base::{Cx, Result};

/// Items of a page.
const ITEMS: u64 = 1000;

/// A list: its first page, and the way to the others.
pub struct Pages<T> {
    /// The first page.
    pub first: Vec<T>,
    /// The further pages, each read when it is asked for; `None` if there are none.
    pub rest: Option<BoxStream<'static, Result<Vec<T>>>>,
}

impl<T> fmt::Debug for Pages<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pages({}{})", self.first.len(), if self.rest.is_some() { " and more" } else { "" })
    }
}

impl<T: Send + 'static> Pages<T> {
    /// A list that is known.
    pub fn whole(items: Vec<T>) -> Self {
        Self { first: items, rest: None }
    }

    /// Reads the first page. `query` is for so many rows of the list after a key, sorted by it; `key` tells a row's. Before
    /// each further page it is asked whether the caller still stands: who reads slowly may read for long.
    pub async fn read<K, S>(
        cx: &Cx,
        store: &Store,
        key: fn(&T) -> K,
        query: impl Fn(Option<K>, u64) -> Selector<S> + Send + 'static,
    ) -> Result<Self>
    where
        K: Send + 'static,
        S: SelectorTrait<Item = T> + Send + 'static,
    {
        let (first, next) = cut(query(None, ITEMS + 1).all(store.read()).await?, key);
        let (cx, store) = (cx.clone(), store.clone());
        let rest = next.map(|next| {
            let further = stream::try_unfold(Some(next), move |after| {
                let (cx, store) = (cx.clone(), store.clone());
                let query = after.map(|after| query(Some(after), ITEMS + 1));
                async move {
                    let Some(query) = query else { return Ok(None) };
                    store.check_standing(&cx.caller).await?;
                    Ok(Some(cut(query.all(store.read()).await?, key)))
                }
            });
            further.boxed()
        });
        Ok(Self { first, rest })
    }

    /// The same list of what becomes of each page.
    pub async fn then<U, F>(self, change: impl Fn(Vec<T>) -> F + Send + 'static) -> Result<Pages<U>>
    where
        U: Send + 'static,
        F: Future<Output = Result<Vec<U>>> + Send + 'static,
    {
        let first = change(self.first).await?;
        Ok(Pages { first, rest: self.rest.map(|rest| rest.and_then(change).boxed()) })
    }

    /// The same list of what becomes of each item.
    pub fn try_map<U: Send + 'static>(self, change: impl Fn(T) -> Result<U> + Send + 'static) -> Result<Pages<U>> {
        let first = self.first.into_iter().map(&change).collect::<Result<_>>()?;
        let page = move |page: Result<Vec<T>>| page?.into_iter().map(&change).collect();
        Ok(Pages { first, rest: self.rest.map(|rest| rest.map(page).boxed()) })
    }

    /// The same list of what becomes of each item.
    pub fn map<U: Send + 'static>(self, change: impl Fn(T) -> U + Send + 'static) -> Pages<U> {
        let first = self.first.into_iter().map(&change).collect();
        let page = move |page: Vec<T>| page.into_iter().map(&change).collect();
        Pages { first, rest: self.rest.map(|rest| rest.map_ok(page).boxed()) }
    }

    /// All of it, for who knows that it is short.
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

/// A page of the rows that were read, and the key after which the next one begins, if there is one: there was one row more.
fn cut<T, K>(mut rows: Vec<T>, key: fn(&T) -> K) -> (Vec<T>, Option<K>) {
    // A thousand fit.
    let items = ITEMS as usize;
    let more = rows.len() > items;
    rows.truncate(items);
    let next = rows.last().filter(|_| more).map(key);
    (rows, next)
}

/// A column of texts as their bytes compare, as they do in Rust. PostgreSQL goes by its locale unless it is told.
pub fn by_bytes(backend: DbBackend, column: impl ColumnTrait) -> SimpleExpr {
    let column = Expr::col(column.as_column_ref());
    match backend {
        DbBackend::Postgres => Expr::cust_with_expr("$1 COLLATE \"C\"", column),
        _ => column,
    }
}
