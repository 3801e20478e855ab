//! A proxy to the database server that can be cut, or go silent.

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

pub struct Line {
    url: String,
    state: watch::Sender<State>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Open,
    Cut,
    Silent,
}

impl Line {
    /// A proxy to the server of a database URL.
    pub async fn to(database: &str) -> Self {
        let (user, rest) = database.rsplit_once('@').expect("the URL has a user");
        let (target, name) = rest.split_once('/').expect("the URL names a database");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{user}@{}/{name}", listener.local_addr().unwrap());
        let (state, _) = watch::channel(State::Open);
        tokio::spawn(forward(listener, target.to_owned(), state.subscribe()));
        Self { url, state }
    }

    /// The URL of the database through this proxy.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Closes all connections and refuses new ones.
    pub fn cut(&self) {
        self.state.send_replace(State::Cut);
    }

    /// Stops forwarding, but keeps all connections open, like a stopped database server.
    pub fn silence(&self) {
        self.state.send_replace(State::Silent);
    }

    /// Undoes [`Line::cut`].
    pub fn restore(&self) {
        self.state.send_replace(State::Open);
    }
}

/// Accepts connections as long as the proxy exists; while it is cut they are closed at once.
async fn forward(listener: TcpListener, target: String, mut state: watch::Receiver<State>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            gone = state.changed() => if gone.is_err() { return } else { continue },
        };
        let Ok((mut near, _)) = accepted else { continue };
        if *state.borrow() == State::Cut {
            continue;
        }
        let (target, mut state) = (target.clone(), state.clone());
        tokio::spawn(async move {
            let Ok(mut far) = TcpStream::connect(target).await else { return };
            tokio::select! {
                biased;
                _ = state.wait_for(|state| *state != State::Open) => {}
                _ = copy_bidirectional(&mut near, &mut far) => return,
            }
            // Dropping the proxy ends this task, too.
            let _ = state.wait_for(|state| *state == State::Cut).await;
        });
    }
}
