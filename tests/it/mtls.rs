//! The listener for devices and gateways: where it listens, and what happens if it cannot.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bundle_verify::{AnchorSet, KeyState, KeyUse};
use rcgen::KeyPair;
use reqwest::Method;
use serde_json::{Value, json};
use tenantry::{auth::authn::keys::Keys, base::private_file};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    process::Command,
};

use crate::harness::{enroll::csr_of, eventually, fleet, rotations, server::Setup};

const VARIABLE: &str = "TENANTRY_MTLS_LISTEN";

#[tokio::test]
async fn dev_opens_the_listener_and_reports_its_address() {
    let server = Setup::dev().start().await;
    let log = server.log();
    let line = log.lines().find_map(|line| line.strip_prefix("mTLS     https://")).expect("a line with the address");
    let mut stream = TcpStream::connect(line.split(',').next().unwrap()).await.unwrap();
    // Not an HTTP response: it accepts only TLS.
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn a_busy_port_is_a_warning_in_dev_and_an_error_in_serve() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let setup = Setup::dev().env(VARIABLE, &address);
    let server = setup.start().await;
    // Lines of the log are written by another thread.
    eventually("the log to say so", async || {
        server.log().contains("skipping the listener for client certificates").then_some(())
    })
    .await;

    let key = setup.home().join("own.pem");
    Keys::load_or_create(&key, None).unwrap();
    let made = std::fs::read_to_string(&key).unwrap();
    // Without the line that marks it as a development key.
    private_file::write(&key, made.split_once('\n').unwrap().1.as_bytes()).unwrap();
    let setup = setup.env("TENANTRY_JWT_KEY", key.to_str().unwrap()).database("sqlite:own.db");
    let output = setup.run(&["serve", "--listen", "127.0.0.1:0"]).await;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && told.contains(&format!("cannot listen on {address}")), "{told}");
}

