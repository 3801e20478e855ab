//! The bytes of a connection, with bounds on what the peer may have us wait for.

use std::{
    future::Future,
    io::{self, IoSlice},
    mem::MaybeUninit,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::Connection;

/// How long a peer may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Until it takes more of what is written.
    pub write: Duration,
    /// For its answer, once it has ended its own side: longer than any call takes. A stream beyond that has no reader.
    pub half_closed: Duration,
    /// To send what it still has on the way when we have ended our side, in total and until the next bytes.
    pub rest: (Duration, Duration),
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            write: Duration::from_secs(30),
            half_closed: Duration::from_secs(60),
            rest: (Duration::from_secs(30), Duration::from_secs(5)),
        }
    }
}

/// Most bytes that are read after the end of our side.
const MOST_REST: usize = 64 << 20;
/// Bytes that are thrown away at a time, and how often in a row.
const SCRATCH: usize = 16 * 1024;
const IN_A_ROW: usize = 16;

/// A stream under bounds.
pub(in crate::server) struct Guarded<S> {
    stream: S,
    connection: Arc<Connection>,
    patience: Patience,
    /// Runs while the peer takes nothing of what is written.
    writing: Option<Pin<Box<Sleep>>>,
    /// The peer has ended its side.
    ended: bool,
    /// Runs while nobody is told so.
    holding: Option<Pin<Box<Sleep>>>,
    /// Our side has ended.
    closing: Option<Closing>,
}

/// The time between the end of our side and that of the connection.
struct Closing {
    end: Pin<Box<Sleep>>,
    pause: Pin<Box<Sleep>>,
    read: usize,
}

impl<S> Guarded<S> {
    /// Puts a stream under bounds.
    pub(in crate::server) fn new(stream: S, connection: Arc<Connection>, patience: Patience) -> Self {
        Self { stream, connection, patience, writing: None, ended: false, holding: None, closing: None }
    }

    /// The end of the peer's side, as soon as it matters.
    fn peer_ended(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.reader.register(cx.waker());
        let unsent = self.writing.is_some();
        if !unsent && !self.connection.outlives_its_peers_side() {
            self.holding = None;
            return Poll::Ready(Ok(()));
        }
        let time = self.patience.half_closed;
        let holding = self.holding.get_or_insert_with(|| Box::pin(sleep(time)));
        holding.as_mut().poll(cx).map(Ok)
    }

    /// What was written, if the peer takes it in time.
    fn written(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let Poll::Ready(Ok(bytes)) = polled else { return self.in_time(cx, polled) };
        self.connection.moved.fetch_add(bytes as u64, Ordering::Relaxed);
        self.in_time(cx, polled)
    }

    fn in_time<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            if self.writing.take().is_some() && self.ended {
                // Whoever was not told of the peer's end may be told now.
                cx.waker().wake_by_ref();
            }
            return polled;
        }
        let time = self.patience.write;
        ready!(self.writing.get_or_insert_with(|| Box::pin(sleep(time))).as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not read")))
    }
}

impl<S: AsyncRead + Unpin> Guarded<S> {
    /// Reads what the peer has on the way. To close with unread bytes would reset the connection, and the peer might lose
    /// the answer that it has not read yet (RFC 9112, section 9.6).
    fn read_rest(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(closing) = &mut self.closing else { return Poll::Ready(()) };
        for _ in 0..IN_A_ROW {
            let mut scratch = [MaybeUninit::uninit(); SCRATCH];
            let mut buffer = ReadBuf::uninit(&mut scratch);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() && closing.read < MOST_REST => {
                    closing.read += buffer.filled().len();
                    closing.pause = Box::pin(sleep(self.patience.rest.1));
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => {
                    let over = closing.end.as_mut().poll(cx).is_ready() || closing.pause.as_mut().poll(cx).is_ready();
                    return if over { Poll::Ready(()) } else { Poll::Pending };
                }
            }
        }
        // Others get their turn.
        cx.waker().wake_by_ref();
        closing.end.as_mut().poll(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.ended {
            return self.peer_ended(cx);
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.connection.clean.store(false, Ordering::Relaxed);
            self.connection.moved.fetch_add(1, Ordering::Relaxed);
            return Poll::Ready(Ok(()));
        }
        self.ended = buffer.remaining() > 0;
        if self.ended { self.peer_ended(cx) } else { Poll::Ready(Ok(())) }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(cx, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.in_time(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.closing.is_none() {
            let polled = Pin::new(&mut self.stream).poll_shutdown(cx);
            ready!(self.in_time(cx, polled))?;
            if self.ended || !self.connection.may_have_more() {
                return Poll::Ready(Ok(()));
            }
            let (end, pause) = self.patience.rest;
            self.closing = Some(Closing { end: Box::pin(sleep(end)), pause: Box::pin(sleep(pause)), read: 0 });
        }
        self.read_rest(cx).map(Ok)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.written(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
