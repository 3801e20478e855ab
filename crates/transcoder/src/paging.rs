//! Lists that callers read page by page (the option `pages`): the common members of their requests and responses.

/// The request for a page.
pub trait PagedRequest {
    /// Name of the list of the response.
    const LIST: &'static str;

    /// The maximum number of items in the page.
    fn limit(&self) -> Option<i32>;

    /// The position of the page: the `next_cursor` of the previous page.
    fn cursor(&self) -> Option<&str>;

    /// The encoded request without limit and cursor: what is listed, which is the same for every page.
    fn selection(&self) -> Vec<u8>;
}

/// The response with a page.
pub trait PagedResponse {
    /// An item of the list.
    type Item;

    /// The response with these items, the cursor of the next page if there is one, and the number of items in all pages.
    fn of_page(items: Vec<Self::Item>, next_cursor: Option<String>, total: i64) -> Self;
}