#[tokio::test]
async fn dev_refuses_an_address_that_other_machines_reach() {
    let output = Setup::dev().env(VARIABLE, "0.0.0.0:0").run(&["dev", "--listen", "127.0.0.1:0"]).await;
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn a_device_calls_with_its_certificate() {
    let server = Setup::dev().start().await;
    let admin = server.admin();
    let post = async |path: &str, body: Value| {
        let answer = admin.call(Method::POST, path, Some(&body.to_string())).await;
        assert!(answer.status < 300, "{answer:?}");
        answer.json()
    };
    post("/v1/admin/tenants/lifecycle", json!({"action": "create", "slug": "acme"})).await;
    let publish = json!({"tenant_id": "acme", "channel": "stable", "policy": {"tunnel_mode": "split"}});
    post("/v1/admin/policy/publish", publish).await;
    let token = post("/v1/admin/tokens/generate", json!({"tenant_id": "acme"})).await["token"].clone();
    let key = KeyPair::generate().unwrap();
    let device = json!({"name": "laptop", "platform": "linux"});
    let body = post("/v1/enroll", json!({"token": token, "device": device, "csr_pem": csr_of(&key)})).await;
    let anchors = AnchorSet::first(body["trust_anchors"].to_string().as_bytes()).unwrap();
    let authority = anchors.anchors.iter().find(|anchor| anchor.key_use == KeyUse::ServerCa).unwrap();
    let file = |name: &str, content: &str| {
        let path = server.setup().home().join(name);
        std::fs::write(&path, content).unwrap();
        path.into_os_string().into_string().unwrap()
    };
    let authority = STANDARD.encode(authority.certificate.as_ref().unwrap());
    let authority = file("ca.pem", &format!("-----BEGIN CERTIFICATE-----\n{authority}\n-----END CERTIFICATE-----\n"));
    let certificate = file("device.pem", body["credential"]["certificate_pem"].as_str().unwrap());
    let key = file("device.key", &key.serialize_pem());
    let log = server.log();
    let address = log.lines().find_map(|line| line.strip_prefix("mTLS     ")).unwrap().split(',').next().unwrap();
    let curl = async |arguments: &[&str], path: &str| {
        let output = Command::new("curl")
            .args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", &authority])
            .args(arguments)
            .arg(format!("{address}{path}"))
            .output()
            .await
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let with = ["--cert", &certificate, "--key", &key];
    // The authorities are read again every few seconds.
    eventually("the certificate to be accepted", async || {
        (curl(&with, "/v1/policy/bundle").await == "200").then_some(())
    })
    .await;
    assert_eq!(curl(&with, "/v1/trust/anchors").await, "200");
    assert_eq!(curl(&with, "/v1/admin/devices").await, "401");
    assert_eq!(curl(&[], "/v1/policy/bundle").await, "401", "without a certificate");
    post(
        "/v1/admin/devices/lifecycle",
        json!({"action": "revoke", "tenant_id": "acme", "device_id": body["device_id"]}),
    )
    .await;
    assert_eq!(curl(&with, "/v1/policy/bundle").await, "401", "revoked");
}

#[tokio::test]
async fn certificates_of_a_replaced_authority_are_accepted_until_it_is_revoked() {
    let server = Setup::dev().start().await;
    let admin = server.admin();
    let post = async |path: &str, body: Value| {
        let answer = admin.call(Method::POST, path, Some(&body.to_string())).await;
        assert!(answer.status < 300, "{path} {body}: {answer:?}");
        answer.json()
    };
    post("/v1/admin/tenants/lifecycle", json!({"action": "create", "slug": "acme"})).await;
    let file = |name: &str, content: &str| {
        let path = server.setup().home().join(name);
        std::fs::write(&path, content).unwrap();
        path.into_os_string().into_string().unwrap()
    };
    let enroll = async |name: &str| {
        let token = post("/v1/admin/tokens/generate", json!({"tenant_id": "acme"})).await["token"].clone();
        let key = KeyPair::generate().unwrap();
        let device = json!({"name": name, "platform": "linux"});
        let body = post("/v1/enroll", json!({"token": token, "device": device, "csr_pem": csr_of(&key)})).await;
        let certificate = file(&format!("{name}.pem"), body["credential"]["certificate_pem"].as_str().unwrap());
        (certificate, file(&format!("{name}.key"), &key.serialize_pem()))
    };
    let log = server.log();
    let address = log.lines().find_map(|line| line.strip_prefix("mTLS     ")).unwrap().split(',').next().unwrap();
    // The authority of the server that is in use, in the newest set.
    let authority = async || {
        let set = admin.get("/v1/trust/anchors?tenant_id=acme").await.body;
        let set = AnchorSet::first(set.as_bytes()).unwrap();
        let of_server = set.anchors.iter().filter(|anchor| anchor.key_use == KeyUse::ServerCa);
        let active = of_server.clone().find(|anchor| anchor.state == KeyState::Active).unwrap();
        let der = STANDARD.encode(active.certificate.as_ref().unwrap());
        file("ca.pem", &format!("-----BEGIN CERTIFICATE-----\n{der}\n-----END CERTIFICATE-----\n"))
    };
    let status = async |authority: &str, (certificate, key): &(String, String)| {
        let output = Command::new("curl")
            .args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", authority])
            .args(["--cert", certificate, "--key", key])
            .arg(format!("{address}/v1/trust/anchors"))
            .output()
            .await
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let becomes = async |what: &str, authority: &str, device: &(String, String), wanted: &str| {
        eventually(what, async || (status(authority, device).await == wanted).then_some(())).await;
    };
    let old = enroll("old").await;
    let first = authority().await;
    becomes("the first certificate to be accepted", &first, &old, "200").await;
    // A regular rotation: both are accepted.
    post("/v1/trust/anchors/rotate", json!({"use": "device-ca", "overlap_seconds": 900})).await;
    let url = format!("sqlite:{}", server.setup().data_dir().join("tenantry.db").display());
    rotations::age(&fleet::connect(&url).await, Duration::from_secs(901)).await;
    eventually("the new authority to issue", async || {
        let rotation = admin.get("/v1/trust/rotations").await.json()["rotations"][0].clone();
        (rotation["phase"] == "activate").then_some(())
    })
    .await;
    let new = enroll("new").await;
    becomes("the certificate of the new authority to be accepted", &first, &new, "200").await;
    assert_eq!(status(&first, &old).await, "200");
    // An emergency: those of the authority in use are refused, and those of the one before are not.
    post("/v1/trust/anchors/rotate", json!({"use": "device-ca", "emergency": true})).await;
    becomes("the certificate of the revoked authority to be refused", &first, &new, "401").await;
    assert_eq!(status(&first, &old).await, "200");
    let newest = enroll("newest").await;
    becomes("the certificate of the newest authority to be accepted", &first, &newest, "200").await;
    // The server gets a certificate of its new authority.
    post("/v1/trust/anchors/rotate", json!({"use": "server-ca", "emergency": true})).await;
    let second = authority().await;
    becomes("the server to have a new certificate", &second, &old, "200").await;
}
