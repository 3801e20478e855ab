//! The same calls to the fake and to the real server have the same outcome.

use std::{path::PathBuf, time::Duration};

use reqwest::Method;
use serde_json::json;
use tenantry::openbao::{
    Connection, Credential, DatabaseRole, OpenBao, OpenBaoError, OpenBaoSettings, SecretId,
    tenant_role::{self, TenantDatabase},
};

use super::{
    Database, Tenant,
    fake::{self, Fake},
    name, secret,
};
use crate::harness::openbao::{OpenBaoServer, settings};

/// A server with what the calls need.
struct World {
    address: String,
    token: String,
    powerless: String,
    role_id: String,
    /// Files with the secret id and its wrapping.
    secret_id: PathBuf,
    wrapped: PathBuf,
}

impl World {
    fn open(&self, credential: Credential) -> OpenBao {
        // Calls that are repeated without success take this long.
        let timeout = Duration::from_secs(2);
        OpenBao::new(OpenBaoSettings { timeout, ..settings(&self.address, credential) }).unwrap()
    }

    fn token(&self, token: &str) -> OpenBao {
        self.open(Credential::Token(secret(token)))
    }

    fn app(&self, role_id: &str, secret_id: SecretId) -> OpenBao {
        self.open(Credential::AppRole { role_id: secret(role_id), secret_id })
    }
}

/// What was done, and the outcomes.
#[derive(Default)]
struct Outcomes(Vec<String>);

impl Outcomes {
    fn add<T>(&mut self, what: &str, result: Result<T, OpenBaoError>, shown: impl FnOnce(T) -> String) {
        let line = match result {
            Ok(value) => shown(value),
            Err(error) => format!("{error}; can pass: {}", error.can_pass()),
        };
        self.0.push(format!("{what}: {line}"));
    }

    fn done(&mut self, what: &str, result: Result<(), OpenBaoError>) {
        self.add(what, result, |()| "done".to_owned());
    }
}

async fn walk(world: &World, tenant: &Tenant) -> Vec<String> {
    let mut outcomes = Outcomes::default();
    let app = world.token(&world.token);
    outcomes.done("tend", app.tend().await);
    outcomes.done("tend with an unknown token", world.token("s.unknown").tend().await);
    outcomes.done("tend without rights", world.token(&world.powerless).tend().await);
    connections(&mut outcomes, &app, tenant).await;
    roles(&mut outcomes, &app, &tenant.objects).await;
    leases(&mut outcomes, &app, &tenant.objects).await;
    log_ins(&mut outcomes, world).await;
    outcomes.0
}

fn connection_of(tenant: &Tenant, port: u16, password: &str) -> Connection {
    let TenantDatabase { connection, role, host, ssl_mode, database, .. } = &tenant.objects;
    Connection {
        name: connection.clone(),
        host: host.clone(),
        port,
        database: database.clone(),
        ssl_mode: *ssl_mode,
        username: tenant.provisioner.username.clone(),
        password: secret(password),
        allowed_roles: vec![role.clone()],
    }
}

async fn connections(outcomes: &mut Outcomes, app: &OpenBao, tenant: &Tenant) {
    let TenantDatabase { connection, port, .. } = &tenant.objects;
    let password = tenant.provisioner.password.expose();
    outcomes.add("no connection", app.find_connection(connection).await, |found| found.is_some().to_string());
    outcomes.done("allow roles of no connection", app.allow_roles(connection, &[]).await);
    outcomes.done("delete no connection", app.delete_connection(connection).await);
    outcomes.done("no database server", app.write_connection(&connection_of(tenant, 1, password)).await);
    outcomes.done("wrong password", app.write_connection(&connection_of(tenant, *port, "wrong")).await);
    outcomes.done("connect", app.write_connection(&connection_of(tenant, *port, password)).await);
    let shown = |found: Option<tenantry::openbao::FoundConnection>| {
        let found = found.unwrap();
        format!("{:?} {}", found.allowed_roles.len(), found.url.split('@').next().unwrap())
    };
    outcomes.add("connection", app.find_connection(connection).await, shown);
}

