//! `connectrpc.conformance.v1.ConformanceService`, as its proto specifies.
//!
//! All methods are implemented as bidirectional streams: the rules in front of the service ensure that a unary method
//! gets exactly one message, and only a stream can end with its own trailers.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{Stream, stream};
use http::{HeaderMap, Request, Response};
use prost_types::Any;
use tenantry::proto::codec::MessageCodec;
use tonic::{
    Status, Streaming,
    body::Body,
    server::{Grpc, NamedService, StreamingService},
};
use tower::Service;

use crate::{
    plan::{Asks, Plan, any, info, message},
    proto::{
        BidiStreamRequest, ClientStreamRequest, IdempotentUnaryRequest, ServerStreamRequest, UnaryRequest,
        UnaryResponse, conformance_payload::RequestInfo,
    },
};

/// The service.
#[derive(Clone)]
pub struct Conformance;

impl NamedService for Conformance {
    const NAME: &'static str = "connectrpc.conformance.v1.ConformanceService";
}

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl Service<Request<Body>> for Conformance {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Boxed<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match request.uri().path().rsplit('/').next() {
            Some("Unary") => serve::<UnaryRequest>(request),
            Some("IdempotentUnary") => serve::<IdempotentUnaryRequest>(request),
            Some("ServerStream") => serve::<ServerStreamRequest>(request),
            Some("ClientStream") => serve::<ClientStreamRequest>(request),
            Some("BidiStream") => serve::<BidiStreamRequest>(request),
            _ => Box::pin(async { Ok(Status::unimplemented("it shall not be implemented").into_http()) }),
        }
    }
}

fn serve<R: Asks>(request: Request<Body>) -> Boxed<Result<Response<Body>, Infallible>> {
    // The rules in front of the service know the limit.
    let mut grpc = Grpc::new(MessageCodec::<UnaryResponse, R>::default()).max_decoding_message_size(usize::MAX);
    Box::pin(async move { Ok(grpc.streaming(Method, request).await) })
}

/// Any of the methods.
struct Method;

type Answers = Pin<Box<dyn Stream<Item = Result<UnaryResponse, Status>> + Send>>;

impl<R: Asks> StreamingService<R> for Method {
    type Response = UnaryResponse;
    type ResponseStream = Answers;
    type Future = Boxed<Result<tonic::Response<Answers>, Status>>;

    fn call(&mut self, request: tonic::Request<Streaming<R>>) -> Self::Future {
        Box::pin(answer(request))
    }
}

async fn answer<R: Asks>(request: tonic::Request<Streaming<R>>) -> Result<tonic::Response<Answers>, Status> {
    let (metadata, _, mut incoming) = request.into_parts();
    let info = info(&metadata.into_headers());
    let first = incoming.message().await?;
    let plan = first.as_ref().map(Asks::plan).unwrap_or_else(|| R::default().plan());
    let mut requests: Vec<Any> = first.iter().map(|first| any(R::NAME, first)).collect();
    let waiting = if plan.full_duplex {
        Some(incoming)
    } else {
        while let Some(next) = incoming.message().await? {
            requests.push(any(R::NAME, &next));
        }
        None
    };
    let headers: HeaderMap = plan.headers.clone();
    let call = Call { plan, untold: Some(RequestInfo { requests, ..info }), incoming: waiting, sent: 0, over: false };
    let answers: Answers = Box::pin(stream::unfold(call, Call::next));
    Ok(tonic::Response::from_parts(tonic::metadata::MetadataMap::from_headers(headers), answers, Default::default()))
}

/// A call whose response is being sent.
struct Call<R> {
    plan: Plan,
    /// The request information that no message had yet.
    untold: Option<RequestInfo>,
    /// The further requests, each of which gets a message.
    incoming: Option<Streaming<R>>,
    sent: usize,
    over: bool,
}

impl<R: Asks> Call<R> {
    async fn next(mut self) -> Option<(Result<UnaryResponse, Status>, Self)> {
        if self.over {
            return None;
        }
        let next = self.message().await;
        self.over = next.is_err();
        Some((next, self))
    }

    /// The next message, or the end of the call.
    async fn message(&mut self) -> Result<UnaryResponse, Status> {
        // The first request has arrived already.
        if self.sent > 0 {
            self.await_request().await?;
        }
        let Some(data) = self.plan.messages.pop_front() else {
            let untold = if self.sent == 0 { self.untold.take() } else { None };
            // A unary call waits before its error, too.
            if self.sent == 0 {
                tokio::time::sleep(self.plan.delay).await;
            }
            return Err(self.plan.end(untold));
        };
        tokio::time::sleep(self.plan.delay).await;
        self.sent += 1;
        Ok(message(data, self.untold.take()))
    }

    /// With full duplex, the next message is sent after the next request, or when there are no more.
    async fn await_request(&mut self) -> Result<(), Status> {
        let Some(incoming) = &mut self.incoming else { return Ok(()) };
        match incoming.message().await? {
            Some(request) => {
                let requests = vec![any(R::NAME, &request)];
                self.untold = Some(RequestInfo { requests, ..RequestInfo::default() });
            }
            None => self.incoming = None,
        }
        Ok(())
    }
}
