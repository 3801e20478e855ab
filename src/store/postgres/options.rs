//! How to connect, from what SeaORM's driver has read from a URL, the environment and the password file.

use std::{borrow::Cow, ffi::OsString};

use sea_orm::sqlx::{
    ConnectOptions,
    postgres::{PgConnectOptions, PgSslMode},
};
use tokio_postgres::{
    Client, Config, Error, Socket,
    config::{Host, SslMode},
};

use super::tls::{Checks, Encrypted, Pem, Tls};

/// The sending and receiving half of a connection.
pub type Driven = tokio_postgres::Connection<Socket, Encrypted>;

/// How a connection is secured: `sslmode` of libpq.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// How to connect. It contains the password, so it has no text.
#[derive(Clone)]
pub struct Options {
    pub(super) config: Config,
    pub(super) tls: Tls,
    /// How many prepared statements a connection keeps; 0 if it must not prepare any.
    pub(super) statements: usize,
}

impl Options {
    /// Copies the options of SeaORM's driver.
    pub fn of(options: &PgConnectOptions) -> Self {
        let mut config = Config::new();
        config.user(options.get_username()).port(options.get_port());
        match options.get_socket() {
            Some(directory) => config.host_path(directory),
            // A host that begins with a slash is a directory.
            None => config.host(options.get_host()),
        };
        if let Some(database) = options.get_database() {
            config.dbname(database);
        }
        if let Some(name) = options.get_application_name() {
            config.application_name(name);
        }
        if let Some(options) = options.get_options() {
            config.options(options);
        }
        config.ssl_mode(match options.get_ssl_mode() {
            // The driver does not try TLS after a refusal without it.
            PgSslMode::Disable | PgSslMode::Allow => SslMode::Disable,
            PgSslMode::Prefer => SslMode::Prefer,
            PgSslMode::Require | PgSslMode::VerifyCa | PgSslMode::VerifyFull => SslMode::Require,
        });
        let checks = match options.get_ssl_mode() {
            PgSslMode::VerifyCa => Checks::Authority,
            PgSslMode::VerifyFull => Checks::AuthorityAndName,
            _ => Checks::Nothing,
        };
        let hidden = Hidden::of(options);
        if let Some(password) = hidden.password {
            config.password(password);
        }
        Self {
            config,
            tls: Tls::new(checks, hidden.authorities, hidden.certificate, hidden.key),
            statements: hidden.statements,
        }
    }
}

impl Options {
    /// The same server for another login and another database.
    pub fn with_login(&self, user: &str, password: &str, database: &str) -> Self {
        let mut options = self.clone();
        options.config.user(user).password(password).dbname(database);
        options
    }

    /// The user and the password, which is empty if there is none.
    pub fn login(&self) -> (&str, String) {
        let password = self.config.get_password().unwrap_or_default();
        (self.config.get_user().unwrap_or_default(), String::from_utf8_lossy(password).into_owned())
    }

    /// How connections are secured.
    pub fn tls_mode(&self) -> TlsMode {
        match (self.config.get_ssl_mode(), self.tls.checks()) {
            (SslMode::Disable, _) => TlsMode::Disable,
            (SslMode::Prefer, _) => TlsMode::Prefer,
            (_, Checks::Nothing) => TlsMode::Require,
            (_, Checks::Authority) => TlsMode::VerifyCa,
            (_, Checks::AuthorityAndName) => TlsMode::VerifyFull,
        }
    }

    /// The host, unless it is a directory with a socket, and the port.
    pub fn address(&self) -> (Option<&str>, u16) {
        let host = self.config.get_hosts().iter().find_map(|host| match host {
            Host::Tcp(name) => Some(name.as_str()),
            #[cfg(unix)]
            Host::Unix(_) => None,
        });
        (host, self.config.get_ports().first().copied().unwrap_or(5432))
    }

    /// The database; by default that with the name of the user.
    pub fn database(&self) -> &str {
        self.config.get_dbname().or(self.config.get_user()).unwrap_or_default()
    }

