//! Compresses gRPC responses with gzip, if the client accepts it and it saves something.

use std::{
    io::Write,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body::Frame;
use tonic::{Status, body::Body};
use transcoder::fields;

use super::frames::{PREFIX, whole};

/// The compression of this call's messages.
pub(super) static ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
/// The encodings that the other side accepts.
pub(super) static ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
pub(super) const GZIP: &str = "gzip";
/// The encodings that this side accepts.
pub(super) const SERVED: &str = "identity,gzip";

/// Larger messages are compressed, as REST bodies are.
const COMPRESSED_ABOVE: usize = 1024;

/// Whether a caller accepts messages in gzip.
pub(super) fn is_accepted(headers: &HeaderMap) -> bool {
    fields::items(headers, &ACCEPT_ENCODING).any(|encoding| encoding == GZIP.as_bytes())
}

/// The response with its messages compressed. A response without messages stays as it is.
pub(super) fn compress(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    if headers.contains_key("grpc-status") || headers.contains_key(&ENCODING) {
        return response;
    }
    headers.insert(ENCODING.clone(), HeaderValue::from_static(GZIP));
    response.map(|body| Body::new(Compressed { body, buffer: BytesMut::new(), last: None }))
}

/// A body whose messages are compressed as they pass.
struct Compressed {
    body: Body,
    /// The start of an incomplete message.
    buffer: BytesMut,
    /// The frame after the last bytes.
    last: Option<Frame<Bytes>>,
}

impl http_body::Body for Compressed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if let Some(last) = this.last.take() {
            return Poll::Ready(Some(Ok(last)));
        }
        loop {
            let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) else { return Poll::Pending };
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => {
                    this.buffer.extend_from_slice(&data);
                    let messages = squeeze_all(&mut this.buffer);
                    if !messages.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(messages))));
                    }
                }
                // The service writes whole messages; if it ever did not, the rest is sent unchanged.
                Some(Ok(Err(last))) if !this.buffer.is_empty() => {
                    this.last = Some(last);
                    return Poll::Ready(Some(Ok(Frame::data(this.buffer.split().freeze()))));
                }
                Some(Ok(Err(last))) => return Poll::Ready(Some(Ok(last))),
                Some(Err(status)) => return Poll::Ready(Some(Err(status))),
                None if !this.buffer.is_empty() => {
                    return Poll::Ready(Some(Ok(Frame::data(this.buffer.split().freeze()))));
                }
                None => return Poll::Ready(None),
            }
        }
    }
}

/// The complete messages in their sent form.
fn squeeze_all(buffer: &mut BytesMut) -> Bytes {
    let mut sent = BytesMut::new();
    while let Some(message) = whole(buffer) {
        let squeezed =
            if message.len() - PREFIX > COMPRESSED_ABOVE && message[0] == 0 { squeeze(&message) } else { None };
        match squeezed {
            Some(squeezed) => sent.extend_from_slice(&squeezed),
            None if sent.is_empty() => sent = message,
            None => sent.extend_from_slice(&message),
        }
    }
    sent.freeze()
}

/// A message in gzip with its prefix, if that is shorter.
fn squeeze(message: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(vec![1; PREFIX], Compression::fast());
    // Writing to memory does not fail.
    encoder.write_all(&message[PREFIX..]).ok()?;
    let mut squeezed = encoder.finish().ok()?;
    // Shorter than the message, whose length fits.
    let length = u32::try_from(squeezed.len() - PREFIX).ok()?;
    squeezed[1..PREFIX].copy_from_slice(&length.to_be_bytes());
    (squeezed.len() < message.len()).then_some(squeezed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_found_among_unknown_encodings() {
        for (text, accepted) in
            [(&b"\xff, gzip"[..], true), (b"identity,gzip", true), (b"gzip\xff", false), (b"identity", false)]
        {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING.clone(), HeaderValue::from_bytes(text).unwrap())]);
            assert_eq!(is_accepted(&headers), accepted, "{}", text.escape_ascii());
        }
    }
}
