//! The admission of a device by hand: the row of the session is committed together with those of waiting calls, and a grant is signed.
//! Nothing is read, authenticated or checked.

use std::path::Path;

use axum::{Json, Router, extract::State, http::Uri, routing::get};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer as _, SigningKey};
use rusqlite::{Connection, OpenFlags, params};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

pub const GRANT: &str = "/v1/gateway/runtime/client-admission-grant";
/// The most rows in one commit.
const GROUP: usize = 256;

/// The tables and indexes of sessions.
const SCHEMA: &str =
    "SELECT sql FROM sqlite_master WHERE tbl_name = 'access_sessions' AND sql IS NOT NULL ORDER BY rowid";
const INSERT: &str = "INSERT INTO access_sessions (tenant_id, id, gateway_id, pool_id, device_id, account_id, grant_id, client_ip, \
    auth_mode, policy_version, started_at, max_end, expires_at, reported_at, last_activity_at, bytes_in, bytes_out, counters, status, \
    end_reason, ended_at, end_reported, kill_requested_at) VALUES (?, ?, ?, ?, ?, NULL, ?, ?, 'B', 1, ?, ?, ?, NULL, ?, 0, 0, '{}', \
    'active', NULL, NULL, 0, NULL)";

type Waiting = (Uuid, Uuid, oneshot::Sender<()>);

/// The service.
#[derive(Clone)]
pub struct BareAdmissions {
    rows: mpsc::Sender<Waiting>,
    key: SigningKey,
}

impl BareAdmissions {
    /// A database with the table of the program, and a thread that writes to it.
    pub fn start(home: &Path) -> Self {
        let schema: Vec<String> = {
            let path = home.join(".tenantry/tenantry.db");
            let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the database");
            let mut query = db.prepare(SCHEMA).expect("a query");
            query.query_map([], |row| row.get(0)).and_then(Iterator::collect).expect("a read")
        };
        let db = Connection::open(home.join("twin.db")).expect("a database");
        db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF")
            .expect("settings");
        db.execute_batch(&schema.join(";")).expect("the table");
        let (rows, mut waiting) = mpsc::channel::<Waiting>(1024);
        std::thread::spawn(move || {
            let mut group = Vec::new();
            while waiting.blocking_recv_many(&mut group, GROUP) > 0 {
                db.execute_batch("BEGIN IMMEDIATE").expect("a transaction");
                for (session, grant, _) in &group {
                    insert(&db, *session, *grant);
                }
                db.execute_batch("COMMIT").expect("a commit");
                for (_, _, reply) in group.drain(..) {
                    let _ = reply.send(());
                }
            }
        });
        Self { rows, key: SigningKey::from_bytes(&rand::random()) }
    }

    pub fn routes(self) -> Router {
        Router::new().route(GRANT, get(admit)).with_state(self)
    }
}

fn insert(db: &Connection, session: Uuid, grant: Uuid) {
    let (nobody, now) = (Uuid::nil(), 1_700_000_000_000_000_i64);
    let mut statement = db.prepare_cached(INSERT).expect("a statement");
    let row = params![
        nobody.as_bytes(),
        session.as_bytes(),
        nobody.as_bytes(),
        nobody.as_bytes(),
        nobody.as_bytes(),
        grant.as_bytes(),
        "192.0.2.7",
        now,
        now,
        now,
        now
    ];
    statement.execute(row).expect("a row");
}

async fn admit(State(service): State<BareAdmissions>, uri: Uri) -> Json<Value> {
    let query = uri.query().unwrap_or_default();
    let parameter = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value).unwrap_or_default()
    };
    let (session, grant) = (Uuid::now_v7(), Uuid::now_v7());
    let (reply, written) = oneshot::channel();
    service.rows.send((session, grant, reply)).await.expect("the writer runs");
    written.await.expect("a commit");
    let claims = json!({
        "jti": grant.to_string(), "sid": session.to_string(), "sub": format!("device:{}", parameter("device_id")), "gw": "gw_1",
        "pool": "pool_1", "cnf": {"jkt": parameter("client_key")}, "pol": {"version": 1}, "max_end": 1, "iat": 1, "exp": 1,
    });
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(json!({"alg": "EdDSA", "typ": "grant+jwt", "kid": "1"})), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(service.key.sign(signed.as_bytes()).to_bytes());
    Json(json!({
        "decision": "allow", "reason": "ok", "grant": format!("{signed}.{signature}"), "session_id": session.to_string(),
        "expires_at": "2026-01-01T00:00:00Z", "recheck_after_seconds": 60,
    }))
}
