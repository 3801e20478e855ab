//! Paged lists (the option `pages`): converts a request to the page that an area reads, and the page to a response.

use transcoder::{PagedRequest, PagedResponse};

use crate::base::{Cx, Page, PageRequest, Result, TenantRef, page::ListId};

/// The requested page. Its list is that of the tenant of the call, if there is one.
pub(super) fn request<R: PagedRequest>(cx: &Cx, message: &R) -> Result<PageRequest> {
    let tenant = cx.tenant().map(TenantRef::to_string).unwrap_or_default();
    let list = ListId::new(R::LIST, &[tenant.as_bytes(), &[0], &message.selection()].concat());
    PageRequest::of(list, message.limit().map(i64::from), message.cursor())
}

/// The response for a page. `to_proto` converts its items.
pub(super) fn response<T, R: PagedResponse>(page: Page<T>, to_proto: impl FnMut(T) -> R::Item) -> R {
    let items = page.items.into_iter().map(to_proto).collect();
    R::of_page(items, page.next, page.total.cast_signed())
}
