//! `config check`: what it reads, and what it does not print.

use std::fs;

use crate::{commands::output_text, harness::server::Setup};

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
