//! The route to a method that answers once.

use std::future::Future;

use http::StatusCode;
use tonic::Status;

use super::{
    endpoint::{Answer, Content, Endpoint, Handles, Success, refused, request, unprintable},
    etag,
    rule::{Call, Rule},
};
use crate::json::Message;

/// A rule and the method behind it, which answers once.
pub(super) struct Unary<Req, Res, F> {
    pub rule: &'static Rule,
    pub call: F,
    pub handles: Handles<Req, Res>,
}

impl<Req, Res, F, Fut> Endpoint for Unary<Req, Res, F>
where
    Req: Message,
    Res: Send + 'static,
    F: Fn(tonic::Request<Req>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<tonic::Response<Res>, Status>> + Send + 'static,
{
    fn call(&self, call: Call) -> Answer {
        let rule = self.rule;
        let Handles { write, created, tag, .. } = self.handles;
        let request = match request(rule, call, &self.handles) {
            Ok(request) => request,
            Err(failure) => return Box::pin(std::future::ready(Err(failure))),
        };
        let answer = (self.call)(request);
        Box::pin(async move {
            let response = answer.await.map_err(|status| refused(rule, &status))?;
            let (metadata, message, extensions) = response.into_parts();
            let success = if created.is_some_and(|created| created(&message)) { 201 } else { rule.success };
            let held = tag.and_then(|tag| tag(&message));
            let mut tag = rule.etag.zip(held).and_then(|(etag, held)| etag.tag(&held));
            let content = if rule.empty_body {
                Content::None
            } else {
                let payload = write(message, rule.response, &rule.info.surface.habits).map_err(unprintable)?;
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
