//! A way to the database server that can be cut.

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// The way.
pub struct Line {
    url: String,
    open: watch::Sender<bool>,
}

impl Line {
    /// A line to the server of a database URL.
    pub async fn to(database: &str) -> Self {
        let (user, rest) = database.rsplit_once('@').expect("the URL has a user");
        let (target, name) = rest.split_once('/').expect("the URL names a database");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{user}@{}/{name}", listener.local_addr().unwrap());
        let (open, _) = watch::channel(true);
        tokio::spawn(forward(listener, target.to_owned(), open.subscribe()));
        Self { url, open }
    }

    /// The URL of the database over this line.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Ends all connections and refuses new ones.
    pub fn cut(&self) {
        self.open.send_replace(false);
    }

    /// Undoes [`Line::cut`].
    pub fn mend(&self) {
        self.open.send_replace(true);
    }
}

/// Accepts connections for as long as the line exists; while it is cut they end at once.
async fn forward(listener: TcpListener, target: String, mut open: watch::Receiver<bool>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            gone = open.changed() => if gone.is_err() { return } else { continue },
        };
        let Ok((mut near, _)) = accepted else { continue };
        if !*open.borrow() {
            continue;
        }
        let (target, mut open) = (target.clone(), open.clone());
        tokio::spawn(async move {
            let Ok(mut far) = TcpStream::connect(target).await else { return };
            tokio::select! {
                _ = copy_bidirectional(&mut near, &mut far) => {}
                _ = open.wait_for(|open| !open) => {}
            }
        });
    }
}
