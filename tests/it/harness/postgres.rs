//! PostgreSQL for a test: a database of its own, and a way to lose it.

use std::{
    env,
    sync::atomic::{AtomicU32, Ordering},
};

use sea_orm::{ConnectionTrait, Database};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// An empty database. It goes with its value.
pub struct FreshDatabase {
    name: String,
    url: String,
}

impl FreshDatabase {
    /// Makes one on the server of `TENANTRY_TEST_POSTGRES_URL`.
    pub async fn create() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("it_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        execute(&format!("CREATE DATABASE {name}")).await;
        let server = server_url();
        let (head, _) = server.rsplit_once('/').expect("the URL names the maintenance database");
        Self { url: format!("{head}/{name}"), name }
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for FreshDatabase {
    fn drop(&mut self) {
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // A drop cannot await, and the test's runtime may be ending.
        let work = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(execute(&statement));
        });
        drop(work.join());
    }
}

fn server_url() -> String {
    env::var("TENANTRY_TEST_POSTGRES_URL").unwrap_or_else(|_| {
        panic!("TENANTRY_TEST_POSTGRES_URL is not set: run scripts/test, or scripts/with-postgres cargo test NAME")
    })
}

async fn execute(statement: &str) {
    let connection = Database::connect(server_url()).await.unwrap();
    connection.execute_unprepared(statement).await.unwrap();
    connection.close().await.unwrap();
}

/// A way to the database server that can be cut.
pub struct Line {
    url: String,
    open: watch::Sender<bool>,
}

impl Line {
    /// A line to the server of a database URL.
    pub async fn to(database: &FreshDatabase) -> Self {
        let (user, rest) = database.url().rsplit_once('@').expect("the URL has a user");
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
