//! The program under test as a child process.

use std::{
    env,
    ffi::OsString,
    fs,
    net::SocketAddr,
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

/// The program under test: this build, unless `TENANTRY_TEST_PROGRAM` is the path of another one.
pub fn program() -> OsString {
    env::var_os("TENANTRY_TEST_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_tenantry").into())
}

/// Prefixes of the environment variables that configure the program.
const OURS: [&str; 4] = ["TENANTRY_", "KUBEOP_", "QOD_", "PROXY_"];

/// How to start a server. Servers started one after the other from one setup share its data.
#[derive(Clone)]
pub struct Setup {
    home: Arc<TempDir>,
    env: Vec<(String, String)>,
    /// Further arguments of `dev`.
    arguments: Vec<&'static str>,
    /// The maximum size of files that the program writes, in bytes.
    largest_file: Option<u64>,
}

impl Setup {
    /// `tenantry dev` on a fresh directory, without the default tenant, and with free ports only.
    pub fn dev() -> Self {
        Self::plain().env("TENANTRY_MESSAGING_BOOTSTRAP", "false").env("TENANTRY_MTLS_LISTEN", "127.0.0.1:0")
    }

    /// `tenantry dev` on a fresh directory, as a person starts it.
    pub fn plain() -> Self {
        let home = Arc::new(tempfile::tempdir().unwrap());
        Self { home, env: Vec::new(), arguments: Vec::new(), largest_file: None }
    }

    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// Uses this database instead of the embedded one.
    pub fn database(self, url: impl Into<String>) -> Self {
        self.env("TENANTRY_DATABASE_URL", url)
    }

    /// With a PostgreSQL and an OpenBAO beside the server, which `scripts/peers` has installed.
    pub fn with_peers(mut self) -> Self {
        std::os::unix::fs::symlink(super::root().join(".cache"), self.home().join(".cache")).unwrap();
        self.arguments.push("--with-peers");
        self
    }

    /// The same setup in another, fresh directory.
    pub fn elsewhere(&self) -> Self {
        Self { home: Arc::new(tempfile::tempdir().unwrap()), ..self.clone() }
    }

    /// The database, unless it is the embedded one.
    pub fn database_url(&self) -> Option<String> {
        let set = self.env.iter().rfind(|(name, _)| name == "TENANTRY_DATABASE_URL");
        set.map(|(_, url)| url.clone())
    }

    /// Limits the size of the files that the program writes, like a disk that is full; [`Server::allow_large_files`] lifts it.
    pub fn largest_file(self, bytes: u64) -> Self {
        Self { largest_file: Some(bytes), ..self }
    }

    /// The working directory of the server.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The data directory of the server: the default within its working directory.
    pub fn data_dir(&self) -> PathBuf {
        self.home().join(".tenantry")
    }

    /// Runs the program with other arguments in the same environment, and waits for its end.
    pub async fn run(&self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).kill_on_drop(true).output();
        tokio::time::timeout(4 * super::PATIENCE, output).await.expect("the command does not end").unwrap()
    }

    /// As [`run`](Self::run), with the data directory from the environment.
    pub async fn run_in_place(&self, arguments: &[&str]) -> Output {
        let mut program = self.program();
        let output = program.args(arguments).kill_on_drop(true).output();
        tokio::time::timeout(4 * super::PATIENCE, output).await.expect("the command does not end").unwrap()
    }

    /// The command of [`run`](Self::run), not started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut program = self.program();
        program.env("TENANTRY_DATA_DIR", self.data_dir()).args(arguments);
        program
    }

    /// As [`command`](Self::command), with SIGTERM and SIGINT ignored by default, as for the first process of a
    /// container.
    pub fn first_process(&self, arguments: &[&str]) -> Command {
        let mut shell = self.configured(Command::new("sh"));
        shell.env("TENANTRY_DATA_DIR", self.data_dir());
        shell.args(["-c", "trap '' TERM INT; exec \"$0\" \"$@\""]).arg(program()).args(arguments);
        shell
    }

    /// A token from `token mint` with these arguments.
    pub async fn mint(&self, arguments: &[&str]) -> String {
        let output = self.run(&[&["token", "mint"], arguments].concat()).await;
        assert!(output.status.success(), "token mint {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Starts the server on a free port and waits until it is ready.
    pub async fn start(&self) -> Server {
        let server = self.launch().await;
        let http = server.http();
        eventually("the server to be ready", async || {
            (http.try_get("/readyz").await.ok()?.status == 200).then_some(())
        })
        .await;
        server
    }

    /// Starts the server on a free port and waits until it listens.
    pub async fn launch(&self) -> Server {
        self.launch_logging_to(Stdio::piped()).await
    }

    /// As [`launch`](Self::launch), with this as standard error instead of a log that the test can read.
    pub async fn launch_logging_to(&self, stderr: Stdio) -> Server {
        let mut child = self
            .program()
            .args(["dev", "--listen", "127.0.0.1:0"])
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let log = Log::default();
        log.collect(child.stdout.take().unwrap());
        if let Some(stderr) = child.stderr.take() {
            log.collect(stderr);
        }
        let address = eventually("the server to say where it listens", async || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the server ended before it was ready: {status}\n{}", log.text());
            }
            address_in(&log.text())
        })
        .await;
        Server { setup: self.clone(), child, address, log }
    }

    fn program(&self) -> Command {
        let Some(bytes) = self.largest_file else { return self.configured(Command::new(program())) };
        let mut limits = Command::new("prlimit");
        limits.arg(format!("--fsize={bytes}:")).arg(program());
        self.configured(limits)
    }

    fn configured(&self, program: Command) -> Command {
        let mut program = unconfigured(program);
        program.current_dir(self.home()).envs(self.env.iter().cloned());
        program
    }
}

