//! The whole program with OpenBAO: settings, health, and the checks before a start.

use std::fs;

use serde_json::Value;

use crate::{
    commands::output_text,
    harness::{
        eventually,
        http::Http,
        openbao::OpenBaoServer,
        server::{Server, Setup},
    },
};

/// What `/readyz?verbose` says about OpenBAO; the server is ready in any case.
async fn health(http: &Http) -> String {
    let ready = http.get("/readyz?verbose").await;
    assert_eq!(ready.status, 200, "{ready:?}");
    let body: Value = serde_json::from_str(&ready.body).unwrap();
    body["openbao"].as_str().unwrap_or("absent").to_owned()
}

async fn becomes(server: &Server, wanted: &str) {
    let http = server.http();
    eventually(wanted, async || (health(&http).await == wanted).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_reports_openbao_and_stays_ready() {
    let bao = OpenBaoServer::start().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    fs::write(&file, bao.server_token().await).unwrap();
    let setup = Setup::dev()
        .env("TENANTRY_OPENBAO_ADDR", bao.address())
        .env("TENANTRY_OPENBAO_TOKEN_FILE", file.display().to_string())
        .env("TENANTRY_OPENBAO_TIMEOUT", "2s");
    let mut server = setup.start().await;
    becomes(&server, "ok").await;
    bao.seal().await;
    becomes(&server, "sealed").await;
    bao.unseal().await;
    becomes(&server, "ok").await;
    bao.signal("STOP").await;
    becomes(&server, "frozen").await;
    bao.signal("CONT").await;
    becomes(&server, "ok").await;
    let secret = fs::read_to_string(&file).unwrap();
    fs::write(&file, "s.wrong").unwrap();
    becomes(&server, "token_invalid").await;
    fs::write(&file, &secret).unwrap();
    becomes(&server, "ok").await;
    let log = server.log();
    assert!(!log.contains(&secret) && log.contains("openbao-identity"), "{log}");
    // A server ends in time although OpenBAO does not respond.
    bao.signal("STOP").await;
    server.terminate().await;
    assert!(server.ended().await.success(), "{}", server.log());
}

#[tokio::test]
async fn a_server_without_openbao_does_not_mention_it() {
    assert_eq!(health(&Server::dev().await.http()).await, "absent");
}

/// Contradictory and incomplete settings are refused with a text that names what to change.
#[tokio::test]
async fn contradictory_settings_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = dir.path().join(name);
        fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let (token, empty, pem) = (file("token.txt", "s.hunter2\n"), file("empty.txt", "\n"), file("ca.pem", "hunter2"));
    let addr = ("ADDR", "https://openbao.example.com:8200");
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[addr], "must be set together with openbao_token, openbao_token_file, or openbao_role_id"),
        (&[("TOKEN", "s.hunter2")], "openbao_addr (TENANTRY_OPENBAO_ADDR) must be set together with openbao_token"),
        (&[("NAMESPACE", "a")], "must be set together with openbao_namespace"),
        (&[addr, ("TOKEN", "s.hunter2"), ("TOKEN_FILE", &token)], "must be the only credential for OpenBAO"),
        (&[addr, ("TOKEN", "s.hunter2"), ("ROLE_ID", "r"), ("SECRET_ID_FILE", &token)], "must be the only credential"),
        (&[addr, ("TOKEN_FILE", &token), ("SECRET_ID_FILE", &token)], "must be the only credential for OpenBAO"),
        (&[addr, ("ROLE_ID", "r")], "must be set together with openbao_secret_id_file or openbao_wrapped"),
        (&[addr, ("SECRET_ID_FILE", &token)], "openbao_role_id (TENANTRY_OPENBAO_ROLE_ID) must be set together"),
        (
            &[addr, ("ROLE_ID", "r"), ("SECRET_ID_FILE", &token), ("WRAPPED_SECRET_ID_FILE", &token)],
            "must be set without openbao_wrapped_secret_id_file",
        ),
        (&[addr, ("TOKEN_FILE", "/nowhere/token")], "names the file /nowhere/token"),
        (&[addr, ("TOKEN_FILE", &empty)], "which is empty"),
        (&[addr, ("TOKEN_FILE", "s.hunter2")], "names the file (not shown"),
        (&[addr, ("TOKEN", "s.hunter2"), ("CA_FILE", &pem)], "which is not PEM"),
        (
            &[("ADDR", "http://10.0.0.1:8200"), ("TOKEN", "x"), ("CA_FILE", &pem)],
            "only if openbao_addr begins with https",
        ),
        (&[("ADDR", "openbao.example.com:8200"), ("TOKEN", "x")], "must be a URL such as https://openbao.example.com"),
        (&[("ADDR", "https://a:hunter2@b"), ("TOKEN", "x")], "without a path or credentials"),
        (&[addr, ("TOKEN", "x"), ("NAMESPACE", "a/../b")], "must be a namespace"),
        (&[addr, ("TOKEN", "x"), ("TIMEOUT", "10m")], "must be a duration from 100ms to 5m"),
        (&[addr, ("TOKEN", "x"), ("TOKN", "y")], "unknown environment variable TENANTRY_OPENBAO_TOKN"),
    ];
    for (settings, wanted) in cases {
        let setup = settings
            .iter()
            .fold(Setup::dev(), |setup, (name, value)| setup.env(&format!("TENANTRY_OPENBAO_{name}"), *value));
        let output = setup.run(&["config", "check"]).await;
        let all = format!("{}{}", String::from_utf8_lossy(&output.stdout), output_text(&output));
        assert_eq!(output.status.code(), Some(1), "{settings:?}: {all}");
        assert!(all.contains(wanted) && !all.contains("hunter2"), "{settings:?}: {all}");
    }
}

#[tokio::test]
async fn good_settings_are_accepted_and_secrets_masked() {
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    fs::write(&token, "s.hunter2").unwrap();
    let secret_id = token.display().to_string();
    let plain = Setup::dev()
        .env("TENANTRY_OPENBAO_ADDR", "http://openbao.example.com:8200")
        .env("TENANTRY_OPENBAO_ROLE_ID", "hunter2")
        .env("TENANTRY_OPENBAO_WRAPPED_SECRET_ID_FILE", &secret_id)
        .env("TENANTRY_OPENBAO_NAMESPACE", "platform/production/")
        .run(&["config", "check"])
        .await;
    let all = format!("{}{}", String::from_utf8_lossy(&plain.stdout), output_text(&plain));
    assert!(plain.status.success() && !all.contains("hunter2"), "{all}");
    assert!(all.contains("tokens and passwords cross the network unencrypted") && all.contains(&secret_id), "{all}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).unwrap();
        let exposed = Setup::dev()
            .env("TENANTRY_OPENBAO_ADDR", "https://openbao.example.com:8200")
            .env("TENANTRY_OPENBAO_TOKEN_FILE", &secret_id)
            .run(&["config", "check", "--production"])
            .await;
        let text = output_text(&exposed);
        assert!(text.contains("(TENANTRY_OPENBAO_TOKEN_FILE)") && text.contains("chmod 600"), "{text}");
    }
}
