//! `config check`: what it reads, and what it does not print.

use std::{
    fs,
    process::{Command, Output},
};

use rcgen::{CertifiedKey, generate_simple_self_signed};

use crate::{
    commands::output_text,
    harness::{
        eventually,
        server::{Setup, program, unconfigured},
    },
};

/// A private key without the lines around it.
const KEY: &str = "MC4CAQAwBQYDK2VwBCIEIGVhY2hTZWNyZXQ";

/// Everything that a command printed.
fn all(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), output_text(output))
}

#[tokio::test]
async fn the_check_reads_the_certificates_of_a_database_url() {
    let check = async |url: &str| Setup::dev().database(url).run(&["config", "check"]).await;
    let home = tempfile::tempdir().unwrap();
    let setup_file = |content: &str| {
        let file = home.path().join("ca.pem");
        fs::write(&file, content).unwrap();
        file
    };
    let missing = home.path().join("none.pem").display().to_string();
    let refused = check(&format!("postgres://app@db/app?sslmode=verify-full&sslrootcert={missing}")).await;
    let text = output_text(&refused);
    assert!(refused.status.code() == Some(1) && text.contains(&missing), "{text}");
    let empty = setup_file("hello");
    let without = check(&format!("postgres://app@db/app?sslmode=require&sslrootcert={}", empty.display())).await;
    assert_eq!(without.status.code(), Some(1), "{}", output_text(&without));
    let key = "-----BEGIN PRIVATE KEY-----%0AMC4CAQAwBQYDK2VwBCIEIGVhY2hTZWNyZXQ";
    let inline = check(&format!("postgres://app@db/app?sslmode=require&sslcert=/etc/hostname&sslkey={key}")).await;
    let text = output_text(&inline);
    assert!(inline.status.code() == Some(1) && !text.contains("MC4CAQ"), "{text}");
    let jwt =
        Setup::dev().env("TENANTRY_JWT_KEY", "MC4CAQAwBQYDK2VwBCIEIGVhY2hTZWNyZXQ").run(&["config", "check"]).await;
    let text = output_text(&jwt);
    assert!(jwt.status.code() == Some(1) && !text.contains("MC4CAQ"), "{text}");
    let (certificate, key) = (setup_file("hello").display().to_string(), "MC4CAQAwBQYDK2VwBCIEIGVhY2hTZWNyZXQ");
    let tls = Setup::dev()
        .env("TENANTRY_TLS_CERT", &certificate)
        .env("TENANTRY_TLS_KEY", key)
        .run(&["config", "check"])
        .await;
    let all = format!("{}{}", output_text(&tls), String::from_utf8_lossy(&tls.stdout));
    assert!(tls.status.code() == Some(1) && !all.contains("MC4CAQ"), "{all}");
    let alone = check("postgres://app@db/app?sslmode=require&sslcert=/nowhere/c.pem").await;
    assert_eq!(alone.status.code(), Some(1), "{}", output_text(&alone));
    let unused = check("postgres://app@db/app?sslmode=disable").await;
    assert!(unused.status.success(), "{}", output_text(&unused));
}

#[tokio::test]
async fn the_check_prints_no_part_of_a_secret() {
    for (url, shown) in [
        ("postgres://app:Sup3r?Secret@db/app", "postgres://***"),
        ("postgres://app:123?Secret@db/app", "postgres://***"),
        ("postgres://app:Sup3rSecret@db/app", "postgres://***@db/app"),
        ("host=db user=app password=Secret dbname=x", "(not usable)"),
        ("postgres:app:Secret@db", "(not usable)"),
    ] {
        let output = Setup::dev().database(url).run(&["config", "check"]).await;
        let table = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = table.lines().find(|line| line.starts_with("database_url")).expect("a line for database_url");
        assert!(line.contains(shown) || line.contains("(not usable)"), "{url}: {line}");
        let all = format!("{table}{}", output_text(&output));
        assert!(!all.contains("Secret") && !all.contains("Sup3r") && !all.contains("123"), "{url}: {all}");
    }
}

