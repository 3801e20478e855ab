//! `dev --with-peers`: a PostgreSQL and an OpenBAO that begin and end with the server.

use std::{fs, path::PathBuf};

use reqwest::Method;
use serde_json::json;
use tokio::net::TcpStream;

use crate::{
    commands::output_text,
    harness::{
        eventually,
        server::{Server, Setup},
    },
    provisioner::{connect, rows},
};

/// What belongs to the peers of a server.
#[derive(Debug)]
struct Traces {
    ports: [u16; 2],
    /// The processes that run them.
    pids: Vec<u32>,
    directories: Vec<PathBuf>,
}

impl Traces {
    fn of(server: &Server) -> Self {
        let log = server.log();
        let line = log.lines().find(|line| line.starts_with("peers")).unwrap_or_else(|| panic!("no peers: {log}"));
        let ports: Vec<u16> = line.split("127.0.0.1:").skip(1).map(leading_number).collect();
        let mut found = Self { ports: ports.try_into().unwrap(), pids: Vec::new(), directories: Vec::new() };
        for entry in fs::read_dir("/proc").unwrap() {
            let Some(pid) = entry.unwrap().file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            if !status.contains(&format!("\nPPid:\t{}\n", server.pid())) {
                continue;
            }
            let arguments = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            found
                .directories
                .extend(arguments.split('\0').filter(|text| text.starts_with("/tmp/tenantry-")).map(PathBuf::from));
            found.pids.push(pid);
        }
        assert_eq!((found.pids.len(), found.directories.len()), (2, 2), "{found:?}");
        assert!(found.directories.iter().all(|directory| directory.is_dir()), "{found:?}");
        found
    }

    /// Whether nothing of the peers is left.
    async fn are_gone(&self) -> bool {
        for port in self.ports {
            if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return false;
            }
        }
        let is_alive = |pid: &u32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            !status.is_empty() && !status.contains("\nState:\tZ")
        };
        !self.pids.iter().any(is_alive) && !self.directories.iter().any(|directory| directory.exists())
    }
}

fn leading_number(text: &str) -> u16 {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().unwrap()
}

/// Creates a tenant, provisions it, and uses its database.
async fn use_them(server: &Server, traces: &Traces) {
    let admin = server.admin();
    let post = async |path: &str, body: serde_json::Value| {
        let answer = admin.call(Method::POST, path, Some(&body.to_string())).await;
        assert!((200..300).contains(&answer.status), "{path}: {answer:?}\n{}", server.log());
        answer.json()
    };
    post("/api/control-plane/tenants", json!({"name": "Acme", "slug": "acme"})).await;
    post("/api/control-plane/tenants/acme/auto-provision", json!({})).await;
    let status = admin.get("/api/control-plane/status").await.json();
    assert_eq!((&status["provisioner_configured"], &status["self_service_provisioning"]), (&json!(true), &json!(true)));
    let leased = post("/registry/v1/tenants/acme/database:leaseCredentials", json!({})).await;
    let text = |member: &str| leased[member].as_str().unwrap().to_owned();
    let at = format!("127.0.0.1:{}", traces.ports[0]);
    let url = format!("postgres://{}:{}@{at}/{}", text("username"), text("password"), text("database"));
    let session = connect(&url).await.unwrap();
    rows(&session, "CREATE TABLE notes (text text)").await.unwrap();
    let owner = rows(&session, "SELECT rolsuper FROM pg_roles WHERE rolname = 'provisioner'").await.unwrap();
    assert_eq!(owner, ["f"]);
    assert!(connect(&format!("postgres://postgres@{at}/postgres")).await.is_err(), "the superuser cannot log in");
    eventually("OpenBAO to be checked", async || {
        (server.http().get("/readyz?verbose").await.json()["openbao"] == "ok").then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_peers_serve_tenants_and_end_with_the_server() {
    for signal in ["TERM", "INT", "KILL"] {
        let mut server = Setup::dev().with_peers().start().await;
        let traces = Traces::of(&server);
        if signal == "TERM" {
            use_them(&server, &traces).await;
        }
        server.signal(signal).await;
        let status = server.ended().await;
        if signal == "KILL" {
            eventually("the end of the peers", async || traces.are_gone().await.then_some(())).await;
        } else {
            assert!(status.success() && traces.are_gone().await, "SIG{signal}: {status} {traces:?}\n{}", server.log());
        }
    }
}

#[tokio::test]
async fn missing_programs_and_other_servers_are_reported() {
    let setup = Setup::dev().env("PATH", "/nowhere");
    let output = setup.run(&["dev", "--with-peers", "--listen", "127.0.0.1:0"]).await;
    let text = output_text(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("OpenBAO, as `bao` or `openbao`") && text.contains("scripts/peers openbao"), "{text}");
    let other = Setup::dev().env("TENANTRY_PROVISIONER_URL", "postgres://p:p@127.0.0.1:1/postgres");
    let output = other.run(&["dev", "--with-peers", "--listen", "127.0.0.1:0"]).await;
    let text = output_text(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("--with-peers starts servers of its own") && !setup.data_dir().exists(), "{text}");
}
