//! Drives a connection for the call that uses it.

use std::{
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures::task::AtomicWaker;
use tokio_postgres::{Error, Socket};

use super::tls::Encrypted;

/// How often one poll continues when something has happened meanwhile.
const TURNS: u32 = 16;

type Connection = tokio_postgres::Connection<Socket, Encrypted>;

/// The sending and receiving half of a connection.
pub(super) struct Driver {
    /// `None` once the connection has ended.
    connection: Option<Box<Connection>>,
    /// Why the connection ended.
    end: Option<Error>,
    signal: Arc<Signal>,
    waker: Waker,
}

/// What wakes the call. While the call is polled, it is only noted that it has to be polled again: a statement wakes the driver,
/// and a response the statement, and both are polled in turn.
#[derive(Default)]
struct Signal {
    call: AtomicWaker,
    polled: AtomicBool,
    woken: AtomicBool,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        if !self.polled.load(Ordering::SeqCst) {
            self.call.wake();
        }
    }
}

impl Driver {
    pub fn new(connection: Connection) -> Self {
        let signal = Arc::new(Signal::default());
        let waker = Waker::from(Arc::clone(&signal));
        Self { connection: Some(Box::new(connection)), end: None, signal, waker }
    }

    /// Sends and receives until `work`, which uses the client of the connection, is complete.
    pub async fn drive<F: Future>(&mut self, work: F) -> F::Output {
        let mut work = pin!(work);
        std::future::poll_fn(|cx| self.poll_work(cx, work.as_mut())).await
    }

    /// Whether the connection has ended. Receives what has arrived.
    pub fn has_ended(&mut self) -> bool {
        self.poll(&mut Context::from_waker(Waker::noop()));
        self.connection.is_none()
    }

    /// Why the connection ended, once.
    pub fn end(&mut self) -> Option<Error> {
        self.end.take()
    }

    /// Sends what remains, and closes the connection. The client must be dropped before.
    pub async fn finish(mut self) {
        std::future::poll_fn(|cx| {
            self.poll(cx);
            if self.connection.is_none() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    fn poll_work<F: Future>(&mut self, cx: &mut Context<'_>, mut work: Pin<&mut F>) -> Poll<F::Output> {
        self.signal.call.register(cx.waker());
        let waker = self.waker.clone();
        let mut inner = Context::from_waker(&waker);
        for _ in 0..TURNS {
            self.signal.woken.store(false, Ordering::SeqCst);
            self.signal.polled.store(true, Ordering::SeqCst);
            let done = work.as_mut().poll(&mut inner);
            if done.is_pending() {
                self.poll(&mut inner);
            }
            self.signal.polled.store(false, Ordering::SeqCst);
            if done.is_ready() {
                // A later message wakes nothing.
                self.signal.call.take();
                return done;
            }
            if !self.signal.woken.load(Ordering::SeqCst) {
                return Poll::Pending;
            }
        }
        // Others run first. The runtime makes everything wait when a task has done much.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll(&mut self, cx: &mut Context<'_>) {
        let Some(connection) = &mut self.connection else { return };
        loop {
            match connection.poll_message(cx) {
                Poll::Pending => return,
                // Notices are for people who type statements.
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(error))) => {
                    self.end = Some(error);
                    break;
                }
                Poll::Ready(None) => break,
            }
        }
        // Statements that wait learn that no response will come.
        self.connection = None;
    }
}
