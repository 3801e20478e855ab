//! Lists that callers read page by page (the option `pages`): the members that their requests and responses have in common.

/// The request of a page.
pub trait PagedRequest {
    /// Name of the list of the response.
    const LIST: &'static str;

    /// Most items of the page.
    fn limit(&self) -> Option<i32>;

    /// Where the page begins: the `next_cursor` of the page before.
    fn cursor(&self) -> Option<&str>;
}

/// The response with a page.
pub trait PagedResponse {
    /// An item of the list.
    type Item;

    /// The response with these items, the cursor of the next page if there is one, and the number of items of all pages.
    fn of_page(items: Vec<Self::Item>, next_cursor: Option<String>, total: i64) -> Self;
}
