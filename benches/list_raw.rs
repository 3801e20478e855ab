//! The rate of a list of 100,000 tenants, beside a server that only reads the rows and writes them to its socket as they come, without
//! a check, a deadline or a log line: from SQLite, as the same JSON; and from PostgreSQL, as `COPY` sends them. And the
//! memory of the program meanwhile.
//!
//! `cargo bench --bench list_raw`, on Linux, which reports the peak memory of a process.

mod support;

use std::{
    io::{BufWriter, Read as _, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    time::Instant,
};

use futures::TryStreamExt as _;
use rusqlite::{Connection, OpenFlags};
use support::{list_client::ListClient, postgres::Postgres, program::Program};

const TENANTS: u32 = 100_000;
/// The list: that of the manager.
const PATH: &str = "/v1/tenants";
/// Its rows.
const ROWS: &str = "SELECT id, name, created_at FROM tenants \
    WHERE status IN ('provisioning', 'active', 'suspended') ORDER BY id DESC";
/// The raw server sends data in chunks of this size.
const CHUNK: usize = 64 << 10;
/// Minimum ratio of the rates.
const GOAL: f64 = 0.5;
/// Maximum memory above that of the idle program, in MiB.
const MEMORY: f64 = 16.0;

fn main() {
    let home = tempfile::tempdir().expect("a directory");
    let program = Program::start(home.path());
    let database = home.path().join(".tenantry/tenantry.db");
    let connection = Connection::open(&database).expect("it opens");
    let numbers =
        format!("WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {TENANTS})");
    let id = "unhex(printf('%012x', 1700000000000 + n) || '70008000' || printf('%012x', n))";
    connection.execute_batch(&fill(&numbers, id)).expect("rows");
    drop(connection);
    let path = database.clone();
    let raw = serve(move |body| from_sqlite(body, &path));
    let same = compare("SQLite", "rusqlite, JSON by hand", raw, &program, home.path());
    assert!(same, "the lists differ");
    drop(program);

    let server = Postgres::start("shared_buffers = 256MB", |_| ());
    let home = tempfile::tempdir().expect("a directory");
    let url = server.url();
    let program = Program::start_with(home.path(), &[("TENANTRY_DATABASE_URL", &url)]);
    let numbers = format!("WITH numbers AS (SELECT generate_series(1, {TENANTS}) AS n)");
    let id = "(lpad(to_hex(1700000000000 + n), 12, '0') || '70008000' || lpad(to_hex(n), 12, '0'))::uuid";
    server.client("psql", &["-q", "-c", &fill(&numbers, id), "-c", "ANALYZE", "postgres"]);
    let raw = serve(move |body| from_postgres(body, &url));
    compare("PostgreSQL", "COPY to the socket", raw, &program, home.path());
}

/// The statement that inserts the tenants.
fn fill(numbers: &str, id: &str) -> String {
    format!(
        "INSERT INTO tenants (id, name, name_key, display_name, status, version, labels, created_at, updated_at, list_key)
         {numbers}
         SELECT {id}, 'tenant-' || n, 'tenant-' || n, 'tenant-' || n, 'active', 1, '{{}}',
                1700000000000000 + n * 1001, 1700000000000000 + n * 1001, 'tenant-' || n
         FROM numbers"
    )
}

/// Compares the raw server with the program, and prints both. Returns whether the lists had the same length.
fn compare(database: &str, name: &str, raw: SocketAddr, program: &Program, home: &Path) -> bool {
    let token = std::fs::read_to_string(home.join(".tenantry/admin.jwt")).expect("a token").trim().to_owned();
    let sides = [raw, program.address].map(|address| ListClient { address, token: token.clone() });
    let mut lengths = [0; 2];
    std::thread::sleep(std::time::Duration::from_secs(2));
    let idle = program.memory();
    program.forget_peak();
    let rates = support::alternate(|side| {
        let (started, mut length) = (Instant::now(), 0);
        sides[side].chunks(PATH, |chunk| length += chunk.len());
        lengths[side] = length;
        f64::from(TENANTS) / started.elapsed().as_secs_f64()
    });
    let above = program.peak() - idle;
    support::report(&format!("list of {TENANTS} tenants, {database}, tenants"), [name, "tenantry"], rates, GOAL);
    let missed = if above > MEMORY { ", missed" } else { "" };
    println!("  {above:.1} MiB above idle (goal {MEMORY}{missed})");
    lengths[0] == lengths[1]
}

/// Serves a list to one caller at a time. It ends with the process.
fn serve(mut list: impl FnMut(&mut BufWriter<Chunks>) -> std::io::Result<()> + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            answer(stream.expect("a connection"), &mut list).expect("a client that reads");
        }
    });
    address
}