#[tokio::test]
async fn the_check_prints_no_part_of_a_secret_after_an_unusual_separator() {
    for url in [
        "postgres://u%3ASecret%40h/db",
        "postgres://u%40Secret/db",
        "postgres:///u:Secret%40h/db",
        "postgres://h;password=Secret/db",
        "postgres://h,password=Secret/db",
        "postgres://h/db%3Fpassword=Secret",
        "postgres://h/db|Secret",
        "postgres://u@h/db;password=Secret",
        "postgres://u@h/db&password=Secret",
        "postgres://u@h/db,password=Secret",
        "postgres://u@h/db password=Secret",
        "postgres://u@h/db:Secret",
    ] {
        for variable in ["TENANTRY_DATABASE_URL", "TENANTRY_PROVISIONER_URL"] {
            let text = all(&Setup::dev().env(variable, url).run(&["config", "check"]).await);
            assert!(text.contains("database_url") && !text.contains("Secret"), "{variable} {url}: {text}");
        }
    }
    for (variable, value) in [
        ("TENANTRY_PUBLIC_URL", "https://h;password=hunter2"),
        ("TENANTRY_OPENBAO_ADDR", "https://h;password=hunter2"),
        ("TENANTRY_CORS_ORIGINS", "https://h;password=hunter2"),
        ("TENANTRY_WAREHOUSE_EDGE_HOST", "h;password=hunter2"),
        ("TENANTRY_FEATURES", "all, hunter2"),
    ] {
        let text = all(&Setup::dev().env(variable, value).run(&["config", "check"]).await);
        assert!(text.contains(variable) && !text.contains("hunter2"), "{variable}: {text}");
    }
}

#[tokio::test]
async fn an_unknown_feature_is_named_by_its_position_alone() {
    let setup = Setup::dev().env("TENANTRY_FEATURES", "all, hunter2");
    let wanted =
        "features (TENANTRY_FEATURES) has an unknown feature at position 2; the known ones are all, multitenancy";
    let check = setup.run(&["config", "check"]).await;
    let text = all(&check);
    assert!(check.status.success() && text.contains(wanted) && !text.contains("hunter2"), "{text}");
    let server = setup.start().await;
    let log = eventually("the warning", async || Some(server.log()).filter(|log| log.contains(wanted))).await;
    assert!(!log.contains("hunter2"), "{log}");
}

#[tokio::test]
async fn a_start_refuses_what_the_check_refuses() {
    for (settings, wanted) in [
        ([("TENANTRY_LISTEN", "127.0.0.1:1,127.0.0.1:1"), ("TENANTRY_LOG", "info")], "listen (TENANTRY_LISTEN)"),
        (
            [("TENANTRY_LISTEN", "127.0.0.1:1"), ("TENANTRY_MTLS_LISTEN", "0.0.0.0:1")],
            "mtls_listen (TENANTRY_MTLS_LISTEN)",
        ),
        ([("TENANTRY_TRUST_REFRESH", "100000d"), ("TENANTRY_LOG", "info")], "a duration from 1s to 7d"),
        ([("TENANTRY_GATEWAY_HEARTBEAT", "99999999999d"), ("TENANTRY_LOG", "info")], "a duration from 1s to 1d"),
    ] {
        let setup = settings.into_iter().fold(Setup::dev(), |setup, (name, value)| setup.env(name, value));
        for command in [&["config", "check"][..], &["config", "check", "--production"], &["serve"], &["dev"]] {
            let output = setup.run(command).await;
            let text = all(&output);
            assert!(output.status.code() == Some(1) && text.contains(wanted), "{command:?}: {text}");
        }
    }
}

#[tokio::test]
async fn the_check_reads_the_url_of_the_provisioner_and_prints_no_part_of_its_password() {
    for (url, shown) in [
        ("postgres://app:Sup3rSecret@db:5433/postgres", Some("postgres://***@db:5433/postgres")),
        ("postgres://app:Sup3r?Secret@db/postgres", None),
        ("sqlite:Secret.db", None),
        ("https://app:Secret@db/postgres", None),
        ("host=db password=Secret", None),
        ("postgres://app:Secret@db/postgres?sslmode=verify-full&sslrootcert=/nowhere/ca.pem", None),
    ] {
        let output = Setup::dev().env("TENANTRY_PROVISIONER_URL", url).run(&["config", "check"]).await;
        let text = all(&output);
        assert_eq!(output.status.success(), shown.is_some(), "{url}: {text}");
        assert!(
            shown.map_or(text.contains("(TENANTRY_PROVISIONER_URL) is not usable"), |shown| text.contains(shown)),
            "{text}"
        );
        assert!(!text.contains("Secret") && !text.contains("Sup3r"), "{url}: {text}");
    }
}