async fn roles(outcomes: &mut Outcomes, app: &OpenBao, objects: &TenantDatabase) {
    let of = |role: &str, connection: &str, statement: &str| DatabaseRole {
        name: name(role),
        connection: name(connection),
        creation: vec![statement.to_owned()],
        revocation: Vec::new(),
        default_ttl: Duration::from_secs(60),
        max_ttl: Duration::from_secs(120),
    };
    let connection = objects.connection.as_str();
    outcomes.add("no role", app.find_role(&objects.role).await, |found| found.is_some().to_string());
    outcomes.add("lease from no role", app.lease_credentials(&name("none")).await, |_| "leased".to_owned());
    outcomes.done("delete no role", app.delete_role(&objects.role).await);
    outcomes.done("a role that is not allowed", app.write_role(&of("stranger", connection, "CREATE ROLE x")).await);
    outcomes.add("lease from it", app.lease_credentials(&name("stranger")).await, |_| "leased".to_owned());
    outcomes.done("a role without a connection", app.write_role(&of("lost", "nothing", "CREATE ROLE x")).await);
    outcomes.add("lease from it", app.lease_credentials(&name("lost")).await, |_| "leased".to_owned());
    outcomes.done("a role with a wrong statement", app.write_role(&of(objects.role.as_str(), connection, "x")).await);
    outcomes.add("lease from it", app.lease_credentials(&objects.role).await, |_| "leased".to_owned());
}

async fn leases(outcomes: &mut Outcomes, app: &OpenBao, objects: &TenantDatabase) {
    let (connection, role) = (&objects.connection, &objects.role);
    let by = Duration::from_secs(7200);
    outcomes.add("renew no lease", app.renew_lease("database/creds/x/y", by).await, |_| "renewed".to_owned());
    outcomes.done("revoke no lease", app.revoke_lease("database/creds/x/y").await);
    outcomes.add("no lease", app.find_lease("database/creds/x/y").await, |found| found.is_some().to_string());
    let statement = format!(
        "CREATE ROLE \"{{{{name}}}}\" LOGIN PASSWORD '{{{{password}}}}' VALID UNTIL '{{{{expiration}}}}' IN ROLE \"{}\"",
        objects.owner
    );
    let written = DatabaseRole {
        name: role.clone(),
        connection: connection.clone(),
        creation: vec![statement],
        revocation: vec!["DROP ROLE IF EXISTS \"{{name}}\"".to_owned()],
        default_ttl: Duration::from_secs(3600),
        max_ttl: Duration::from_secs(7000),
    };
    outcomes.done("role", app.write_role(&written).await);
    let shown = |found: Option<tenantry::openbao::FoundRole>| {
        let found = found.unwrap();
        format!("{} {} {}", found.default_ttl, found.max_ttl, found.creation.len())
    };
    outcomes.add("role", app.find_role(role).await, shown);
    let leased = app.lease_credentials(role).await.unwrap();
    let lease = &leased.lease;
    outcomes.0.push(format!("leased: {:?} {}", lease.duration, lease.renewable));
    assert!(lease.id.starts_with(&format!("database/creds/{role}/")), "{lease:?}");
    let found = app.find_lease(&lease.id).await;
    outcomes.add("lease", found, |found| (found.unwrap().left <= lease.duration).to_string());
    let renewed = app.renew_lease(&lease.id, Duration::from_secs(5000)).await;
    outcomes.add("renew", renewed, |renewed| format!("{:?}", renewed.duration));
    outcomes.done("revoke", app.revoke_lease(&lease.id).await);
    outcomes.done("revoke again", app.revoke_lease(&lease.id).await);
    outcomes.add("renew it", app.renew_lease(&lease.id, by).await, |_| "renewed".to_owned());
    app.lease_credentials(role).await.unwrap();
    outcomes.done("stop leasing", tenant_role::stop_leasing(app, connection).await);
    outcomes.add("lease", app.lease_credentials(role).await, |_| "leased".to_owned());
    outcomes.done("tear down", tenant_role::tear_down(app, connection, role).await);
    outcomes.done("tear down again", tenant_role::tear_down(app, connection, role).await);
}

