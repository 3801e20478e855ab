//! The migrations of the databases of tenants: `tenantry tenants migrate`, and what the files can and cannot do.

use std::{fs, path::PathBuf, process::Output};

use reqwest::Method;
use tempfile::TempDir;

use super::{
    Place, rows,
    stage::{Plan, Stage, auto, create, detail},
};
use crate::harness::eventually;

/// A directory with migrations, which begins with the first one of the program.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        let first = crate::harness::root().join("tenant-migrations/0001_baseline.sql");
        fs::copy(first, files.path("0001_baseline")).unwrap();
        files
    }

    fn path(&self, revision: &str) -> PathBuf {
        self.0.path().join(format!("{revision}.sql"))
    }

    fn write(&self, revision: &str, sql: &str) {
        fs::write(self.path(revision), sql).unwrap();
    }
}

/// Runs `tenants migrate` in the environment of the server, and returns what it printed, with its exit status.
async fn migrate(stage: &Stage, arguments: &[&str]) -> (i32, String) {
    let output = stage.server.setup().run(&[&["tenants", "migrate"], arguments].concat()).await;
    (output.status.code().unwrap(), text(&output))
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A stage with provisioned tenants and a directory with migrations.
async fn prepared(plan: Plan, slugs: &[&str]) -> (Stage, Files) {
    let files = Files::new();
    let stage = plan.env("TENANTRY_TENANT_MIGRATIONS", files.0.path().display().to_string()).start().await;
    for slug in slugs {
        stage.provisioned(slug).await;
    }
    (stage, files)
}

/// The slugs of `migration-status`.
async fn pending(stage: &Stage) -> Vec<String> {
    let status = stage.server.admin().get("/api/control-plane/migration-status").await.json();
    let slugs: Vec<String> = serde_json::from_value(status["tenant_slugs"].clone()).unwrap();
    assert_eq!(status["tenants_pending"], slugs.len());
    slugs
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_database_that_lacks_a_migration_gets_it_once() {
    for with_openbao in [false, true] {
        let plan = match with_openbao {
            true => Plan::with(Place::installed().await).await.on_postgres(true).await,
            false => Plan::plain(Place::of_18().await),
        };
        let (stage, files) = prepared(plan, &["acme", "beta", "gamma"]).await;
        create(&stage.server.admin(), "unprovisioned").await;
        let (status, printed) = migrate(&stage, &["--all"]).await;
        assert_eq!((status, printed.trim()), (0, "no database of a tenant lacks a migration"));
        files.write("0002_notes", "CREATE TABLE notes (text text); INSERT INTO notes VALUES ('one')");
        files.write("0003_more", "SET ROLE NONE; CREATE TABLE more (n int); INSERT INTO notes SELECT 'two'");
        let body = r#"{"action":"suspend","tenant_id":"gamma"}"#;
        stage.server.admin().call(Method::POST, "/v1/admin/tenants/lifecycle", Some(body)).await;
        let (status, printed) = migrate(&stage, &["--all", "--parallel", "8"]).await;
        assert_eq!(status, 0, "{printed}");
        for line in ["acme: from 0001_baseline to 0003_more, 2 applied in ", "gamma: skipped, because it is suspended"]
        {
            assert!(printed.contains(line), "{printed}");
        }
        assert!(printed.contains("2 migrated, 1 skipped, 0 failed, 0 not begun"), "{printed}");
        for slug in ["acme", "beta"] {
            let database = format!("tenant_{slug}");
            assert_eq!(stage.applied(&database).await, ["0001_baseline", "0002_notes", "0003_more"]);
            assert_eq!(stage.revision(slug).await.as_deref(), Some("0003_more"));
            let inside = stage.inside(&database).await;
            assert_eq!(rows(&inside, "SELECT text FROM notes ORDER BY text").await.unwrap(), ["one", "two"]);
            // What a migration does as the login itself belongs to the owner in the end.
            let owned = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname IN ('public', 'tenantry')";
            assert_eq!(rows(&inside, owned).await.unwrap(), [format!("{slug}_owner")]);
        }
        assert_eq!(stage.revision("gamma").await.as_deref(), Some("0001_baseline"));
        let logins = "SELECT rolname FROM pg_roles WHERE rolcanlogin AND rolname ~ '^(v-|tenantry_)'";
        eventually("the logins to be dropped", async || stage.place.sql(logins).await.is_empty().then_some(())).await;
        // The server was started before the files were added: it knows only the first one.
        assert_eq!(pending(&stage).await, ["acme", "beta", "unprovisioned"]);
        let (status, printed) = migrate(&stage, &["--tenant", "unprovisioned"]).await;
        assert!(
            status == 1 && printed.contains("unprovisioned: the tenant has no database; provision it first"),
            "{printed}"
        );
        let (status, printed) = migrate(&stage, &["--tenant", "ACME"]).await;
        assert!(status == 0 && printed.contains("acme: from 0003_more to 0003_more, 0 applied in "), "{printed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_stops_at_the_first_failure_unless_it_is_to_continue_and_the_next_one_resumes() {
    let (stage, files) = prepared(Plan::plain(Place::of_18().await), &["one", "two", "three"]).await;
    stage.inside("tenant_two").await.batch_execute("CREATE TABLE notes (n int)").await.unwrap();
    files.write("0002_notes", "CREATE TABLE notes (text text)");
    files.write("0003_more", "CREATE TABLE more (n int)");
    let (status, printed) = migrate(&stage, &["--all", "--parallel", "1"]).await;
    assert_eq!(status, 1, "{printed}");
    assert!(printed.contains("two: the migration 0002_notes failed (SQLSTATE 42P07): "), "{printed}");
    assert!(printed.contains("1 migrated, 0 skipped, 1 failed, 1 not begun"), "{printed}");
    assert_eq!(stage.applied("tenant_three").await, ["0001_baseline"]);
    let (status, printed) = migrate(&stage, &["--all", "--parallel", "1", "--keep-going"]).await;
    assert!(status == 1 && printed.contains("1 migrated, 0 skipped, 1 failed, 0 not begun"), "{printed}");
    assert_eq!(stage.applied("tenant_three").await, ["0001_baseline", "0002_notes", "0003_more"]);
    stage.inside("tenant_two").await.batch_execute("DROP TABLE notes").await.unwrap();
    let (status, printed) = migrate(&stage, &["--all"]).await;
    assert!(status == 0 && printed.contains("1 migrated, 0 skipped, 0 failed, 0 not begun"), "{printed}");
    assert_eq!(stage.revision("two").await.as_deref(), Some("0003_more"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_is_one_transaction_that_it_cannot_end() {
    let (stage, files) = prepared(Plan::plain(Place::installed().await), &["acme"]).await;
    for (sql, text) in [
        ("CREATE TABLE half (n int); COMMIT; CREATE TABLE rest (n int)", "failed (SQLSTATE 0A000)"),
        ("CREATE TABLE half (n int); ROLLBACK", "failed (SQLSTATE 0A000)"),
        ("CREATE TABLE half (n int); SELECT 1 / 0", "failed (SQLSTATE 22012)"),
        ("CREATE TABLE half (n int); nonsense", "failed (SQLSTATE 42601)"),
        ("CREATE TABLE half (n int); SELECT pg_sleep(60)", "took too long"),
        ("CREATE TABLE half (n int); DROP TABLE tenantry.migrations", "failed (SQLSTATE 42P01)"),
    ] {
        files.write("0002_half", sql);
        let (status, printed) = migrate(&stage, &["--tenant", "acme", "--statement-timeout", "500ms"]).await;
        assert!(status == 1 && printed.contains(&format!("acme: the migration 0002_half {text}")), "{sql}: {printed}");
        assert_eq!(stage.applied("tenant_acme").await, ["0001_baseline"], "{sql}");
        let half = "SELECT 1 FROM pg_tables WHERE tablename IN ('half', 'rest')";
        assert!(rows(&stage.inside("tenant_acme").await, half).await.unwrap().is_empty(), "{sql}");
    }
    // A file without statements is a migration, too, and settings of one do not reach the next one.
    files.write("0002_half", "-- nothing\n");
    files.write("0003_settings", "SET search_path = tenantry; SET statement_timeout = 0; SET ROLE NONE");
    files.write("0004_table", "CREATE TABLE settled (n int)");
    let (status, printed) = migrate(&stage, &["--tenant", "acme"]).await;
    assert_eq!(status, 0, "{printed}");
    let found = "SELECT schemaname || ' ' || tableowner FROM pg_tables WHERE tablename = 'settled'";
    assert_eq!(rows(&stage.inside("tenant_acme").await, found).await.unwrap(), ["public acme_owner"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_does_not_wait_long_for_a_lock() {
    let (stage, files) = prepared(Plan::plain(Place::of_18().await), &["acme"]).await;
    let busy = stage.inside("tenant_acme").await;
    busy.batch_execute("CREATE TABLE notes (n int); ALTER TABLE notes OWNER TO acme_owner").await.unwrap();
    files.write("0002_column", "ALTER TABLE notes ADD COLUMN text text");
    busy.batch_execute("BEGIN; LOCK TABLE notes IN ACCESS SHARE MODE").await.unwrap();
    let (status, printed) = migrate(&stage, &["--all", "--lock-timeout", "300ms"]).await;
    assert!(status == 1 && printed.contains("acme: the migration 0002_column did not get a lock in time"), "{printed}");
    busy.batch_execute("COMMIT").await.unwrap();
    // Only one process migrates a database at a time.
    let lock = i64::from_be_bytes(*b"tenantry");
    busy.batch_execute(&format!("SELECT pg_advisory_lock({lock})")).await.unwrap();
    let (status, printed) = migrate(&stage, &["--all", "--lock-timeout", "300ms"]).await;
    assert!(
        status == 1 && printed.contains("acme: the migration of the database did not get a lock in time"),
        "{printed}"
    );
    drop(busy);
    let (status, printed) = migrate(&stage, &["--all"]).await;
    assert_eq!(status, 0, "{printed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_do_not_fit_the_database_are_refused() {
    let (stage, files) = prepared(Plan::plain(Place::of_18().await), &["acme"]).await;
    files.write("0003_b", "CREATE TABLE b (n int)");
    assert_eq!(migrate(&stage, &["--all"]).await.0, 0);
    let fails = async |text: &str| {
        let (status, printed) = migrate(&stage, &["--tenant", "acme"]).await;
        assert!(status == 1 && printed.contains(text), "{printed}");
    };
    files.write("0002_a", "CREATE TABLE a (n int)");
    fails("the migration 0002_a was added before 0003_b, which was already applied; give it a higher number").await;
    fs::remove_file(files.path("0002_a")).unwrap();
    files.write("0003_b", "CREATE TABLE b (n bigint)");
    fails("the migration 0003_b was changed after it was applied; add a new one instead").await;
    fs::remove_file(files.path("0003_b")).unwrap();
    fails("the database has the migration 0003_b, which is not among those of this server").await;
    files.write("3_c", "");
    fails("tenant_migrations (TENANTRY_TENANT_MIGRATIONS) is not usable: the file 3_c.sql must be named like").await;
}

/// Who can change the database of a tenant cannot act as the provisioner through its migrations.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn code_in_the_database_gets_no_rights_of_the_provisioner() {
    let (stage, files) = prepared(Plan::plain(Place::of_18().await), &["acme"]).await;
    stage
        .inside("tenant_acme")
        .await
        .batch_execute(
            "SET ROLE acme_owner;
             CREATE FUNCTION escalate() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
               SET LOCAL ROLE NONE;
               RESET SESSION AUTHORIZATION;
               CREATE ROLE evil SUPERUSER;
               RETURN NEW;
             EXCEPTION WHEN insufficient_privilege THEN
               CREATE TABLE IF NOT EXISTS seen (who text);
               INSERT INTO seen VALUES (session_user);
               RETURN NEW;
             END $$;
             CREATE TRIGGER escalate BEFORE INSERT ON tenantry.migrations FOR EACH ROW EXECUTE FUNCTION escalate()",
        )
        .await
        .unwrap();
    files.write("0002_notes", "CREATE TABLE notes (n int)");
    let (_, printed) = migrate(&stage, &["--all"]).await;
    assert!(stage.place.sql("SELECT 1 FROM pg_roles WHERE rolname = 'evil'").await.is_empty(), "{printed}");
    let seen = rows(&stage.inside("tenant_acme").await, "SELECT who FROM seen").await.unwrap_or_default();
    assert!(seen.iter().all(|who| who.starts_with("tenantry_")), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_run_is_continued_by_the_next_one() {
    let slugs = ["a1", "a2", "a3", "a4", "a5", "a6"];
    let (stage, files) = prepared(Plan::whole().await, &slugs).await;
    files.write("0002_count", "CREATE TABLE counted (n int); INSERT INTO counted VALUES (1); SELECT pg_sleep(0.4)");
    files.write("0003_count", "INSERT INTO counted VALUES (2)");
    let mut command = stage.server.setup().command(&["tenants", "migrate", "--all", "--parallel", "2"]);
    let mut running = command.kill_on_drop(true).spawn().unwrap();
    eventually("some databases to be migrated", async || {
        let done = stage.revision("a1").await.as_deref() == Some("0003_count");
        done.then_some(())
    })
    .await;
    running.kill().await.unwrap();
    let (status, printed) = migrate(&stage, &["--all", "--parallel", "3"]).await;
    assert_eq!(status, 0, "{printed}");
    for slug in slugs {
        let inside = stage.inside(&format!("tenant_{slug}")).await;
        assert_eq!(rows(&inside, "SELECT n FROM counted ORDER BY n").await.unwrap(), ["1", "2"], "{slug}");
        assert_eq!(stage.revision(slug).await.as_deref(), Some("0003_count"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_ends_a_run_after_what_was_begun() {
    let slugs = ["a1", "a2", "a3", "a4"];
    let (stage, files) = prepared(Plan::whole().await, &slugs).await;
    files.write("0002_slow", "SELECT pg_sleep(1)");
    let mut command = stage.server.setup().command(&["tenants", "migrate", "--all", "--parallel", "1"]);
    let running = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let active = "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(1)%' AND pid <> pg_backend_pid()";
    eventually("the first migration", async || (!stage.place.sql(active).await.is_empty()).then_some(())).await;
    let pid = running.id().unwrap();
    let sent = tokio::process::Command::new("sh").arg("-c").arg(format!("kill -INT {pid}")).status().await.unwrap();
    assert!(sent.success());
    let output = tokio::time::timeout(crate::harness::PATIENCE, running.wait_with_output()).await.unwrap().unwrap();
    let printed = text(&output);
    assert!(
        output.status.code() == Some(1) && printed.contains("1 migrated, 0 skipped, 0 failed, 3 not begun"),
        "{printed}"
    );
    let logins = "SELECT rolname FROM pg_roles WHERE rolcanlogin AND rolname LIKE 'v-%'";
    assert!(stage.place.sql(logins).await.is_empty(), "no login is left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_was_revoked_or_left_behind_is_replaced() {
    // With OpenBAO: the login of the keeper is dropped behind its back.
    let (stage, files) = prepared(Plan::plain(Place::installed().await), &["acme"]).await;
    let tenant =
        stage.server.admin().get("/api/control-plane/tenants/acme").await.json()["id"].as_str().unwrap().to_owned();
    let left = format!("tenantry_{}_00000000", tenant.replace('-', ""));
    stage.place.sql(&format!("CREATE ROLE {left} LOGIN VALID UNTIL '2020-01-01' IN ROLE acme_owner")).await;
    stage.place.sql(&format!("GRANT {left} TO provisioner WITH ADMIN OPTION")).await;
    stage.place.sql(&format!("COMMENT ON ROLE {left} IS 'tenantry: tenant {tenant}'")).await;
    let inside = stage.inside("tenant_acme").await;
    inside.batch_execute(&format!("CREATE TABLE theirs (n int); ALTER TABLE theirs OWNER TO {left}")).await.unwrap();
    files.write("0002_notes", "CREATE TABLE notes (n int)");
    let (status, printed) = migrate(&stage, &["--all"]).await;
    assert_eq!(status, 0, "{printed}");
    assert!(stage.place.sql("SELECT 1 FROM pg_roles WHERE rolname ~ '^tenantry_'").await.is_empty());
    let owner = rows(&inside, "SELECT tableowner FROM pg_tables WHERE tablename = 'theirs'").await.unwrap();
    assert_eq!(owner, ["acme_owner"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn provisioning_applies_the_migrations_of_the_directory_and_names_the_one_that_fails() {
    let files = Files::new();
    files.write("0002_notes", "CREATE TABLE notes (text text)");
    files.write("0003_bad", "SELECT * FROM no_such_table");
    let plan = Plan::whole().await.env("TENANTRY_TENANT_MIGRATIONS", files.0.path().display().to_string());
    let setup = plan.setup().await;
    let mut stage = plan.start_with(&setup).await;
    stage.create("acme").await;
    let answer = stage.auto("acme").await;
    let text = "Tenant provisioning failed at migrate database: the migration 0003_bad failed (SQLSTATE 42P01)";
    assert_eq!((answer.status, detail(&answer).as_str()), (502, text));
    assert_eq!(stage.applied("tenant_acme").await, ["0001_baseline", "0002_notes"]);
    files.write("0003_bad", "CREATE TABLE good (n int)");
    stage.server.kill().await;
    stage.server = setup.start().await;
    let answer = auto(&stage.server.admin(), "acme").await;
    assert_eq!((answer.status, &answer.json()["revision"]), (200, &serde_json::json!("0003_bad")), "{answer:?}");
    assert!(pending(&stage).await.is_empty());
}

#[tokio::test]
async fn wrong_arguments_and_missing_settings_are_refused() {
    use crate::harness::server::Setup;
    let setup = Setup::dev();
    for arguments in
        [&[][..], &["--all", "--tenant", "a"], &["--all", "--parallel", "0"], &["--all", "--lock-timeout", "5"]]
    {
        let output = setup.run(&[&["tenants", "migrate"], arguments].concat()).await;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output));
    }
    let output = setup.run(&["tenants", "migrate", "--all"]).await;
    assert!(
        output.status.code() == Some(1) && text(&output).contains("TENANTRY_PROVISIONER_URL is not set"),
        "{}",
        text(&output)
    );
}
