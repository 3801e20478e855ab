//! Opens the database.

use std::{
    borrow::Cow,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    time::{Duration, Instant},
};

use sea_orm::{
    DatabaseConnection, DbBackend,
    sqlx::{
        self, Connection, SqlitePool,
        postgres::{PgConnectOptions, PgPoolOptions},
        sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
    },
};
use tokio::time::sleep;
use tracing::subscriber::{NoSubscriber, with_default};

use super::{
    OnStatement, Reads, conflict, postgres,
    sqlite::{self, DatabaseFile, Readers, Settings, Writing},
};
use crate::base::{
    Clock, Error, Result, Secret,
    error::{Kind, Reason},
    setting_file,
};

/// Delay before an SQLite file that another process is creating is opened again.
const OPEN_AGAIN: Duration = Duration::from_millis(10);

/// The parameters of a URL that the driver of PostgreSQL knows, except `options[...]`.
const PARAMETERS: [&str; 18] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
];

/// Page cache of each SQLite reader, in KiB. SQLite's default of 2000 for
/// all readers would be most of the program's memory; and the operating system caches the file as well.
const READER_CACHE: i64 = 256;
/// How long a connection of SeaORM stays open without use.
const IDLE: Duration = Duration::from_secs(10);

/// Where the database is.
#[derive(Clone)]
pub enum Location {
    /// `sqlite:PATH` or `postgres://...`, parsed as a URL, so the path may be percent-encoded. It may contain a
    /// password.
    Url(Secret<String>),
    /// An SQLite file, with its literal path.
    File(PathBuf),
}

#[derive(Clone)]
pub struct StoreConfig {
    pub location: Location,
    /// Whether to create a missing SQLite database.
    pub create: bool,
    /// Maximum number of connections: all of PostgreSQL's, or the readers of SQLite.
    pub max_connections: u32,
    /// How long a call waits for a connection, and on SQLite for another process that writes, before it fails as
    /// unavailable.
    pub acquire_timeout: Duration,
    /// How long a replica waits for another one that migrates.
    pub migrate_timeout: Duration,
    pub clock: Clock,
    /// Called with every statement, if set.
    pub on_statement: Option<OnStatement>,
}

impl StoreConfig {
    pub fn new(url: impl Into<String>) -> Self {
        Self::at(Location::Url(Secret::new(url.into())))
    }

    pub fn at(location: Location) -> Self {
        Self {
            location,
            create: true,
            max_connections: 16,
            acquire_timeout: Duration::from_secs(3),
            migrate_timeout: Duration::from_secs(60),
            clock: Clock::system(),
            on_statement: None,
        }
    }
}

impl fmt::Debug for StoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreConfig").field("create", &self.create).finish_non_exhaustive()
    }
}

/// A parsed location.
enum Target {
    Sqlite(SqliteConnectOptions),
    Postgres(PgConnectOptions),
}

impl Location {
    fn read(&self) -> Result<Target> {
        let url = match self {
            Self::File(path) => return Ok(Target::Sqlite(SqliteConnectOptions::new().filename(plain(path)))),
            Self::Url(url) => url.expose(),
        };
        if url.starts_with("sqlite:") {
            return read_sqlite(url).map(Target::Sqlite);
        }
        if let Some(rest) = ["postgres://", "postgresql://"].iter().find_map(|scheme| url.strip_prefix(scheme)) {
            // An `@` here means that a password was split. The driver would take the parts for a port and an option.
            let beyond = rest.find(['/', '?', '#']).map_or("", |end| &rest[end..]);
            if beyond.contains('@') {
                return Err(bad_url("the postgres url has an @ after its host: percent-encode / ? # @ in a password"));
            }
            return read_postgres(url).map(Target::Postgres).map_err(|_| bad_url("the postgres url is not valid"));
        }
        Err(bad_url("the database url must begin with sqlite: or postgres://"))
    }
}

/// Where a database is, for what does not open it as a store.
pub(super) enum Place {
    /// The file of SQLite.
    File(PathBuf),
    /// How to connect to PostgreSQL.
    Server(Box<postgres::Options>),
}

impl Location {
    pub(super) fn place(&self) -> Result<Place> {
        Ok(match self.read()? {
            Target::Sqlite(options) => Place::File(options.get_filename().to_owned()),
            Target::Postgres(options) => {
                Place::Server(Box::new(postgres::Options::of(&options.application_name("tenantry-backup"))))
            }
        })
    }
}

