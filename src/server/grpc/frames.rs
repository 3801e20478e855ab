//! The messages of a request in gRPC's framing: a flag, a length of four bytes, and the message.
//!
//! Violations are refused here, with our own texts and the status that the protocol specifies, before the service sees
//! a message. Compressed messages are decompressed here too, up to the limit.

use std::{
    io::Read,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use http_body::Frame;
use tonic::{Status, body::Body};

use super::{terms::Terms, violation};
use crate::base::{Error, Kind, error::Reason};

/// Length of the prefix of a message.
pub(super) const PREFIX: usize = 5;

/// The rules for messages, from the method and the head of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// The method takes exactly one message.
    pub single: bool,
    /// Messages may be compressed with gzip, according to `grpc-encoding`.
    pub gzip: bool,
    /// The choices of this server.
    pub terms: Terms,
}

/// The body of a request with valid messages; it ends with a status at the first invalid one.
pub(super) struct Frames {
    body: Body,
    rules: Rules,
    /// Received data that was not examined yet.
    rest: Bytes,
    state: State,
    /// Whether a message has started.
    begun: bool,
    done: bool,
}

/// The meaning of the next byte.
enum State {
    /// The incomplete prefix of a message.
    Prefix(BytesMut),
    /// A message with this many bytes missing.
    Plain(usize),
    /// An incomplete compressed message of this length.
    Packed(usize, BytesMut),
}

impl Frames {
    pub(super) fn new(body: Body, rules: Rules) -> Self {
        Self { body, rules, rest: Bytes::new(), state: State::start(), begun: false, done: false }
    }

    /// The next part of the received data; `None` if more is needed.
    fn piece(&mut self) -> Result<Option<Bytes>, Error> {
        while !self.rest.is_empty() {
            let piece = match &mut self.state {
                State::Prefix(prefix) => {
                    let missing = PREFIX - prefix.len();
                    prefix.put(self.rest.split_to(missing.min(self.rest.len())));
                    let Ok(prefix) = <[u8; PREFIX]>::try_from(&prefix[..]) else { continue };
                    self.begin(prefix)?
                }
                State::Plain(missing) => {
                    let piece = self.rest.split_to((*missing).min(self.rest.len()));
                    *missing -= piece.len();
                    if *missing == 0 {
                        self.state = State::start();
                    }
                    Some(piece)
                }
                State::Packed(length, packed) => {
                    let missing = *length - packed.len();
                    packed.put(self.rest.split_to(missing.min(self.rest.len())));
                    (packed.len() == *length)
                        .then(|| std::mem::take(packed))
                        .map(|packed| self.unpack(&packed))
                        .transpose()?
                }
            };
            if piece.is_some() {
                return Ok(piece);
            }
        }
        Ok(None)
    }

    /// Starts a message. Returns its prefix, unless it must be decompressed first.
    fn begin(&mut self, prefix: [u8; PREFIX]) -> Result<Option<Bytes>, Error> {
        if self.rules.single && self.begun {
            return Err(cardinality("the method takes one message, but more were sent"));
        }
        self.begun = true;
        let [flag, length @ ..] = prefix;
        let length = u32::from_be_bytes(length) as usize;
        match flag {
            0 | 1 if length > self.rules.terms.limit => Err(too_large(self.rules.terms.limit)),
            0 => {
                self.state = if length == 0 { State::start() } else { State::Plain(length) };
                Ok(Some(Bytes::copy_from_slice(&prefix)))
            }
            1 if !self.rules.gzip => {
                Err(violation("the compressed flag of a message is set, but grpc-encoding does not name a compression"))
            }
            1 if length == 0 => Err(not_gzip()),
            1 => {
                self.state = State::Packed(length, BytesMut::new());
                Ok(None)
            }
            _ => Err(violation(format!("the compressed flag of a message must be 0 or 1, not {flag}"))),
        }
    }

    /// Decompresses a message.
    fn unpack(&mut self, packed: &[u8]) -> Result<Bytes, Error> {
        self.state = State::start();
        let mut message = vec![0; PREFIX];
        let most = self.rules.terms.limit as u64 + 1;
        MultiGzDecoder::new(packed).take(most).read_to_end(&mut message).map_err(|_| not_gzip())?;
        let length = message.len() - PREFIX;
        if length > self.rules.terms.limit {
            return Err(too_large(self.rules.terms.limit));
        }
        // At most the limit of a message, whose length has four bytes.
        message[1..PREFIX].copy_from_slice(&(length as u32).to_be_bytes());
        Ok(message.into())
    }

    /// Whether the body may end here.
    fn end(&self) -> Result<(), Error> {
        match &self.state {
            State::Prefix(prefix) if prefix.is_empty() => {}
            _ => return Err(violation("the body ended in the middle of a message")),
        }
        if self.rules.single && !self.begun {
            return Err(cardinality("the method takes one message, but none was sent"));
        }
        Ok(())
    }
}

