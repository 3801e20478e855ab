//! Sessions of the warehouse's administrators over REST: login and logout, in headers and in cookies, on both
//! databases.

use reqwest::Method;
use sea_orm::{
    ActiveValue::{Set, Unchanged},
    EntityTrait, IntoActiveModel,
};
use tenantry::{
    base::{Role, Secret, TenantScope},
    identity::{
        self, NewAccount, Password, Passwords, TotpState,
        totp::{self, totp_purpose},
    },
    store::{
        Exec, Kek, Sealer, Store, StoreConfig, UpdateRow,
        tables::{accounts, recovery_codes},
    },
    tenants::{self, NewTenant},
};

use crate::{
    db::{self, platform_cx},
    harness::{
        eventually, golden,
        http::{Answer, Http},
        server::{Server, Setup},
        talk::{Line, Transcript},
    },
};

#[rustfmt::skip]
const LOGIN: &[Line] = &[
    // Document 003.
    ("nobody", "POST", "/api/auth/login", Some(r#"{"username":"admin","password":"admin"}"#)),
    ("nobody", "POST", "/api/auth/login", Some(r#"{"username":"Admin","password":"admin","tenant":"  ","unknown":1}"#)),
    ("nobody", "POST", "/api/auth/login", Some(r#"{"username":"boss","password":"a password","tenant":"ACME"}"#)),
    ("nobody", "POST", "/api/auth/login", Some(r#"{"username":"boss@acme.example","password":"a password","tenant":"acme"}"#)),
    // Malformed requests.
    ("nobody", "POST", "/api/auth/login", Some(r#"{"username":"","password":"x"}"#)),
    ("nobody", "POST", "/api/auth/login", Some(r#"{"username":"admin","password":""}"#)),
    ("nobody", "POST", "/api/auth/login", Some(r#"{"username":"admin"}"#)),
    ("nobody", "POST", "/api/auth/login", Some(r#"{"username":"admin","password":7}"#)),
    ("nobody", "POST", "/api/auth/login", Some("{")),
    ("nobody", "POST", "/api/auth/login", None),
    ("nobody", "GET", "/api/auth/login", None),
    // The same error for every reason.
    ("nobody", "POST", "/api/auth/login", Some(r#"{"username":"admin","password":"wrong"}"#)),
    ("nobody", "POST", "/api/auth/login", Some(r#"{"username":"nobody","password":"wrong"}"#)),
    ("nobody", "POST", "/api/auth/login", Some(r#"{"username":"boss","password":"a password"}"#)),
    ("nobody", "POST", "/api/auth/login", Some(r#"{"username":"boss","password":"a password","tenant":"missing"}"#)),
    ("nobody", "POST", "/api/auth/login", Some(r#"{"username":"admin","password":"admin","tenant":"acme"}"#)),
    // Users without an administrator role, or who have to do something else first.
    ("nobody", "POST", "/api/auth/login", Some(r#"{"username":"clerk","password":"a password","tenant":"acme"}"#)),
    ("nobody", "POST", "/api/auth/login", Some(r#"{"username":"fresh","password":"a password","tenant":"acme"}"#)),
    ("nobody", "POST", "/api/auth/login", Some(r#"{"username":"careful","password":"a password","tenant":"acme"}"#)),
    ("nobody", "POST", "/api/auth/login", Some(r#"{"username":"careful","password":"a password","tenant":"acme","code":"wrong-codes"}"#)),
    ("nobody", "POST", "/api/auth/login", Some(r#"{"username":"careful","password":"a password","tenant":"acme","code":"ABCDE fghjk"}"#)),
    ("nobody", "POST", "/api/auth/login", Some(r#"{"username":"careful","password":"a password","tenant":"acme","code":"abcde-fghjk"}"#)),
    // whoami.
    ("session of admin", "GET", "/api/auth/whoami", None),
    ("session of boss", "GET", "/api/auth/whoami", None),
    ("session of boss", "GET", "/api/tenant/list", None),
    ("key", "GET", "/api/auth/whoami", None),
    ("minted reader", "GET", "/api/auth/whoami", None),
    ("nobody", "GET", "/api/auth/whoami", None),
    // Sessions are valid only on this surface.
    ("bearer of admin", "GET", "/api/tenant/list", None),
    ("bearer of admin", "GET", "/admin/v2/tenants", None),
    ("bearer of admin", "GET", "/v1/tenants", None),
    ("bearer of admin", "GET", "/api/control-plane/tenants", None),
    // Logout.
    ("key", "POST", "/api/auth/logout", None),
    ("nobody", "POST", "/api/auth/logout", None),
    ("session of boss", "POST", "/api/auth/logout", Some("{}")),
    ("session of boss", "GET", "/api/auth/whoami", None),
    ("session of boss", "POST", "/api/auth/logout", None),
    ("session of admin", "POST", "/api/auth/logout", None),
];

#[tokio::test]
async fn sessions_answer_as_documented_on_sqlite() {
    let setup = Setup::dev();
    let url = format!("sqlite:{}", setup.home().join("warehouse.db").display());
    golden::check("warehouse/login.txt", &run_conversation(setup, url).await);
}

#[tokio::test]
async fn sessions_answer_as_documented_on_postgres() {
    golden::check("warehouse/login.txt", &run_conversation(Setup::dev(), db::postgres_unmigrated().await).await);
}

async fn run_conversation(setup: Setup, url: String) -> String {
    let server = with_users(setup, &url).await;
    let (mut talk, mut sessions) = (Transcript::default(), Vec::new());
    for line in LOGIN {
        let session = |name: &str| {
            let found = sessions.iter().find(|(user, _)| user == name);
            server.http().header("x-api-key", found.map(|(_, token): &(String, String)| token.as_str()).unwrap())
        };
        let http = match line.0 {
            "nobody" => server.http(),
            "key" => server.http().header("x-api-key", "letmein"),
            "session of admin" => session("admin"),
            "session of boss" => session("boss"),
            "bearer of admin" => {
                let found = sessions.iter().find(|(user, _)| user == "admin");
                server.http().token(found.map(|(_, token): &(String, String)| token.as_str()).unwrap())
            }
            _ => {
                let reader = ["--role", "read_only", "--tenant", "acme", "--sub", "a/reader"];
                server.http().token(server.setup().mint(&reader).await)
            }
        };
        let answer = talk.say(&http, line).await;
        if answer.status == 200 && line.2 == "/api/auth/login" {
            let told = answer.json();
            let text = |member: &str| told[member].as_str().unwrap().to_owned();
            sessions.push((text("username"), text("token")));
        }
    }
    talk.end()
}

/// A server with a tenant `acme` and its users: `boss` administers it, `clerk` does not, `fresh` has to change
/// the password, `careful` has a second factor and one recovery code.
async fn with_users(setup: Setup, url: &str) -> Server {
    let kek = Kek::generate();
    let store = Store::open(StoreConfig::new(url)).await.unwrap();
    store.migrate(|_| ()).await.unwrap();
    let acme = tenant(&store).await;
    account(&store, acme, "boss", Role::Admin).await;
    account(&store, acme, "clerk", Role::User).await;
    let fresh = account(&store, acme, "fresh", Role::Admin).await;
    let careful = account(&store, acme, "careful", Role::Admin).await;
    let sealer = Sealer::new(store.clone(), Some(Kek::from_base64(&kek).unwrap().into()));
    let secret = sealer.seal(Some(acme.tenant()), &totp_purpose(careful), &[7; 20]).await.unwrap();
    let cx = platform_cx("account.update");
    let changed = crate::db::write(&store, &cx, move |tx| {
        let secret = secret.clone();
        Box::pin(async move {
            let row = |id| accounts::ActiveModel { id: Unchanged(id), ..Default::default() };
            accounts::ActiveModel { must_change: Set(true), ..row(fresh) }.update_row(tx.conn()).await?;
            let (totp_state, totp_secret) = (Set(TotpState::Enabled), Set(Some(secret)));
            accounts::ActiveModel { totp_state, totp_secret, ..row(careful) }.update_row(tx.conn()).await?;
            let (account_id, code_hash) = (careful, totp::recovery_hash("abcde-fghjk"));
            let code = recovery_codes::Model { account_id, code_hash, created_at: tx.now().into() };
            recovery_codes::Entity::insert(code.into_active_model()).run(tx.conn()).await?;
            Ok(())
        })
    });
    changed.await.unwrap();
    store.close().await;
    let setup = setup.database(url).env("TENANTRY_KEK", kek.expose()).env("QOD_API_KEY", "letmein");
    let setup = setup.env("KUBEOP_REQUIRE_AUTH", "true");
    let server = setup.start().await;
    // The administrator's account is created while the server already responds.
    eventually("the administrator's account", async || {
        (log_in(&server.http(), ADMIN).await.status == 200).then_some(())
    })
    .await;
    server
}

const ADMIN: &str = r#"{"username":"admin","password":"admin"}"#;
const BOSS: &str = r#"{"username":"boss","password":"a password","tenant":"acme"}"#;

async fn tenant(store: &Store) -> TenantScope {
    let cx = platform_cx("tenant.create");
    let made = crate::db::write(store, &cx, move |tx| {
        let new = NewTenant::named("acme".parse().unwrap());
        Box::pin(async move { Ok(tenants::insert(tx, &new, None).await?.1) })
    });
    made.await.unwrap()
}

async fn account(store: &Store, tenant: TenantScope, name: &str, role: Role) -> uuid::Uuid {
    let password = Password::kept(Secret::new("a password".to_owned()));
    let email = Some(identity::Email::read(&format!("{name}@acme.example")).unwrap());
    let new = NewAccount { email, ..NewAccount::login(Some(tenant), name, password, role) };
    identity::create_account(store, &Passwords::new(1), &platform_cx("account.create"), new).await.unwrap()
}

async fn log_in(http: &Http, body: &str) -> Answer {
    http.call(Method::POST, "/api/auth/login", Some(body)).await
}

#[tokio::test]
async fn a_page_needs_its_cookie_and_its_csrf_token() {
    let setup = Setup::dev();
    let url = format!("sqlite:{}", setup.home().join("warehouse.db").display());
    let server = with_users(setup, &url).await;
    let answer = log_in(&server.http(), BOSS).await;
    let set = answer.header("set-cookie").unwrap().to_owned();
    let token = answer.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(set, format!("qod_session={token}; HttpOnly; SameSite=Strict; Path=/api; Max-Age=28800"));

    let csrf = answer.json()["csrfToken"].as_str().unwrap().to_owned();
    let page = || server.http().header("cookie", &format!("qod_session={token}"));
    let who = page().get("/api/auth/whoami").await;
    assert_eq!(who.json()["csrfToken"].as_str(), Some(csrf.as_str()));
    let disable = r#"{"name":"acme","disabled":false}"#;
    let change = async |http: Http| http.call(Method::POST, "/api/tenant/setDisabled", Some(disable)).await;
    let refused = change(page()).await;
    assert_eq!((refused.status, refused.json()["error"].as_str()), (403, Some("csrf_token_invalid")));
    let foreign = page().header("x-csrf-token", &csrf).header("origin", "https://evil.example");
    let refused = change(foreign).await;
    assert_eq!((refused.status, refused.json()["error"].as_str()), (403, Some("origin_refused")));
    assert_eq!(change(page().header("x-csrf-token", &csrf)).await.status, 200);
    // The header takes precedence over the cookie.
    assert_eq!(page().header("x-api-key", "wrong").get("/api/auth/whoami").await.status, 401);
    // A login ignores cookies.
    assert_eq!(log_in(&page(), BOSS).await.status, 200);

    let out = page().header("x-csrf-token", &csrf).call(Method::POST, "/api/auth/logout", None).await;
    assert_eq!((out.status, out.body.as_str()), (200, ""));
    let cleared = "qod_session=; HttpOnly; SameSite=Strict; Path=/api; Max-Age=0";
    assert_eq!(out.header("set-cookie"), Some(cleared));
    assert_eq!(page().get("/api/auth/whoami").await.status, 401);
}

#[tokio::test]
async fn a_suspended_tenants_administrator_can_read_the_session_and_lift_the_suspension() {
    let setup = Setup::dev();
    let url = format!("sqlite:{}", setup.home().join("warehouse.db").display());
    let server = with_users(setup, &url).await;
    let token = log_in(&server.http(), BOSS).await.json()["token"].as_str().unwrap().to_owned();
    let boss = server.http().header("x-api-key", &token);
    let disable = async |disabled: bool| {
        let body = format!(r#"{{"name":"acme","disabled":{disabled}}}"#);
        boss.call(Method::POST, "/api/tenant/setDisabled", Some(&body)).await.status
    };
    assert_eq!(disable(true).await, 200);
    assert_eq!(log_in(&server.http(), BOSS).await.status, 401, "a new login must be refused");
    assert_eq!(boss.get("/api/tenant/list").await.status, 403);
    assert_eq!(boss.get("/api/auth/whoami").await.status, 200);
    assert_eq!(disable(false).await, 200);
    assert_eq!(boss.get("/api/tenant/list").await.status, 200);
}

#[tokio::test]
async fn too_many_failures_return_a_retry_time() {
    let server = Server::dev().await;
    let wrong = r#"{"username":"nobody","password":"wrong"}"#;
    for _ in 0..6 {
        assert_eq!(log_in(&server.http(), wrong).await.status, 401);
    }
    let mut at_once = tokio::task::JoinSet::new();
    let attempt = |http| async move { log_in(&http, wrong).await };
    for _ in 0..40 {
        at_once.spawn(attempt(server.http()));
    }
    let mut seen = 0;
    let refused = loop {
        let answer = at_once.join_next().await.expect("a refused login").unwrap();
        let seconds: Option<u64> = answer.header("retry-after").map(|seconds| seconds.parse().unwrap());
        match (answer.status, seconds) {
            (429, Some(11..)) => break answer,
            // On a busy machine more attempts may be concurrent than an address is allowed: they are repeated.
            (429, Some(_)) => _ = at_once.spawn(attempt(server.http())),
            _ => {}
        }
        seen += 1;
        assert!(seen < 1000, "{answer:?}");
    };
    assert_eq!(refused.json()["error"], "too_many_attempts");
}
