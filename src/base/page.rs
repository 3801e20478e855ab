//! Pages of a list: how many, after which, and how many there are.
//!
//! A list is sorted by the id of its items, which begins with the time at which they were made, so a page goes on after
//! the last id of the one before. The cursor that says so is opaque to callers; it also holds the name of its list, where
//! that has one, so that the cursor of another list is not mistaken for its own.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use uuid::Uuid;

use super::error::{Error, Reason, Result};

/// Items of a page where the caller does not say (zero-trust contract, section 2).
pub const DEFAULT: u64 = 50;
/// Most items of a page.
pub const MAX: u64 = 500;

/// Which page a caller wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// Most items of the page.
    pub limit: u64,
    /// The last item of the page before.
    pub after: Option<Uuid>,
    /// The list; empty for one that has no name.
    pub list: &'static str,
}

/// A page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// Its items.
    pub items: Vec<T>,
    /// Where the next one begins; `None` on the last.
    pub next: Option<String>,
    /// How many items all pages have.
    pub total: u64,
}

impl PageRequest {
    /// The page of a request. A limit is 1 to [`MAX`]; a cursor is one that [`Page::cut`] gave.
    pub fn read(limit: Option<i64>, cursor: Option<&str>) -> Result<Self> {
        Self::of("", limit, cursor)
    }

    /// The page of a request for a list that has a name. A cursor of another one is refused.
    pub fn of(list: &'static str, limit: Option<i64>, cursor: Option<&str>) -> Result<Self> {
        let limit = match limit {
            None => DEFAULT,
            Some(limit) => u64::try_from(limit).ok().filter(|limit| (1..=MAX).contains(limit)).ok_or_else(|| {
                Error::invalid(Reason::InvalidArgument, "limit", format!("limit must be a number from 1 to {MAX}"))
            })?,
        };
        let after = cursor.filter(|cursor| !cursor.is_empty()).map(|cursor| uncover(list, cursor)).transpose()?;
        Ok(Self { limit, after, list })
    }

    /// How many rows to ask for: one more than the page has tells whether there is another page.
    pub fn rows(&self) -> u64 {
        self.limit + 1
    }
}

impl<T> Page<T> {
    /// The page of the rows that were found for a request; `id` tells an item's.
    pub fn cut(request: PageRequest, mut rows: Vec<T>, total: u64, id: impl Fn(&T) -> Uuid) -> Self {
        // A page has 500 items at most.
        let limit = request.limit as usize;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|last| cover(request.list, id(last)));
        Self { items: rows, next, total }
    }

    /// The same page of other items.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(change).collect(), next: self.next, total: self.total }
    }
}

/// A cursor: the id, and after it the name of the list.
fn cover(list: &str, last: Uuid) -> String {
    URL_SAFE_NO_PAD.encode([last.as_bytes(), list.as_bytes()].concat())
}

fn uncover(list: &str, cursor: &str) -> Result<Uuid> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).unwrap_or_default();
    match bytes.split_first_chunk() {
        Some((id, of)) if of == list.as_bytes() => Ok(Uuid::from_bytes(*id)),
        _ => Err(Error::invalid(Reason::CursorInvalid, "cursor", "the cursor is not valid for this list")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(count: u128) -> Vec<Uuid> {
        (1..=count).map(Uuid::from_u128).collect()
    }

    #[test]
    fn a_cursor_leads_to_the_next_page() {
        let first = PageRequest::read(Some(2), None).unwrap();
        let page = Page::cut(first, ids(3), 3, |id| *id);
        assert_eq!((page.items.len(), page.total), (2, 3));
        let second = PageRequest::read(Some(2), page.next.as_deref()).unwrap();
        assert_eq!(second.after, Some(Uuid::from_u128(2)));
        assert_eq!(Page::cut(second, ids(1), 3, |id| *id).next, None);
    }

    #[test]
    fn limits_and_cursors_that_are_none_are_refused() {
        for limit in [0, -1, 501, i64::MIN] {
            assert!(PageRequest::read(Some(limit), None).is_err(), "{limit}");
        }
        for cursor in ["x", "AAAA", "!!!"] {
            assert!(PageRequest::read(None, Some(cursor)).is_err(), "{cursor}");
        }
        let first = PageRequest { limit: DEFAULT, after: None, list: "" };
        assert_eq!(PageRequest::read(None, Some("")).unwrap(), first);
    }

    #[test]
    fn a_cursor_is_good_for_its_own_list() {
        let lists = ["groups", "api_keys", ""];
        for list in lists {
            let page = Page::cut(PageRequest::of(list, Some(1), None).unwrap(), ids(2), 2, |id| *id);
            for other in lists {
                let next = PageRequest::of(other, Some(1), page.next.as_deref());
                assert_eq!(next.is_ok(), other == list, "{list} {other}");
            }
        }
    }
}
