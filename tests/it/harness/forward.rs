//! A TCP forwarder whose target can change: a server that moves, as its clients see it; or that loses what is sent: a peer without power.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{copy, copy_bidirectional, sink},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// Accepts connections at one address, and forwards them to a target.
pub struct Forward {
    pub address: SocketAddr,
    target: Arc<Mutex<SocketAddr>>,
    /// How often connections were lost.
    lost: watch::Sender<u64>,
    _accepting: JoinSet<()>,
}

impl Forward {
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let target = Arc::new(Mutex::new(target));
        let (mut accepting, lost) = (JoinSet::new(), watch::Sender::new(0));
        accepting.spawn(accept(listener, target.clone(), lost.subscribe()));
        Self { address, target, lost, _accepting: accepting }
    }

    /// Forwards further connections to another target. Those that are open stay as they are.
    pub fn switch(&self, target: SocketAddr) {
        *self.target.lock().unwrap() = target;
    }

    /// Discards everything that is sent from now on over the connections that are open, in both directions. They stay open, as if the other
    /// side had lost power.
    pub fn swallow(&self) {
        self.lost.send_modify(|times| *times += 1);
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn accept(listener: TcpListener, target: Arc<Mutex<SocketAddr>>, lost: watch::Receiver<u64>) {
    let mut connections = JoinSet::new();
    loop {
        let (mut incoming, _) = listener.accept().await.unwrap();
        let (target, mut lost) = (*target.lock().unwrap(), lost.clone());
        lost.mark_unchanged();
        connections.spawn(async move {
            // An error ends the connection, as the client sees it.
            let Ok(mut outgoing) = TcpStream::connect(target).await else { return };
            tokio::select! {
                _ = copy_bidirectional(&mut incoming, &mut outgoing) => return,
                Ok(()) = lost.changed() => {}
            }
            let (mut into_nothing, mut also) = (sink(), sink());
            let _ = tokio::join!(copy(&mut incoming, &mut into_nothing), copy(&mut outgoing, &mut also));
        });
        while connections.try_join_next().is_some() {}
    }
}
