//! Backups of PostgreSQL, by its own programs. `pg_dump` reads the snapshot in which the digests are computed.

use std::{collections::BTreeMap, path::Path, process::Command, time::Duration};

use tokio::time::timeout;

use super::{
    blocking, check_rows,
    digest::Sums,
    fault::Fault,
    manifest::{Contents, Manifest, TableDigest},
    programs,
};
use crate::store::{
    postgres::Options,
    remote::{Remote, Session},
};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// A transaction that reads one moment. The settings decide how rows are written as text.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL bytea_output = 'hex'; \
                     SET LOCAL extra_float_digits = 3; SET LOCAL statement_timeout = 0; \
                     SET LOCAL idle_in_transaction_session_timeout = 0";
/// The tables of the registry are in the first schema of the search path.
const TABLES: &str = "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace \
                      ORDER BY relname";
const MIGRATIONS: &str = "SELECT version::text FROM seaql_migrations ORDER BY version";
const KEYS: &str = "SELECT kek FROM key_encryption UNION SELECT kek FROM data_keys WHERE kek IS NOT NULL ORDER BY 1";
/// The servers on this database.
const SERVERS: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                       AND application_name = 'tenantry' AND pid <> pg_backend_pid()";

/// Copies the tables of the registry to a new file.
pub(super) async fn dump(options: Options, into: &Path) -> Result<Contents, Fault> {
    let session = connect(&options).await?;
    let program = programs::find("pg_dump", server(&session).await?)?;
    run(&session, BEGIN).await?;
    let (namespace, tables) = (namespace(&session).await?, texts(&session, TABLES).await?);
    let snapshot = texts(&session, "SELECT pg_export_snapshot()").await?.pop().unwrap_or_default();
    let mut command = client(&program, &options)?;
    command.args(["--format=custom", "--no-owner", "--no-privileges", "--lock-wait-timeout=30s"]);
    command.arg(format!("--snapshot={snapshot}"));
    for table in &tables {
        command.arg(format!("--table={}.{}", quoted(&namespace), quoted(table)));
    }
    if !tables.iter().any(|table| table == "seaql_migrations") {
        return Err(Fault::refused("the database contains no registry"));
    }
    let into = into.to_owned();
    blocking(move || programs::run_into("pg_dump", command, &into)).await?;
    let contents = contents(&session, namespace, tables).await?;
    run(&session, "ROLLBACK").await?;
    Ok(contents)
}

/// Restores a copy in one transaction, and compares the rows with those of the backup.
pub(super) async fn restore(options: Options, copy: &Path, manifest: &Manifest, replace: bool) -> Result<(), Fault> {
    let session = connect(&options).await?;
    let program = programs::find("pg_restore", server(&session).await?)?;
    let namespace = namespace(&session).await?;
    if let Some(expected) = manifest.namespace.as_ref().filter(|expected| **expected != namespace) {
        let text =
            format!("the backup is of the schema {expected}, and the first schema of the search path is {namespace}");
        return Err(Fault::refused(text));
    }
    let existing = texts(&session, TABLES).await?;
    check_target(&session, &existing, manifest, replace).await?;
    let mut command = client(&program, &options)?;
    command.args(["--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges"]);
    if !existing.is_empty() {
        command.args(["--clean", "--if-exists"]);
    }
    let copy = copy.to_owned();
    blocking(move || programs::run_from("pg_restore", command, &copy)).await?;
    run(&session, BEGIN).await?;
    let tables = texts(&session, TABLES).await?;
    let found = contents(&session, namespace, tables).await?;
    run(&session, "ROLLBACK").await?;
    check_rows(manifest, &found)
}

/// Fails unless the database is empty, or may be replaced.
async fn check_target(session: &Session, existing: &[String], manifest: &Manifest, replace: bool) -> Result<(), Fault> {
    if existing.is_empty() {
        return Ok(());
    }
    if !replace {
        let text = "the database is not empty: restore into an empty database, or give --replace to replace its tables";
        return Err(Fault::refused(text));
    }
    if let Some(other) = existing.iter().find(|table| !manifest.tables.contains_key(*table)) {
        let text = "the backup does not contain: restore into an empty database";
        return Err(Fault::refused(format!("the database has a table {other}, which {text}")));
    }
    match number(session, SERVERS).await? {
        0 => Ok(()),
        _ => Err(Fault::refused("servers are connected to the database: stop them first")),
    }
}

