//! A limit on how long a connection may take to identify its protocol.
//!
//! Once HTTP/1.1 or HTTP/2 is known, each has its own limits, but nothing else limits the time before that.

use std::{
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::connection::{Wire, WireState};

/// The first bytes of an HTTP/2 connection.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A stream whose first bytes must arrive in time: the bytes that distinguish HTTP/2 from HTTP/1.1.
pub(super) struct FirstBytes<S> {
    stream: S,
    /// How much of the preface was read.
    read: usize,
    /// Runs until the protocol is known.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> FirstBytes<S> {
    /// Sets the limit.
    pub(super) fn within(time: Duration, stream: S) -> Self {
        Self { stream, read: 0, waiting: Some(Box::pin(sleep(time))) }
    }

    fn look_at(&mut self, bytes: &[u8]) {
        let left = &PREFACE[self.read..];
        self.read += bytes.len().min(left.len());
        let undecided = bytes.len() < left.len() && left.starts_with(bytes) && !bytes.is_empty();
        if !undecided {
            self.waiting = None;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FirstBytes<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.waiting.is_none() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let before = buffer.filled().len();
        if let Poll::Ready(done) = Pin::new(&mut self.stream).poll_read(cx, buffer) {
            self.look_at(&buffer.filled()[before..]);
            return Poll::Ready(done);
        }
        if let Some(waiting) = &mut self.waiting {
            ready!(waiting.as_mut().poll(cx));
        }
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FirstBytes<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl<S: Wire> Wire for FirstBytes<S> {
    fn state(&self) -> WireState {
        self.stream.state()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    /// The outcome of a connection that sends only these bytes.
    async fn after(parts: &[&[u8]]) -> Option<io::ErrorKind> {
        let (mut client, server) = duplex(64);
        let mut server = FirstBytes::within(Duration::from_millis(30), server);
        let mut buffer = [0; 64];
        for part in parts {
            client.write_all(part).await.unwrap();
            server.read_exact(&mut buffer[..part.len()]).await.unwrap();
        }
        let next = tokio::time::timeout(Duration::from_millis(300), server.read(&mut buffer)).await;
        next.ok().map(|read| read.unwrap_err().kind())
    }

    #[tokio::test]
    async fn a_connection_without_a_recognizable_protocol_is_closed() {
        for silent in [&[] as &[&[u8]], &[b"P"], &[b"PRI * HTTP/2.0", b"\r\n\r\nSM\r\n\r"]] {
            assert_eq!(after(silent).await, Some(io::ErrorKind::TimedOut), "{silent:?}");
        }
        for known in [&[b"G" as &[u8]] as &[&[u8]], &[b"P", b"O"], &[b"PRI * HTTP/2.0", b"\r\n\r\nSM\r\n\r\n"]] {
            assert_eq!(after(known).await, None, "{known:?}");
        }
    }
}
