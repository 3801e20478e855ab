//! Keyset pagination of lists.
//!
//! A list is sorted by the ids of its items, which start with the time of creation, so a page continues after the last
//! id of the one before. The cursor is opaque to callers. It also contains a digest of its list and of what the request
//! selects from it, so that it is refused for another list and with another filter; and the total number of items, which is counted
//! only for the first page.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::error::{Error, Reason, Result};

/// The default page size (zero-trust contract, section 2).
pub const DEFAULT: u64 = 50;
/// The maximum page size.
pub const MAX: u64 = 500;

/// A request for a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// The maximum number of items.
    pub limit: u64,
    /// The last item of the previous page.
    pub after: Option<Uuid>,
    /// The number of items on all pages, as it was counted for the first page.
    pub total: Option<u64>,
    /// What is listed.
    pub list: ListId,
}

/// A digest of the name of a list and of what a request selects from it. Long enough that callers do not mistake one list
/// for another; a cursor only says where to continue, so nothing is gained by forging one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListId([u8; 8]);

impl ListId {
    /// The id of what a request selects from a list. `selection` is everything in the request that is the same for each page.
    pub fn new(list: &str, selection: &[u8]) -> Self {
        let digest = Sha256::new_with_prefix(list).chain_update([0]).chain_update(selection).finalize();
        let mut id = [0; 8];
        id.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        Self(id)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// The cursor of the next page; `None` on the last one.
    pub next: Option<String>,
    /// The number of items on all pages, when the first one was read.
    pub total: u64,
}

impl PageRequest {
    /// Parses the request for a page of a list without a name or filter.
    pub fn read(limit: Option<i64>, cursor: Option<&str>) -> Result<Self> {
        Self::of(ListId::new("", b""), limit, cursor)
    }

    /// Parses the request for a page. A limit is 1 to [`MAX`]; a cursor comes from [`Page::cut`], for the same list.
    pub fn of(list: ListId, limit: Option<i64>, cursor: Option<&str>) -> Result<Self> {
        let limit = match limit {
            None => DEFAULT,
            Some(limit) => u64::try_from(limit).ok().filter(|limit| (1..=MAX).contains(limit)).ok_or_else(|| {
                Error::invalid(Reason::InvalidArgument, "limit", format!("limit must be a number from 1 to {MAX}"))
            })?,
        };
        let continued = cursor.filter(|cursor| !cursor.is_empty()).map(|cursor| uncover(list, cursor)).transpose()?;
        let (after, total) = continued.unzip();
        Ok(Self { limit, after, total, list })
    }

    /// The number of rows to read: one more than the page has, to see whether there is another page.
    pub fn rows(&self) -> u64 {
        self.limit + 1
    }
}

impl<T> Page<T> {
    /// Makes the page of the rows that were read for a request; `id` returns the id of an item.
    pub fn cut(request: PageRequest, mut rows: Vec<T>, total: u64, id: impl Fn(&T) -> Uuid) -> Self {
        // The limit is at most 500.
        let limit = request.limit as usize;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|last| cover(request.list, id(last), total));
        Self { items: rows, next, total }
    }

    /// Converts the items.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(change).collect(), next: self.next, total: self.total }
    }
}

/// A cursor: the id of the last item, the id of the list, and the total number of items.
fn cover(list: ListId, last: Uuid, total: u64) -> String {
    URL_SAFE_NO_PAD.encode([last.as_bytes(), list.0.as_slice(), &total.to_be_bytes()].concat())
}

fn uncover(list: ListId, cursor: &str) -> Result<(Uuid, u64)> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).unwrap_or_default();
    let parts = bytes.split_first_chunk().and_then(|(id, rest)| Some((id, rest.split_first_chunk::<8>()?)));
    match parts.map(|(id, (of, total))| (id, of, <[u8; 8]>::try_from(total))) {
        Some((id, of, Ok(total))) if *of == list.0 => Ok((Uuid::from_bytes(*id), u64::from_be_bytes(total))),
        _ => {
            let message = "the cursor is not valid for this request; repeat the request that returned it";
            Err(Error::invalid(Reason::CursorInvalid, "cursor", message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(count: u128) -> Vec<Uuid> {
        (1..=count).map(Uuid::from_u128).collect()
    }

    #[test]
    fn a_cursor_continues_with_the_next_page() {
        let groups = ListId::new("groups", b"");
        let first = PageRequest::of(groups, Some(2), None).unwrap();
        let page = Page::cut(first, ids(3), 3, |id| *id);
        assert_eq!((page.items.len(), page.total), (2, 3));
        let second = PageRequest::of(groups, Some(2), page.next.as_deref()).unwrap();
        assert_eq!((second.after, second.total), (Some(Uuid::from_u128(2)), Some(3)));
        assert_eq!(Page::cut(second, ids(1), 3, |id| *id).next, None);
    }

    #[test]
    fn invalid_limits_and_cursors_are_refused() {
        let groups = ListId::new("groups", b"");
        for limit in [0, -1, 501, i64::MIN] {
            assert!(PageRequest::of(groups, Some(limit), None).is_err(), "{limit}");
        }
        for cursor in ["x", "AAAA", "!!!"] {
            assert!(PageRequest::of(groups, None, Some(cursor)).is_err(), "{cursor}");
        }
        let first = PageRequest { limit: DEFAULT, after: None, total: None, list: groups };
        assert_eq!(PageRequest::of(groups, None, Some("")).unwrap(), first);
    }

    #[test]
    fn a_cursor_is_valid_only_for_its_own_list_and_filter() {
        let lists = [("groups", ""), ("groups", "q"), ("api_keys", "")];
        let lists = lists.map(|(name, filter)| ListId::new(name, filter.as_bytes()));
        for list in lists {
            let page = Page::cut(PageRequest::of(list, Some(1), None).unwrap(), ids(2), 2, |id| *id);
            for other in lists {
                let next = PageRequest::of(other, Some(1), page.next.as_deref());
                assert_eq!(next.is_ok(), other == list, "{list:?} {other:?}");
            }
        }
    }
}
