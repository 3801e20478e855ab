//! Lists in pages (the option `pages`): from the request to the page that an area reads, and back to the response.

use transcoder::{PagedRequest, PagedResponse};

use crate::base::{Page, PageRequest, Result};

/// The page that a request asks for.
pub(super) fn request<R: PagedRequest>(message: &R) -> Result<PageRequest> {
    PageRequest::of(R::LIST, message.limit().map(i64::from), message.cursor())
}

/// The response with a page, whose items `to_proto` converts.
pub(super) fn response<T, R: PagedResponse>(page: Page<T>, to_proto: impl FnMut(T) -> R::Item) -> R {
    let items = page.items.into_iter().map(to_proto).collect();
    R::of_page(items, page.next, page.total.cast_signed())
}