fn answer(
    mut stream: TcpStream,
    list: &mut impl FnMut(&mut BufWriter<Chunks>) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let (mut head, mut part) = (Vec::new(), [0; 1024]);
    while !head.ends_with(b"\r\n\r\n") {
        let length = stream.read(&mut part)?;
        head.extend_from_slice(&part[..length]);
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
    let mut body = BufWriter::with_capacity(CHUNK, Chunks(stream));
    list(&mut body)?;
    body.into_inner()?.0.write_all(b"0\r\n\r\n")
}

/// Writes each piece as one chunk.
struct Chunks(TcpStream);

impl Write for Chunks {
    fn write(&mut self, piece: &[u8]) -> std::io::Result<usize> {
        let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
        chunk.extend_from_slice(piece);
        chunk.extend_from_slice(b"\r\n");
        self.0.write_all(&chunk)?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

/// Writes the rows as JSON.
fn from_sqlite(out: &mut impl Write, database: &Path) -> std::io::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database, flags).expect("it opens");
    let mut query = connection.prepare(ROWS).expect("a statement");
    let mut rows = query.query([]).expect("rows");
    let mut separator = "[";
    while let Some(row) = rows.next().expect("a row") {
        let id = row.get_ref(0).and_then(|id| Ok(id.as_blob()?)).expect("an id");
        let name = row.get_ref(1).and_then(|name| Ok(name.as_str()?)).expect("a name");
        write!(out, "{separator}{{\"id\":\"t_")?;
        let mut hex = [0; 32];
        for (byte, digits) in id.iter().zip(hex.chunks_exact_mut(2)) {
            digits.copy_from_slice(&[
                b"0123456789abcdef"[usize::from(byte >> 4)],
                b"0123456789abcdef"[usize::from(byte & 15)],
            ]);
        }
        out.write_all(&hex)?;
        out.write_all(b"\",\"name\":")?;
        serde_json::to_writer(&mut *out, name)?;
        out.write_all(b",\"created_at\":\"")?;
        time(out, row.get(2).expect("a time"))?;
        out.write_all(b"\"}")?;
        separator = ",";
    }
    out.write_all(if separator == "[" { b"[]" } else { b"]" })
}

/// Copies the rows as PostgreSQL sends them.
fn from_postgres(out: &mut impl Write, url: &str) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("a connection");
        let connection = tokio::spawn(connection);
        let rows = client.copy_out(&format!("COPY ({ROWS}) TO STDOUT")).await.expect("rows");
        let mut rows = std::pin::pin!(rows);
        while let Some(row) = rows.try_next().await.expect("a row") {
            out.write_all(&row)?;
        }
        drop(client);
        let _ = connection.await;
        Ok(())
    })
}

/// Writes microseconds since 1970 as RFC 3339, with the digits that the JSON of Protobuf has.
fn time(out: &mut impl Write, micros: i64) -> std::io::Result<()> {
    let at = time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000).expect("a time");
    let (date, (hour, minute, second, micro)) = (at.date(), at.time().as_hms_micro());
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
    match (micro, micro % 1000) {
        (0, _) => {}
        (_, 0) => write!(out, ".{:03}", micro / 1000)?,
        _ => write!(out, ".{micro:06}")?,
    }
    out.write_all(b"Z")
}
