//! A real OpenBAO server in production mode, with its data in memory.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request};
use serde_json::{Value, json};
use tempfile::TempDir;
use tenantry::{
    base::pem,
    openbao::{Credential, OpenBaoSettings},
    providers::egress::{Bounds, Egress, EgressError, Policy},
};
use tokio::process::{Child, Command};

use super::{PATIENCE, eventually, postgres::free_port, root};

/// How many ports are tried.
const ATTEMPTS: usize = 5;

/// A running server, which is killed on drop.
pub struct OpenBaoServer {
    child: Child,
    _dir: TempDir,
    http: Egress,
    address: String,
    root: String,
    key: String,
}

/// The program, which `scripts/test` installs.
fn program() -> PathBuf {
    let found = std::process::Command::new(root().join("scripts/peers")).args(["--path", "openbao"]).output();
    match found {
        Ok(found) if found.status.success() => Path::new(String::from_utf8_lossy(&found.stdout).trim()).join("openbao"),
        other => panic!("no OpenBAO: run scripts/peers openbao, which installs it ({other:?})"),
    }
}

impl OpenBaoServer {
    /// Starts a server, initializes and unseals it.
    pub async fn start() -> Self {
        Self::start_with("tls_disable = true", "http://127.0.0.1", b"").await
    }

    /// As [`start`](Self::start), with TLS. The files are in PEM; `authority` is what the test itself trusts.
    pub async fn start_tls(certificate: &Path, key: &Path, authority: &[u8]) -> Self {
        let tls = format!("tls_cert_file = \"{}\"\n  tls_key_file = \"{}\"", certificate.display(), key.display());
        Self::start_with(&tls, "https://localhost", authority).await
    }

    async fn start_with(listener: &str, base: &str, authority: &[u8]) -> Self {
        let authorities = pem::certificates(authority).unwrap_or_default();
        let bounds = Bounds { idle: PATIENCE, ..Bounds::default() };
        let http = Egress::trusting_only(Policy::anywhere(), bounds, &authorities).unwrap();
        for _ in 0..ATTEMPTS {
            let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
            let config = format!(
                "storage \"inmem\" {{}}\nlistener \"tcp\" {{\n  address = \"127.0.0.1:{port}\"\n  {listener}\n}}\n\
                 api_addr = \"{base}:{port}\"\n"
            );
            let file = dir.path().join("server.hcl");
            fs::write(&file, config).unwrap();
            let child = Command::new(program())
                .arg("server")
                .arg(format!("-config={}", file.display()))
                .env("HOME", dir.path())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .kill_on_drop(true)
                .spawn()
                .unwrap();
            let address = format!("{base}:{port}");
            let (root, key) = (String::new(), String::new());
            let mut server = Self { child, _dir: dir, http: http.clone(), address, root, key };
            // It ends if another program took the port meanwhile.
            if server.responds().await {
                server.initialize().await;
                return server;
            }
        }
        panic!("OpenBAO did not start");
    }

    /// Waits until it responds; returns false if it ends instead.
    async fn responds(&mut self) -> bool {
        let (http, url) = (self.http.clone(), format!("{}/v1/sys/health", self.address));
        let child = &mut self.child;
        eventually("OpenBAO to start", async || {
            if child.try_wait().unwrap().is_some() {
                return Some(false);
            }
            http.send(Request::get(&url).body(Bytes::new()).unwrap()).await.ok().map(|_| true)
        })
        .await
    }

    async fn initialize(&mut self) {
        let (status, keys) =
            self.api(Method::PUT, "sys/init", "", json!({"secret_shares": 1, "secret_threshold": 1})).await;
        assert_eq!(status, 200, "{keys}");
        self.root = keys["root_token"].as_str().unwrap().to_owned();
        self.key = keys["keys_base64"][0].as_str().unwrap().to_owned();
        self.unseal().await;
    }

    /// A call with a token: the status and the body.
    pub async fn api(&self, method: Method, path: &str, token: &str, body: Value) -> (u16, Value) {
        self.api_in("", method, path, token, body).await
    }

