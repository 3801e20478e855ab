//! The whole life of a tenant with a database, against a real PostgreSQL and a real OpenBAO, with the rights of the server's policy only.
//! The registry is in SQLite beside PostgreSQL 18, and in PostgreSQL beside the installed version.

use reqwest::Method;
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::{
    harness::{eventually, http::Http},
    provisioner::{
        Place, connect, rows,
        stage::{Plan, Stage},
    },
};

const BASE: &str = "/api/control-plane";
const TENANT: &str = "/api/control-plane/tenants/acme";
const DATABASE: &str = "/registry/v1/tenants/acme/database";
const PASSWORD: &str = "correct horse battery staple";

/// Makes a call, which must have this status. Returns the body.
async fn call(http: &Http, method: Method, path: &str, body: Value, status: u16) -> Value {
    let body = (!body.is_null()).then(|| body.to_string());
    let answer = http.call(method.clone(), path, body.as_deref()).await;
    assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
    if answer.body.is_empty() { Value::Null } else { answer.json() }
}

async fn post(http: &Http, path: &str, body: Value, status: u16) -> Value {
    call(http, Method::POST, path, body, status).await
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// A tenant in use.
struct Walk {
    stage: Stage,
    admin: Http,
    http: Http,
    /// A program of the tenant.
    program: Http,
}

impl Walk {
    /// Creates, places and provisions the tenant.
    async fn begin(stage: Stage) -> Self {
        let (admin, http) = (stage.server.admin(), stage.server.http());
        post(&admin, &format!("{BASE}/tenants"), json!({"name": "Acme", "slug": "acme"}), 201).await;
        let placement = json!({"host": "127.0.0.1", "region": "eu"});
        let placed = call(&admin, Method::PUT, &format!("{TENANT}/placement"), placement, 200).await;
        assert_eq!((&placed["region"], &placed["dbname"]), (&json!("eu"), &Value::Null));
        let provisioned = post(&admin, &format!("{TENANT}/provision"), json!({}), 200).await;
        assert_eq!(provisioned["status"], "provisioned", "{provisioned}");
        let token = stage.server.setup().mint(&["--role", "user", "--tenant", "acme"]).await;
        let program = http.clone().token(token);
        Self { stage, admin, http, program }
    }

    async fn lease(&self) -> Value {
        post(&self.program, &format!("{DATABASE}:leaseCredentials"), json!({}), 200).await
    }

    /// Connects as a program does, with nothing but the response of a lease.
    async fn log_in(&self, leased: &Value) -> Result<Client, tokio_postgres::Error> {
        let [host, database, username, password] =
            ["host", "database", "username", "password"].map(|member| text(&leased[member]));
        // Passwords of OpenBAO have letters, digits and dashes.
        connect(&format!("postgres://{username}:{password}@{host}:{}/{database}", leased["port"])).await
    }

    /// Creates a table with one login, and reads it with another one.
    async fn use_the_database(&self) {
        let first = self.lease().await;
        let session = self.log_in(&first).await.unwrap();
        rows(&session, "CREATE TABLE notes (text text); INSERT INTO notes VALUES ('kept')").await.unwrap();
        post(&self.program, &format!("{DATABASE}:releaseCredentials"), json!({"leaseId": first["leaseId"]}), 204).await;
        eventually("the released session to end", async || session.is_closed().then_some(())).await;
        assert!(self.log_in(&first).await.is_err());
        let second = self.lease().await;
        assert_ne!(first["username"], second["username"]);
        self.reads_the_table(&self.log_in(&second).await.unwrap()).await;
    }

    async fn reads_the_table(&self, session: &Client) {
        assert_eq!(rows(session, "SELECT text FROM notes").await.unwrap(), ["kept"]);
    }

    /// Registers a host with an enrollment token. Returns both tokens.
    async fn enroll(&self) -> (String, String) {
        let made = post(&self.admin, &format!("{TENANT}/enrollment-tokens"), json!({"max_uses": 2}), 201).await;
        let token = text(&made["token"]);
        let registered = self.register("web", &token, 200).await;
        let hosts = call(&self.admin, Method::GET, &format!("{TENANT}/agents"), Value::Null, 200).await;
        assert_eq!((hosts.as_array().unwrap().len(), &hosts[0]["id"]), (1, &registered["id"]), "{hosts}");
        (token, text(&registered["host_token"]))
    }

    async fn register(&self, name: &str, token: &str, status: u16) -> Value {
        let fqdn = format!("{name}.example.com");
        let host = json!({"active": true, "fqdn": fqdn, "hostname": name, "enrollment_token": token});
        post(&self.http, "/api/host/register", host, status).await
    }

    async fn register_again(&self, host_token: &str, status: u16) {
        let host = json!({"active": true, "fqdn": "web.example.com", "hostname": "web", "host_token": host_token});
        post(&self.http, "/api/host/register", host, status).await;
    }

    /// Gives a person a role in the tenant and a password, and the tenant an account of its own.
    async fn admit_people(&self) {
        let bob = post(&self.admin, &format!("{BASE}/users"), json!({"email": "bob@example.com"}), 201).await;
        let grant = json!({"user_id": bob["id"], "tenant_id": "acme", "role": "admin"});
        post(&self.admin, &format!("{BASE}/grants"), grant, 201).await;
        let setup = self.stage.server.setup();
        std::fs::write(setup.home().join("password"), PASSWORD).unwrap();
        let set = setup.run(&["users", "set-password", "bob@example.com", "--password-file", "password"]).await;
        assert!(set.status.success(), "{}", String::from_utf8_lossy(&set.stderr));
        let ada = json!({
            "action": "create", "tenant_id": "acme", "email": "ada@example.com", "role": "admin", "password": PASSWORD,
        });
        post(&self.admin, "/v1/admin/users/lifecycle", ada, 201).await;
    }

    /// A session of the person with the grant. It starts in the tenant if the grant is in use.
    async fn bob(&self) -> Http {
        let login =
            post(&self.http, "/api/login", json!({"userid": "bob@example.com", "password": PASSWORD}), 200).await;
        self.http.clone().token(text(&login["Authorization"]))
    }

    /// The status of a call for administrators of the tenant.
    async fn reads_the_tenant(&self, http: &Http) -> u16 {
        http.get(TENANT).await.status
    }

    /// The status of a login of the account of the tenant.
    async fn ada_logs_in(&self) -> u16 {
        let login = json!({"tenant": "acme", "user": "ada@example.com", "password": PASSWORD}).to_string();
        self.http.call(Method::POST, "/v1/admin/login", Some(&login)).await.status
    }

    async fn set_status(&self, action: &str) {
        let body = json!({"action": action, "tenant_id": "acme"});
        post(&self.admin, "/v1/admin/tenants/lifecycle", body, 200).await;
    }

    /// The status of a lease that a program takes from OpenBAO itself.
    async fn leases_directly(&self) -> u16 {
        let bao = self.stage.bao();
        bao.api(Method::GET, "database/creds/acme-role", bao.root(), Value::Null).await.0
    }

    /// Suspends the tenant, which ends and refuses everything, and resumes it.
    async fn suspend_and_resume(&self, enrollment_token: &str, host_token: &str) {
        let leased = self.lease().await;
        let (session, bob) = (self.log_in(&leased).await.unwrap(), self.bob().await);
        assert_eq!((self.reads_the_tenant(&bob).await, self.ada_logs_in().await), (200, 200));
        self.set_status("suspend").await;
        let refused = post(&self.admin, &format!("{DATABASE}:leaseCredentials"), json!({}), 409).await;
        assert_eq!(refused["error"]["details"][0]["reason"], "TENANT_NOT_ACTIVE", "{refused}");
        for name in ["web", "new"] {
            let refused = self.register(name, enrollment_token, 403).await;
            assert_eq!(refused, json!({"detail": "Invalid or expired enrollment token"}));
        }
        self.register_again(host_token, 403).await;
        assert_ne!(self.ada_logs_in().await, 200);
        let elsewhere = self.bob().await;
        assert_eq!(self.reads_the_tenant(&elsewhere).await, 403, "the login starts outside of the tenant");
        let switch = json!({"tenant_id": "acme"});
        post(&elsewhere, "/api/auth/switch-account", switch, 403).await;
        eventually("the end of the session of a person", async || {
            (self.reads_the_tenant(&bob).await == 401).then_some(())
        })
        .await;
        eventually("the end of the session of a program", async || session.is_closed().then_some(())).await;
        assert!(self.log_in(&leased).await.is_err());
        eventually("OpenBAO to refuse leases", async || (self.leases_directly().await == 500).then_some(())).await;
        post(&self.program, &format!("{DATABASE}:leaseCredentials"), json!({}), 403).await;

        self.set_status("reactivate").await;
        let path = format!("{DATABASE}:leaseCredentials");
        let leased = eventually("leases to be granted", async || {
            let answer = self.program.call(Method::POST, &path, Some("{}")).await;
            (answer.status == 200).then(|| answer.json())
        })
        .await;
        let session = eventually("the database to be open", async || self.log_in(&leased).await.ok()).await;
        self.reads_the_table(&session).await;
        self.register_again(host_token, 200).await;
        self.register("new", enrollment_token, 200).await;
        assert_eq!((self.reads_the_tenant(&self.bob().await).await, self.ada_logs_in().await), (200, 200));
    }

    /// Deletes the tenant with its database while it is in use.
    async fn delete(&self, host_token: &str) {
        let leased = self.lease().await;
        let (session, bob) = (self.log_in(&leased).await.unwrap(), self.bob().await);
        // One that the server does not know.
        assert_eq!(self.leases_directly().await, 200);
        let deleted =
            call(&self.admin, Method::DELETE, TENANT, json!({"confirm": "acme", "drop_database": true}), 200).await;
        let all = json!({"openbao_removed": true, "database_dropped": true, "registry_removed": true, "errors": []});
        assert_eq!(deleted, all);
        eventually("the end of the session of a program", async || session.is_closed().then_some(())).await;
        eventually("the end of the session of a person", async || {
            (self.reads_the_tenant(&bob).await == 401).then_some(())
        })
        .await;
        self.register_again(host_token, 403).await;
        assert_ne!(self.ada_logs_in().await, 200);
        call(&self.admin, Method::GET, TENANT, Value::Null, 404).await;
        post(&self.admin, &format!("{DATABASE}:leaseCredentials"), json!({}), 404).await;
    }

    /// Nothing of the tenant is left in OpenBAO.
    async fn openbao_has_nothing(&self) {
        let bao = self.stage.bao();
        for path in ["database/config", "database/roles", "sys/leases/lookup/database/creds/acme-role"] {
            let (status, found) = bao.api(Method::GET, &format!("{path}?list=true"), bao.root(), Value::Null).await;
            assert_eq!(status, 404, "{path}: {found}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_is_created_used_suspended_and_deleted_without_a_trace() {
    for (place, on_postgres) in [(Place::of_18().await, false), (Place::installed().await, true)] {
        let before = place.catalog().await;
        let plan = Plan::with(place).await.on_postgres(on_postgres).await.env("TENANTRY_SUSPEND_DISCONNECTS", "true");
        let walk = Walk::begin(plan.start().await).await;
        assert_ne!(walk.stage.place.catalog().await, before);
        walk.use_the_database().await;
        let (enrollment_token, host_token) = walk.enroll().await;
        walk.admit_people().await;
        walk.suspend_and_resume(&enrollment_token, &host_token).await;
        walk.delete(&host_token).await;
        assert_eq!(walk.stage.place.catalog().await, before);
        walk.openbao_has_nothing().await;
    }
}