#[tokio::test]
async fn the_check_reads_what_provisioning_needs() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("0001_a.sql"), "SELECT 1").unwrap();
    let good = directory.path().display().to_string();
    let bao = [("TENANTRY_OPENBAO_ADDR", "http://127.0.0.1:8200"), ("TENANTRY_OPENBAO_TOKEN", "x")];
    for (settings, refusal) in [
        (vec![("TENANTRY_TENANT_MIGRATIONS", good.as_str()), ("TENANTRY_PROVISION_TIMEOUT", "5m")], None),
        (
            vec![("TENANTRY_TENANT_MIGRATIONS", "/nowhere")],
            Some("(TENANTRY_TENANT_MIGRATIONS) is not usable: the directory cannot be read"),
        ),
        (
            vec![("TENANTRY_PROVISION_TIMEOUT", "6m")],
            Some("(TENANTRY_PROVISION_TIMEOUT) must be a duration from 100ms to 5m"),
        ),
        (vec![("TENANTRY_PROVISIONER_URL", "postgres://p:p@%2Frun%2Fpg/postgres")], None),
        (
            [&bao[..], &[("TENANTRY_PROVISIONER_URL", "postgres://p:p@%2Frun%2Fpg/postgres")]].concat(),
            Some("OpenBAO needs a host name"),
        ),
        ([&bao[..], &[("TENANTRY_PROVISIONER_URL", "postgres://p:p@pg.example.com/postgres")]].concat(), None),
    ] {
        let setup = settings.iter().fold(Setup::dev(), |setup, (name, value)| setup.env(name, *value));
        let output = setup.run(&["config", "check"]).await;
        let text = all(&output);
        assert_eq!(output.status.success(), refusal.is_none(), "{settings:?}: {text}");
        assert!(refusal.is_none_or(|refusal| text.contains(refusal)), "{settings:?}: {text}");
    }
}

#[tokio::test]
async fn the_check_names_what_is_wrong_with_certificates_and_quotes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let other = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = signing_key.serialize_pem();
    let secret = key.lines().nth(1).unwrap().to_owned();
    let file = |name: &str, content: &str| {
        let path = home.path().join(name);
        fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let (good, good_key) = (file("cert.pem", &cert.pem()), file("key.pem", &key));
    let (in_one_line, without_end) =
        (file("line.pem", &key.replace('\n', " ")), file("end.pem", key.split("-----END").next().unwrap()));
    let damaged = file("damaged.pem", "-----BEGIN CERTIFICATE-----\naHVudGVyMg==\n-----END CERTIFICATE-----\n");
    let encrypted = file("encrypted.pem", &key.replace("PRIVATE", "ENCRYPTED PRIVATE"));
    let strange = file("strange.pem", "-----BEGIN PRIVATE KEY-----\naHVudGVyMg==\n-----END PRIVATE KEY-----\n");
    let other_key = file("other.pem", &other.signing_key.serialize_pem());
    for (certificate, key, authority, wanted) in [
        (&good, &in_one_line, &good, "sslkey is not PEM"),
        (&good, &without_end, &good, "sslkey is not PEM"),
        (&in_one_line, &good_key, &good, "sslcert is not PEM"),
        (&good, &good_key, &in_one_line, "sslrootcert is not PEM"),
        (&good, &good_key, &without_end, "sslrootcert is not PEM"),
        (&good, &good, &good, "sslkey contains no unencrypted private key"),
        (&good, &encrypted, &good, "sslkey contains no unencrypted private key"),
        (&good_key, &good_key, &good, "sslcert contains no certificate"),
        (&good, &good_key, &good_key, "sslrootcert contains no certificate"),
        (&good, &good_key, &damaged, "sslrootcert contains a damaged certificate"),
        (&damaged, &good_key, &good, "sslcert cannot be used with sslkey: the certificate is damaged"),
        (&good, &strange, &good, "sslcert cannot be used with sslkey: the kind of the key"),
        (&good, &other_key, &good, "sslcert cannot be used with sslkey: the key does not belong"),
    ] {
        let url = format!(
            "postgres://app:pw@db/app?sslmode=require&sslcert={certificate}&sslkey={key}&sslrootcert={authority}"
        );
        let output = Setup::dev().database(&url).run(&["config", "check"]).await;
        let text = all(&output);
        assert!(output.status.code() == Some(1) && text.contains(wanted), "{wanted}: {text}");
        // The library prints texts as they are, and lines as the numbers of their bytes.
        assert!(!text.contains(&secret) && !text.contains("45, 45, 45"), "{wanted}: {text}");
    }
    let missing = "postgres://app:pw@db/app?sslmode=require&sslcert=/nowhere/c.pem&sslkey=/nowhere/k.pem";
    let output = Setup::dev().database(missing).run(&["config", "check"]).await;
    let text = all(&output);
    assert!(text.contains("cannot read the file of sslcert, /nowhere/c.pem"), "{text}");
}

