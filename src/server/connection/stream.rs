//! The bytes of a connection, with limits on how long it waits for the peer.

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

use super::{
    Connection, Doing,
    wire::{State, Wire},
};

/// Time limits for a peer.
#[derive(Clone, Copy, Debug)]
pub struct PeerTimeouts {
    /// To read more of what is written.
    pub write: Duration,
    /// The same in the drain, and when others need its slot.
    pub untaken: Duration,
    /// To send something over HTTP/2 before it gets a ping.
    pub ping: Duration,
    /// To answer the ping.
    pub pong: Duration,
    /// To finish sending after we have closed our side, in total and until the next bytes.
    pub rest: (Duration, Duration),
}

impl Default for PeerTimeouts {
    fn default() -> Self {
        Self {
            write: Duration::from_secs(30),
            untaken: Duration::from_secs(10),
            ping: Duration::from_secs(30),
            pong: Duration::from_secs(20),
            rest: (Duration::from_secs(30), Duration::from_secs(5)),
        }
    }
}

/// Maximum number of bytes that are read after the end of our side.
const MOST_REST: usize = 64 << 20;
/// How often to check whether a peer that has closed its side still exists.
const LOOK: Duration = Duration::from_secs(1);
/// How often to check whether a peer has read everything.
const TICK: Duration = Duration::from_millis(50);
/// The size of discarded reads, and how many of them are done in a row.
const SCRATCH: usize = 16 * 1024;
const IN_A_ROW: usize = 16;

/// A stream with limits.
pub(in crate::server) struct Guarded<S> {
    stream: S,
    connection: Arc<Connection>,
    timeouts: PeerTimeouts,
    /// Runs while the peer does not read what is written.
    writing: Option<Pin<Box<Sleep>>>,
    /// What it had read at the last check.
    taken: u64,
    /// What it will have read when it has the responses of all finished calls; checked when the connection ends.
    answered: Option<u64>,
    /// The peer has closed its side.
    ended: bool,
    /// Runs until the next check of whether it still exists, and what it has read.
    holding: Option<Pin<Box<Sleep>>>,
    /// Our side is closed.
    closing: Option<Closing>,
}

/// The state between the end of our side and that of the connection.
struct Closing {
    end: Pin<Box<Sleep>>,
    pause: Pin<Box<Sleep>>,
    read: usize,
}

impl<S: Wire> Guarded<S> {
    pub(in crate::server) fn new(stream: S, connection: Arc<Connection>, timeouts: PeerTimeouts) -> Self {
        Self {
            stream,
            connection,
            timeouts,
            writing: None,
            taken: 0,
            answered: None,
            ended: false,
            holding: None,
            closing: None,
        }
    }

    /// The end of the peer's side, as soon as it matters. Until then nothing is read, and nothing else would detect
    /// that the peer is gone.
    fn peer_ended(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outlived = self.connection.outlives_its_peers_side(cx);
        if !outlived && self.writing.is_none() {
            return Poll::Ready(Ok(()));
        }
        loop {
            ready!(self.holding.get_or_insert_with(|| Box::pin(sleep(LOOK))).as_mut().poll(cx));
            self.holding = None;
            if self.stream.state().gone {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
        }
    }

    /// Whether the peer has read something since the last check.
    fn takes(&mut self, state: State) -> bool {
        std::mem::replace(&mut self.taken, state.taken) != state.taken
    }

    /// Checks whether the peer is still reading responses of finished calls. Data after those, such as responses to its
    /// pings, does not count.
    fn look_at_answers(&mut self) {
        if self.connection.doing() != Doing::Nothing {
            self.answered = None;
            return;
        }
        let state = self.stream.state();
        let answered = *self.answered.get_or_insert(state.taken + state.owed);
        let owing = state.owing && !state.gone && state.taken < answered;
        if owing && self.takes(state) {
            self.connection.mark();
        }
        self.connection.owing.store(owing, Ordering::Relaxed);
    }

    /// Checks that again after our side is closed, when nothing else is read or written.
    fn keep_looking_at_answers(&mut self, cx: &mut Context<'_>) {
        while self.connection.is_owed() {
            self.look_at_answers();
            if self.holding.get_or_insert_with(|| Box::pin(sleep(TICK))).as_mut().poll(cx).is_pending() {
                return;
            }
            self.holding = None;
        }
    }

    /// In the drain, waits until the peer has read what the kernel holds for it. Usually the kernel takes care of that,
    /// but the network of a container may end with the process.
    fn delivered(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.connection.drains.load(Ordering::Relaxed) {
            let state = self.stream.state();
            if state.gone || !state.owing {
                break;
            }
            if self.takes(state) || !self.connection.blocked.swap(true, Ordering::Relaxed) {
                self.connection.mark();
            }
            ready!(self.holding.get_or_insert_with(|| Box::pin(sleep(TICK))).as_mut().poll(cx));
            self.holding = None;
        }
        self.connection.blocked.store(false, Ordering::Relaxed);
        Poll::Ready(())
    }

    /// The result of a write, if the peer reads in time.
    fn in_time<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            if self.writing.take().is_some() {
                self.connection.mark();
                self.connection.blocked.store(false, Ordering::Relaxed);
                if self.ended {
                    // The peer's end may be reported now.
                    cx.waker().wake_by_ref();
                }
            }
            return polled;
        }
        let state = self.stream.state();
        if self.takes(state) || self.writing.is_none() {
            self.connection.mark();
            self.connection.blocked.store(true, Ordering::Relaxed);
            self.writing = Some(Box::pin(sleep(self.timeouts.write)));
        }
        if let Some(writing) = &mut self.writing {
            ready!(writing.as_mut().poll(cx));
        }
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not read")))
    }
}

