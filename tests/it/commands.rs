//! The commands from an operator's view: settings, paths, unwritable outputs, and the order of the first steps.

use std::{
    fs,
    path::Path,
    process::{Output, Stdio},
};

use futures::future::join_all;
use serde_json::json;
use tenantry::auth::authn::{keys::Keys, tokens};

use crate::{
    db::{self, postgres_unmigrated},
    harness::{
        PATIENCE,
        http::Http,
        server::{Server, Setup},
    },
};

/// A password that satisfies the policy for platform accounts.
pub const PASSWORD: &str = "plain-Harbour-94-lantern";

pub fn output_text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn password_file(setup: &Setup, content: impl AsRef<[u8]>) -> String {
    let path = setup.home().join("password");
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

pub async fn log_in(http: &Http, name: &str, password: &str) -> u16 {
    let body = json!({"username": name, "password": password}).to_string();
    http.call(reqwest::Method::POST, "/api/auth/login", Some(&body)).await.status
}

/// Runs a command whose output goes to a full device, or to a pipe without a reader.
async fn run_with_unwritable_output(setup: &Setup, arguments: &[&str], full: bool) -> Output {
    let mut command = setup.command(arguments);
    if full {
        command.stdout(fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    } else {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        command.stdout(writer);
    }
    // Not `output`, which would capture standard output.
    let child = command.stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    tokio::time::timeout(PATIENCE, child.wait_with_output()).await.expect("a command does not end").unwrap()
}

#[tokio::test]
async fn unwritable_output_causes_no_panic_and_undoes_nothing() {
    let setup = Setup::dev();
    let file = password_file(&setup, PASSWORD);
    let create = ["users", "create", "--admin", "ops", "--password-file", &file];
    let set = ["users", "set-password", "ops", "--password-file", &file];
    fs::create_dir(setup.data_dir()).unwrap();
    Keys::load_or_create(&setup.data_dir().join("jwt.pem"), None).unwrap();
    let mint = ["token", "mint", "--role", "platform_admin"];
    // Commands that report what was done or found, with their exit status.
    let telling: [(&[&str], i32); 9] = [
        (&["migrate", "status"], 1),
        (&["migrate", "up"], 0),
        (&["migrate", "status"], 0),
        (&create, 0),
        (&set, 0),
        (&["token", "revoke", "some-id"], 0),
        (&["config", "check"], 0),
        (&["keys", "status"], 0),
        (&["jobs"], 0),
    ];
    for (arguments, status) in telling {
        let output = run_with_unwritable_output(&setup, arguments, true).await;
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {}", output_text(&output));
        assert!(
            output_text(&output).contains("cannot write to standard output"),
            "{arguments:?}: {}",
            output_text(&output)
        );
    }
    let again = run_with_unwritable_output(&setup, &create, false).await;
    assert!(
        again.status.code() == Some(1) && output_text(&again).contains("exists"),
        "it was made: {}",
        output_text(&again)
    );
    let reported =
        run_with_unwritable_output(&setup, &["users", "create", "--admin", "eve", "--password-file", &file], true)
            .await;
    assert!(output_text(&reported).contains("created the platform administrator eve"), "{}", output_text(&reported));
    // Commands whose purpose is their output fail with it.
    let products: [&[&str]; 5] = [&mint, &["openapi"], &["completions", "bash"], &["--help"], &["--version"]];
    for arguments in products {
        let output = run_with_unwritable_output(&setup, arguments, true).await;
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", output_text(&output));
        assert!(
            output_text(&output).contains("cannot write to standard output"),
            "{arguments:?}: {}",
            output_text(&output)
        );
    }
    // A reader that stops early is not an error.
    let all = products.into_iter().chain(telling.iter().map(|(arguments, _)| *arguments).filter(|of| **of != create));
    for arguments in all {
        let output = run_with_unwritable_output(&setup, arguments, false).await;
        assert_eq!((output.status.code(), output_text(&output).as_str()), (Some(0), ""), "{arguments:?}");
    }
    // Nor is it an error that the message cannot be written.
    let mut command = setup.command(&["config", "check"]);
    command.env("TENANTRY_LOG", "a=b=c");
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    assert_eq!(command.stdout(full()).stderr(full()).status().await.unwrap().code(), Some(1));
}

/// The system sends a signal for such a write, which ends a process by default.
#[tokio::test]
async fn output_to_a_file_at_its_limit_causes_no_signal_and_undoes_nothing() {
    const LIMIT: u64 = 16 << 20;
    let setup = Setup::dev().largest_file(LIMIT);
    fs::create_dir(setup.data_dir()).unwrap();
    let file = password_file(&setup, PASSWORD);
    let full = || {
        let full = fs::OpenOptions::new().create(true).append(true).open(setup.home().join("output")).unwrap();
        full.set_len(LIMIT).unwrap();
        full
    };
    let all: [(&[&str], i32); 6] = [
        (&["migrate", "up"], 0),
        (&["users", "create", "--admin", "ops", "--password-file", &file], 0),
        (&["config", "check"], 0),
        (&["openapi"], 1),
        (&["completions", "bash"], 1),
        (&["--help"], 1),
    ];
    for (arguments, status) in all {
        let mut command = setup.command(arguments);
        let child = command.stdout(full()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.expect("an end").unwrap();
        let text = output_text(&output);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {}: {text}", output.status);
        assert!(text.contains("cannot write to standard output"), "{arguments:?}: {text}");
    }
    // Neither message can be written.
    let mut command = setup.command(&["config", "check"]);
    command.env("TENANTRY_LOG", "a=b=c");
    assert_eq!(command.stdout(full()).stderr(full()).status().await.unwrap().code(), Some(1));
    assert_eq!(setup.command(&["no-such-command"]).stderr(full()).status().await.unwrap().code(), Some(2));
}

#[tokio::test]
async fn a_data_directory_is_taken_literally() {
    for name in ["x%41", "feature%2Fx", "a?b", "a#b", "file:x", "two words", "Größe", ":memory:", "sqlite:y"] {
        let home = Setup::dev();
        let server = home.clone().env("TENANTRY_DATA_DIR", name).start().await;
        let dir = home.home().join(name);
        let entries = |path: &Path| {
            let names = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names.collect::<std::collections::BTreeSet<_>>()
        };
        assert!(entries(&dir).is_superset(&["jwt.pem", "kek", "tenantry.db"].map(str::to_owned).into()), "{name}");
        assert_eq!(entries(home.home()).len(), 1, "{name}: {:?}", entries(home.home()));
        let token = fs::read_to_string(dir.join("admin.jwt")).unwrap();
        let admin = server.http().token(token.trim());
        let made = admin.put("/admin/v2/tenants/acme", r#"{"allowedClusters":["standalone"]}"#).await;
        assert_eq!(made.status, 204, "{name}: {made:?}");
        // Other commands use the same directory.
        let mint = ["--data-dir", name, "token", "mint", "--role", "admin", "--tenant", "acme"];
        let minted = home.command(&mint).env_remove("TENANTRY_DATA_DIR").output().await.unwrap();
        assert_eq!((minted.status.code(), output_text(&minted).as_str()), (Some(0), ""), "{name}");
        let keys = Keys::load(&dir.join("jwt.pem"), None).unwrap();
        let claims = tokens::verify(&keys, String::from_utf8(minted.stdout).unwrap().trim()).unwrap();
        assert_ne!(claims.tenant.as_deref(), Some("acme"), "{name}: the token holds the id");
    }
}

#[tokio::test]
async fn commands_before_the_migration_say_what_to_do_and_leave_no_file() {
    let home = Setup::dev();
    let file = password_file(&home, PASSWORD);
    let commands: [&[&str]; 9] = [
        &["users", "create", "--admin", "ops", "--password-file", &file],
        &["users", "set-password", "ops", "--password-file", &file],
        &["token", "revoke", "some-id"],
        &["migrate", "status"],
        &["keys", "status"],
        &["keys", "rotate"],
        &["keys", "reseal"],
        &["jobs"],
        &["jobs", "run", "tenant-purge"],
    ];
    let kek = tenantry::store::Kek::generate();
    let elsewhere = home.home().join("other.db");
    let setups = [
        home.clone(),
        home.clone().database(format!("sqlite:{}", elsewhere.display())),
        home.clone().database(postgres_unmigrated().await),
    ];
    for setup in setups {
        let setup = setup.env("TENANTRY_KEK", kek.expose());
        for command in commands {
            let output = setup.run(command).await;
            let output_text = output_text(&output);
            assert_eq!(output.status.code(), Some(1), "{command:?}: {output_text}");
            assert!(
                output_text.contains("run `tenantry migrate up`") && !output_text.contains("internal"),
                "{command:?}: {output_text}"
            );
            assert!(!setup.data_dir().exists() && !elsewhere.exists(), "{command:?} leaves a file");
        }
    }
    // Following the advice in the message works.
    assert!(home.run(&["migrate", "up"]).await.status.success());
    let created = home.run(commands[0]).await;
    assert!(created.status.success(), "{}", output_text(&created));
    assert!(home.run(&["migrate", "status"]).await.status.success());
}

#[tokio::test]
async fn commands_print_the_cause_of_an_internal_error() {
    let home = Setup::dev();
    assert!(home.run(&["migrate", "up"]).await.status.success());
    let url = format!("sqlite:{}", home.data_dir().join("tenantry.db").display());
    let store = tenantry::store::Store::open(tenantry::store::StoreConfig::new(&url)).await.unwrap();
    let cx = db::platform_cx("x");
    let broken = crate::db::write(&store, &cx, |tx| {
        Box::pin(async move {
            tx.conn().execute_unprepared("DROP TABLE revoked_tokens").await?;
            Ok(())
        })
    });
    broken.await.unwrap();
    store.close().await;
    let output = home.run(&["token", "revoke", "some-id"]).await;
    assert!(output_text(&output).contains("no such table: revoked_tokens"), "{}", output_text(&output));
}

/// The ids of the keys that verify a server's tokens.
async fn key_ids(server: &Server) -> String {
    server.http().get("/.well-known/jwks.json").await.body
}

#[tokio::test]
async fn concurrent_first_starts_share_one_set_of_files_and_all_work() {
    for round in 0..4 {
        let setup = Setup::dev();
        let servers = join_all((0..3).map(|_| setup.start())).await;
        let kept = Keys::load(&setup.data_dir().join("jwt.pem"), None).unwrap();
        for server in &servers {
            assert!(
                key_ids(server).await.contains(kept.kid()),
                "round {round}: a server does not use the signing key on disk"
            );
            let read = server.admin().get("/admin/v2/tenants").await;
            assert_eq!(read.status, 200, "round {round}: a server does not accept the token on disk");
            assert_eq!(log_in(&server.http(), "admin", "admin").await, 200, "round {round}");
        }
        // A secret sealed by one server can be opened by the others.
        let (one, other) = (servers[0].admin(), servers[1].admin());
        let post = async |http: &Http, path: &str, body| http.call(reqwest::Method::POST, path, Some(body)).await;
        let tenant = post(&one, "/v1/admin/tenants/lifecycle", r#"{"action":"create","slug":"acme"}"#).await;
        assert_eq!(tenant.status, 201, "{tenant:?}");
        let user = r#"{"action":"create","tenant_id":"acme","user_id":"ada","email":"ada@example.com","role":"admin"}"#;
        assert_eq!(post(&one, "/v1/admin/users/lifecycle", user).await.status, 201);
        let enroll = r#"{"tenant_id":"acme","user_id":"ada"}"#;
        assert_eq!(post(&one, "/v1/admin/users/totp/enroll", enroll).await.status, 200);
        let verify = r#"{"tenant_id":"acme","user_id":"ada","code":"000000"}"#;
        let answer = post(&other, "/v1/admin/users/totp/verify", verify).await;
        assert!(answer.status == 401 || answer.status == 200, "round {round}: {answer:?}");
    }
}

#[tokio::test]
async fn the_check_refuses_what_the_start_refuses() {
    let home = Setup::dev();
    fs::write(home.home().join("not-a-key"), "hunter2").unwrap();
    let wrong = [
        ("TENANTRY_KEK", "hunter2"),
        ("TENANTRY_KEK", "not-a-key"),
        ("KUBEOP_JWT_SIGNING_KEY", "hunter2"),
        ("KUBEOP_JWT_SIGNING_KEY", "aHVudGVyMg=="),
        ("TENANTRY_LOG", "hunter2=hunter2=hunter2"),
        ("TENANTRY_LOG", "hunter2"),
        ("TENANTRY_CORS_ORIGINS", "https://*.hunter2"),
        ("TENANTRY_WAREHOUSE_EDGE_HOST", "hunter2..example"),
        ("TENANTRY_DATABASE_URL", "mysql://root:hunter2@db"),
        ("TENANTRY_DATABASE_URL", "postgres:app:hunter2@db"),
        ("TENANTRY_DATABASE_URL", "host=db user=app password=hunter2 dbname=x"),
        ("TENANTRY_DATABASE_URL", "sqlite::memory:"),
        ("TENANTRY_DATABASE_URL", "sqlite:"),
        ("TENANTRY_JWT_KEY", "/nowhere"),
        ("TENANTRY_JWT_KEY", "not-a-key"),
        ("TENANTRY_JWT_KEY_PREVIOUS", "/nowhere"),
        ("TENANTRY_TLS_CERT", "/nowhere"),
        ("TENANTRY_LISTEN", "hunter2"),
    ];
    for (variable, value) in wrong {
        let setup = home.clone().env(variable, value);
        // A flag would override the variable.
        let dev: &[&str] = if variable == "TENANTRY_LISTEN" { &["dev"] } else { &["dev", "--listen", "127.0.0.1:0"] };
        for command in [&["config", "check"], dev] {
            let output = setup.run(command).await;
            let reported = format!("{}{}", String::from_utf8_lossy(&output.stdout), output_text(&output));
            assert_eq!(output.status.code(), Some(1), "{variable}={value} {command:?}: {reported}");
            assert!(
                reported.contains(variable.trim_end_matches("_CERT")),
                "{variable}={value} {command:?}: {reported}"
            );
            assert!(!reported.contains("hunter2"), "{variable}={value} {command:?}: {reported}");
        }
        assert!(!home.data_dir().exists(), "a refused start created files: {variable}={value}");
    }
    let production = home.run(&["config", "check", "--production"]).await;
    assert!(
        production.status.code() == Some(1) && output_text(&production).contains("TENANTRY_JWT_KEY"),
        "{production:?}"
    );
    assert!(home.run(&["config", "check"]).await.status.success());
    let odd = home.clone().env("TENANTRY_FEATURES", "nonsense").run(&["config", "check"]).await;
    let text = output_text(&odd);
    assert!(
        odd.status.success() && text.contains("unknown feature at position 1") && !text.contains("nonsense"),
        "{odd:?}"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn the_check_refuses_paths_that_a_start_cannot_use() {
    let home = Setup::dev();
    fs::write(home.home().join("file"), "x").unwrap();
    fs::write(home.home().join("text"), "a text that is long enough for a header\n").unwrap();
    fs::create_dir(home.home().join("directory")).unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(home.home().join("pipe")).status();
    assert!(pipe.unwrap().success());
    fs::create_dir_all(home.home().join("odd/kek")).unwrap();
    fs::create_dir(home.home().join("spoilt")).unwrap();
    fs::write(home.home().join("spoilt/jwt.pem"), "no key").unwrap();
    let before = entries(home.home());
    for (variable, value) in [
        ("TENANTRY_DATABASE_URL", "sqlite:x.db?mode=ro"),
        ("TENANTRY_DATABASE_URL", "sqlite:x.db?cache=private&mode=r%6f"),
        ("TENANTRY_DATABASE_URL", "sqlite:x.db?immutable=true"),
        ("TENANTRY_DATABASE_URL", "sqlite:/nowhere/x.db"),
        ("TENANTRY_DATABASE_URL", "sqlite:file/x.db"),
        ("TENANTRY_DATABASE_URL", "sqlite:directory"),
        ("TENANTRY_DATABASE_URL", "sqlite:text"),
        ("TENANTRY_DATABASE_URL", "sqlite:/proc/x.db"),
        ("TENANTRY_DATABASE_URL", "sqlite:/dev/null"),
        ("TENANTRY_DATABASE_URL", "sqlite:x.db?vfs=none"),
        ("TENANTRY_JWT_KEY", "pipe"),
        ("TENANTRY_DATA_DIR", "/etc/passwd"),
        ("TENANTRY_DATA_DIR", "file/below"),
        ("TENANTRY_DATA_DIR", "/proc/x"),
        ("TENANTRY_DATA_DIR", "odd"),
        ("TENANTRY_DATA_DIR", "spoilt"),
    ] {
        let setup = home.clone().env(variable, value);
        for arguments in [&["config", "check"][..], &["dev", "--listen", "127.0.0.1:0"]] {
            let output = setup.run_in_place(arguments).await;
            assert_eq!(output.status.code(), Some(1), "{variable}={value} {arguments:?}: {}", output_text(&output));
            if arguments[0] == "config" {
                assert!(output_text(&output).contains(variable), "{variable}={value}: {}", output_text(&output));
                assert_eq!(entries(home.home()), before, "a check created files: {variable}={value}");
            }
        }
        let _ = fs::remove_dir_all(home.home().join(".tenantry"));
    }
    for file in ["pipe", "/dev/zero"] {
        let output = home.run_in_place(&["config", "check", "--config", file]).await;
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output_text(&output).contains("not a regular file"), "{}", output_text(&output));
    }
    for (variable, value) in [
        ("TENANTRY_DATABASE_URL", "sqlite:directory/new.db"),
        ("TENANTRY_DATABASE_URL", "sqlite:new.db?mode=rwc"),
        ("TENANTRY_DATA_DIR", "deep/below/it"),
        ("TENANTRY_DATA_DIR", "directory"),
    ] {
        let output = home.clone().env(variable, value).run_in_place(&["config", "check"]).await;
        assert!(output.status.success(), "{variable}={value}: {}", output_text(&output));
    }
}

/// The names of the entries of a directory.
fn entries(path: &Path) -> std::collections::BTreeSet<String> {
    fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn line_ends_around_a_setting_change_nothing() {
    let setup = Setup::dev().env("QOD_API_KEY", "letmein\n").database("sqlite:own.db\n");
    let server = setup.start().await;
    assert!(setup.home().join("own.db").exists(), "the database was created under another name");
    let read = server.http().header("x-api-key", "letmein").get("/api/tenant/list").await;
    assert_ne!(read.status, 401, "{read:?}");
    let blank = Setup::dev().env("QOD_API_KEY", " \n").start().await;
    let read = blank.http().header("x-api-key", "").get("/api/tenant/list").await;
    assert_eq!(read.status, 401, "the server must not have a static key: {read:?}");
}
