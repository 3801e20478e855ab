//! Lists of the manager surface: complete, as its document has them, or page by page for callers that ask for it.

use sea_orm::Selector;
use uuid::Uuid;

use crate::{
    base::{Cx, Error, ManagerId, Result, error::Reason},
    store::{Decode, Fetch, Pages, Store},
};

/// The most items of a page, and their number where only a token is given.
const MOST: u64 = 1000;

/// The part of a list that a caller asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paging {
    Whole,
    /// At most this number of items after the one with this id.
    Page(u64, Option<Uuid>),
}

/// A list, or a page of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T> {
    pub items: Vec<T>,
    /// The last item, if there are more after it.
    pub next: Option<Uuid>,
}

impl Paging {
    /// Reads a limit and the token of a page, which is the id of the last item before it.
    pub fn read(kind: ManagerId, limit: Option<i32>, token: &str) -> Result<Self> {
        let limit = match limit {
            Some(limit) => {
                Some(u64::try_from(limit).ok().filter(|limit| (1..=MOST).contains(limit)).ok_or_else(|| {
                    Error::invalid(Reason::InvalidArgument, "limit", "limit must be a number from 1 to 1000")
                })?)
            }
            None => None,
        };
        if token.is_empty() {
            return Ok(limit.map_or(Self::Whole, |limit| Self::Page(limit, None)));
        }
        let invalid = || Error::invalid(Reason::InvalidArgument, "page_token", "the page token is not valid");
        let after = kind.read(token).ok_or_else(invalid)?;
        Ok(Self::Page(limit.unwrap_or(MOST), Some(after)))
    }

    /// Reads the rows. `query` selects up to a number of rows after an id, in the order of the list.
    pub(super) async fn fetch<T, S>(
        self,
        cx: &Cx,
        store: &Store,
        id: fn(&T) -> Uuid,
        query: impl Fn(Option<Uuid>, u64) -> Selector<S> + Send + 'static,
    ) -> Result<Listed<T>>
    where
        T: Send + 'static,
        S: Decode<Item = T> + Send + 'static,
    {
        let Self::Page(limit, after) = self else {
            let items = Pages::read(cx, store, id, query).await?.all().await?;
            return Ok(Listed { items, next: None });
        };
        let mut items = query(after, limit + 1).fetch_all(store.read()).await?;
        // At most 1000, which fits any `usize`.
        let most = limit as usize;
        let more = items.len() > most;
        items.truncate(most);
        let next = items.last().filter(|_| more).map(id);
        Ok(Listed { items, next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_that_asks_for_no_page_gets_the_whole_list() {
        let id = Uuid::from_u128(7);
        let token = ManagerId::App.show(id);
        let read = |limit, token: &str| Paging::read(ManagerId::App, limit, token).ok();
        assert_eq!(read(None, ""), Some(Paging::Whole));
        assert_eq!(read(Some(5), ""), Some(Paging::Page(5, None)));
        assert_eq!(read(Some(1000), &token), Some(Paging::Page(1000, Some(id))));
        assert_eq!(read(None, &token), Some(Paging::Page(1000, Some(id))));
        for (limit, token) in [(Some(0), ""), (Some(-1), ""), (Some(1001), ""), (None, "x"), (Some(1), "p_00")] {
            assert_eq!(read(limit, token), None, "{limit:?} {token}");
        }
    }
}
