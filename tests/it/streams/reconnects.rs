//! Clients that come back again and again, on both databases.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::future::join_all;
use sea_orm::EntityTrait;
use tenantry::{
    base::Kind,
    store::tables,
    streams::{Message, Watch, WatchScope},
};

use super::{Streams, create, next, rename, settled, start};

both_databases! {
    async fn ten_thousand_reconnects_miss_nothing_and_see_no_revision_twice(db: TestDb) {
        const CLIENTS: usize = 16;
        const RECONNECTS: usize = 625;
        let streams = Arc::new(start(&db));
        let scopes = join_all((0..20).map(async |number| create(&db, &format!("tenant-{number}")).await)).await;
        let done = Arc::new(AtomicBool::new(false));
        let writer = {
            let (store, scopes, done) = (db.store.clone(), scopes.clone(), done.clone());
            tokio::spawn(async move {
                let mut written = 0;
                while !done.load(Ordering::Relaxed) {
                    rename(&store, scopes[written % scopes.len()], format!("name {written}")).await;
                    written += 1;
                }
                written
            })
        };
        let clients = (0..CLIENTS).map(|_| {
            let streams = streams.clone();
            tokio::spawn(async move {
                let mut client = Client::default();
                for _ in 0..RECONNECTS {
                    client.connect(&streams).await;
                }
                client
            })
        });
        let clients: Vec<_> = join_all(clients).await.into_iter().map(Result::unwrap).collect();
        done.store(true, Ordering::Relaxed);
        let written = writer.await.unwrap();
        assert!(written >= scopes.len(), "only {written} changes");
        settled(&db).await;
        let rows = tables::tenants::Entity::find().all(db.read()).await.unwrap();
        let expected: BTreeMap<_, _> = rows.into_iter().map(|row| (row.name, row.version)).collect();
        for mut client in clients {
            client.connect(&streams).await;
            assert_eq!(client.versions, expected);
            assert_eq!(client.connects, RECONNECTS + 1);
        }
    }
}

/// A client that keeps the versions of the tenants, by their names.
#[derive(Default)]
struct Client {
    versions: BTreeMap<String, i64>,
    revision: i64,
    connects: usize,
}

impl Client {
    /// Opens a watch where the last one was left, and leaves it when it has got everything, or after a few changes.
    async fn connect(&mut self, streams: &Streams) {
        self.connects += 1;
        let mut watch = loop {
            match Watch::open(&streams.feed, WatchScope::Platform, self.revision).await {
                Ok(watch) => break Box::pin(watch.messages()),
                // On a busy machine the database may have no connection left, and a client comes again.
                Err(error) => assert_eq!(error.kind, Kind::Unavailable, "{error:?}"),
            }
        };
        loop {
            let message = next(&mut watch).await;
            let tenant = match &message {
                Message::Bookmark(revision) => {
                    assert!(*revision >= self.revision);
                    self.revision = *revision;
                    return;
                }
                Message::Changed { revision, state } => {
                    assert!(*revision > self.revision, "{revision} after {}", self.revision);
                    self.revision = *revision;
                    state
                }
                Message::Current(state) => state,
                Message::Deleted { .. } => panic!("{message:?}"),
            };
            let known = self.versions.insert(tenant.name.to_string(), tenant.version).unwrap_or_default();
            assert!(tenant.version >= known, "version {} after {known}", tenant.version);
            // Some clients leave in the middle of what they missed.
            if self.revision % 7 == 3 && self.connects.is_multiple_of(2) && self.connects < 100 {
                return;
            }
        }
    }
}
