//! The listener for devices and gateways: where it listens, and what happens if it cannot.

use tenantry::{auth::authn::keys::Keys, base::private_file};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::harness::server::Setup;

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
    assert!(server.log().contains("skipping the listener for client certificates"), "{}", server.log());

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
