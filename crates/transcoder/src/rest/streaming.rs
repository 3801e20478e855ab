//! Routes to methods with a streamed response.

use std::{
    future::{Future, poll_fn},
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use http::{HeaderValue, StatusCode, request::Parts};
use tonic::Status;

use super::{
    content::{Content, refused, unprintable},
    endpoint::{Answer, Endpoint, MethodHooks, ReadText, Success, Write, check_head, request},
    payload::Payload,
    rule::{Call, Rule},
    stream::Item,
};
use crate::{failure::Failure, json::Message};

/// A rule and its method, which responds with a stream.
pub(super) struct Streaming<Req, Res, F, St> {
    pub rule: &'static Rule,
    pub call: F,
    pub handles: MethodHooks<Req, Res>,
    pub stream: PhantomData<fn() -> St>,
}

impl<Req, Res, F, Fut, St> Endpoint for Streaming<Req, Res, F, St>
where
    Req: Message,
    Res: Send + 'static,
    F: Fn(tonic::Request<Req>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<tonic::Response<St>, Status>> + Send + 'static,
    St: Stream<Item = Result<Res, Status>> + Send + 'static,
{
    fn check_head(&self, parts: &Parts) -> Result<(), Box<Failure>> {
        check_head::<Req>(self.rule, parts)
    }

    fn call(&self, call: Call) -> Answer {
        let (rule, patience) = (self.rule, call.patience);
        let MethodHooks { write, event_id, event_type, .. } = self.handles;
        let request = match request(rule, call, &self.handles) {
            Ok(request) => request,
            Err(failure) => return Box::pin(std::future::ready(Err(failure))),
        };
        // Not the future of the call: the one below would have room for it twice.
        let call = self.call.clone();
        Box::pin(async move {
            let response = call(request).await.map_err(|status| refused(rule, &status))?;
            let (metadata, stream, extensions) = response.into_parts();
            let stream = Box::pin(stream);
            let mut items = Written { stream, rule, write, event_id, event_type, media_type: None, ended: false };
            // A stream that fails immediately responds with its status. A silent stream gets its head after a while,
            // except a stream of raw bytes: only the first piece has the media type.
            let first = poll_fn(|cx| Pin::new(&mut items).poll_next(cx));
            let first = match patience.is_zero() || rule.raw_answer {
                true => first.await,
                false => tokio::time::timeout(patience, first).await.unwrap_or_default(),
            };
            let first = first.transpose()?;
            let media_type = items.media_type.clone().unwrap_or(Payload::OCTETS);
            let status = StatusCode::from_u16(rule.success).unwrap_or_default();
            let content = Content::Items { media_type, first, rest: Box::pin(items) };
            Ok(Success { status, metadata, extensions, content, tag: None })
        })
    }
}

/// A stream whose messages are encoded as they come.
struct Written<Res, St> {
    stream: Pin<Box<St>>,
    rule: &'static Rule,
    write: Write<Res>,
    event_id: ReadText<Res>,
    event_type: ReadText<Res>,
    /// The media type of the first raw message.
    media_type: Option<HeaderValue>,
    /// The stream must not be polled again.
    ended: bool,
}

impl<Res, St> Written<Res, St> {
    fn item(&mut self, message: Res) -> Result<Item, Box<Failure>> {
        let id = self.event_id.and_then(|id| id(&message));
        let kind = self.event_type.and_then(|kind| kind(&message));
        let payload = (self.write)(message, self.rule.response, &self.rule.info.surface.json);
        let Payload { content_type, bytes } = payload.map_err(unprintable)?;
        self.media_type.get_or_insert(content_type);
        Ok(Item { bytes, id, kind })
    }
}

impl<Res, St: Stream<Item = Result<Res, Status>>> Stream for Written<Res, St> {
    type Item = Result<Item, Box<Failure>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let item = ready!(self.stream.as_mut().poll_next(cx));
        let rule = self.rule;
        let item = item.map(|item| item.map_err(|status| refused(rule, &status)).and_then(|item| self.item(item)));
        self.ended = !matches!(item, Some(Ok(_)));
        Poll::Ready(item)
    }
}
