//! The headers of a page of a list: the body is the list alone (manager contract, decisions).

use tonic::{
    Response,
    metadata::{Ascii, MetadataValue},
};
use url::form_urlencoded::Serializer;

use crate::base::{Error, Result};

/// The response for a page. `next` is the token of the next one; `list` is the path with the key and the value of its filter.
pub(super) fn response<M>(
    message: M,
    next: Option<&str>,
    (path, key, filter): (&str, &str, &str),
    limit: Option<i32>,
) -> Result<Response<M>> {
    let mut response = Response::new(message);
    let Some(token) = next else { return Ok(response) };
    let mut query = Serializer::new(String::new());
    if !filter.is_empty() {
        query.append_pair(key, filter);
    }
    if let Some(limit) = limit {
        query.append_pair("limit", &limit.to_string());
    }
    let link = format!("<{path}?{}>; rel=\"next\"", query.append_pair("page_token", token).finish());
    let value = |text: &str| text.parse::<MetadataValue<Ascii>>().map_err(Error::internal);
    response.metadata_mut().insert("x-next-page-token", value(token)?);
    response.metadata_mut().insert("link", value(&link)?);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_repeats_the_filter_and_the_limit() {
        let page = response((), Some("p_7"), ("/v1/projects", "tenantID", "a b&c"), Some(2)).unwrap();
        let header = |name: &str| page.metadata().get(name).unwrap().to_str().unwrap().to_owned();
        assert_eq!(header("x-next-page-token"), "p_7");
        assert_eq!(header("link"), "</v1/projects?tenantID=a+b%26c&limit=2&page_token=p_7>; rel=\"next\"");
        assert!(response((), None, ("/", "", ""), Some(2)).unwrap().metadata().is_empty());
    }
}