async fn log_ins(outcomes: &mut Outcomes, world: &World) {
    let of = |path: &PathBuf| SecretId::File(path.clone());
    let good = world.app(&world.role_id, of(&world.secret_id));
    outcomes.done("log in", good.tend().await);
    outcomes.done("log in with an unknown role", world.app("unknown", of(&world.secret_id)).tend().await);
    let other = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(other.path(), "other").unwrap();
    let wrong = world.app(&world.role_id, of(&other.path().to_owned()));
    outcomes.done("log in with a wrong secret id", wrong.tend().await);
    let wrapped = || world.app(&world.role_id, SecretId::WrappedFile(world.wrapped.clone()));
    outcomes.done("log in with a wrapped secret id", wrapped().tend().await);
    outcomes.done("log in with one that is used up", wrapped().tend().await);
}

/// The outcomes that both must have.
const WANTED: &str = "\
tend: done
tend with an unknown token: cannot look up the token: the server's token is missing, was revoked or has expired; can pass: false
tend without rights: cannot find the database secrets engine: the policy of the server's token does not allow it; can pass: false
no connection: false
allow roles of no connection: cannot change the roles that the database connection allows: the database connection does not exist in OpenBAO; can pass: false
delete no connection: done
no database server: cannot write the database connection: OpenBAO cannot reach the database server; can pass: true
wrong password: cannot write the database connection: the database server refused the login of the provisioner; can pass: false
connect: done
connection: 1 postgresql://{{username}}:{{password}}
no role: false
lease from no role: cannot lease database credentials: the database role does not exist in OpenBAO; can pass: false
delete no role: done
a role that is not allowed: done
lease from it: cannot lease database credentials: the database connection does not allow the role; can pass: false
a role without a connection: done
lease from it: cannot lease database credentials: the database connection does not exist in OpenBAO; can pass: false
a role with a wrong statement: done
lease from it: cannot lease database credentials: the database server refused a statement (SQLSTATE 42601); can pass: false
renew no lease: cannot renew the lease: the lease no longer exists; can pass: false
revoke no lease: done
no lease: false
role: done
role: 3600 7000 1
leased: 3600s true
lease: true
renew: 5000s
revoke: done
revoke again: done
renew it: cannot renew the lease: the lease no longer exists; can pass: false
stop leasing: done
lease: cannot lease database credentials: the database connection does not allow the role; can pass: false
tear down: done
tear down again: done
log in: done
log in with an unknown role: cannot log in to OpenBAO: OpenBAO refused the role id or the secret id; can pass: false
log in with a wrong secret id: cannot log in to OpenBAO: OpenBAO refused the role id or the secret id; can pass: false
log in with a wrapped secret id: done
log in with one that is used up: cannot unwrap the secret id: the wrapped secret id was already used or has expired; if nobody used it on purpose, it was stolen; can pass: false";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fake_and_the_real_server_have_the_same_outcomes() {
    let (bao, database) = (OpenBaoServer::start().await, Database::shared().await);
    let tenant = database.tenant().await;
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let token = bao.server_token().await;
    let lines = bao.bootstrap(&["approle"], "").await;
    let made = bao.admin(Method::POST, "auth/approle/role/tenantry/secret-id", json!({})).await;
    let nothing = json!({"policies": ["default"], "period": "1h", "no_parent": true});
    let powerless = bao.admin(Method::POST, "auth/token/create", nothing).await;
    let real = World {
        address: bao.address().to_owned(),
        token,
        powerless: powerless["auth"]["client_token"].as_str().unwrap().to_owned(),
        role_id: lines[0].clone(),
        secret_id: file("secret", made["data"]["secret_id"].as_str().unwrap()),
        wrapped: file("wrapped", &lines[1]),
    };
    let fake = Fake::start(tenant.provisioner.password.expose()).await;
    let imitated = World {
        address: fake.address(),
        token: fake::TOKEN.to_owned(),
        powerless: fake::POWERLESS.to_owned(),
        role_id: fake::ROLE_ID.to_owned(),
        secret_id: file("fake-secret", fake::SECRET_ID),
        wrapped: file("fake-wrapped", fake::WRAPPING),
    };
    for world in [&real, &imitated] {
        assert_eq!(walk(world, &tenant).await.join("\n"), WANTED, "{}", world.address);
    }
}
