//! Programs of PostgreSQL in other versions than the server, and what they are called with.

use std::{env, fs, os::unix::fs::PermissionsExt, path::Path};

use sea_orm::{ConnectionTrait, Database};

use super::{KINDS, Kind, backup, digests, manifest, restore, seal, try_restore, url};
use crate::{
    commands::output_text,
    harness::{
        postgres::{Postgres, programs_of_18},
        server::Setup,
    },
    older_schema,
};

/// The same environment with these directories before those in PATH.
fn with_path(setup: &Setup, directories: &[&Path]) -> Setup {
    let own = env::var_os("PATH").unwrap_or_default();
    let all = directories.iter().map(|directory| directory.to_path_buf()).chain(env::split_paths(&own));
    setup.clone().env("PATH", env::join_paths(all).unwrap().to_str().unwrap())
}

#[tokio::test]
async fn a_newer_server_needs_newer_programs() {
    let postgres = Postgres::start_of(programs_of_18(), "fsync = off", |_| ());
    let setup = Setup::dev().database(postgres.url());
    let server = setup.start().await;
    seal(&server).await;
    // Without those of 18, unless the system has them.
    let newest = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    if newest.max().is_none_or(|newest| newest < 18) {
        let output = setup.run(&["backup", setup.home().join("old").to_str().unwrap()]).await;
        let said = output_text(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("install the client programs of PostgreSQL 18"), "{said}");
        assert!(!setup.home().join("old").exists());
    }
    let programs = programs_of_18();
    let setup = with_path(&setup, &[&programs]);
    let directory = backup(&setup, "backup").await;
    drop(server);
    postgres.client("psql", &["-c", "CREATE DATABASE other", "postgres"]);
    let key = |name: &str| setup.data_dir().join(name).to_str().unwrap().to_owned();
    let url = postgres.url();
    let other = Setup::dev().database(format!("{}/other", url.rsplit_once('/').unwrap().0));
    let other = with_path(&other, &[&programs]).env("TENANTRY_KEK", key("kek"));
    restore(&other, &directory, &[]).await;
    assert_eq!(digests(&other).await, manifest(&directory)["tables"]);
}

#[tokio::test]
async fn a_program_that_fails_says_why_and_gets_no_password_as_an_argument() {
    let postgres = Postgres::start_of(programs_of_18(), "fsync = off", |_| ());
    let setup = Setup::dev().database(postgres.url());
    drop(setup.start().await);
    let programs = setup.home().join("programs");
    fs::create_dir(&programs).unwrap();
    let program = programs.join("pg_dump");
    let script = "#!/bin/sh\n\
                  if [ \"$1\" = --version ]; then echo 'pg_dump (PostgreSQL) 18.0'; exit; fi\n\
                  echo \"$@\" >arguments\n\
                  echo 'pg_dump: error: no space left' >&2\n\
                  exit 1\n";
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let output = with_path(&setup, &[&programs]).run(&["backup", setup.home().join("new").to_str().unwrap()]).await;
    let said = output_text(&output);
    assert!(said.contains("pg_dump failed (exit status: 1): pg_dump: error: no space left"), "{said}");
    let arguments = fs::read_to_string(setup.home().join("arguments")).unwrap();
    let url = postgres.url();
    let password = url.split(['/', ':', '@']).nth(4).unwrap();
    assert!(arguments.contains("--snapshot=") && !arguments.contains(password), "{password}: {arguments}");
    assert!(!setup.home().join("new").exists());
}

#[tokio::test]
async fn a_backup_of_an_older_schema_is_restored_and_then_migrated() {
    for kind in KINDS {
        let older = kind.setup().await;
        let (place, dump) = match kind {
            Kind::Sqlite => (format!("{}?mode=rwc", url(&older)), older_schema::SQLITE),
            Kind::Postgres => (url(&older), older_schema::POSTGRES),
        };
        fs::create_dir_all(older.data_dir()).unwrap();
        let db = Database::connect(place).await.unwrap();
        db.execute_unprepared(dump).await.unwrap();
        db.close().await.unwrap();
        let directory = backup(&older, "backup").await;
        let restored = kind.setup().await;
        let output = try_restore(&restored, &directory, &[]).await;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && said.contains("the schema is behind"), "{said} {}", output_text(&output));
        assert_eq!(digests(&restored).await, manifest(&directory)["tables"]);
        for (arguments, expected) in [(["migrate", "status"], 1), (["migrate", "up"], 0), (["migrate", "status"], 0)] {
            assert_eq!(restored.run(&arguments).await.status.code(), Some(expected), "{arguments:?}");
        }
    }
}
