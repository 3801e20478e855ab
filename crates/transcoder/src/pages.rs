//! Lists that are longer than one message: the service returns the first page and leaves a stream of the other pages
//! with it.
//!
//! Each page is a message of the response type. Merged by the rules of protobuf, they are one list, with the other fields of the
//! last page. The option `paged_list` marks a method with such a list. Over REST the pages are sent one after the other; each is read
//! when the peer has received the previous one. Over gRPC they are merged into one message, unless it would be too long.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use futures_core::Stream;
use prost::Message;
use tonic::{Code, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// The longest merged message: the default limit of gRPC clients.
const LONGEST: usize = 4 * 1024 * 1024;
/// The reason for a list that does not fit.
const REASON: &str = "LIST_TOO_LONG";

pub(crate) type Pages<M> = Pin<Box<dyn Stream<Item = Result<M, Status>> + Send>>;

/// The other pages of a response, in its extensions. The first reader takes them.
struct FurtherPages<M>(Arc<Mutex<Option<Pages<M>>>>);

impl<M> Clone for FurtherPages<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M> fmt::Debug for FurtherPages<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FurtherPages")
    }
}

/// Attaches the pages that follow the first one to its response. They are read as they are sent, if at all.
pub fn followed<M: 'static>(
    mut first: Response<M>,
    pages: impl Stream<Item = Result<M, Status>> + Send + 'static,
) -> Response<M> {
    let pages: Pages<M> = Box::pin(pages);
    first.extensions_mut().insert(FurtherPages(Arc::new(Mutex::new(Some(pages)))));
    first
}

/// The pages that follow, if any.
pub(crate) fn further<M: 'static>(extensions: &mut http::Extensions) -> Option<Pages<M>> {
    let FurtherPages(pages) = extensions.remove::<FurtherPages<M>>()?;
    pages.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// The next page.
pub(crate) async fn next<M>(pages: &mut Pages<M>) -> Option<Result<M, Status>> {
    poll_fn(|cx| pages.as_mut().poll_next(cx)).await
}

/// Merges all pages into one message; `list` returns its list. Fails with RESOURCE_EXHAUSTED and a reason of the domain if the
/// message becomes too long.
pub async fn whole<M: Message + 'static, T>(
    response: Response<M>,
    list: fn(&mut M) -> &mut Vec<T>,
    domain: &str,
) -> Result<Response<M>, Status> {
    let (metadata, mut whole, mut extensions) = response.into_parts();
    let mut length = whole.encoded_len();
    if let Some(mut pages) = further::<M>(&mut extensions) {
        while length <= LONGEST
            && let Some(page) = next(&mut pages).await
        {
            let mut page = page?;
            length += page.encoded_len();
            let mut items = std::mem::take(list(&mut whole));
            items.append(list(&mut page));
            *list(&mut page) = items;
            whole = page;
        }
    }
    if length > LONGEST {
        return Err(too_long(domain));
    }
    Ok(Response::from_parts(metadata, whole, extensions))
}

fn too_long(domain: &str) -> Status {
    let details = ErrorDetails::with_error_info(REASON, domain, [] as [(String, String); 0]);
    let text = "the list is too long for one gRPC message; request it over REST";
    Status::with_error_details(Code::ResourceExhausted, text, details)
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        task::{Context, Poll},
    };

    use prost_types::FileDescriptorProto as Names;

    use super::*;

    /// Pages that count how many of them were read.
    struct Counted(Vec<Result<Names, Status>>, Arc<AtomicUsize>);

    impl Stream for Counted {
        type Item = Result<Names, Status>;

        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            if self.0.is_empty() {
                return Poll::Ready(None);
            }
            self.1.fetch_add(1, Ordering::Relaxed);
            Poll::Ready(Some(self.0.remove(0)))
        }
    }

    /// A message with a list and another field.
    fn names(list: &[&str], other: &str) -> Names {
        let dependency = list.iter().map(|name| (*name).to_owned()).collect();
        Names { dependency, package: Some(other.to_owned()), ..Names::default() }
    }

    async fn put_together(pages: Vec<Result<Names, Status>>) -> (Result<Names, Status>, usize) {
        let read = Arc::new(AtomicUsize::new(0));
        let first = Response::new(names(&["a", "b"], "2"));
        let answer = followed(first, Counted(pages, read.clone()));
        let answer = whole(answer, |names| &mut names.dependency, "shop").await;
        (answer.map(Response::into_inner), read.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn pages_become_one_message() {
        let one = whole(Response::new(names(&["a"], "1")), |names| &mut names.dependency, "shop").await;
        assert_eq!(one.unwrap().into_inner(), names(&["a"], "1"));
        let (answer, read) = put_together(vec![Ok(names(&["c"], "3")), Ok(names(&[], "3"))]).await;
        assert_eq!((answer.unwrap(), read), (names(&["a", "b", "c"], "3"), 2));
        let (answer, _) = put_together(vec![Ok(names(&["c"], "3")), Err(Status::unavailable("away"))]).await;
        assert_eq!(answer.unwrap_err().message(), "away");
    }

    #[tokio::test]
    async fn a_too_long_message_is_refused_before_all_pages_are_read() {
        let long = "x".repeat(LONGEST / 2);
        let page = || Ok(names(&[long.as_str()], "9"));
        let (answer, read) = put_together(vec![page(), page(), page(), page()]).await;
        let refused = answer.unwrap_err();
        assert_eq!((refused.code(), read), (Code::ResourceExhausted, 2));
        let details = refused.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), (REASON, "shop"));
        let (answer, _) = put_together(vec![page()]).await;
        assert_eq!(answer.unwrap().dependency.len(), 3);
    }
}
