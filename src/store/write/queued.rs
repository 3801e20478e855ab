//! A queued write, independent of its types.

use futures::future::BoxFuture;
use tokio::sync::oneshot;

use super::tx::Tx;
use crate::base::{Cx, Result};

/// A write that can run several times and is completed once.
pub(in crate::store) trait QueuedWrite: Send {
    fn cx(&self) -> &Cx;
    /// Whether it must record an audit event.
    fn audited(&self) -> bool;
    /// Whether its caller has disconnected.
    fn abandoned(&self) -> bool;
    /// Runs once and keeps the value.
    fn run<'t>(&'t mut self, tx: &'t Tx) -> BoxFuture<'t, Result<()>>;
    /// Completes the write with the value of the last run, or with an error.
    fn answer(self: Box<Self>, outcome: Result<()>);
}

/// The function of a write: an `async fn(&Tx, &I) -> Result<T>` with a `Send` future, or an async closure that
/// captures nothing and declares the types of its parameters. The input is borrowed, because a write may run
/// more than once.
pub trait WriteFn<'t, I: 't, T>: Send + Sync {
    type Run: Future<Output = Result<T>> + Send + 't;

    /// Runs once.
    fn run(&self, tx: &'t Tx, input: &'t I) -> Self::Run;
}

impl<'t, I: 't, T, F, R> WriteFn<'t, I, T> for F
where
    F: Fn(&'t Tx, &'t I) -> R + Send + Sync,
    R: Future<Output = Result<T>> + Send + 't,
{
    type Run = R;

    fn run(&self, tx: &'t Tx, input: &'t I) -> R {
        self(tx, input)
    }
}

/// The implementation of [`QueuedWrite`].
pub(in crate::store) struct Work<I, T, F> {
    pub cx: Cx,
    pub audited: bool,
    pub input: I,
    pub work: F,
    pub value: Option<T>,
    pub reply: oneshot::Sender<Result<T>>,
}

impl<I, T, F> QueuedWrite for Work<I, T, F>
where
    I: Send + Sync + 'static,
    T: Send + 'static,
    F: for<'t> WriteFn<'t, I, T> + 'static,
{
    fn cx(&self) -> &Cx {
        &self.cx
    }

    fn audited(&self) -> bool {
        self.audited
    }

    fn abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn run<'t>(&'t mut self, tx: &'t Tx) -> BoxFuture<'t, Result<()>> {
        let Self { input, work, value, .. } = self;
        Box::pin(async move {
            *value = Some(work.run(tx, input).await?);
            Ok(())
        })
    }

    fn answer(self: Box<Self>, outcome: Result<()>) {
        let Work { value, reply, .. } = *self;
        let answer = match (outcome, value) {
            (Ok(()), Some(value)) => Ok(value),
            (Ok(()), None) => Err(crate::base::Error::internal("a write was answered before it ran")),
            (Err(error), _) => Err(error),
        };
        // The caller may have disconnected. The write is committed anyway.
        let _ = reply.send(answer);
    }
}
