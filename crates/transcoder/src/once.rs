//! Idempotent calls: a hook for contexts, so that a call that is sent several times takes effect once.
//!
//! Messages are passed in their encoded form, so that the code behind the hook is compiled once and not for each method.

use std::{future::Future, pin::Pin};

use bytes::Bytes;
use prost::Message;
use tonic::{Response, Status};

/// The response of a call: an encoded message with its metadata, or a status.
pub type Encoded = Result<Response<Bytes>, Status>;

/// A running call.
pub type Running<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Runs the handler of a call with a context.
pub type Run<C> = Box<dyn FnOnce(C) -> Running<Encoded> + Send>;

/// Makes a call take effect once. Returned by [`Context::once`](crate::handler::Context::once).
pub trait Once<C>: Send {
    /// Runs the call, or returns the response of an earlier one. `request` is the encoded request. Equal requests have equal encodings,
    /// because the messages that `transcoder-build` generates have ordered maps.
    fn answer(self: Box<Self>, request: Vec<u8>, run: Run<C>) -> Running<Encoded>;
}

/// Calls a handler through [`Once`]. For generated code.
#[doc(hidden)]
pub fn answer<C, M, R, F, Fut>(once: Box<dyn Once<C>>, message: M, call: F) -> Running<Result<Response<R>, Status>>
where
    C: Send + 'static,
    M: Message + 'static,
    R: Message + Default + 'static,
    F: FnOnce(C, M) -> Fut + Send + 'static,
    Fut: Future<Output = Result<Response<R>, Status>> + Send + 'static,
{
    let request = message.encode_to_vec();
    let run = |cx| -> Running<Encoded> {
        Box::pin(async move {
            let response = call(cx, message).await?;
            Ok(response.map(|message| message.encode_to_vec().into()))
        })
    };
    let answer = once.answer(request, Box::new(run));
    Box::pin(async move {
        let (metadata, message, extensions) = answer.await?.into_parts();
        let message = R::decode(message)
            .map_err(|_| Status::internal("a stored response does not have the type of the method"))?;
        Ok(Response::from_parts(metadata, message, extensions))
    })
}
