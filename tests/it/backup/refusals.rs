//! What cannot be backed up or restored: a clear error, and nothing has changed.

use std::{fs, path::Path};

use sea_orm::{ConnectionTrait, Database};
use serde_json::json;
use tenantry::store::Kek;

use super::{KINDS, Kind, backup, create, digests, manifest, restore, seal, try_restore, url};
use crate::{commands::output_text, db::postgres_unmigrated, harness::server::Setup};

/// Copies a backup, so that it can be damaged.
fn copied(from: &Path, name: &str) -> std::path::PathBuf {
    let to = from.with_file_name(name);
    fs::create_dir(&to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
    to
}

/// Changes a byte in the middle of a file.
fn damage(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(file, bytes).unwrap();
}

/// Runs SQL on a database.
async fn execute(url: &str, sql: &str) {
    let db = Database::connect(url).await.unwrap();
    db.execute_unprepared(sql).await.unwrap();
    db.close().await.unwrap();
}

/// Fails unless a restoration is refused with a text that has a part, and changes nothing: the database has no tables, or the rows that
/// it had.
async fn assert_refused(setup: &Setup, directory: &Path, more: &[&str], expected: &str) {
    let file = setup.data_dir().join("tenantry.db");
    let is_new = setup.database_url().is_none() && !file.exists();
    let before = if is_new { json!(null) } else { contents(setup).await };
    let output = try_restore(setup, directory, more).await;
    let said = output_text(&output);
    assert_eq!(output.status.code(), Some(1), "{expected}: {said}");
    assert!(said.contains(expected), "{expected}: {said}");
    assert!(!said.contains("panicked"), "{said}");
    if is_new {
        assert!(!file.exists(), "{expected}: a database was created");
    } else {
        assert_eq!(contents(setup).await, before, "{expected}");
    }
}

/// The digests of the tables of a database, or null if it has no registry.
async fn contents(setup: &Setup) -> serde_json::Value {
    let directory = setup.home().join("probe");
    let output = setup.run(&["backup", directory.to_str().unwrap()]).await;
    if output.status.success() {
        fs::remove_dir_all(&directory).unwrap();
        return digests(setup).await;
    }
    assert!(output_text(&output).contains("no registry"), "{}", output_text(&output));
    json!(null)
}

#[tokio::test]
async fn a_backup_that_does_not_suit_is_refused_before_anything_changes() {
    for kind in KINDS {
        let server = kind.setup().await.start().await;
        seal(&server).await;
        let directory = backup(server.setup(), "backup").await;
        let file = if kind == Kind::Sqlite { "registry.db" } else { "registry.dump" };
        let target = kind.other(server.setup()).await;

        let damaged = copied(&directory, "damaged");
        damage(&damaged.join(file));
        assert_refused(&target, &damaged, &[], "the backup is damaged").await;
        let truncated = copied(&directory, "truncated");
        let whole = fs::read(truncated.join(file)).unwrap();
        fs::write(truncated.join(file), &whole[..whole.len() - 1]).unwrap();
        assert_refused(&target, &truncated, &[], "the backup is damaged").await;
        let edited = copied(&directory, "edited");
        let text = fs::read_to_string(edited.join("manifest.json")).unwrap();
        fs::write(edited.join("manifest.json"), text.replacen("\"rows\": 1", "\"rows\": 2", 1)).unwrap();
        assert_refused(&target, &edited, &[], "its manifest is not as it was written").await;
        let lost = copied(&directory, "lost");
        fs::remove_file(lost.join(file)).unwrap();
        assert_refused(&target, &lost, &[], &format!("cannot read {file} of the backup")).await;
        assert_refused(&target, &directory.join("nowhere"), &[], "name the directory of a backup").await;

        // The key is another one, or there is none.
        let needed = manifest(&directory)["keys"][0].as_str().unwrap().to_owned();
        let expected = format!("need the key-encryption key {needed}");
        let other = target.clone().env("TENANTRY_KEK", Kek::generate().expose().as_str());
        assert_refused(&other, &directory, &[], &expected).await;
        assert_refused(&kind.setup().await, &directory, &[], &expected).await;

        // The database is of the other kind.
        let (own, wrong) = if kind == Kind::Sqlite { ("SQLite", Kind::Postgres) } else { ("PostgreSQL", Kind::Sqlite) };
        let wrong = wrong.other(server.setup()).await;
        assert_refused(&wrong, &directory, &[], &format!("the backup is of {own}")).await;

        // A newer program made it.
        execute(
            &url(server.setup()),
            "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m20990101_000001_newer', 1)",
        )
        .await;
        let newer = backup(server.setup(), "newer").await;
        assert_refused(&target, &newer, &[], "has a newer schema than this program (m20990101_000001_newer)").await;

        // It is intact, and suits the empty database.
        restore(&target, &directory, &[]).await;
        // Now that is not empty, and a refusal keeps what is in it.
        assert_refused(&target, &directory, &[], "is not empty").await;
        assert_refused(&target, &damaged, &["--replace"], "the backup is damaged").await;
        assert_refused(&other, &directory, &["--replace"], &expected).await;
    }
}

#[tokio::test]
async fn nothing_is_backed_up_over_anything_or_from_nothing() {
    for kind in KINDS {
        let server = kind.setup().await.start().await;
        let existing = backup(server.setup(), "backup").await;
        for (setup, directory, expected) in [
            (server.setup().clone(), existing.clone(), "exists: name a new directory"),
            (server.setup().clone(), existing.join("nowhere/new"), "cannot create the directory"),
        ] {
            let output = setup.run(&["backup", directory.to_str().unwrap()]).await;
            assert_eq!(output.status.code(), Some(1));
            assert!(output_text(&output).contains(expected), "{}", output_text(&output));
        }
        let empty = kind.setup().await;
        let output = empty.run(&["backup", empty.home().join("new").to_str().unwrap()]).await;
        let expected = if kind == Kind::Sqlite { "there is no database" } else { "contains no registry" };
        assert!(output_text(&output).contains(expected), "{}", output_text(&output));
        assert!(!empty.home().join("new").exists());
    }
    let setup = Setup::dev();
    fs::create_dir(setup.data_dir()).unwrap();
    let file = setup.data_dir().join("tenantry.db");
    fs::write(&file, "not a database, but long enough to be taken for one: ".repeat(20)).unwrap();
    let output = setup.run(&["backup", setup.home().join("new").to_str().unwrap()]).await;
    assert!(output_text(&output).contains("cannot copy the database"), "{}", output_text(&output));
    // Nor is such a file replaced.
    let server = Kind::Sqlite.setup().await.start().await;
    let directory = backup(server.setup(), "backup").await;
    let output = try_restore(&setup, &directory, &["--replace"]).await;
    assert!(output_text(&output).contains("cannot read the database"), "{}", output_text(&output));
    assert!(fs::read_to_string(&file).unwrap().starts_with("not a database"));
}

#[tokio::test]
async fn the_log_of_another_database_is_not_applied_to_a_restored_one() {
    let server = Kind::Sqlite.setup().await.start().await;
    assert!(create(&server, "acme").await);
    let directory = backup(server.setup(), "backup").await;
    let other = Kind::Sqlite.setup().await;
    fs::create_dir(other.data_dir()).unwrap();
    // What a server that was killed left, whose file was deleted afterwards.
    let log = server.setup().data_dir().join("tenantry.db-wal");
    assert!(fs::metadata(&log).unwrap().len() > 0);
    fs::copy(&log, other.data_dir().join("tenantry.db-wal")).unwrap();
    restore(&other, &directory, &[]).await;
    assert!(!other.data_dir().join("tenantry.db-wal").exists());
    assert_eq!(digests(&other).await, manifest(&directory)["tables"]);
}

#[tokio::test]
async fn tables_of_others_are_not_lost() {
    let server = Kind::Postgres.setup().await.start().await;
    let directory = backup(server.setup(), "backup").await;
    let target = Setup::dev().database(postgres_unmigrated().await);
    execute(&url(&target), "CREATE TABLE parcels (id bigint PRIMARY KEY)").await;
    let refused = try_restore(&target, &directory, &["--replace"]).await;
    let expected = "the database has a table parcels, which the backup does not contain";
    assert!(output_text(&refused).contains(expected), "{}", output_text(&refused));
    execute(&url(&target), "INSERT INTO parcels VALUES (1)").await;
}

#[tokio::test]
async fn the_password_of_the_database_is_in_no_text_and_no_argument() {
    let target = Setup::dev().database("postgres://nobody:hunter2@127.0.0.1:1/registry");
    let output = target.run(&["backup", target.home().join("new").to_str().unwrap()]).await;
    let said = output_text(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("cannot connect to the database") && !said.contains("hunter2"), "{said}");
}