/// Removes the variables that configure the program.
pub fn unconfigured(mut command: Command) -> Command {
    for (name, _) in env::vars_os() {
        if OURS.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command
}

/// A running server, which is killed on drop.
pub struct Server {
    setup: Setup,
    child: Child,
    address: SocketAddr,
    log: Log,
}

impl Server {
    /// `tenantry dev` on a fresh directory with the embedded database.
    pub async fn dev() -> Self {
        Setup::dev().start().await
    }

    /// The setup that it was started with.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// The URL that clients use, without a path: the public one if it is set.
    pub fn url(&self) -> String {
        let set = self.setup.env.iter().rfind(|(name, _)| name == "TENANTRY_PUBLIC_URL");
        set.map_or_else(|| format!("http://{}", self.address), |(_, url)| url.clone())
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Everything that it has printed and logged.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// The platform-admin token that `dev` writes.
    pub fn admin_token(&self) -> String {
        let path = self.setup.data_dir().join("admin.jwt");
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).trim().to_owned()
    }

    /// Waits until at least this many calls are in flight, besides the one that reads the metrics.
    pub async fn until_in_flight(&self, calls: usize) {
        eventually("calls in flight", async || {
            let metrics = self.http().get("/metrics").await.body;
            let found = metrics.lines().find_map(|line| line.strip_prefix("tenantry_calls_in_flight "))?;
            (found.parse::<f64>().unwrap() >= 1.0 + calls as f64).then_some(())
        })
        .await;
    }

    /// An HTTP/1.1 client without credentials.
    pub fn http(&self) -> Http {
        Http::new(self.address)
    }

    /// An HTTP/1.1 client with the platform-admin token.
    pub fn admin(&self) -> Http {
        self.http().token(self.admin_token())
    }

    pub fn pid(&self) -> u32 {
        self.child.id().expect("the server has ended")
    }

    /// Kills it (SIGKILL).
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Asks it to shut down (SIGTERM); [`Server::ended`] waits for that.
    pub async fn terminate(&self) {
        self.signal("TERM").await;
    }

    /// Sends it a signal.
    pub async fn signal(&self, name: &str) {
        // The standard library can only send SIGKILL.
        let sent = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", self.pid())).status().await.unwrap();
        assert!(sent.success());
    }

    /// Lifts the limit of [`Setup::largest_file`].
    pub async fn allow_large_files(&self) {
        let pid = self.pid().to_string();
        let lifted = Command::new("prlimit").args(["--fsize=unlimited", "--pid", &pid]).status().await.unwrap();
        assert!(lifted.success());
    }

    /// Waits until it exits.
    pub async fn ended(&mut self) -> ExitStatus {
        tokio::time::timeout(super::PATIENCE, self.child.wait()).await.expect("the server does not end").unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the server's log:\n{}", self.log());
        }
    }
}

/// The output of a server so far.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Log {
    fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Copies lines until the stream ends.
    fn collect(&self, stream: impl AsyncRead + Unpin + Send + 'static) {
        let log = self.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(stream).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let mut log = log.0.lock().unwrap_or_else(PoisonError::into_inner);
                log.push_str(&line);
                log.push('\n');
            }
        });
    }
}

/// The address in the line with which `dev` reports that it is ready.
fn address_in(log: &str) -> Option<SocketAddr> {
    let line = log.lines().find(|line| line.starts_with("tenantry is ready"))?;
    line.split("://").nth(1)?.split_whitespace().next()?.parse().ok()
}
