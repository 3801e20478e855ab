//! The signals that end a server, SIGTERM and SIGINT, and the one that has it read its certificate again, SIGHUP.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals, from the moment this was made: none that comes later is lost.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Begins to catch the signals.
    pub fn catch() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) -> SignalKind {
        tokio::select! {
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.interrupt.recv() => SignalKind::interrupt(),
        }
    }

    /// What a part of the start of a server came to; none if a signal came first.
    pub async fn during_start<T>(&mut self, start: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            started = start => Some(started),
            _ = self.next() => {
                tracing::info!("stopping: a signal came before the server was ready");
                None
            }
        }
    }
}

/// SIGHUP, from the moment this was made. Without this it ends the process, as the system has it.
pub(super) struct Hangups(Signal);

impl Hangups {
    /// Begins to catch the signal.
    pub(super) fn catch() -> io::Result<Self> {
        Ok(Self(signal(SignalKind::hangup())?))
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        let _ = self.0.recv().await;
    }
}