#[tokio::test]
async fn the_check_shows_no_key_in_place_of_a_file_whatever_else_is_wrong() {
    let file_settings = ["TENANTRY_JWT_KEY", "TENANTRY_JWT_KEY_PREVIOUS", "TENANTRY_TLS_CERT", "TENANTRY_TLS_KEY"];
    let other_settings = ["TENANTRY_DATA_DIR", "TENANTRY_LOG"];
    for variable in file_settings.into_iter().chain(other_settings) {
        for (wrong, value) in
            [("TENANTRY_LISTN", "x"), ("TENANTRY_MAX_BODY_BYTES", "0"), ("TENANTRY_TLS_CERT", "c.pem")]
        {
            if variable == wrong {
                continue;
            }
            for key in [KEY.to_owned(), format!("{KEY}="), format!("-----BEGIN PRIVATE KEY----- {KEY}")] {
                let output =
                    Setup::dev().env(variable, &key).env(wrong, value).run_in_place(&["config", "check"]).await;
                let text = all(&output);
                assert!(output.status.code() == Some(1) && !text.contains("MC4CAQ"), "{variable} {wrong}: {text}");
            }
        }
    }
    let setup = file_settings.into_iter().fold(Setup::dev(), |setup, variable| setup.env(variable, "keys/some.pem"));
    let output = setup.env("TENANTRY_LISTN", "x").run(&["config", "check"]).await;
    assert_eq!(all(&output).matches("keys/some.pem").count(), 4, "paths must be shown: {}", all(&output));
    // These belong to other programs, and are not parsed if ours are set.
    let ignored = Setup::dev()
        .env("PROXY_PORT", "http://ci:hunter2@proxy:3128")
        .env("PROXY_TLS_ENABLED", "hunter2")
        .env("TENANTRY_WAREHOUSE_EDGE_PORT", "443")
        .env("TENANTRY_WAREHOUSE_EDGE_TLS", "true")
        .run(&["config", "check"])
        .await;
    assert!(ignored.status.success() && !all(&ignored).contains("hunter2"), "{}", all(&ignored));
}

#[cfg(unix)]
#[test]
fn a_directory_that_cannot_be_searched_makes_no_secret_a_path() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    let home = tempfile::tempdir().unwrap();
    let is_root = home.path().metadata().unwrap().uid() == 0;
    // The superuser may search every directory.
    let mut command = if is_root { Command::new("runuser") } else { Command::new(program()) };
    if is_root {
        command.args(["-u", "postgres", "--"]).arg(program());
    }
    let mut command = unconfigured(tokio::process::Command::from(command)).into_std();
    command.args(["config", "check"]).current_dir(home.path());
    command.env("TENANTRY_JWT_KEY", KEY).env("TENANTRY_TLS_CERT", "keys/tls.crt").env("TENANTRY_TLS_KEY", KEY);
    fs::set_permissions(home.path(), fs::Permissions::from_mode(if is_root { 0o700 } else { 0o000 })).unwrap();
    let output = command.output();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let text = all(&output.unwrap());
    assert!(text.contains("Permission denied") && text.contains("keys/tls.crt"), "{text}");
    assert!(!text.contains("MC4CAQ"), "{text}");
}

#[tokio::test]
async fn commands_repeat_no_secret_in_place_of_a_file() {
    let setup = Setup::dev();
    assert!(setup.run(&["migrate", "up"]).await.status.success());
    let secret = "hunter2Secret.2024";
    let create = ["users", "create", "--admin", "ops", "--password-file", secret];
    let commands: [&[&str]; 3] =
        [&create, &["config", "check", "--config", secret], &["users", "set-password", "ops", "--config", secret]];
    for command in commands {
        let output = setup.run(command).await;
        let text = all(&output);
        assert!(output.status.code() == Some(1) && !text.contains("hunter2"), "{command:?}: {text}");
    }
    let variable = setup.clone().env("TENANTRY_CONFIG", secret).run(&["config", "check"]).await;
    assert!(variable.status.code() == Some(1) && !all(&variable).contains("hunter2"), "{}", all(&variable));
    let directory = setup.run(&["config", "check", "--data-dir", "https://ci:hunter2@vault"]).await;
    assert!(!all(&directory).contains("hunter2"), "{}", all(&directory));
    let named = setup.run(&["config", "check", "--config", "conf/tenantry.toml"]).await;
    assert!(output_text(&named).contains("conf/tenantry.toml"), "{}", output_text(&named));
    let output = setup.run(&["openapi", "--output", "hunter2Secret/2024/x"]).await;
    assert!(output.status.code() == Some(1) && !all(&output).contains("hunter2"), "{}", all(&output));
}

#[cfg(unix)]
#[tokio::test]
async fn a_start_logs_no_password_of_a_database_url_or_a_password_file() {
    use std::os::unix::fs::PermissionsExt;

    let setup = Setup::dev().database("postgres://app@127.0.0.1:1/app?passwd=hunter2");
    let file = setup.home().join("pgpass");
    fs::write(&file, "hunter2\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let setup = setup.env("PGPASSFILE", file.display().to_string());
    let output = setup.run(&["dev", "--listen", "127.0.0.1:0"]).await;
    let text = all(&output);
    assert!(output.status.code() == Some(1) && text.contains("unknown parameter") && text.contains("passwd"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}
