//! A route: one rule of `google.api.http` and the method behind it.

use std::{future::Future, marker::PhantomData, sync::Arc};

use futures_core::Stream;
use http::request::Parts;
use tonic::Status;

use super::{
    endpoint::{Answer, Endpoint, MethodHooks},
    etag::Conditions,
    rule::{Call, Rule},
    streaming::Streaming,
    unary::Unary,
};
use crate::{failure::Failure, json::Message};

/// One rule and the method behind it.
#[derive(Clone)]
pub struct Route {
    /// The rule.
    pub rule: &'static Rule,
    endpoint: Arc<dyn Endpoint>,
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.rule.method, self.rule.template.text)
    }
}

impl Route {
    /// A route to a method with a single response.
    pub fn unary<Req, Res, F, Fut>(rule: &'static Rule, call: F, handles: MethodHooks<Req, Res>) -> Self
    where
        Req: Message,
        Res: Send + 'static,
        F: Fn(tonic::Request<Req>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<tonic::Response<Res>, Status>> + Send + 'static,
    {
        Self { rule, endpoint: Arc::new(Unary { rule, call, handles }) }
    }

    /// A route to a method with a streamed response.
    pub fn stream<Req, Res, F, Fut, St>(rule: &'static Rule, call: F, handles: MethodHooks<Req, Res>) -> Self
    where
        Req: Message,
        Res: Send + 'static,
        F: Fn(tonic::Request<Req>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<tonic::Response<St>, Status>> + Send + 'static,
        St: Stream<Item = Result<Res, Status>> + Send + 'static,
    {
        Self { rule, endpoint: Arc::new(Streaming { rule, call, handles, stream: PhantomData }) }
    }

    pub(super) fn call(&self, call: Call) -> Answer {
        self.endpoint.call(call)
    }

    /// Fails if the head of a request suffices to refuse it, whatever its body is.
    pub(super) fn check_head(&self, parts: &Parts) -> Result<(), Box<Failure>> {
        if let (Some(etag), false) = (&self.rule.etag, parts.method.is_safe()) {
            Conditions::of(&parts.headers)?.tag_for(etag)?;
        }
        self.endpoint.check_head(parts)
    }
}