impl<S: AsyncRead + Unpin> Guarded<S> {
    /// Reads what the peer is still sending. Closing with unread bytes would reset the connection, and the peer might
    /// lose the response that it has not read yet (RFC 9112, section 9.6).
    fn read_rest(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(closing) = &mut self.closing else { return Poll::Ready(()) };
        for _ in 0..IN_A_ROW {
            let mut scratch = [MaybeUninit::uninit(); SCRATCH];
            let mut buffer = ReadBuf::uninit(&mut scratch);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() && closing.read < MOST_REST => {
                    closing.read += buffer.filled().len();
                    closing.pause = Box::pin(sleep(self.timeouts.rest.1));
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => {
                    let over = closing.end.as_mut().poll(cx).is_ready() || closing.pause.as_mut().poll(cx).is_ready();
                    return if over { Poll::Ready(()) } else { Poll::Pending };
                }
            }
        }
        // Yields to other tasks.
        cx.waker().wake_by_ref();
        closing.end.as_mut().poll(cx)
    }
}

impl<S: AsyncRead + Wire + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.ended {
            return self.peer_ended(cx);
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if polled.is_pending() && self.connection.is_ending() {
            self.look_at_answers();
        }
        ready!(polled)?;
        if buffer.filled().len() > before {
            self.connection.clean.store(false, Ordering::Relaxed);
            return Poll::Ready(Ok(()));
        }
        self.ended = buffer.remaining() > 0;
        if !self.ended {
            return Poll::Ready(Ok(()));
        }
        self.connection.peer_ended();
        self.peer_ended(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Wire + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.in_time(cx, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.in_time(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.closing.is_none() {
            ready!(self.delivered(cx));
            let polled = Pin::new(&mut self.stream).poll_shutdown(cx);
            ready!(self.in_time(cx, polled))?;
            if self.ended || !self.connection.may_have_more() {
                return Poll::Ready(Ok(()));
            }
            let (end, pause) = self.timeouts.rest;
            self.closing = Some(Closing { end: Box::pin(sleep(end)), pause: Box::pin(sleep(pause)), read: 0 });
        }
        self.keep_looking_at_answers(cx);
        self.read_rest(cx).map(Ok)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.in_time(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, sync::Mutex};

    use futures::FutureExt;
    use tokio::io::AsyncWriteExt;

    use super::*;

    /// A peer that sends nothing and takes everything; the state is that of the kernel's buffer.
    #[derive(Clone, Default)]
    struct Quiet(Arc<Mutex<State>>);

    impl Wire for Quiet {
        fn state(&self) -> State {
            *self.0.lock().unwrap()
        }
    }

    impl AsyncRead for Quiet {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Quiet {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_has_read_everything_is_noticed_after_our_side_is_closed() {
        let (wire, connection) = (Quiet::default(), Connection::new());
        *wire.0.lock().unwrap() = State { taken: 100, owing: true, owed: 50, gone: false };
        let mut guarded = Guarded::new(wire.clone(), connection.clone(), PeerTimeouts::default());
        drop(connection.begin(true, true));
        connection.ends_after(Duration::ZERO);
        let mut buffer = [0; 8];
        let reading = poll_fn(|cx| Pin::new(&mut guarded).poll_read(cx, &mut ReadBuf::new(&mut buffer)));
        assert!(reading.now_or_never().is_none() && connection.is_owed());
        let mut closing = Box::pin(guarded.shutdown());
        assert!(tokio::time::timeout(4 * TICK, &mut closing).await.is_err() && connection.is_owed());
        *wire.0.lock().unwrap() = State { taken: 150, owing: false, owed: 0, gone: false };
        assert!(tokio::time::timeout(4 * TICK, &mut closing).await.is_err(), "it still reads what the peer sends");
        assert!(!connection.is_owed());
    }
}
