//! The body of an answer.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// The body of an answer: one piece that is known, or pieces as they come.
pub struct ResponseBody(Kind);

enum Kind {
    Whole(Option<Bytes>),
    Pieces(Pin<Box<dyn Body<Data = Bytes, Error = Broken> + Send>>),
}

/// An answer of raw bytes, or of a long list, ended before it was whole. There is no place in it to say why, so the
/// connection is broken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer ended before it was whole")
    }
}

impl std::error::Error for Broken {}

impl ResponseBody {
    pub(super) fn pieces(body: impl Body<Data = Bytes, Error = Broken> + Send + 'static) -> Self {
        Self(Kind::Pieces(Box::pin(body)))
    }

    /// The bytes of a body that is one piece; `None` of one whose pieces are still to come.
    pub fn whole(&self) -> Option<&[u8]> {
        match &self.0 {
            Kind::Whole(bytes) => Some(bytes.as_deref().unwrap_or_default()),
            Kind::Pieces(_) => None,
        }
    }
}

/// A body of one piece.
impl From<Bytes> for ResponseBody {
    fn from(bytes: Bytes) -> Self {
        Self(Kind::Whole(Some(bytes).filter(|bytes| !bytes.is_empty())))
    }
}

/// An empty body.
impl Default for ResponseBody {
    fn default() -> Self {
        Self(Kind::Whole(None))
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.whole() {
            Some(bytes) => write!(f, "ResponseBody({} bytes)", bytes.len()),
            None => f.write_str("ResponseBody(pieces)"),
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match &mut self.0 {
            Kind::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Pieces(pieces) => pieces.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(bytes) => bytes.is_none(),
            Kind::Pieces(pieces) => pieces.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Kind::Pieces(_) => SizeHint::default(),
        }
    }
}
