//! Signals before a server is ready, or while a command runs: it exits immediately.

use std::process::{Output, Stdio};

use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection};
use tenantry::{
    auth::authn::keys::Keys,
    base::private_file,
    store::{Kek, Store, StoreConfig},
};

use crate::{
    db,
    harness::{PATIENCE, eventually, server::Setup},
};

/// The migration lock of replicas, by its number in PostgreSQL.
const MIGRATING: &str = "SELECT pg_advisory_lock(8387231245791425145)";

/// A connection that has run these statements, and holds their locks as long as it exists.
async fn holding(url: &str, statements: &[&str]) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).min_connections(1);
    let connection = Database::connect(options).await.unwrap();
    for statement in statements {
        connection.execute_unprepared(statement).await.unwrap();
    }
    connection
}

/// Runs a command, and sends it a signal repeatedly until it exits. Signals before it can handle them are ignored.
async fn signalled(setup: &Setup, arguments: &[&str], signal: &str) -> Output {
    let mut command = setup.first_process(arguments);
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let pid = child.id().unwrap();
    // The shell that starts the program may not ignore signals yet.
    let program = format!("/proc/{pid}/exe");
    let is_started = async || std::fs::read_link(&program).ok()?.ends_with("tenantry").then_some(());
    eventually("the program to be started", is_started).await;
    eventually("the end of the command", async || {
        let sent = tokio::process::Command::new("kill").arg(format!("-{signal}")).arg(pid.to_string()).status();
        sent.await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        child.try_wait().unwrap()
    })
    .await;
    tokio::time::timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap()
}

fn output_text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The output of a server that was stopped before it was ready. The supervisor requested it, so it is not a failure.
#[track_caller]
fn assert_startup_was_interrupted(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}", output_text(output));
    assert!(output_text(output).contains("a signal came before the server was ready"), "{}", output_text(output));
    assert!(!output_text(output).contains("tenantry is ready"), "{}", output_text(output));
}

async fn a_signal_ends_a_start_and_a_migration(url: &str, locks: &[&str]) {
    let other = holding(url, locks).await;
    let setup = Setup::dev().database(url);
    for signal in ["TERM", "INT"] {
        assert_startup_was_interrupted(&signalled(&setup, &["dev", "--listen", "127.0.0.1:0"], signal).await);
    }
    for (signal, status) in [("TERM", 143), ("INT", 130)] {
        let output = signalled(&setup, &["migrate", "up"], signal).await;
        assert_eq!(output.status.code(), Some(status), "{signal}: {}", output_text(&output));
        assert!(!output_text(&output).contains("up to date"), "{}", output_text(&output));
    }
    other.close().await.unwrap();
    let store = Store::open(StoreConfig::new(url)).await.unwrap();
    assert_eq!(store.pending_migrations().await.unwrap(), Store::known_migrations(), "no migration must have run");
}

#[tokio::test]
async fn a_signal_ends_a_start_that_waits_for_another_migration_on_postgres() {
    a_signal_ends_a_start_and_a_migration(&db::postgres_unmigrated().await, &[MIGRATING]).await;
}

#[tokio::test]
async fn a_signal_ends_a_start_that_waits_for_another_writer_on_sqlite() {
    let (_dir, url) = db::sqlite_unmigrated();
    let url = format!("{url}?mode=rwc");
    a_signal_ends_a_start_and_a_migration(&url, &["PRAGMA journal_mode=WAL", "BEGIN IMMEDIATE"]).await;
}

#[tokio::test]
async fn a_signal_ends_the_start_of_serve_and_every_command_that_waits_for_the_database() {
    let db = db::postgres().await;
    let setup = Setup::dev().database(&db.url);
    let key = setup.home().join("jwt.pem");
    Keys::load_or_create(&key, None).unwrap();
    let made = std::fs::read_to_string(&key).unwrap();
    // Without the line that marks it as a development key.
    private_file::write(&key, made.split_once('\n').unwrap().1.as_bytes()).unwrap();
    let setup = setup.env("TENANTRY_JWT_KEY", key.to_str().unwrap()).env("TENANTRY_KEK", Kek::generate().expose());
    let tables = "accounts, key_encryption, data_keys, revoked_tokens";
    let _other = holding(&db.url, &["BEGIN", &format!("LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE")]).await;
    assert_startup_was_interrupted(&signalled(&setup, &["serve", "--listen", "127.0.0.1:0"], "TERM").await);
    let file = setup.home().join("password");
    std::fs::write(&file, "plain-Harbour-94-lantern").unwrap();
    let create = ["users", "create", "--admin", "ops", "--password-file", file.to_str().unwrap()];
    let commands: [&[&str]; 3] = [&["keys", "status"], &["token", "revoke", "some-id"], &create];
    for command in commands {
        let output = signalled(&setup, command, "TERM").await;
        assert_eq!(output.status.code(), Some(143), "{command:?}: {}", output_text(&output));
    }
}