impl State {
    fn start() -> Self {
        Self::Prefix(BytesMut::new())
    }
}

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if this.done {
            return Poll::Ready(None);
        }
        let ended = |this: &mut Self, last: Option<Frame<Bytes>>| {
            this.done = true;
            Poll::Ready(this.end().map_or_else(|error| Some(Err(this.rules.terms.status(error))), |()| last.map(Ok)))
        };
        loop {
            match this.piece() {
                Ok(Some(piece)) => return Poll::Ready(Some(Ok(Frame::data(piece)))),
                Ok(None) => {}
                Err(error) => {
                    this.done = true;
                    return Poll::Ready(Some(Err(this.rules.terms.status(error))));
                }
            }
            let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) else { return Poll::Pending };
            match frame {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    // Anything after the messages ends them.
                    Err(trailers) => return ended(this, Some(trailers)),
                },
                Some(Err(error)) => {
                    this.done = true;
                    return Poll::Ready(Some(Err(broken(error, this.rules.terms))));
                }
                None => return ended(this, None),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        // Not before the end was checked, which may be an error.
        self.done
    }
}

/// A body that cannot be read. Errors below HTTP are not the caller's fault; invalid base64 is reported by the gRPC-Web
/// layer with its own text.
fn broken(status: Status, terms: Terms) -> Status {
    if status.code() == Kind::Cancelled {
        return status;
    }
    let text = "malformed message: the body is not valid base64 or is incomplete";
    terms.status(Error::new(Kind::InvalidArgument, Reason::InvalidArgument, text))
}

/// The status for a wrong number of messages, by <https://github.com/grpc/grpc/blob/master/doc/statuscodes.md>.
fn cardinality(text: &'static str) -> Error {
    Error::new(Kind::Unimplemented, Reason::ProtocolViolation, text)
}

fn too_large(limit: usize) -> Error {
    let text = format!("the message is larger than {limit} bytes");
    Error::new(Kind::ResourceExhausted, Reason::MessageTooLarge, text)
}

fn not_gzip() -> Error {
    violation("a compressed message is not valid gzip, which grpc-encoding names")
}

/// The first message of a buffer with its prefix, if it is complete.
pub(super) fn whole(buffer: &mut BytesMut) -> Option<BytesMut> {
    let length = buffer.get(1..PREFIX)?.get_u32() as usize;
    (buffer.len() >= PREFIX + length).then(|| buffer.split_to(PREFIX + length))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use http_body_util::BodyExt as _;

    use super::*;

    fn rules(single: bool, gzip: bool) -> Rules {
        Rules { single, gzip, terms: Terms { limit: 100, details: true } }
    }

    fn frame(flag: u8, message: &[u8]) -> Vec<u8> {
        [&[flag][..], &(message.len() as u32).to_be_bytes(), message].concat()
    }

    /// The part of a body that passes if it arrives in parts of a length, and the status with which it ends, if any.
    async fn pass(body: &[u8], part: usize, rules: Rules) -> (Vec<u8>, Option<Kind>) {
        let parts: Vec<_> = body.chunks(part).map(|part| Ok::<_, Status>(Frame::data(part.to_vec().into()))).collect();
        let body = Body::new(http_body_util::StreamBody::new(futures::stream::iter(parts)));
        let (mut frames, mut passed) = (Frames::new(body, rules), Vec::new());
        while let Some(frame) = frames.frame().await {
            match frame {
                Ok(frame) => passed.extend_from_slice(&frame.into_data().unwrap()),
                Err(status) => {
                    assert!(frames.frame().await.is_none(), "an error is the end");
                    return (passed, Some(status.code()));
                }
            }
        }
        (passed, None)
    }

    fn gzip(message: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(message).unwrap();
        encoder.finish().unwrap()
    }

    #[tokio::test]
    async fn messages_are_the_same_in_any_chunks() {
        let sent = [frame(0, b"one"), frame(0, b""), frame(1, &gzip(b"three")), frame(0, &[b'x'; 100])].concat();
        let plain = [frame(0, b"one"), frame(0, b""), frame(0, b"three"), frame(0, &[b'x'; 100])].concat();
        for part in 1..=sent.len() {
            assert_eq!(pass(&sent, part, rules(false, true)).await, (plain.clone(), None), "{part}");
            let (_, status) = pass(&sent, part, rules(true, true)).await;
            assert_eq!(status, Some(Kind::Unimplemented), "{part}");
            let (_, status) = pass(&sent, part, rules(false, false)).await;
            assert_eq!(status, Some(Kind::Internal), "{part}");
            let cut = &sent[..sent.len() - 1];
            assert_eq!(pass(cut, part, rules(false, true)).await.1, Some(Kind::Internal), "{part}");
        }
    }

    #[tokio::test]
    async fn the_limit_applies_to_compressed_and_plain_messages() {
        for (body, status) in [
            (frame(0, &[0; 100]), None),
            (frame(0, &[0; 101]), Some(Kind::ResourceExhausted)),
            (frame(1, &gzip(&[0; 100])), None),
            (frame(1, &gzip(&[0; 101])), Some(Kind::ResourceExhausted)),
            (frame(1, &gzip(&vec![0; 10_000_000])[..100]), Some(Kind::ResourceExhausted)),
            (frame(1, &gzip(b"whole")[..15]), Some(Kind::Internal)),
            (b"\x01\xff\xff\xff\xff".to_vec(), Some(Kind::ResourceExhausted)),
            (Vec::new(), Some(Kind::Unimplemented)),
        ] {
            assert_eq!(pass(&body, 7, rules(true, true)).await.1, status, "{body:?}");
        }
    }
}
