//! A TCP forwarder that stops at a chosen point of a conversation: when the client has sent a number of pieces.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use futures::FutureExt as _;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinSet,
};

/// Accepts connections at one address, and forwards them to another one.
pub struct Tripwire {
    pub address: SocketAddr,
    state: Arc<State>,
    _accepting: JoinSet<()>,
}

#[derive(Default)]
struct State {
    /// How many more pieces are forwarded; without a limit if it is negative.
    left: AtomicI64,
    /// Whether the last piece still arrives.
    delivers: AtomicBool,
    /// Whether the connection ends there. Otherwise it only becomes silent.
    cuts: AtomicBool,
    tripped: Notify,
    disarmed: Notify,
}

impl Tripwire {
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State { left: AtomicI64::new(-1), ..State::default() });
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, SocketAddr::from(([127, 0, 0, 1], port)), state.clone()));
        Self { address, state, _accepting: accepting }
    }

    /// Stops at the piece with this number, which arrives if `delivers`. With `cuts`, the connection ends; otherwise it becomes silent.
    pub fn arm(&self, piece: i64, delivers: bool, cuts: bool) {
        // Of an earlier stop.
        let _ = self.state.tripped.notified().now_or_never();
        self.state.delivers.store(delivers, Ordering::SeqCst);
        self.state.cuts.store(cuts, Ordering::SeqCst);
        self.state.left.store(piece, Ordering::SeqCst);
    }

    /// Forwards everything, and ends the connections that became silent. Returns whether it had stopped.
    pub fn disarm(&self) -> bool {
        let had_stopped = self.state.left.swap(-1, Ordering::SeqCst) == 0;
        self.state.disarmed.notify_waiters();
        had_stopped
    }

    /// Waits until it stops.
    pub async fn tripped(&self) {
        self.state.tripped.notified().await;
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        let (incoming, _) = listener.accept().await.unwrap();
        let state = state.clone();
        connections.spawn(async move {
            // An error ends the connection, as the client sees it.
            if let Ok(outgoing) = TcpStream::connect(target).await {
                forward(incoming, outgoing, &state).await;
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn forward(mut client: TcpStream, mut server: TcpStream, state: &State) {
    let (mut from_client, mut from_server) = (vec![0; 65536], vec![0; 65536]);
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let Some(length) = read.ok().filter(|length| *length > 0) else { return };
                let left = state.left.load(Ordering::SeqCst);
                if left > 0 {
                    state.left.store(left - 1, Ordering::SeqCst);
                }
                let trips = left == 0 || left == 1;
                if (!trips || (left == 1 && state.delivers.load(Ordering::SeqCst)))
                    && server.write_all(&from_client[..length]).await.is_err() {
                    return;
                }
                if trips {
                    let disarmed = state.disarmed.notified();
                    state.tripped.notify_one();
                    if state.cuts.load(Ordering::SeqCst) {
                        return;
                    }
                    // Silence, until the client gives up.
                    tokio::select! {
                        _ = client.read(&mut from_client) => {}
                        () = disarmed => {}
                    }
                    return;
                }
            }
            read = server.read(&mut from_server) => {
                let Some(length) = read.ok().filter(|length| *length > 0) else { return };
                if client.write_all(&from_server[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}