/// Fails unless a URL names a database in a form that [`Store::open`](super::Store::open) accepts. Opens
/// nothing. Returns the file of an SQLite database.
pub fn check_url(url: &Secret<String>) -> Result<Option<PathBuf>> {
    match Location::Url(url.clone()).read()? {
        Target::Sqlite(options) => Ok(Some(options.get_filename().to_owned())),
        Target::Postgres(options) => {
            postgres::Options::of(&options).check_certificates().map_err(unusable_certificates)?;
            Ok(None)
        }
    }
}

/// How to connect to a PostgreSQL server. Fails unless the URL is one of PostgreSQL, with usable certificates.
pub(super) fn postgres_options(url: &Secret<String>) -> Result<postgres::Options> {
    if !["postgres://", "postgresql://"].iter().any(|scheme| url.expose().starts_with(scheme)) {
        return Err(bad_url("the url must begin with postgres://"));
    }
    let Target::Postgres(options) = Location::Url(url.clone()).read()? else {
        return Err(bad_url("the postgres url is not valid"));
    };
    let options = postgres::Options::of(&options.application_name("tenantry"));
    options.check_certificates().map_err(unusable_certificates)?;
    Ok(options)
}

fn unusable_certificates(error: std::io::Error) -> Error {
    let message = format!("the certificates for it cannot be used: {error}");
    Error::invalid(Reason::InvalidArgument, "database_url", message)
}

/// The driver warns about parameters that it does not know, and about lines of the password file that it cannot parse.
/// It quotes them, and with them passwords, so its warnings are not logged.
fn read_postgres(url: &str) -> sqlx::Result<PgConnectOptions> {
    let options = with_default(NoSubscriber::default(), || PgConnectOptions::from_str(url))?;
    let query = url.split_once('?').map_or("", |(_, query)| query);
    for (parameter, _) in url::form_urlencoded::parse(query.as_bytes()).filter(|(_, value)| !value.is_empty()) {
        if !PARAMETERS.contains(&&*parameter) && !parameter.starts_with("options[") {
            tracing::warn!(%parameter, "ignoring an unknown parameter of the database URL");
        }
    }
    Ok(options)
}

/// A path that SQLite cannot mistake for a URI, which begins with `file:`.
fn plain(path: &Path) -> Cow<'_, Path> {
    if path.is_absolute() { path.into() } else { Path::new(".").join(path).into() }
}

fn read_sqlite(url: &str) -> Result<SqliteConnectOptions> {
    let options = SqliteConnectOptions::from_str(url).map_err(|_| bad_url("the sqlite url is not valid"))?;
    if url.contains(":memory:") || url.contains("mode=memory") {
        return Err(bad_url("the database must be a file: readers and the writer have connections of their own"));
    }
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let mut parameters = url::form_urlencoded::parse(query.as_bytes());
    if parameters.any(|(name, value)| matches!((&*name, &*value), ("mode", "ro") | ("immutable", "true" | "1"))) {
        return Err(bad_url("the sqlite url says that nothing may be written: leave out mode=ro and immutable"));
    }
    if url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "vfs") {
        return Err(bad_url("the sqlite url chooses a file system layer: leave out vfs"));
    }
    if options.get_filename().as_os_str().is_empty() {
        return Err(bad_url("the sqlite url does not name a file"));
    }
    let path = plain(options.get_filename()).into_owned();
    Ok(options.filename(path))
}

pub(super) struct Databases {
    pub reads: Reads,
    /// SeaORM's connections for reads, beside those of `reads`; only migrations and tests use them.
    pub orm: DatabaseConnection,
    /// The same pool as `orm` on PostgreSQL. On SQLite a connection for migrations.
    pub write: DatabaseConnection,
    /// The connection for writes on SQLite.
    pub writing: Option<Writing>,
    /// Options for PostgreSQL connections outside the pool.
    pub direct: Option<PgConnectOptions>,
    /// How long to wait for another process that migrates.
    pub migrate_timeout: Duration,
}

impl Databases {
    pub fn backend(&self) -> DbBackend {
        self.write.get_database_backend()
    }

    pub async fn close(&self) {
        match &self.reads {
            Reads::Postgres(pool) => pool.close().await,
            Reads::Sqlite(readers) => readers.close().await,
        }
        for connection in [&self.orm, &self.write] {
            if let Err(error) = connection.close_by_ref().await {
                tracing::debug!(%error, "closing the database failed");
            }
        }
        // The last connection moves the log into the file, which those for reads cannot.
        if let Some(writing) = &self.writing {
            writing.close();
        }
    }
}

