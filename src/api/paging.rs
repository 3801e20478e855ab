//! Paged lists (the option `pages`): converts a request to the page that an area reads, and the page to a response.

use transcoder::{PagedRequest, PagedResponse};

use crate::base::{Page, PageRequest, Result, page::ListId};

/// The requested page.
pub(super) fn request<R: PagedRequest>(message: &R) -> Result<PageRequest> {
    let list = ListId::new(R::LIST, &message.selection());
    PageRequest::of(list, message.limit().map(i64::from), message.cursor())
}

/// The response for a page. `to_proto` converts its items.
pub(super) fn response<T, R: PagedResponse>(page: Page<T>, to_proto: impl FnMut(T) -> R::Item) -> R {
    let items = page.items.into_iter().map(to_proto).collect();
    R::of_page(items, page.next, page.total.cast_signed())
}
