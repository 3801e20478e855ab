//! Statements that are sent together.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures::{StreamExt, future::BoxFuture, pin_mut};
use sea_orm::Value;
use tokio_postgres::{Client, Error, Row, RowStream, Statement, types::Type};

use super::value::Parameter;

/// Which rows of a result are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    First,
    All,
}

/// The result of a statement.
#[derive(Default)]
pub(super) struct Reply {
    pub rows: Vec<Row>,
    /// The number of changed rows.
    pub changed: u64,
}

/// A statement as it is sent: prepared, or with its text where no statement can be kept.
pub(super) enum Sent<'a> {
    Prepared(Statement, &'a [Value]),
    Whole(&'a str, &'a [Value], Vec<Type>),
}

/// Sends a statement when it is first polled.
pub(super) async fn send(client: &Client, sent: Sent<'_>, keep: Keep) -> Result<Reply, Error> {
    let rows = match sent {
        Sent::Prepared(statement, values) => client.query_raw(&statement, values.iter().map(Parameter)).await?,
        Sent::Whole(sql, values, types) => client.query_typed_raw(sql, values.iter().map(Parameter).zip(types)).await?,
    };
    receive(rows, keep).await
}

async fn receive(rows: RowStream, keep: Keep) -> Result<Reply, Error> {
    pin_mut!(rows);
    let mut reply = Reply::default();
    while let Some(row) = rows.next().await {
        let row = row?;
        if keep == Keep::All || reply.rows.is_empty() {
            reply.rows.push(row);
        }
    }
    reply.changed = rows.rows_affected().unwrap_or(0);
    Ok(reply)
}

/// Sends a statement without parameters when it is first polled.
pub(super) async fn control(client: &Client, sql: &str) -> Result<Reply, Error> {
    client.batch_execute(sql).await.map(|()| Reply::default())
}

/// Statements that are sent together, in their order, and whose replies arrive in that order. Its result is that of the last one,
/// or the first failure.
///
/// If one cannot be sent, such as a parameter that is too large, those after it are not sent either: COMMIT would commit without
/// that statement.
pub(super) struct Flight<'a> {
    statements: Vec<BoxFuture<'a, Result<Reply, Error>>>,
    /// The first of `statements` whose reply has not arrived.
    next: usize,
    sent: bool,
    failed: Option<Error>,
    last: Reply,
}

impl<'a> Flight<'a> {
    pub fn new(statements: Vec<BoxFuture<'a, Result<Reply, Error>>>) -> Self {
        Self { statements, next: 0, sent: false, failed: None, last: Reply::default() }
    }

    fn note(&mut self, result: Result<Reply, Error>) {
        match result {
            Ok(reply) => self.last = reply,
            Err(error) => drop(self.failed.get_or_insert(error)),
        }
    }
}

impl Future for Flight<'_> {
    type Output = Result<Reply, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.sent {
            self.sent = true;
            for index in 0..self.statements.len() {
                // No reply can have arrived: what is ready was not sent.
                if let Poll::Ready(result) = self.statements[index].as_mut().poll(cx) {
                    self.note(result);
                    self.statements.truncate(index);
                    break;
                }
            }
        }
        while self.next < self.statements.len() {
            let next = self.next;
            let Poll::Ready(result) = self.statements[next].as_mut().poll(cx) else { return Poll::Pending };
            self.note(result);
            self.next += 1;
        }
        match self.failed.take() {
            Some(error) => Poll::Ready(Err(error)),
            None => Poll::Ready(Ok(std::mem::take(&mut self.last))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures::FutureExt;

    use super::*;

    /// A statement that is sent when it is first polled, and whose reply is there when it is polled again.
    fn sent(polls: &AtomicU32, reply: Result<u64, Error>) -> BoxFuture<'_, Result<Reply, Error>> {
        let mut reply = Some(reply);
        std::future::poll_fn(move |cx| match polls.fetch_add(1, Ordering::Relaxed) {
            0 => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            _ => Poll::Ready(reply.take().unwrap().map(|changed| Reply { changed, ..Reply::default() })),
        })
        .boxed()
    }

    fn failure() -> Error {
        "port=x".parse::<tokio_postgres::Config>().unwrap_err()
    }

    #[tokio::test]
    async fn the_last_result_or_the_first_failure_is_returned() {
        let [a, b, c] = [const { AtomicU32::new(0) }; 3];
        let flight = Flight::new(vec![sent(&a, Ok(1)), sent(&b, Ok(2)), sent(&c, Ok(3))]);
        assert_eq!(flight.await.unwrap().changed, 3);
        let [a, b, c] = [const { AtomicU32::new(0) }; 3];
        let flight = Flight::new(vec![sent(&a, Ok(1)), sent(&b, Err(failure())), sent(&c, Ok(3))]);
        assert!(flight.await.is_err());
        assert_eq!(c.into_inner(), 2, "the reply must be received");
    }

    #[tokio::test]
    async fn nothing_is_sent_after_a_statement_that_cannot_be_sent() {
        let [a, c] = [const { AtomicU32::new(0) }; 2];
        let unsendable = std::future::ready(Err(failure())).boxed();
        let flight = Flight::new(vec![sent(&a, Ok(1)), unsendable, sent(&c, Ok(3))]);
        assert!(flight.await.is_err());
        assert_eq!((a.into_inner(), c.into_inner()), (2, 0));
    }
}
