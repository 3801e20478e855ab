//! Test cases in a file: calls, each with the calls that prepare it.

use std::{
    collections::BTreeMap,
    fs,
    net::Ipv4Addr,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use prost_reflect::{DynamicMessage, MethodDescriptor, Value};
use sea_orm::{Database, DatabaseConnection};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    enroll::{self, DpopKey},
    fleet,
    grpc::{self, Grpc},
    json as messages,
    openbao::OpenBaoServer,
    operations, root, rotations,
    server::{Server, Setup},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cases {
    /// Calls that many cases begin with, by name.
    pub preludes: BTreeMap<String, Vec<Step>>,
    pub cases: Vec<Case>,
    /// Fields without an effect, with the explanation and its source.
    pub explained: BTreeMap<String, String>,
}

/// A call whose fields are left out one at a time.
#[derive(Deserialize)]
pub struct Case {
    #[serde(flatten)]
    pub step: Step,
    /// The preparation: preludes and calls.
    #[serde(default)]
    pub before: Vec<Before>,
    /// What is read afterwards.
    #[serde(default)]
    pub after: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub enum Before {
    Prelude(String),
    Step(Step),
}

/// A call. `$name` in its texts is a value taken from an earlier response; `$T` is a tag unique to the run, `$W` one of the world, for
/// names on servers that worlds share, and `$CSR` a certificate signing request of the run. The time `$NOW` is the present, and the text
/// `$SOON` the time in an hour.
#[derive(Deserialize)]
pub struct Step {
    /// Service and method, relative to `tenantry.`; `rows/device` and `rows/gateway` insert the rows of an enrolled one,
    /// `rows/operation` that of an operation, and `rows/aged_rotations` moves all rotations of keys an hour back.
    pub call: String,
    pub request: Json,
    /// The token; defaults to the platform administrator's. `dpop ` before it is a device token of the last `proof`.
    #[serde(default, rename = "as")]
    pub token: Option<String>,
    /// Values to take from the response, by JSON pointer. `totp ` before a pointer computes a code from the secret
    /// there; `proof ` signs the enrollment token there with the nonce `$T` and a new Ed25519 key, which
    /// becomes `$x`.
    #[serde(default)]
    pub take: BTreeMap<String, String>,
}

/// Values taken from earlier responses of a run, by name.
pub type Taken = BTreeMap<String, Json>;

/// A server, and a connection to its database.
pub struct World {
    server: Server,
    /// Leases the logins of the databases of tenants.
    _openbao: OpenBaoServer,
    grpc: Grpc,
    /// Number of runs started.
    runs: AtomicU32,
    /// Unique among the worlds that use the same database server of tenants.
    tag: String,
    pub db: DatabaseConnection,
    pub methods: BTreeMap<String, MethodDescriptor>,
    preludes: BTreeMap<String, Vec<Step>>,
}

/// Reads a file of cases.
pub fn read(name: &str) -> Cases {
    let text = fs::read_to_string(root().join("tests/data").join(name)).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

impl World {
    /// Starts a server for cases with these preludes.
    pub async fn start(preludes: BTreeMap<String, Vec<Step>>) -> Self {
        // Hashing passwords is slow, and a busy machine must not make the test fail.
        let provisioner = std::env::var("TENANTRY_TEST_POSTGRES_URL").expect("scripts/with-postgres sets it");
        let openbao = OpenBaoServer::start().await;
        let setup = Setup::dev()
            .env("TENANTRY_REQUEST_TIMEOUT", "5m")
            .env("TENANTRY_TRUSTED_PROXIES", "127.0.0.1")
            .env("TENANTRY_PROVISIONER_URL", provisioner)
            .env("TENANTRY_PROVISION_TIMEOUT", "5m")
            .env("TENANTRY_OPENBAO_ADDR", openbao.address())
            .env("TENANTRY_OPENBAO_TOKEN", openbao.server_token().await)
            .env("TENANTRY_OPENBAO_TIMEOUT", "5m")
            .env("TENANTRY_SELF_SERVICE_PROVISIONING", "true");
        let server = setup.start().await;
        let url = format!("sqlite:{}", server.setup().data_dir().join("tenantry.db").display());
        let methods = grpc::methods().into_iter().map(|method| (short(&method), method)).collect();
        let (grpc, db) = (Grpc::new(server.address()), Database::connect(url).await.unwrap());
        let tag = format!("w{:08x}", rand::random::<u32>());
        Self { server, _openbao: openbao, grpc, runs: AtomicU32::new(0), tag, db, methods, preludes }
    }

    /// Makes the preparing calls of a case. Each run has its own client address, so that failed logins of one run
    /// do not slow down the others.
    pub async fn begin(&self, case: &Case, tag: &str) -> (Grpc, Taken) {
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        let grpc = self.grpc.clone().client(Ipv4Addr::from_bits(0x0a00_0001 + run).to_string());
        let (csr, soon) = (Json::from(enroll::csr()), Json::from(soon()));
        let given = [("T", Json::from(tag)), ("W", Json::from(self.tag.as_str())), ("CSR", csr), ("SOON", soon)];
        let mut taken: Taken = given.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        for before in &case.before {
            let steps = match before {
                Before::Prelude(name) => self.preludes[name].as_slice(),
                Before::Step(step) => std::slice::from_ref(step),
            };
            for step in steps {
                let made = self.step(&grpc, step, &mut taken, "").await;
                assert!(made.get("error").is_none(), "{} {}: {made}", step.call, step.request);
            }
        }
        (grpc, taken)
    }

    /// Makes a call, and takes values from its response.
    pub async fn step(&self, grpc: &Grpc, step: &Step, taken: &mut Taken, without: &str) -> Json {
        let request = filled(&step.request, taken);
        if step.call == "rows/aged_rotations" {
            rotations::age(&self.db, Duration::from_secs(3600)).await;
            return Json::Null;
        }
        if let Some(kind) = step.call.strip_prefix("rows/") {
            let answer = match kind {
                "operation" => operations::insert(&self.db, &request).await,
                _ => fleet::enroll(&self.db, kind, &request).await,
            };
            take(step, &answer, taken);
            return answer;
        }
        let mut message = self.message(step, &request);
        if !without.is_empty() {
            clear(&mut message, without);
        }
        let token = step.token.as_ref().map(|token| filled(&Json::from(token.as_str()), taken));
        let token = token.map_or_else(|| self.server.admin_token(), |token| token.as_str().unwrap().to_owned());
        let grpc = match token.strip_prefix("dpop ") {
            None => grpc.clone().token(token),
            Some(token) => {
                let key = DpopKey::of_seed(taken["seed"].as_str().unwrap());
                // A proxy that reports no scheme has TLS.
                grpc.clone().enrolled(key, token, format!("https://{}", self.server.address()))
            }
        };
        match grpc.call(&self.methods[&step.call], message).await {
            Ok(answer) => {
                let answer = messages::shown(&answer);
                take(step, &answer, taken);
                answer
            }
            Err(status) => json!({"error": format!("{:?}", status.code()), "text": status.message()}),
        }
    }

    pub fn message(&self, step: &Step, request: &Json) -> DynamicMessage {
        let method = self.methods.get(&step.call).unwrap_or_else(|| panic!("there is no {}", step.call));
        messages::message(&method.input(), request)
    }
}

/// The time in an hour.
fn soon() -> String {
    (OffsetDateTime::now_utc() + Duration::from_secs(3600)).format(&Rfc3339).unwrap()
}

/// Takes the values of a step from its response.
fn take(step: &Step, answer: &Json, taken: &mut Taken) {
    for (name, place) in &step.take {
        let (how, place) = place.split_once(' ').unwrap_or(("", place));
        let Some(value) = answer.pointer(place) else { continue };
        let value = match how {
            "totp" => totp(value.as_str().unwrap()).into(),
            "proof" => {
                let key = DpopKey::generate();
                taken.insert("x".to_owned(), key.jwk()["x"].clone());
                taken.insert("seed".to_owned(), key.seed().into());
                key.proof_of_token(value.as_str().unwrap(), taken["T"].as_str()).into()
            }
            _ => value.clone(),
        };
        taken.insert(name.clone(), value);
    }
}

/// The name of a method as in the cases.
pub fn short(method: &MethodDescriptor) -> String {
    let service = method.parent_service();
    format!("{}/{}", service.full_name().trim_start_matches("tenantry."), method.name())
}

/// Replaces the names of taken values in a request.
pub fn filled(request: &Json, taken: &Taken) -> Json {
    match request {
        Json::String(text) => {
            if let Some(whole) = text.strip_prefix('$').and_then(|name| taken.get(name)) {
                return whole.clone();
            }
            // Longer names first, because one may be a prefix of another.
            let mut names: Vec<_> = taken.iter().collect();
            names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
            let text = names.into_iter().fold(text.clone(), |text, (name, value)| {
                text.replace(&format!("${name}"), value.as_str().unwrap_or_default())
            });
            Json::from(text)
        }
        Json::Array(items) => items.iter().map(|item| filled(item, taken)).collect(),
        Json::Object(members) => members.iter().map(|(name, value)| (name.clone(), filled(value, taken))).collect(),
        other => other.clone(),
    }
}

fn totp(secret: &str) -> String {
    let secret = totp_rs::Secret::try_from_base32(secret).unwrap();
    totp_rs::Builder::new().with_secret(secret).build().unwrap().generate_current().to_string()
}

/// Clears a field.
fn clear(message: &mut DynamicMessage, path: &str) {
    let (name, rest) = path.split_once('.').unwrap_or((path, ""));
    if rest.is_empty() {
        return message.clear_field_by_name(name);
    }
    match message.get_field_by_name_mut(name.trim_end_matches("{}")).unwrap() {
        Value::Message(inner) => clear(inner, rest),
        Value::Map(entries) => entries.values_mut().for_each(|value| {
            if let Value::Message(inner) = value {
                clear(inner, rest);
            }
        }),
        other => panic!("{path} leads through {other:?}"),
    }
}
