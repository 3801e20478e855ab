//! A connection to PostgreSQL.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use futures::FutureExt;
use sea_orm::{DbErr, Value};
use tokio::time::{Instant, timeout};
use tokio_postgres::{Client, Error, Row, types::Type};

use super::{
    driver::Driver,
    fault,
    flight::{Flight, Keep, Reply, Sent, control, send},
    options::Options,
    statements::Statements,
    value::type_of,
};
use crate::store::on_statement::OnStatement;

/// How long closing a connection may take.
const CLOSING: Duration = Duration::from_secs(1);

/// A statement with the values of its parameters.
pub(super) struct Command {
    pub sql: Cow<'static, str>,
    pub values: Vec<Value>,
}

/// The last statement of a flight.
pub(super) enum Last<'a> {
    Statement(&'a str, &'a [Value], Keep),
    /// A statement without parameters, which is not reported: COMMIT.
    Control(&'static str),
}

/// A connection. It sends and receives only while a call uses it.
pub struct Connection {
    client: Arc<Client>,
    driver: Driver,
    statements: Statements,
    on_statement: Option<OnStatement>,
    opened: Instant,
    /// Whether replies were not received: the call that waited for them was dropped.
    busy: bool,
    /// Whether it must not be used again.
    stale: bool,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
    }
}

impl Connection {
    /// Connects to the server.
    pub(super) async fn open(options: &Options, on_statement: Option<OnStatement>) -> Result<Self, Error> {
        let (client, connection) = options.config.connect(options.tls.clone()).await?;
        Ok(Self {
            client: Arc::new(client),
            driver: Driver::new(connection),
            statements: Statements::new(options.statements),
            on_statement,
            opened: Instant::now(),
            busy: false,
            stale: false,
        })
    }

    /// How long the connection has existed.
    pub(super) fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    /// Whether replies were not received.
    pub(super) fn is_busy(&self) -> bool {
        self.busy
    }

    /// Whether it can be used again.
    pub(super) fn is_usable(&mut self) -> bool {
        !self.stale && !self.client.is_closed() && !self.driver.has_ended()
    }

    /// Fails if the server does not respond.
    pub(super) async fn ping(&mut self) -> Result<(), DbErr> {
        // Replies that were not received come before this one.
        self.control("").await
    }

    /// Runs statements without parameters, which are not reported.
    pub(super) async fn control(&mut self, sql: &str) -> Result<(), DbErr> {
        let client = Arc::clone(&self.client);
        self.run(control(&client, sql)).await.map(drop)
    }

    /// Runs a query.
    pub(super) async fn query(&mut self, sql: &str, values: &[Value], keep: Keep) -> Result<Vec<Row>, DbErr> {
        self.report(sql);
        Ok(self.alone(sql, values, keep).await?.rows)
    }

    /// Runs a change. Returns the number of changed rows.
    pub(super) async fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, DbErr> {
        self.report(sql);
        Ok(self.alone(sql, values, Keep::First).await?.changed)
    }

    /// Sends statements together. Returns the result of the last one, or the first failure.
    pub(super) async fn together(&mut self, begin: bool, commands: &[Command], last: Last<'_>) -> Result<Reply, DbErr> {
        if let (false, [], Last::Statement(sql, values, keep)) = (begin, commands, &last) {
            self.report(sql);
            return self.alone(sql, values, *keep).await;
        }
        // What must be prepared waits for the server. So it comes first, and the flight does not.
        let mut ready = Vec::with_capacity(commands.len() + 1);
        for command in commands {
            ready.push((self.prepare(&command.sql, &command.values).await?, Keep::First));
        }
        let mut end = None;
        match last {
            Last::Statement(sql, values, keep) => {
                self.report(sql);
                ready.push((self.prepare(sql, values).await?, keep));
            }
            Last::Control(sql) => end = Some(sql),
        }
        let client = Arc::clone(&self.client);
        let mut flight = Vec::with_capacity(ready.len() + 2);
        flight.extend(begin.then(|| control(&client, "BEGIN").boxed()));
        flight.extend(ready.into_iter().map(|(sent, keep)| send(&client, sent, keep).boxed()));
        flight.extend(end.map(|sql| control(&client, sql).boxed()));
        self.run(Flight::new(flight)).await
    }

    async fn alone(&mut self, sql: &str, values: &[Value], keep: Keep) -> Result<Reply, DbErr> {
        let sent = self.prepare(sql, values).await?;
        let client = Arc::clone(&self.client);
        self.run(send(&client, sent, keep)).await
    }

    /// Reports a statement to the hook.
    pub(super) fn report(&self, sql: &str) {
        if let Some(on_statement) = &self.on_statement {
            on_statement(sql);
        }
    }

    /// Sends what remains, and closes the connection.
    pub(super) async fn close(self) {
        let Self { client, driver, statements, .. } = self;
        drop((statements, client));
        // The server notices the end of a connection in any case.
        let _ = timeout(CLOSING, driver.finish()).await;
    }

    async fn prepare<'s>(&mut self, sql: &'s str, values: &'s [Value]) -> Result<Sent<'s>, DbErr> {
        let types = values.iter().map(type_of).collect::<Result<Vec<Type>, _>>()?;
        if !self.statements.are_kept() {
            return Ok(Sent::Whole(sql, values, types));
        }
        if let Some(statement) = self.statements.find(sql, &types) {
            return Ok(Sent::Prepared(statement, values));
        }
        let client = Arc::clone(&self.client);
        let statement = self.run(client.prepare_typed(sql, &types)).await?;
        self.statements.keep(sql.to_owned(), statement.clone());
        Ok(Sent::Prepared(statement, values))
    }

    async fn run<T>(&mut self, work: impl Future<Output = Result<T, Error>>) -> Result<T, DbErr> {
        self.busy = true;
        let done = self.driver.drive(work).await;
        self.busy = false;
        done.map_err(|error| {
            self.stale |= fault::ends_connection(&error);
            // The server may have said why it closed the connection.
            let cause = if error.is_closed() { self.driver.end() } else { None };
            fault::of_statement(cause.as_ref().unwrap_or(&error))
        })
    }
}