    /// As [`api`](Self::api), in a namespace.
    pub async fn api_in(&self, namespace: &str, method: Method, path: &str, token: &str, body: Value) -> (u16, Value) {
        let mut request = Request::builder().method(method).uri(format!("{}/v1/{path}", self.address));
        for (name, value) in [("x-vault-token", token), ("x-vault-namespace", namespace)] {
            if !value.is_empty() {
                request = request.header(name, value);
            }
        }
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let response: Result<_, EgressError> = self.http.send(request.body(body).unwrap()).await;
        let response = response.unwrap();
        (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap_or_default())
    }

    /// As [`api`](Self::api) with the root token, for a call that succeeds.
    pub async fn admin(&self, method: Method, path: &str, body: Value) -> Value {
        let (status, response) = self.api(method.clone(), path, &self.root, body).await;
        assert!((200..300).contains(&status), "{method} {path}: {status} {response}");
        response
    }

    pub async fn seal(&self) {
        self.admin(Method::PUT, "sys/seal", Value::Null).await;
    }

    pub async fn unseal(&self) {
        let (status, response) = self.api(Method::PUT, "sys/unseal", "", json!({"key": self.key})).await;
        assert!(status == 200 && response["sealed"] == false, "{status} {response}");
        eventually("OpenBAO to be active", async || {
            (self.api(Method::GET, "sys/health", "", Value::Null).await.0 == 200).then_some(())
        })
        .await;
    }

    /// Sends it a signal, such as STOP.
    pub async fn signal(&self, name: &str) {
        let pid = self.child.id().expect("OpenBAO has ended");
        let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {pid}")).status().await.unwrap();
        assert!(sent.success());
    }

    /// Kills it. Its data is lost.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// The number of connections of this process to the server. It has those of a stopped server, too.
    pub fn connections(&self) -> usize {
        let port: u16 = self.address.rsplit(':').next().unwrap().parse().unwrap();
        let (remote, established) = (format!(":{port:04X}"), "01");
        let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
        let fields = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        fields.filter(|fields| fields[2].ends_with(&remote) && fields[3] == established).count()
    }

    pub fn root(&self) -> &str {
        &self.root
    }

    /// Runs the script that prepares a server, and returns the lines that it prints.
    pub async fn bootstrap(&self, arguments: &[&str], namespace: &str) -> Vec<String> {
        self.bootstrap_with(arguments, &[("BAO_NAMESPACE", namespace)]).await
    }

    /// As [`bootstrap`](Self::bootstrap), with these variables; an empty one is not set.
    async fn bootstrap_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Vec<String> {
        let mut script = Command::new(root().join("deploy/openbao/bootstrap.sh"));
        script.args(arguments).env("BAO_ADDR", &self.address).env("BAO_TOKEN", &self.root);
        script.envs(variables.iter().filter(|(_, value)| !value.is_empty()).copied());
        let output = tokio::time::timeout(PATIENCE, script.output()).await.expect("the script does not end").unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    /// A token with the rights of the server and nothing else.
    pub async fn server_token(&self) -> String {
        let lines = self.bootstrap(&[], "").await;
        let [token] = lines.as_slice() else { panic!("{lines:?}") };
        token.clone()
    }

    /// As [`server_token`](Self::server_token), which may also use a key of the transit engine.
    pub async fn token_for_key(&self, key: &str) -> String {
        let lines = self.bootstrap_with(&[], &[("KEK", key)]).await;
        let [token] = lines.as_slice() else { panic!("{lines:?}") };
        token.clone()
    }

    /// Settings of a client with this credential.
    pub fn settings(&self, credential: Credential) -> OpenBaoSettings {
        settings(&self.address, credential)
    }
}

/// Settings of a client of the server at an address.
pub fn settings(address: &str, credential: Credential) -> OpenBaoSettings {
    let timeout = Duration::from_secs(10);
    OpenBaoSettings { address: address.parse().unwrap(), credential, namespace: None, authorities: None, timeout }
}
