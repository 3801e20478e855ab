//! The built program as a child process.

use std::{
    env, fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{ExitStatus, Output, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
};

use super::{eventually, http::Http};

/// The program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_tenantry");

/// Prefixes of the environment variables that would configure the program.
const OURS: [&str; 3] = ["TENANTRY_", "KUBEOP_", "QOD_"];

/// How to start a server. Two servers of one setup, one after the other, work on the same data.
#[derive(Clone)]
pub struct Setup {
    home: Arc<TempDir>,
    env: Vec<(String, String)>,
}

impl Setup {
    /// `tenantry dev` on a fresh directory.
    pub fn dev() -> Self {
        let home = Arc::new(tempfile::tempdir().unwrap());
        Self { home, env: Vec::new() }
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// Works on this database instead of the embedded one.
    pub fn database(self, url: impl Into<String>) -> Self {
        self.env("TENANTRY_DATABASE_URL", url)
    }

    /// The working directory of the server.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Where the server keeps its data: the default place within its working directory.
    pub fn data_dir(&self) -> PathBuf {
        self.home().join(".tenantry")
    }

    /// The program with other arguments, in the same environment; waits for its end.
    pub async fn run(&self, arguments: &[&str]) -> Output {
        self.program().env("TENANTRY_DATA_DIR", self.data_dir()).args(arguments).output().await.unwrap()
    }

    /// A token from `token mint` with these arguments.
    pub async fn mint(&self, arguments: &[&str]) -> String {
        let output = self.run(&[&["token", "mint"], arguments].concat()).await;
        assert!(output.status.success(), "token mint {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Starts the server and waits until it is ready.
    pub async fn start(&self) -> Server {
        // Another program may take the port between our look and the server's; then the next one is tried.
        for _ in 0..5 {
            let mut server = self.spawn();
            if server.becomes_ready().await {
                return server;
            }
            let log = server.log();
            assert!(log.to_lowercase().contains("in use"), "the server ended before it was ready:\n{log}");
        }
        panic!("no free port");
    }

    /// Starts the server and does not wait for it.
    pub fn spawn(&self) -> Server {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut child = self
            .program()
            .args(["dev", "--listen", &address.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        collect(child.stdout.take().unwrap(), &log);
        collect(child.stderr.take().unwrap(), &log);
        Server { setup: self.clone(), child, address, log }
    }

    fn program(&self) -> Command {
        let mut program = Command::new(PROGRAM);
        for (name, _) in env::vars_os() {
            if OURS.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
                program.env_remove(name);
            }
        }
        program.current_dir(self.home()).envs(self.env.iter().cloned());
        program
    }
}

/// A running server. It ends with its value.
pub struct Server {
    setup: Setup,
    child: Child,
    address: SocketAddr,
    log: Arc<Mutex<String>>,
}

impl Server {
    /// `tenantry dev` on a fresh directory and the embedded database.
    pub async fn dev() -> Self {
        Setup::dev().start().await
    }

    /// What it was started with.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All that it has printed and logged.
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The platform-admin token that `dev` writes.
    pub fn admin_token(&self) -> String {
        let path = self.setup.data_dir().join("admin.jwt");
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).trim().to_owned()
    }

    /// An HTTP/1.1 client without credentials.
    pub fn http(&self) -> Http {
        Http::new(self.address)
    }

    /// An HTTP/1.1 client with the platform-admin token.
    pub fn admin(&self) -> Http {
        self.http().token(self.admin_token())
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("the server has ended")
    }

    /// Ends it at once (SIGKILL).
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Asks it to end (SIGTERM); [`Server::ended`] waits for that.
    pub async fn terminate(&self) {
        // The standard library can only send SIGKILL.
        let sent = Command::new("sh").arg("-c").arg(format!("kill -TERM {}", self.pid())).status().await.unwrap();
        assert!(sent.success());
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        tokio::time::timeout(super::PATIENCE, self.child.wait()).await.expect("the server does not end").unwrap()
    }

    /// Whether the server becomes ready; false when it ends before.
    async fn becomes_ready(&mut self) -> bool {
        let http = self.http();
        let child = &mut self.child;
        eventually("the server to be ready", async || {
            if child.try_wait().unwrap().is_some() {
                return Some(false);
            }
            let answer = http.try_get("/readyz").await.ok()?;
            (answer.status == 200).then_some(true)
        })
        .await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the server's log:\n{}", self.log());
        }
    }
}

/// Copies lines into the log until the stream ends.
fn collect(stream: impl AsyncRead + Unpin + Send + 'static, log: &Arc<Mutex<String>>) {
    let log = Arc::clone(log);
    tokio::spawn(async move {
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.push_str(&line);
            log.push('\n');
        }
    });
}