/// Opens the database.
pub(super) async fn open(config: &StoreConfig) -> Result<Databases> {
    let mut databases = match config.location.read()? {
        Target::Sqlite(options) => open_sqlite(config, options).await?,
        Target::Postgres(options) => open_postgres(config, options),
    };
    if let Some(on_statement) = &config.on_statement {
        for connection in [&mut databases.orm, &mut databases.write] {
            report(connection, on_statement);
        }
    }
    Ok(databases)
}

fn report(connection: &mut DatabaseConnection, on_statement: &OnStatement) {
    let on_statement = OnStatement::clone(on_statement);
    connection.set_metric_callback(move |info| on_statement(&info.statement.sql));
}

/// The driver's error is dropped, because it contains the URL with its password.
fn bad_url(message: &'static str) -> Error {
    Error::invalid(Reason::InvalidArgument, "database_url", message)
}

async fn open_sqlite(config: &StoreConfig, options: SqliteConnectOptions) -> Result<Databases> {
    match (config.create, options.get_filename()) {
        (true, file) => create(file)?,
        (false, file) if !file.exists() => return Err(missing(file)),
        (false, _) => {}
    }
    let options = options
        .create_if_missing(config.create)
        .foreign_keys(true)
        .busy_timeout(config.acquire_timeout)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let write = first_connection(config, &options).await.map_err(|error| conflict::unavailable(error, "open"))?;
    let file = DatabaseFile::new(options.get_filename().to_owned());
    let file = file.map_err(|error| conflict::unavailable(error, "open"))?;
    let writing = Writing::open(file.clone(), config.acquire_timeout, config.on_statement.clone())?;
    let reads = Readers::new(Settings {
        file,
        cache: READER_CACHE,
        on_statement: config.on_statement.clone(),
        acquire_timeout: config.acquire_timeout,
        max: config.max_connections,
    });
    let orm = pool(config).idle_timeout(IDLE).connect_lazy_with(options.read_only(true));
    Ok(Databases {
        reads: Reads::Sqlite(reads),
        orm: orm.into(),
        write: write.into(),
        writing: Some(writing),
        direct: None,
        migrate_timeout: config.migrate_timeout,
    })
}

/// Opens the connection that makes the file a WAL file. Of several processes that open a new file only one can do so;
/// SQLite reports "locked" to the others immediately, ignoring the busy timeout.
async fn first_connection(config: &StoreConfig, options: &SqliteConnectOptions) -> sqlx::Result<SqlitePool> {
    let began = Instant::now();
    loop {
        match migrator(config).connect_with(options.clone()).await {
            Err(error) if conflict::is_locked_file(&error) && began.elapsed() < config.acquire_timeout => {
                sleep(OPEN_AGAIN).await
            }
            opened => return opened,
        }
    }
}

/// A pool of one connection for migrations. A connection that a failure left inside a transaction is closed (when the disk
/// is full, SQLite ends the transaction itself and the driver does not notice); the ping waits for a queued rollback.
fn migrator(config: &StoreConfig) -> SqlitePoolOptions {
    pool(config).max_connections(1).idle_timeout(IDLE).after_release(|connection, _| {
        Box::pin(async move {
            connection.ping().await?;
            Ok(!connection.is_in_transaction())
        })
    })
}

fn pool(config: &StoreConfig) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(config.max_connections.max(1))
        .acquire_timeout(config.acquire_timeout)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

/// Creates the file if it is missing.
fn create(path: &Path) -> Result<()> {
    sqlite::create_file(path).map_err(|error| {
        let message = format!("the database file {} cannot be created: {error}", setting_file::shown(path));
        Error::new(Kind::Unavailable, Reason::DatabaseUnavailable, message)
    })
}

fn missing(path: &Path) -> Error {
    let message = format!("there is no database {}: run `tenantry migrate up`", setting_file::shown(path));
    Error::not_found(Reason::DatabaseUnavailable, message)
}

fn open_postgres(config: &StoreConfig, options: PgConnectOptions) -> Databases {
    // A pooler between the program and the server accepts no parameter that it does not know.
    let options = options.application_name("tenantry").extra_float_digits(None);
    let reads = postgres::Pool::new(postgres::Settings {
        options: postgres::Options::of(&options),
        on_statement: config.on_statement.clone(),
        acquire_timeout: config.acquire_timeout,
        max: config.max_connections,
    });
    let orm = PgPoolOptions::new()
        .max_connections(config.max_connections.max(1))
        .acquire_timeout(config.acquire_timeout)
        .idle_timeout(IDLE)
        .connect_lazy_with(options.clone());
    let orm = DatabaseConnection::from(orm);
    Databases {
        reads: Reads::Postgres(reads),
        orm: orm.clone(),
        write: orm,
        writing: None,
        direct: Some(options),
        migrate_timeout: config.migrate_timeout,
    }
}
