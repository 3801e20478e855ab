//! A PostgreSQL server with settings of its own. The tests of TLS and the benchmarks use it.

#![allow(dead_code, missing_docs, reason = "each program uses its own part")]

use std::{
    fs::{self, OpenOptions},
    io::Write,
    net::TcpListener,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// The password of the superuser `postgres`.
const PASSWORD: &str = "only-for-this-run";

/// A running server, which is stopped on drop.
pub struct Postgres {
    programs: PathBuf,
    dir: TempDir,
    port: u16,
}

impl Postgres {
    /// Starts a server. `settings` are lines of its configuration; `prepare` may write into its data directory.
    pub fn start(settings: &str, prepare: impl FnOnce(&Path)) -> Self {
        Self::start_of(find_programs(), settings, prepare)
    }

    /// Starts a server with the programs in this directory.
    pub fn start_of(programs: PathBuf, settings: &str, prepare: impl FnOnce(&Path)) -> Self {
        // Short, because the path of a socket can have at most 107 characters.
        let dir = tempfile::Builder::new().prefix("tenantry-pg").tempdir_in("/tmp").expect("a directory");
        let password = dir.path().join("password");
        fs::write(&password, PASSWORD).expect("a file");
        let mut server = Self { programs, dir, port: free_port() };
        server.own();
        let file = format!("--pwfile={}", password.display());
        server
            .run("initdb", &["-U", "postgres", "-A", "scram-sha-256", &file, "-E", "UTF8", "--locale=C", "--no-sync"]);
        let mut config =
            OpenOptions::new().append(true).open(server.data().join("postgresql.conf")).expect("its configuration");
        let socket = server.dir.path().display();
        writeln!(config, "listen_addresses = 'localhost'\nport = {}", server.port).expect("a line");
        writeln!(config, "unix_socket_directories = '{socket}'\nmax_connections = 200\n{settings}").expect("a line");
        prepare(&server.data());
        server.own();
        // Another test may have taken the port in the meantime.
        for _ in 0..5 {
            if server.starts() {
                return server;
            }
            server.port = free_port();
            writeln!(config, "port = {}", server.port).expect("a line");
        }
        panic!("PostgreSQL does not start: {}", fs::read_to_string(server.log()).unwrap_or_default());
    }

    /// Starts the server again after [`stop`](Self::stop).
    pub fn resume(&self) {
        assert!(self.starts(), "{}", fs::read_to_string(self.log()).unwrap_or_default());
    }

    fn starts(&self) -> bool {
        self.runs("pg_ctl", &["-l", self.log().to_str().expect("a path"), "-w", "-t", "60", "start"])
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("server.log")
    }

    /// Stops the server, which closes its connections.
    pub fn stop(&self) {
        self.run("pg_ctl", &["-m", "fast", "-w", "stop"]);
    }

    /// The directory of its socket.
    pub fn socket(&self) -> &Path {
        self.dir.path()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of its maintenance database.
    pub fn url(&self) -> String {
        self.url_at("127.0.0.1")
    }

    /// The URL of a database for another user.
    pub fn url_of(&self, user: &str, password: &str, database: &str) -> String {
        format!("postgres://{user}:{password}@127.0.0.1:{}/{database}", self.port)
    }

    pub fn url_at(&self, host: &str) -> String {
        format!("postgres://postgres:{PASSWORD}@{host}:{}/postgres", self.port)
    }

    /// Runs a client of PostgreSQL on the maintenance database, and returns its output.
    pub fn client(&self, program: &str, arguments: &[&str]) -> String {
        let output = as_server(&self.programs.join(program))
            .env("PGPASSWORD", PASSWORD)
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", "postgres")
            .args(arguments)
            .current_dir(self.dir.path())
            .output()
            .expect("it starts");
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Writes a file that the server's user can read.
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, content).expect("a file");
        self.own();
        path
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Gives the files to the user that runs the server.
    fn own(&self) {
        if is_root() {
            let status = Command::new("chown").arg("-R").arg("postgres").arg(self.dir.path()).status();
            assert!(status.expect("it starts").success());
        }
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        assert!(self.runs(program, arguments), "{program}");
    }

    /// Whether a program succeeds.
    fn runs(&self, program: &str, arguments: &[&str]) -> bool {
        let mut command = as_server(&self.programs.join(program));
        command.arg("-D").arg(self.data()).args(arguments).current_dir(self.dir.path());
        // The server keeps what it inherits, so nothing is read from it.
        command.stdout(std::process::Stdio::null()).status().expect("it starts").success()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.data().join("postmaster.pid").exists() {
            self.run("pg_ctl", &["-m", "immediate", "-w", "stop"]);
        }
    }
}

/// A port that nothing uses yet.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port()
}

/// A command as the user that may run servers: PostgreSQL refuses to run as root.
pub fn as_server(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(program);
    command
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// The directory with the programs of PostgreSQL 18.
pub fn programs_of_18() -> PathBuf {
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/peers/postgres-18/postgres/bin");
    assert!(programs.join("initdb").exists(), "no PostgreSQL 18: run scripts/peers postgres-18");
    programs
}

/// The directory with the newest programs. Debian does not put it into `PATH`.
pub fn find_programs() -> PathBuf {
    let version = |path: &Path| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path());
    let newest = installed.filter(|path| path.join("bin/initdb").exists()).max_by_key(|path| version(path));
    let in_path = || {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).find(|path| path.join("initdb").exists())
    };
    newest
        .map(|path| path.join("bin"))
        .or_else(in_path)
        .expect("PostgreSQL: install it, or run scripts/with-postgres once")
}
