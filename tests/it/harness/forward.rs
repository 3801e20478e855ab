//! A TCP forwarder whose target can change: a server that moves, as its clients see it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// Accepts connections at one address, and forwards them to a target.
pub struct Forward {
    pub address: SocketAddr,
    target: Arc<Mutex<SocketAddr>>,
    _accepting: JoinSet<()>,
}

impl Forward {
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let target = Arc::new(Mutex::new(target));
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, target.clone()));
        Self { address, target, _accepting: accepting }
    }

    /// Forwards further connections to another target. Those that are open stay as they are.
    pub fn switch(&self, target: SocketAddr) {
        *self.target.lock().unwrap() = target;
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn accept(listener: TcpListener, target: Arc<Mutex<SocketAddr>>) {
    let mut connections = JoinSet::new();
    loop {
        let (mut incoming, _) = listener.accept().await.unwrap();
        let target = *target.lock().unwrap();
        connections.spawn(async move {
            // An error ends the connection, as the client sees it.
            if let Ok(mut outgoing) = TcpStream::connect(target).await {
                let _ = copy_bidirectional(&mut incoming, &mut outgoing).await;
            }
        });
        while connections.try_join_next().is_some() {}
    }
}
