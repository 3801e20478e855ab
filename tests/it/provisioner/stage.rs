//! Our server with a real PostgreSQL for the databases of tenants, and a real OpenBAO.

use reqwest::Method;
use sea_orm::{ConnectionTrait, Database};
use serde_json::{Value, json};
use tokio_postgres::Client;

use super::{LOGIN, PASSWORD, Place, connect, rows};
use crate::{
    db::postgres_unmigrated,
    harness::{
        eventually,
        http::{Answer, Http},
        openbao::OpenBaoServer,
        server::{Server, Setup},
    },
};

/// The path of the tenants.
pub const TENANTS: &str = "/api/control-plane/tenants";

/// The servers. What a test stops, it starts again.
pub struct Stage {
    pub place: Place,
    pub bao: Option<OpenBaoServer>,
    pub server: Server,
    /// The URL of the registry, if it is in PostgreSQL.
    registry: Option<String>,
}

/// How a stage is built.
pub struct Plan {
    pub place: Place,
    pub bao: Option<OpenBaoServer>,
    /// Settings of our server; later ones win.
    pub env: Vec<(&'static str, String)>,
    /// The URL of the registry, if it is in PostgreSQL.
    registry: Option<String>,
}

impl Plan {
    /// PostgreSQL 18, OpenBAO, and the registry in SQLite.
    pub async fn whole() -> Self {
        Self::with(Place::of_18().await).await
    }

    /// As [`whole`](Self::whole), on this server.
    pub async fn with(place: Place) -> Self {
        Self { bao: Some(OpenBaoServer::start().await), ..Self::plain(place) }
    }

    /// Without OpenBAO.
    pub fn plain(place: Place) -> Self {
        Self { place, bao: None, env: Vec::new(), registry: None }
    }

    /// With the registry in PostgreSQL, or in SQLite.
    pub async fn on_postgres(self, is_postgres: bool) -> Self {
        let registry = if is_postgres { Some(postgres_unmigrated().await) } else { None };
        Self { registry, ..self }
    }

    pub fn env(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.env.push((name, value.into()));
        self
    }

    pub async fn setup(&self) -> Setup {
        let mut setup = Setup::dev()
            .env("TENANTRY_PROVISIONER_URL", self.place.url())
            .env("TENANTRY_SELF_SERVICE_PROVISIONING", "true")
            .env("TENANTRY_OPENBAO_TIMEOUT", "2s");
        if let Some(registry) = &self.registry {
            setup = setup.database(registry);
        }
        if let Some(bao) = &self.bao {
            setup = setup
                .env("TENANTRY_OPENBAO_ADDR", bao.address())
                .env("TENANTRY_OPENBAO_TOKEN", bao.server_token().await);
        }
        self.env.iter().fold(setup, |setup, (name, value)| setup.env(name, value.clone()))
    }

    pub async fn start(self) -> Stage {
        let setup = self.setup().await;
        self.start_with(&setup).await
    }

    pub async fn start_with(self, setup: &Setup) -> Stage {
        let Self { place, bao, registry, .. } = self;
        let stage = Stage { place, bao, server: setup.start().await, registry };
        if stage.bao.is_some() {
            // So that the first call is not that for the token.
            let http = stage.server.http();
            eventually("OpenBAO to be checked", async || {
                let ready = http.get("/readyz?verbose").await.json();
                (ready["openbao"] == "ok").then_some(())
            })
            .await;
        }
        stage
    }
}

impl Stage {
    pub fn bao(&self) -> &OpenBaoServer {
        self.bao.as_ref().unwrap()
    }

    /// Creates a tenant with this slug.
    pub async fn create(&self, slug: &str) {
        create(&self.server.admin(), slug).await;
    }

    pub async fn auto(&self, slug: &str) -> Answer {
        auto(&self.server.admin(), slug).await
    }

    /// Creates and provisions a tenant.
    pub async fn provisioned(&self, slug: &str) -> Value {
        self.create(slug).await;
        let answer = self.auto(slug).await;
        assert_eq!(answer.status, 200, "{answer:?}\n{}", self.server.log());
        answer.json()
    }

    /// The last migration of a tenant, as the surface shows it.
    pub async fn revision(&self, slug: &str) -> Option<String> {
        let tenant = self.server.admin().get(&format!("{TENANTS}/{slug}")).await.json();
        tenant["revision"].as_str().map(str::to_owned)
    }

    /// Waits until the operation of a tenant has succeeded.
    pub async fn converges(&self, slug: &str) {
        eventually("provisioning", async || self.revision(slug).await).await;
    }

    /// A login that OpenBAO leases for a role, connected to a database.
    pub async fn leased(&self, role: &str, database: &str) -> Client {
        let leased = self.bao().admin(Method::GET, &format!("database/creds/{role}"), Value::Null).await;
        let text = |name: &str| leased["data"][name].as_str().unwrap().to_owned();
        // Passwords of OpenBAO have letters, digits and dashes.
        connect(&self.place.postgres.url_of(&text("username"), &text("password"), database)).await.unwrap()
    }

    /// The migrations of a database, as it has them.
    pub async fn applied(&self, database: &str) -> Vec<String> {
        let session = self.inside(database).await;
        rows(&session, "SELECT revision FROM tenantry.migrations ORDER BY revision").await.unwrap()
    }

    /// The superuser in a database.
    pub async fn inside(&self, database: &str) -> Client {
        let url = self.place.postgres.url();
        let (server, _) = url.rsplit_once('/').unwrap();
        connect(&format!("{server}/{database}")).await.unwrap()
    }

    /// Runs SQL in the registry.
    pub async fn registry(&self, sql: &str) {
        let file = || format!("sqlite:{}", self.server.setup().data_dir().join("tenantry.db").display());
        let registry = Database::connect(self.registry.clone().unwrap_or_else(file)).await.unwrap();
        registry.execute_unprepared(sql).await.unwrap();
        registry.close().await.unwrap();
    }

    /// Ends the leases of a killed server, instead of waiting for that.
    pub async fn expire_leases(&self) {
        self.registry("UPDATE leases SET expires_at = 0 WHERE name LIKE 'operation:%'").await;
    }

    /// Restarts PostgreSQL after it was stopped.
    pub async fn resume(&mut self) {
        self.place.postgres.resume();
        self.place.reconnect().await;
    }
}

pub async fn create(admin: &Http, slug: &str) {
    let body = json!({"name": slug, "slug": slug}).to_string();
    let answer = admin.call(Method::POST, TENANTS, Some(&body)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

pub async fn auto(admin: &Http, slug: &str) -> Answer {
    admin.call(Method::POST, &format!("{TENANTS}/{slug}/auto-provision"), Some("{}")).await
}

/// The URL of the provisioner at another port, such as that of a forwarder.
pub fn url_at(port: u16) -> String {
    format!("postgres://{LOGIN}:{PASSWORD}@127.0.0.1:{port}/postgres")
}

/// The text of an error of this surface.
pub fn detail(answer: &Answer) -> String {
    answer.json()["detail"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
}
