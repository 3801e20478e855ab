//! PostgreSQL servers other than that of the registry. A provider uses them; their databases are not stores.

use std::{fmt, ops::Deref};

use tokio::task::AbortHandle;
use tokio_postgres::{Client, Error};

use super::{
    connect,
    postgres::{Options, TlsMode},
};
use crate::base::{Result, Secret};

/// A server, with the credentials of its URL. Cheap enough to clone for each connection.
#[derive(Clone)]
pub struct Remote(Options);

/// A connection, which is closed on drop.
pub struct Session {
    client: Client,
    driving: AbortHandle,
}

impl Remote {
    /// The server and the database of a URL like that of the registry. Opens nothing.
    pub fn at(url: &Secret<String>) -> Result<Self> {
        connect::postgres_options(url).map(Self)
    }

    /// The server that these options lead to.
    pub(super) fn of(options: Options) -> Self {
        Self(options)
    }

    /// The same server for another login and another database.
    #[must_use]
    pub fn with_login(&self, user: &str, password: &Secret<String>, database: &str) -> Self {
        Self(self.0.with_login(user, password.expose(), database))
    }

    /// The user and the password of the URL. The password is empty if there is none.
    pub fn login(&self) -> (&str, Secret<String>) {
        let (user, password) = self.0.login();
        (user, Secret::new(password))
    }

    /// How connections are secured.
    pub fn tls_mode(&self) -> TlsMode {
        self.0.tls_mode()
    }

    /// The host, unless it is a directory with a socket, and the port.
    pub fn address(&self) -> (Option<&str>, u16) {
        self.0.address()
    }

    /// Connects to the database of the URL.
    pub async fn connect(&self) -> Result<Session, Error> {
        let (client, connection) = self.0.open().await?;
        let driving = tokio::spawn(async move {
            // Statements report why the connection ended.
            let _ = connection.await;
        });
        Ok(Session { client, driving: driving.abort_handle() })
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Remote")
    }
}

impl Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driving.abort();
    }
}
