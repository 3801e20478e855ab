//! A proxy to the database server that records what a client sends without waiting for a reply.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    time::timeout,
};

/// A client that has sent nothing for this long waits for a reply.
const PAUSE: Duration = Duration::from_millis(60);

/// The messages of one flight, such as `BEGIN` for a text or `Bind` for a prepared statement.
pub type Flight = Vec<String>;

pub struct Tap {
    url: String,
    flights: Arc<Mutex<Vec<Flight>>>,
    /// Whether the reply to the next COMMIT is lost.
    lose_commit: Arc<Mutex<bool>>,
}

impl Tap {
    /// A proxy to the server of a database URL.
    pub async fn to(database: &str) -> Self {
        let (user, rest) = database.rsplit_once('@').expect("the URL has a user");
        let (target, name) = rest.split_once('/').expect("the URL names a database");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{user}@{}/{name}?sslmode=disable", listener.local_addr().unwrap());
        let tap = Self { url, flights: Arc::default(), lose_commit: Arc::default() };
        let (flights, lose_commit, target) = (tap.flights.clone(), tap.lose_commit.clone(), target.to_owned());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(&target).await.unwrap();
                let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
                let lost = Arc::new(Mutex::new(false));
                tokio::spawn(back(far_read, near_write, lost.clone()));
                tokio::spawn(forth(near_read, far_write, flights.clone(), lose_commit.clone(), lost));
            }
        });
        tap
    }

    /// The URL of the database through this proxy.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The flights since the last call.
    pub fn take(&self) -> Vec<Flight> {
        std::mem::take(&mut *self.flights.lock().unwrap())
    }

    /// Loses the reply to the next COMMIT, and the connection with it.
    pub fn lose_commit(&self) {
        *self.lose_commit.lock().unwrap() = true;
    }
}

async fn forth(
    mut near: OwnedReadHalf,
    mut far: OwnedWriteHalf,
    flights: Arc<Mutex<Vec<Flight>>>,
    lose_commit: Arc<Mutex<bool>>,
    lost: Arc<Mutex<bool>>,
) {
    let mut first = true;
    loop {
        let mut sent = Vec::new();
        if !matches!(near.read_buf(&mut sent).await, Ok(1..)) {
            return;
        }
        while let Ok(Ok(1..)) = timeout(PAUSE, near.read_buf(&mut sent)).await {}
        // The first message has no type.
        if !std::mem::take(&mut first) {
            let flight = messages(&sent);
            if flight.iter().any(|message| message == "COMMIT") && std::mem::take(&mut *lose_commit.lock().unwrap()) {
                *lost.lock().unwrap() = true;
            }
            flights.lock().unwrap().push(flight);
        }
        if far.write_all(&sent).await.is_err() {
            return;
        }
    }
}

async fn back(mut far: OwnedReadHalf, mut near: OwnedWriteHalf, lost: Arc<Mutex<bool>>) {
    let mut received = vec![0; 1 << 16];
    while let Ok(read @ 1..) = far.read(&mut received).await {
        if *lost.lock().unwrap() || near.write_all(&received[..read]).await.is_err() {
            return;
        }
    }
}

fn messages(mut sent: &[u8]) -> Flight {
    let mut found = Vec::new();
    while let [kind, a, b, c, d, ..] = *sent {
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let body = &sent[5..=length];
        match kind {
            b'Q' => found.push(String::from_utf8_lossy(&body[..body.len() - 1]).into_owned()),
            b'P' => found.push("Parse".to_owned()),
            b'B' => found.push("Bind".to_owned()),
            _ => {}
        }
        sent = &sent[length + 1..];
    }
    found
}