    /// The same for PostgreSQL's own programs, as their variables, except for the database. Fails if the URL contains a certificate itself.
    pub fn environment(&self) -> std::io::Result<Vec<(&'static str, OsString)>> {
        let host = self.config.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => OsString::from(name),
            #[cfg(unix)]
            Host::Unix(directory) => directory.clone().into_os_string(),
        });
        let mut set: Vec<_> = host.take(1).map(|host| ("PGHOST", host)).collect();
        set.extend(self.config.get_ports().first().map(|port| ("PGPORT", port.to_string().into())));
        set.extend(self.config.get_user().map(|user| ("PGUSER", user.into())));
        set.extend(self.config.get_options().map(|options| ("PGOPTIONS", options.into())));
        // A password that is not UTF-8 cannot be given in a URL.
        let password = self.config.get_password().map(|password| String::from_utf8_lossy(password).into_owned());
        set.extend(password.map(|password| ("PGPASSWORD", password.into())));
        let mode = match (self.config.get_ssl_mode(), self.tls.checks()) {
            (SslMode::Disable, _) => "disable",
            (SslMode::Prefer, _) => "prefer",
            (_, Checks::Authority) => "verify-ca",
            (_, Checks::AuthorityAndName) => "verify-full",
            (_, Checks::Nothing) => "require",
        };
        set.push(("PGSSLMODE", mode.into()));
        set.extend(self.tls.environment()?);
        Ok(set)
    }

    /// Opens a connection that the caller drives.
    pub async fn open(&self) -> Result<(Client, Driven), Error> {
        self.config.connect(self.tls.clone()).await
    }

    /// Fails if the certificates and the key of connections cannot be used.
    pub fn check_certificates(&self) -> std::io::Result<()> {
        match self.config.get_ssl_mode() {
            SslMode::Disable => Ok(()),
            _ => self.tls.check(),
        }
    }
}

/// The options that the driver shows only in a URL.
struct Hidden {
    password: Option<String>,
    authorities: Option<Pem>,
    certificate: Option<Pem>,
    key: Option<Pem>,
    statements: usize,
}

impl Hidden {
    fn of(options: &PgConnectOptions) -> Self {
        // The driver writes these three as they are, and fails if that is not a URL.
        let url = options.clone().username("user").socket("/socket").database("database").to_url_lossy();
        let mut hidden = Self { password: None, authorities: None, certificate: None, key: None, statements: 0 };
        if let Some(password) = url.password() {
            let mut decoded = url::form_urlencoded::parse(password.as_bytes());
            hidden.password = decoded.next().map(|(password, _)| password.into_owned());
        }
        for (name, value) in url.query_pairs() {
            match &*name {
                "sslrootcert" => hidden.authorities = Some(pem(value)),
                "sslcert" => hidden.certificate = Some(pem(value)),
                "sslkey" => hidden.key = Some(pem(value)),
                "statement-cache-capacity" => hidden.statements = value.parse().unwrap_or(0),
                _ => {}
            }
        }
        hidden
    }
}

