//! A fresh store for a test, on each database.

use std::{
    ops::Deref,
    sync::atomic::{AtomicU32, Ordering},
};

use futures::future::BoxFuture;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use tempfile::TempDir;
use tenantry::{
    base::{Access, CallTenant, Caller, CallerKind, Clock, Cx, Drain, Result, Role, caller::CallerFacts, cx::CxFacts},
    store::{Store, StoreConfig, Tx},
};
use tokio::sync::OnceCell;

/// Defines each test twice, as `sqlite::name` and `postgres::name`. Can be used once per module.
macro_rules! both_databases {
    ($($(#[$meta:meta])* async fn $name:ident($db:ident: TestDb) $body:block)*) => {
        $($(#[$meta])* async fn $name($db: crate::db::TestDb) $body)*

        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::db::sqlite().await).await;
            })*
        }

        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::db::postgres().await).await;
            })*
        }
    };
}

/// A migrated store for one test.
pub struct TestDb {
    pub store: Store,
    /// The URL, to open the database a second time.
    pub url: String,
    dir: Option<TempDir>,
}

impl Deref for TestDb {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

impl TestDb {
    /// A second store on the same database, like another replica.
    pub async fn replica(&self) -> Store {
        Store::open(StoreConfig::new(&self.url)).await.expect("a second connection")
    }

    /// A connection for SeaORM's own queries. The program's functions take `store.read()`.
    pub fn read(&self) -> &DatabaseConnection {
        self.store.orm()
    }

    pub fn is_sqlite(&self) -> bool {
        self.dir.is_some()
    }
}

/// A write with a closure that owns its data; the program's writes take an input and are named functions.
pub async fn write<T, F>(store: &Store, cx: &Cx, work: F) -> Result<T>
where
    T: Send + 'static,
    F: for<'t> Fn(&'t Tx) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static,
{
    store.write(cx, work, run).await
}

async fn run<T, F>(tx: &Tx, work: &F) -> Result<T>
where
    F: for<'t> Fn(&'t Tx) -> BoxFuture<'t, Result<T>> + Send + Sync,
{
    work(tx).await
}

/// A fresh, migrated SQLite file.
pub async fn sqlite() -> TestDb {
    let db = sqlite_unmigrated();
    let store = Store::open(StoreConfig::new(&db.1)).await.expect("an open SQLite database");
    store.migrate(|_| ()).await.expect("a migrated SQLite database");
    TestDb { store, url: db.1, dir: Some(db.0) }
}

/// A temporary directory and the URL of a SQLite file that does not exist yet.
pub fn sqlite_unmigrated() -> (TempDir, String) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let url = format!("sqlite:{}", dir.path().join("tenantry.db").display());
    (dir, url)
}

/// A fresh PostgreSQL database, copied from a migrated template.
pub async fn postgres() -> TestDb {
    let template = TEMPLATE.get_or_init(make_template).await;
    let url = create_database(Some(template)).await;
    let store = Store::open(StoreConfig::new(&url)).await.expect("an open PostgreSQL database");
    TestDb { store, url, dir: None }
}

/// A fresh, empty PostgreSQL database.
pub async fn postgres_unmigrated() -> String {
    create_database(None).await
}

/// A fresh, empty PostgreSQL database with the collation and case mapping of a system locale.
pub async fn postgres_of_locale(locale: &str) -> String {
    create(&format!(" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE '{locale}' LC_CTYPE '{locale}'")).await
}

/// Name of the migrated template database.
static TEMPLATE: OnceCell<String> = OnceCell::const_new();

async fn make_template() -> String {
    let url = create_database(None).await;
    let store = Store::open(StoreConfig::new(&url)).await.expect("an open PostgreSQL database");
    store.migrate(|_| ()).await.expect("a migrated PostgreSQL database");
    store.close().await;
    url.rsplit_once('/').expect("a url with a database").1.to_owned()
}

async fn create_database(template: Option<&str>) -> String {
    create(&template.map(|name| format!(" TEMPLATE {name}")).unwrap_or_default()).await
}

/// Creates a database with these options.
async fn create(options: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("it_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let admin = admin().await;
    admin.execute_unprepared(&format!("DROP DATABASE IF EXISTS {name}")).await.expect("dropping an old database");
    admin.execute_unprepared(&format!("CREATE DATABASE {name}{options}")).await.expect("creating a database");
    admin.close().await.expect("closing the connection");
    let admin = admin_url();
    let (server, _) = admin.rsplit_once('/').expect("the admin url ends in /<database>");
    format!("{server}/{name}")
}

/// A connection to the test server.
pub async fn admin() -> DatabaseConnection {
    Database::connect(admin_url()).await.expect("a connection to TENANTRY_TEST_POSTGRES_URL")
}

fn admin_url() -> String {
    std::env::var("TENANTRY_TEST_POSTGRES_URL")
        .expect("TENANTRY_TEST_POSTGRES_URL is not set: run scripts/test, which starts a PostgreSQL")
}

/// The context of a call by a platform administrator.
pub fn platform_cx(action: &'static str) -> Cx {
    cx(action, Access::Platform)
}

/// The context of a call with this access.
pub fn cx(action: &'static str, access: Access) -> Cx {
    Cx::new(CxFacts {
        caller: Caller::new(CallerFacts {
            kind: CallerKind::User,
            subject: "root".to_owned(),
            role: Role::PlatformAdmin,
            ..CallerFacts::default()
        }),
        refused: None,
        access,
        tenant: CallTenant::None,
        request_id: "req-1".to_owned(),
        rpc: "/test/Call",
        audit_action: Some(action),
        audit_target: Some("from the request".to_owned()),
        deadline: None,
        client: None,
        peer: None,
        secure: false,
        user_agent: None,
        keyed: None,
        limit: None,
        seat: None,
        clock: Clock::system(),
        drain: Drain::default(),
    })
}

/// Waits until a condition holds; fails after ten seconds.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    while !condition().await {
        assert!(tokio::time::Instant::now() < deadline, "not within ten seconds: {what}");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
