//! The signals that end a server, SIGTERM and SIGINT, SIGHUP, which reloads its certificate, and SIGXFSZ, which must not
//! end it.

use std::io;

use tokio::{
    runtime::Builder,
    signal::unix::{Signal, SignalKind, signal},
};

/// Receives the signals that arrive from its creation on.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Starts handling the signals.
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

    /// The result of a part of the start of a server; `None` if a signal came first.
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

/// Receives SIGHUP from its creation on. Without it, the signal ends the process by default.
pub(super) struct Hangups(Signal);

impl Hangups {
    /// Starts handling the signal.
    pub(super) fn catch() -> io::Result<Self> {
        Ok(Self(signal(SignalKind::hangup())?))
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        let _ = self.0.recv().await;
    }
}

/// Makes a write beyond the limit for files (`ulimit -f`) fail with EFBIG, from now on. By default, SIGXFSZ ends the process. The signal is
/// handled and not ignored, because the programs that this one starts would inherit that.
pub fn survive_the_limit_of_files() -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    // The handler stays when the runtime ends.
    runtime.block_on(async { signal(SignalKind::from_raw(libc::SIGXFSZ)) }).map(drop)
}