async fn connect(options: &Options) -> Result<Session, Fault> {
    let opened = timeout(CONNECT, Remote::of(options.clone()).connect()).await;
    let opened = opened.map_err(|error| Fault::failed("the database server does not respond", error))?;
    opened.map_err(|error| Fault::failed("cannot connect to the database", error))
}

/// The major version of the server.
async fn server(session: &Session) -> Result<u32, Fault> {
    let version = number(session, "SELECT current_setting('server_version_num')::bigint / 10000").await?;
    Ok(u32::try_from(version).unwrap_or_default())
}

async fn namespace(session: &Session) -> Result<String, Fault> {
    let found = texts(session, "SELECT current_schema()::text WHERE current_schema() IS NOT NULL").await?.pop();
    found.ok_or_else(|| Fault::refused("the search path of the database contains no schema"))
}

/// The contents of these tables, in an open transaction.
async fn contents(session: &Session, namespace: String, tables: Vec<String>) -> Result<Contents, Fault> {
    let has = |table: &str| tables.iter().any(|known| known == table);
    if !has("seaql_migrations") {
        return Err(Fault::refused("the database contains no registry"));
    }
    let schema = texts(session, MIGRATIONS).await?;
    // Tables of later versions.
    let keys = if has("key_encryption") && has("data_keys") { texts(session, KEYS).await? } else { Vec::new() };
    let mut digests = BTreeMap::new();
    for table in tables {
        let digest = digest(session, &namespace, &table).await?;
        digests.insert(table, digest);
    }
    Ok(Contents { schema, tables: digests, keys, namespace: Some(namespace) })
}

/// The digest of the rows of a table, which the server computes.
async fn digest(session: &Session, namespace: &str, table: &str) -> Result<TableDigest, Fault> {
    // The first 60 of each 64 bits.
    let sum = |at: u32| format!("coalesce(sum(('x' || substr(h, {at}, 15))::bit(60)::bigint), 0)::text");
    let sums: Vec<_> = [1, 17, 33, 49].into_iter().map(sum).collect();
    let sql = format!(
        "SELECT count(*)::bigint, {} FROM (SELECT encode(sha256(convert_to(t::text, 'UTF8')), 'hex') AS h FROM {}.{} AS t) AS rows",
        sums.join(", "),
        quoted(namespace),
        quoted(table)
    );
    let row = session.query_one(&sql, &[]).await.map_err(of_statement)?;
    let mut sums = Sums { rows: row.get::<_, i64>(0).unsigned_abs(), ..Sums::default() };
    for (at, sum) in sums.parts.iter_mut().enumerate() {
        let text: String = row.get(at + 1);
        *sum = text.parse().map_err(|error| Fault::failed("a digest cannot be read", Box::new(error)))?;
    }
    Ok(sums.into())
}

/// A name in SQL, and in a pattern of `pg_dump`.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A program of PostgreSQL that connects to the database. The credentials are in its environment, which other users cannot read.
fn client(program: &Path, options: &Options) -> Result<Command, Fault> {
    let mut command = Command::new(program);
    let inherited = std::env::vars_os().map(|(name, _)| name);
    for name in inherited.filter(|name| name.to_string_lossy().starts_with("PG")) {
        command.env_remove(name);
    }
    let environment = options.environment().map_err(|error| Fault::failed("cannot start the program", error))?;
    command.envs(environment).env("PGAPPNAME", "tenantry-backup").arg("--no-password");
    let database = options.database().replace('\\', "\\\\").replace('\'', "\\'");
    command.arg(format!("--dbname=dbname='{database}'"));
    Ok(command)
}

async fn run(session: &Session, sql: &str) -> Result<(), Fault> {
    session.batch_execute(sql).await.map_err(of_statement)
}

async fn texts(session: &Session, sql: &str) -> Result<Vec<String>, Fault> {
    let rows = session.query(sql, &[]).await.map_err(of_statement)?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

async fn number(session: &Session, sql: &str) -> Result<i64, Fault> {
    session.query_one(sql, &[]).await.map(|row| row.get(0)).map_err(of_statement)
}

fn of_statement(error: tokio_postgres::Error) -> Fault {
    Fault::failed("cannot read the database", error)
}