/// Certificates or a key, as the driver shows them.
fn pem(text: Cow<'_, str>) -> Pem {
    match text.strip_prefix("file: ") {
        Some(path) => Pem::File(path.into()),
        None => Pem::Text(text.into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use tokio_postgres::config::Host;

    use super::*;

    fn of(url: &str) -> Options {
        Options::of(&PgConnectOptions::from_str(url).unwrap())
    }

    #[test]
    fn a_url_keeps_its_meaning() {
        let options =
            of("postgres://us%40er:p%2Fa%3F%23%40%25%2B%20%26%3Dss@db.example:6432/na%20me?application_name=x&\
                          sslmode=verify-full&sslrootcert=/etc/ca.pem&sslcert=/etc/c.pem&sslkey=/etc/k.pem&\
                          options[statement_timeout]=5s&statement-cache-capacity=7");
        let config = &options.config;
        assert_eq!(config.get_user(), Some("us@er"));
        assert_eq!(config.get_password(), Some("p/a?#@%+ &=ss".as_bytes()));
        assert_eq!(config.get_hosts(), [Host::Tcp("db.example".to_owned())]);
        assert_eq!((config.get_ports(), config.get_dbname()), (&[6432][..], Some("na me")));
        assert_eq!(config.get_options(), Some("-c statement_timeout=5s"));
        assert_eq!((config.get_application_name(), config.get_ssl_mode()), (Some("x"), SslMode::Require));
        assert_eq!(options.statements, 7);
        assert_eq!(options.tls.files(), ["/etc/ca.pem", "/etc/c.pem", "/etc/k.pem"]);
    }

    #[test]
    fn the_programs_of_postgresql_get_the_same_options() {
        let options = of("postgres://us%40er:p%2Fa%3Fss@db.example:6432/na%20me?sslmode=verify-full&\
                          sslrootcert=/etc/ca.pem&options[statement_timeout]=5s");
        let text = |(name, value): (&str, OsString)| format!("{name}={}", value.to_str().unwrap());
        let set: Vec<_> = options.environment().unwrap().into_iter().map(text).collect();
        let expected = [
            "PGHOST=db.example",
            "PGPORT=6432",
            "PGUSER=us@er",
            "PGOPTIONS=-c statement_timeout=5s",
            "PGPASSWORD=p/a?ss",
            "PGSSLMODE=verify-full",
            "PGSSLROOTCERT=/etc/ca.pem",
        ];
        assert_eq!(
            (set.iter().map(String::as_str).collect::<Vec<_>>(), options.database()),
            (expected.to_vec(), "na me")
        );
        let socket = of("postgres://%2Frun%2Fpg/db").environment().unwrap();
        assert!(socket.contains(&("PGHOST", "/run/pg".into())) && socket.contains(&("PGSSLMODE", "prefer".into())));
    }

    #[test]
    fn a_socket_or_an_address_of_version_6_is_a_host() {
        for url in ["postgres://%2Frun%2Fpg/db", "postgres:///db?host=/run/pg", "postgres://u@h/db?host=/run/pg"] {
            assert_eq!(of(url).config.get_hosts(), [Host::Unix("/run/pg".into())], "{url}");
        }
        assert_eq!(of("postgres://u@h/db?hostaddr=::1").config.get_hosts(), [Host::Tcp("::1".to_owned())]);
    }

    #[test]
    fn another_login_changes_nothing_else() {
        let options = of("postgres://admin:p%2Fq@db.example:6432/postgres?sslmode=verify-full&sslrootcert=/etc/ca.pem");
        assert_eq!(options.login(), ("admin", "p/q".to_owned()));
        let other = options.with_login("v-1", "s'3\"", "tenant_a");
        assert_eq!(other.login(), ("v-1", "s'3\"".to_owned()));
        assert_eq!((other.config.get_dbname(), other.address()), (Some("tenant_a"), options.address()));
        assert_eq!((other.tls_mode(), other.tls.files()), (TlsMode::VerifyFull, options.tls.files()));
        assert_eq!(of("postgres://u@h/db").login().1, "");
    }

    #[test]
    fn every_mode_of_tls_is_known() {
        for (mode, expected, kept) in [
            ("disable", SslMode::Disable, TlsMode::Disable),
            ("allow", SslMode::Disable, TlsMode::Disable),
            ("prefer", SslMode::Prefer, TlsMode::Prefer),
            ("require", SslMode::Require, TlsMode::Require),
            ("verify-ca", SslMode::Require, TlsMode::VerifyCa),
            ("verify-full", SslMode::Require, TlsMode::VerifyFull),
        ] {
            let options = of(&format!("postgres://u:p@h/db?sslmode={mode}"));
            assert_eq!((options.config.get_ssl_mode(), options.tls_mode()), (expected, kept), "{mode}");
            assert_eq!(options.statements, 100);
        }
    }
}
