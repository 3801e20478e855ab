//! A fake of OpenBAO for faults. `conformance.rs` makes the same calls to it and to the real server.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Method, Response, Uri},
};
use futures::stream;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

/// The token that has all rights, one whose policy allows nothing, and the credential of the role.
pub const TOKEN: &str = "s.fake-server";
pub const POWERLESS: &str = "s.fake-powerless";
pub const ROLE_ID: &str = "fake-role";
pub const SECRET_ID: &str = "fake-secret";
pub const WRAPPING: &str = "s.fake-wrapping";
/// The port on which no database server listens, and the password that the database server accepts.
pub const CLOSED_PORT: &str = ":1/";

/// What happens to one of the next calls.
pub enum Fault {
    /// This status and error text.
    Refuse(u16, &'static str),
    /// This status and body.
    Raw(u16, &'static str),
    /// No response at all.
    Silence,
    /// The connection ends in the middle of the response.
    Cut,
}

/// A running fake, which stops on drop.
pub struct Fake {
    address: SocketAddr,
    state: Arc<Mutex<Store>>,
    serving: JoinHandle<()>,
}

#[derive(Default)]
struct Store {
    password: String,
    connections: BTreeMap<String, Value>,
    roles: BTreeMap<String, Value>,
    /// The role of each lease.
    leases: BTreeMap<String, String>,
    unwrapped: bool,
    count: u32,
    /// Faults of the next calls, by the beginning of their path.
    faults: HashMap<&'static str, VecDeque<Fault>>,
    calls: Vec<String>,
}

impl Fake {
    /// Starts a fake. Connections to a database need this password.
    pub async fn start(password: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(Store { password: password.to_owned(), ..Store::default() }));
        let router = Router::new().fallback(respond).with_state(state.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, state, serving }
    }

    pub fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Adds a fault to the next call whose path begins with this.
    pub fn fault(&self, path: &'static str, fault: Fault) {
        self.state().faults.entry(path).or_default().push_back(fault);
    }

    /// Adds a connection and a role, whose logins are valid for this many seconds.
    pub fn role(&self, connection: &str, role: &str, ttl: u64) {
        let mut store = self.state();
        let details = json!({"connection_url": "", "username": ""});
        store
            .connections
            .insert(connection.to_owned(), json!({"allowed_roles": [role], "connection_details": details}));
        let row = json!({"db_name": connection, "creation_statements": ["CREATE ROLE x"], "revocation_statements": [],
            "default_ttl": ttl, "max_ttl": 86_400});
        store.roles.insert(role.to_owned(), row);
    }

    /// The calls whose path begins with this.
    pub fn calls(&self, path: &str) -> usize {
        self.state().calls.iter().filter(|call| call.starts_with(path)).count()
    }

    fn state(&self) -> MutexGuard<'_, Store> {
        self.state.lock().unwrap()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn respond(
    State(state): State<Arc<Mutex<Store>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let path = uri.path().strip_prefix("/v1/").unwrap_or_default().to_owned();
    let fault = {
        let mut store = state.lock().unwrap();
        store.calls.push(path.clone());
        store.faults.iter_mut().find(|(start, _)| path.starts_with(**start)).and_then(|(_, faults)| faults.pop_front())
    };
    match fault {
        None => {}
        Some(Fault::Refuse(status, text)) => return json_of(status, &errors(text)),
        Some(Fault::Raw(status, text)) => {
            return Response::builder().status(status).header("location", "/elsewhere").body(Body::from(text)).unwrap();
        }
        Some(Fault::Silence) => std::future::pending().await,
        Some(Fault::Cut) => {
            let parts = [Ok(Bytes::from_static(b"{\"data\":")), Err(std::io::Error::other("cut"))];
            return Response::new(Body::from_stream(stream::iter(parts)));
        }
    }
    let token = headers.get("x-vault-token").map(|value| value.to_str().unwrap()).unwrap_or_default();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let (status, body) = state.lock().unwrap().call(&method, &path, token, &body);
    json_of(status, &body)
}

fn json_of(status: u16, body: &Value) -> Response<Body> {
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    Response::builder().status(status).body(body).unwrap()
}

fn errors(text: &str) -> Value {
    if text.is_empty() { json!({"errors": []}) } else { json!({"errors": [text]}) }
}

type Answer = (u16, Value);

const DONE: Answer = (204, Value::Null);

fn refuse(status: u16, text: &str) -> Answer {
    (status, errors(text))
}

impl Store {
    fn call(&mut self, method: &Method, path: &str, token: &str, body: &Value) -> Answer {
        let parts: Vec<_> = path.split('/').collect();
        if path == "sys/health" {
            return (200, json!({"initialized": true, "sealed": false, "standby": false}));
        }
        match parts.as_slice() {
            ["auth", "approle", "login"] => return log_in(body),
            ["sys", "wrapping", "unwrap"] => return self.unwrap(token),
            _ => {}
        }
        match token {
            TOKEN => {}
            POWERLESS if parts[0] == "auth" => {}
            POWERLESS => return refuse(403, "1 error occurred:\n\t* permission denied\n\n"),
            _ => return refuse(403, "permission denied"),
        }
        match (method.as_str(), parts.as_slice()) {
            ("GET", ["auth", "token", "lookup-self"]) => (
                200,
                json!({"data": {"ttl": 3600, "creation_ttl": 3600, "period": 3600, "renewable": true, "orphan": true,
                    "policies": ["tenantry"], "expire_time": "2030-01-01T00:00:00Z"}}),
            ),
            ("POST", ["auth", "token", "renew-self"]) => {
                (200, json!({"auth": {"client_token": token, "lease_duration": 3600}}))
            }
            ("GET", ["sys", "mounts", "database"]) => (200, json!({"data": {"type": "database"}})),
            ("PUT", ["sys", "leases", action]) => self.lease_call(action, body),
            ("PUT", ["sys", "leases", "revoke-prefix", rest @ ..]) => {
                let prefix = rest.join("/");
                self.leases.retain(|lease, _| !lease.starts_with(&prefix));
                DONE
            }
            (method, ["database", kind, name]) => self.database(method, kind, name, body),
            _ => refuse(404, &format!("no handler for route \"{path}\". route entry not found.")),
        }
    }

    fn unwrap(&mut self, token: &str) -> Answer {
        if token != WRAPPING || std::mem::replace(&mut self.unwrapped, true) {
            return refuse(400, "wrapping token is not valid or does not exist");
        }
        (200, json!({"data": {"secret_id": SECRET_ID}}))
    }

    fn database(&mut self, method: &str, kind: &str, name: &str, body: &Value) -> Answer {
        match (method, kind) {
            ("POST", "config") => self.write_connection(name, body),
            ("GET", "config") => match self.connections.get(name) {
                Some(found) => (200, json!({"data": found})),
                None => refuse(404, ""),
            },
            ("DELETE", "config") => {
                self.connections.remove(name);
                DONE
            }
            ("POST", "roles") if body["db_name"] == "" => refuse(400, "database name is required"),
            ("POST", "roles") => {
                self.roles.insert(name.to_owned(), body.clone());
                DONE
            }
            ("GET", "roles") => match self.roles.get(name) {
                Some(found) => (200, json!({"data": found})),
                None => refuse(404, ""),
            },
            ("DELETE", "roles") => {
                self.roles.remove(name);
                DONE
            }
            ("GET", "creds") => self.lease(name),
            _ => refuse(405, "1 error occurred:\n\t* unsupported operation\n\n"),
        }
    }

    fn write_connection(&mut self, name: &str, body: &Value) -> Answer {
        let Some(url) = body["connection_url"].as_str() else {
            let Some(found) = self.connections.get_mut(name) else { return refuse(400, "empty plugin name") };
            found["allowed_roles"] = body["allowed_roles"].clone();
            return DONE;
        };
        let failed = "error creating database object: error verifying connection: failed to connect to ";
        if url.contains(CLOSED_PORT) {
            return refuse(
                400,
                &format!("{failed}`user=x`: dial error: dial tcp 127.0.0.1:1: connect: connection refused"),
            );
        }
        if body["password"] != self.password.as_str() {
            let why = "failed SASL auth: FATAL: password authentication failed for user \"x\" (SQLSTATE 28P01)";
            return refuse(400, &format!("{failed}{why}"));
        }
        let details = json!({"connection_url": url, "username": body["username"]});
        let found = json!({"allowed_roles": body["allowed_roles"], "connection_details": details});
        self.connections.insert(name.to_owned(), found);
        DONE
    }

    fn lease(&mut self, name: &str) -> Answer {
        let Some(role) = self.roles.get(name) else { return refuse(400, &format!("unknown role: {name}")) };
        let wrong = |text: String| refuse(500, &format!("1 error occurred:\n\t* {text}\n\n"));
        let connection = role["db_name"].as_str().unwrap();
        let Some(found) = self.connections.get(connection) else {
            return wrong(format!("failed to find entry for connection with name: \"{connection}\""));
        };
        if !found["allowed_roles"].as_array().unwrap().iter().any(|allowed| allowed == name) {
            return wrong(format!("\"{name}\" is not an allowed role"));
        }
        let statement = role["creation_statements"][0].as_str().unwrap_or_default();
        if !statement.starts_with("CREATE ROLE") {
            return wrong("ERROR: syntax error at or near \"x\" (SQLSTATE 42601)".to_owned());
        }
        self.count += 1;
        let id = format!("database/creds/{name}/{}", self.count);
        let data = json!({"username": format!("v-{}", self.count), "password": "fake-password"});
        self.leases.insert(id.clone(), name.to_owned());
        (200, json!({"lease_id": id, "lease_duration": role["default_ttl"], "renewable": true, "data": data}))
    }

    fn lease_call(&mut self, action: &str, body: &Value) -> Answer {
        let id = body["lease_id"].as_str().unwrap_or_default();
        let Some(name) = self.leases.get(id).cloned() else {
            return match action {
                "renew" => refuse(400, "lease not found"),
                "revoke" => DONE,
                _ => refuse(400, "invalid lease"),
            };
        };
        match action {
            "renew" => {
                let Some(role) = self.roles.get(&name) else {
                    let text = format!("error during renew: could not find role with name \"{name}\"");
                    return refuse(400, &format!("failed to renew entry: resp: (*logical.Response)(nil) err: {text}"));
                };
                let granted = body["increment"].as_u64().unwrap().min(role["max_ttl"].as_u64().unwrap());
                (200, json!({"lease_id": id, "lease_duration": granted, "renewable": true}))
            }
            "revoke" => {
                let connection = self.roles.get(&name).and_then(|role| role["db_name"].as_str());
                if connection.is_none_or(|connection| !self.connections.contains_key(connection)) {
                    let text = "failed to find entry for connection with name: \"x\"";
                    return refuse(400, &format!("failed to revoke entry: resp: (*logical.Response)(nil) err: {text}"));
                }
                self.leases.remove(id);
                DONE
            }
            _ => (200, json!({"data": {"ttl": 3599, "renewable": true}})),
        }
    }
}

fn log_in(body: &Value) -> Answer {
    if body["role_id"] == ROLE_ID && body["secret_id"] == SECRET_ID {
        return (200, json!({"auth": {"client_token": TOKEN, "lease_duration": 3600}}));
    }
    refuse(400, "invalid role or secret ID")
}
