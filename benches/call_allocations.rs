//! The number of allocations of a point read and of a create over REST, in the whole program: from the bytes of the request to
//! those of the response, with the log and the metrics.
//!
//! `cargo bench --bench call_allocations`. It also runs with the tests, which limit the numbers of a development build. That build
//! also makes the text of each statement anew and compares it with the one that is kept, so its numbers are higher.

use std::{
    alloc::System,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, ChildStdout, Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Set for the process that is the server.
const SERVER: &str = "ALLOCATIONS_SERVER";
/// Calls of a round, and rounds. The round with the fewest allocations counts, because background work allocates too.
const CALLS: usize = 100;
const ROUNDS: usize = 20;

/// The most allocations of a call in a development build. Lower them when the number falls. Those of a create include the
/// streams' reading of its change: an idle machine reads after each create (up to 412), a busy one after several (370).
const MOST_OF_READ: u64 = 200;
const MOST_OF_CREATE: u64 = 430;

fn main() -> ExitCode {
    if std::env::var_os(SERVER).is_some() {
        thread::spawn(count);
        return tenantry::cli::main();
    }
    let home = tempfile::tempdir().expect("a directory");
    let mut server = Server::start(home.path());
    let body = r#"{"adminRoles":["ops"],"allowedClusters":["standalone"]}"#;
    let create = server.measure(|call| request_of("PUT", call, body));
    let read = server.measure(|_| request_of("GET", 7, ""));
    let mut kept = true;
    for (what, measured, most) in [("point read", read, MOST_OF_READ), ("create", create, MOST_OF_CREATE)] {
        println!("{what} over REST, SQLite: {measured} allocations");
        if cfg!(debug_assertions) && measured > most {
            println!("  more than {most}");
            kept = false;
        }
    }
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// In the server: answers each line of standard input with the number of allocations so far.
fn count() {
    for _ in std::io::stdin().lines() {
        let stats = INSTRUMENTED_SYSTEM.stats();
        println!("{}", stats.allocations + stats.reallocations);
    }
}

fn request_of(method: &str, tenant: usize, body: &str) -> (String, String) {
    let head = format!("{method} /admin/v2/tenants/t-{tenant} HTTP/1.1\r\nhost: localhost\r\n");
    let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    (format!("{head}{length}content-type: application/json\r\n"), body.to_owned())
}

/// The program in another process, stopped on drop.
struct Server {
    child: Child,
    output: BufReader<ChildStdout>,
    connection: TcpStream,
    token: String,
    calls: usize,
}

impl Server {
    fn start(home: &Path) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port");
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["dev", "--listen", &address.to_string()])
            .current_dir(home)
            // The variables of a test run would configure the server.
            .env_clear()
            .env(SERVER, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let connection = connect(address);
        let token = std::fs::read_to_string(home.join(".tenantry/admin.jwt")).expect("a token");
        Self { child, output, connection, token: token.trim().to_owned(), calls: 0 }
    }

    /// The fewest allocations of a call in a round.
    fn measure(&mut self, request: impl Fn(usize) -> (String, String)) -> u64 {
        let rounds = (0..=ROUNDS).map(|_| {
            let before = self.count();
            for _ in 0..CALLS {
                let (head, body) = request(self.calls);
                self.calls += 1;
                self.call(&head, &body);
            }
            // Rounded down: growing tables and the counting itself add less than one to a call.
            (self.count() - before) / CALLS as u64
        });
        rounds.min().unwrap_or_default()
    }

    fn count(&mut self) -> u64 {
        writeln!(self.child.stdin.as_mut().expect("a pipe")).expect("the server reads");
        let lines = self.output.by_ref().lines().map(|line| line.expect("the server writes"));
        lines.filter_map(|line| line.parse().ok()).next().expect("a number")
    }

    /// Sends a request and reads the whole response, which must be a success.
    fn call(&mut self, head: &str, body: &str) {
        let request = format!("{head}authorization: Bearer {}\r\n\r\n{body}", self.token);
        self.connection.write_all(request.as_bytes()).expect("the server reads");
        let (mut response, mut part) = (Vec::new(), [0; 4096]);
        loop {
            let read = self.connection.read(&mut part).expect("the server answers");
            assert!(read > 0, "the server closed the connection");
            response.extend_from_slice(&part[..read]);
            let text = String::from_utf8_lossy(&response);
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            assert!(head.starts_with("HTTP/1.1 20"), "{text}");
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().expect("a length")) {
                return;
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection to the server, once it is ready.
fn connect(address: SocketAddr) -> TcpStream {
    let began = Instant::now();
    loop {
        if let Ok(mut connection) = TcpStream::connect(address) {
            let mut response = String::new();
            let asked = connection.write_all(b"GET /readyz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
            if asked.is_ok() && connection.read_to_string(&mut response).is_ok() && response.starts_with("HTTP/1.1 200")
            {
                return TcpStream::connect(address).expect("it still listens");
            }
        }
        assert!(began.elapsed() < Duration::from_secs(30), "the program is not ready");
        thread::sleep(Duration::from_millis(20));
    }
}
