//! gRPC-Web bodies in base64, `application/grpc-web-text`.
//!
//! A client may encode each message separately and concatenate the texts, so there may be padding after every four
//! characters and not only at the end. HTTP chunk boundaries have no meaning.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::{BufMut, Bytes, BytesMut};
use http_body::{Frame, SizeHint};

/// A decoded body.
pub(super) struct Decoded {
    body: Body,
    text: Text,
}

/// A body is not valid base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is not valid base64")]
struct NoBase64;

impl Decoded {
    /// Decodes a body as it arrives.
    pub(super) fn new(body: Body) -> Self {
        Self { body, text: Text::default() }
    }
}

impl http_body::Body for Decoded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        loop {
            let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) else { return Poll::Pending };
            let decoded = match frame.transpose()?.map(Frame::into_data) {
                Some(Ok(text)) => this.text.decode(&text).map(Frame::data).map(Some),
                Some(Err(trailers)) => this.text.end().map(|()| Some(trailers)),
                None => this.text.end().map(|()| None),
            };
            // Fewer than four characters decode to nothing yet.
            if !matches!(&decoded, Ok(Some(frame)) if frame.data_ref().is_some_and(Bytes::is_empty)) {
                return Poll::Ready(decoded.map_err(axum::Error::new).transpose());
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.text.length == 0 && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// A base64 decoder: the start of the next four characters.
#[derive(Default)]
struct Text {
    four: [u8; 4],
    length: usize,
}

impl Text {
    /// Decodes the next part of the text.
    fn decode(&mut self, piece: &[u8]) -> Result<Bytes, NoBase64> {
        let mut decoded = BytesMut::with_capacity(piece.len() / 4 * 3 + 3);
        for character in piece {
            self.four[self.length] = *character;
            self.length += 1;
            if self.length == 4 {
                self.length = 0;
                let (bytes, count) = three(self.four)?;
                decoded.put_slice(&bytes[..count]);
            }
        }
        Ok(decoded.freeze())
    }

    /// Fails if the text must not end here.
    fn end(&self) -> Result<(), NoBase64> {
        if self.length == 0 { Ok(()) } else { Err(NoBase64) }
    }
}

/// Decodes four characters: three bytes, minus up to two for padding (RFC 4648, section 4).
fn three(four: [u8; 4]) -> Result<([u8; 3], usize), NoBase64> {
    let characters = match four {
        [_, _, b'=', b'='] => 2,
        [_, _, _, b'='] => 3,
        _ => 4,
    };
    let mut bits = 0;
    for character in &four[..characters] {
        bits = bits << 6 | value(*character).ok_or(NoBase64)?;
    }
    bits <<= 6 * (4 - characters);
    let [_, bytes @ ..] = bits.to_be_bytes();
    // The unused bits must be zero.
    let count = characters - 1;
    if bytes[count..].iter().all(|byte| *byte == 0) { Ok((bytes, count)) } else { Err(NoBase64) }
}

fn value(character: u8) -> Option<u32> {
    let value = match character {
        b'A'..=b'Z' => character - b'A',
        b'a'..=b'z' => character - b'a' + 26,
        b'0'..=b'9' => character - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(value.into())
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use http_body_util::BodyExt as _;
    use proptest::prelude::*;

    use super::*;

    async fn decode(pieces: &[&[u8]]) -> Option<Vec<u8>> {
        let pieces: Vec<_> = pieces.iter().map(|piece| Ok::<_, NoBase64>(Bytes::copy_from_slice(piece))).collect();
        let body = Decoded::new(Body::from_stream(futures::stream::iter(pieces)));
        body.collect().await.ok().map(|all| all.to_bytes().to_vec())
    }

    #[tokio::test]
    async fn concatenated_texts_decode_the_same_in_any_chunks() {
        let text = ["one", "four", "fives"].map(|word| STANDARD.encode(word)).concat();
        let text = text.as_bytes();
        assert!(text.windows(2).any(|two| two[0] == b'=' && two[1] != b'='), "padding stands within");
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let pieces = [&text[..first], &text[first..second], &text[second..]];
                assert_eq!(decode(&pieces).await.unwrap(), b"onefourfives", "{first} {second}");
            }
        }
    }

    #[tokio::test]
    async fn invalid_base64_is_refused() {
        for bad in
            ["A", "AA", "AAA", "AAAAA", "A===", "====", "AA=A", "AA A", "AAA\n", "AA-_", "AB==", "AAB=", "\0\0\0\0"]
        {
            assert_eq!(decode(&[bad.as_bytes()]).await, None, "{bad:?}");
        }
        assert_eq!(decode(&[]).await.unwrap(), b"");
    }

    proptest! {
        #[test]
        fn standard_base64_is_decoded(bytes in proptest::collection::vec(any::<u8>(), 0..50)) {
            let mut text = Text::default();
            prop_assert_eq!(&text.decode(STANDARD.encode(&bytes).as_bytes()).unwrap()[..], &bytes[..]);
            prop_assert_eq!(text.end(), Ok(()));
        }

        #[test]
        fn four_characters_decode_as_in_the_reference(four in proptest::array::uniform4(any::<u8>())) {
            let expected = STANDARD.decode(four).ok();
            prop_assert_eq!(three(four).ok().map(|(bytes, count)| bytes[..count].to_vec()), expected);
        }

        #[test]
        fn nearly_valid_base64_decodes_as_in_the_reference(four in "[A-Za-z0-9+/=]{4}") {
            let expected = STANDARD.decode(&four).ok();
            let ours = three(four.as_bytes().try_into().unwrap()).ok();
            prop_assert_eq!(ours.map(|(bytes, count)| bytes[..count].to_vec()), expected);
        }
    }
}
