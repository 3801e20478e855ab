//! Routes to methods with a single response.

use std::future::Future;

use http::{StatusCode, request::Parts};
use tonic::{Code, Status};

use super::{
    content::{Content, refused, unprintable},
    endpoint::{Answer, Endpoint, MethodHooks, Success, check_head, request},
    etag,
    pages::{FirstPage, begin},
    rule::{Call, Rule},
};
use crate::{
    failure::{Failure, Origin},
    json::Message,
    pages,
};

/// A rule and its method, which responds once.
pub(super) struct Unary<Req, Res, F> {
    pub rule: &'static Rule,
    pub call: F,
    pub handles: MethodHooks<Req, Res>,
}

impl<Req, Res, F, Fut> Endpoint for Unary<Req, Res, F>
where
    Req: Message,
    Res: Send + 'static,
    F: Fn(tonic::Request<Req>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<tonic::Response<Res>, Status>> + Send + 'static,
{
    fn check_head(&self, parts: &Parts) -> Result<(), Box<Failure>> {
        check_head::<Req>(self.rule, parts)
    }

    fn call(&self, call: Call) -> Answer {
        let rule = self.rule;
        let MethodHooks { write, created, tag, paged, .. } = self.handles;
        let request = match request(rule, call, &self.handles) {
            Ok(request) => request,
            Err(failure) => return Box::pin(std::future::ready(Err(failure))),
        };
        // Not the future of the call: the one below would have room for it twice.
        let call = self.call.clone();
        Box::pin(async move {
            let response = call(request).await.map_err(|status| refused(rule, &status))?;
            let (metadata, mut message, mut extensions) = response.into_parts();
            let mut pieces = None;
            if let Some(further) = pages::further::<Res>(&mut extensions) {
                let Some(paged) = paged else { return Err(unpaged()) };
                match begin(rule, paged, message, further).await? {
                    FirstPage::Whole(whole) => message = whole,
                    FirstPage::Pieces(first, content) => (message, pieces) = (first, Some(content)),
                }
            }
            let success = if created.is_some_and(|created| created(&message)) { 201 } else { rule.success };
            let held = tag.and_then(|tag| tag(&message));
            let mut tag = rule.etag.zip(held).and_then(|(etag, held)| etag.tag(&held));
            let content = if let Some(pieces) = pieces {
                pieces
            } else if rule.empty_body {
                Content::None
            } else {
                let payload = write(message, rule.response, &rule.info.surface.json).map_err(unprintable)?;
                if rule.etag.is_some_and(|etag| etag.digest) {
                    tag = Some(etag::digest(&payload.bytes));
                }
                Content::Whole(payload)
            };
            let status = StatusCode::from_u16(success).unwrap_or_default();
            Ok(Success { status, metadata, extensions, content, tag })
        })
    }
}

/// A service returned pages, but its method has no paged list.
fn unpaged() -> Box<Failure> {
    let text = "the response has more pages, but its method has no paged_list";
    Box::new(Failure::new(Origin::Server, Code::Internal, "PAGES_UNEXPECTED", text))
}
