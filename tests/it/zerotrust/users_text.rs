//! User-supplied text over the wire: names, addresses, passwords and codes are the same in every spelling, and
//! invisible characters are refused, on every surface and on both databases.

use reqwest::Method;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};
use tenantry::store::{Exec, tables::accounts};

use crate::{
    db::{self, TestDb},
    harness::{
        http::{Answer, Http},
        server::{Server, Setup},
    },
};

const TENANT: &str = "/v1/admin/tenants/lifecycle";
const USER: &str = "/v1/admin/users/lifecycle";
const GROUP: &str = "/v1/admin/groups/lifecycle";
const LOGIN: &str = "/v1/admin/login";
const IDENTITY: &str = "/api/control-plane/users";

/// Texts that look like another one or like nothing, each with the offending character.
const HIDDEN: [(&str, &str); 8] = [
    ("\u{200b}", "U+200B"),
    ("\u{3164}", "U+3164"),
    ("\u{2800}", "U+2800"),
    ("Acme\u{202e}emca", "U+202E"),
    ("ac\u{ad}me", "U+00AD"),
    ("\u{feff}acme", "U+FEFF"),
    ("acme\u{e0041}", "U+E0041"),
    ("a\u{200d}b", "U+200D"),
];

async fn post(http: &Http, path: &str, body: Value) -> Answer {
    http.call(Method::POST, path, Some(&body.to_string())).await
}

/// A server with the tenant `acme`.
async fn serve(url: &str) -> Server {
    let server = Setup::dev().database(url).start().await;
    let made = post(&server.admin(), TENANT, json!({"action": "create", "slug": "acme"})).await;
    assert_eq!(made.status, 201, "{made:?}");
    server
}

async fn user(http: &Http, id: &str, more: Value) -> Answer {
    let mut body =
        json!({"action": "create", "tenant_id": "acme", "user_id": id, "email": format!("{id}@example.com")});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    post(http, USER, body).await
}

async fn log_in(server: &Server, user: &str, password: &str, code: Option<&str>) -> Answer {
    post(&server.http(), LOGIN, json!({"tenant": "acme", "user": user, "password": password, "code": code})).await
}

/// The number of users that a search finds.
async fn found(http: &Http, text: &str) -> Value {
    let query: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
    http.get(&format!("/v1/admin/users?tenant_id=acme&q={query}")).await.json()["total"].clone()
}

/// Searches are independent of case and normal form.
async fn searches(url: &str) {
    let server = serve(url).await;
    let admin = server.admin();
    let name = "\u{c9}LODIE \u{c4}nderung";
    assert_eq!(user(&admin, "elo", json!({"display_name": name})).await.status, 201);
    assert_eq!(user(&admin, "bob", json!({"display_name": "Hans Stra\u{df}e"})).await.status, 201);
    for text in [name, "\u{e9}lodie", "E\u{301}LODIE", "\u{e4}NDERUNG", "elodie \u{a0}"] {
        let total = if text.starts_with("elodie") { 0 } else { 1 };
        assert_eq!(found(&admin, text).await, total, "{text:?}");
    }
    for (text, total) in [("STRASSE", 1), ("ELO@EXAMPLE", 1), ("Hans  STRA", 1), ("example.com\nhans", 0), ("bob\n", 1)]
    {
        assert_eq!(found(&admin, text).await, total, "{text:?}");
    }
    // No name is longer than a pattern may be.
    for (list, text) in [("users", "a"), ("users", "_"), ("groups", "a"), ("groups", "_")] {
        let path = format!("/v1/admin/{list}?tenant_id=acme&q={}", text.repeat(51_000));
        let answer = admin.get(&path).await;
        assert_eq!((answer.status, &answer.json()["total"]), (200, &0.into()), "{list} {text}");
    }
    // A changed name is found, and the old one is not.
    let change = json!({"action": "update", "tenant_id": "acme", "user_id": "elo", "display_name": "ZO\u{cb}"});
    assert_eq!(post(&admin, USER, change).await.status, 200);
    assert_eq!((found(&admin, "zo\u{eb}").await, found(&admin, name).await), (1.into(), 0.into()));
    // An id is never available again, in any case.
    let delete = json!({"action": "delete", "tenant_id": "acme", "user_id": "elo"});
    assert_eq!(post(&admin, USER, delete).await.status, 200);
    assert_eq!(user(&admin, "ELO", json!({"email": "new@example.com"})).await.status, 409);
    assert_eq!(user(&admin, "el", json!({})).await.status, 201);
}

both_databases! {
    async fn invisible_characters_are_refused_in_names_on_every_surface(db: TestDb) {
        let server = serve(&db.url).await;
        let admin = server.admin();
        for (text, code) in HIDDEN {
            let calls = [
                (TENANT, json!({"action": "create", "slug": "new", "name": text})),
                (TENANT, json!({"action": "update", "tenant_id": "acme", "name": text})),
                (USER, json!({"action": "create", "tenant_id": "acme", "email": "a@example.com", "display_name": text})),
                (GROUP, json!({"action": "create", "tenant_id": "acme", "name": text})),
                ("/v1/admin/api-keys", json!({"tenant_id": "acme", "name": text, "role": "auditor"})),
                ("/api/control-plane/tenants", json!({"name": text, "slug": "new"})),
                ("/api/tenant/create", json!({"name": "new", "displayName": text})),
            ];
            for (path, body) in calls {
                let answer = post(&admin, path, body).await;
                assert!((400..500).contains(&answer.status), "{path} {text:?}: {answer:?}");
                assert!(answer.body.contains(code), "{path} does not name {code}: {answer:?}");
            }
            // Names are ASCII on these surfaces.
            let messaging = "/admin/v2/tenants/new%E2%80%8B";
            assert_eq!(admin.put(messaging, r#"{"allowedClusters":["standalone"]}"#).await.status, 412);
        }
        let listed = admin.get("/v1/admin/tenants").await.json();
        let names: Vec<_> = listed["tenants"].as_array().unwrap().iter().map(|tenant| tenant["name"].clone()).collect();
        assert!(!listed.to_string().contains("\"new\"") && names.contains(&"acme".into()), "{listed}");
        assert_eq!(found(&admin, "").await, 0);
    }

    async fn spellings_of_one_address_are_one_user(db: TestDb) {
        let server = serve(&db.url).await;
        let admin = server.admin();
        let made = async |email: &str| {
            let there = post(&admin, IDENTITY, json!({"email": email})).await.status;
            let here = post(&admin, USER, json!({"action": "create", "tenant_id": "acme", "email": email})).await.status;
            (there, here)
        };
        assert_eq!(made("jos\u{e9}@example.com").await, (201, 201));
        for same in ["jose\u{301}@example.com", "JOSE\u{301}@Example.com", "\"jos\u{e9}\"@example.com"] {
            assert_eq!(made(same).await, (409, 409), "{same}");
        }
        assert_eq!(made("bob@example.com").await, (201, 201));
        for same in ["\"bob\"@example.com", "\"b\\ob\"@example.com", "bob@\u{ff45}xample.com"] {
            assert_eq!(made(same).await, (409, 409), "{same}");
        }
        for none in [
            "bob\u{200b}@example.com",
            "\u{200b}bob@example.com",
            "bob\u{202e}@example.com",
            "\u{feff}bob@example.com",
            "bo\u{3164}b@example.com",
            "a@1.2.3.4",
            "a@example.123",
        ] {
            let (there, here) = made(none).await;
            assert!((400..409).contains(&there) || there == 422, "{none:?}: {there}");
            assert_eq!(here, 422, "{none:?}");
        }
        let listed = admin.get("/api/control-plane/users?email=JOSE%CC%81%40example.com").await.json();
        assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    }

    async fn names_of_groups_are_unique_across_normal_forms(db: TestDb) {
        let server = serve(&db.url).await;
        let admin = server.admin();
        let made = async |name: &str| {
            post(&admin, GROUP, json!({"action": "create", "tenant_id": "acme", "name": name})).await
        };
        let first = made("Cafe\u{301}").await;
        assert_eq!((first.status, &first.json()["group"]["name"]), (201, &"Caf\u{e9}".into()));
        for same in ["Caf\u{e9}", "CAF\u{c9}", "cafe\u{301}"] {
            assert_eq!(made(same).await.status, 409, "{same}");
        }
        assert_eq!(made("\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}").await.status, 201, "a zero-width non-joiner must be accepted in Persian");
        assert_eq!(made("\u{645}\u{6cc}\u{62e}\u{648}\u{627}\u{647}\u{645}").await.status, 409, "the non-joiner must not distinguish names");
        assert_eq!(made("\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}").await.status, 201, "a zero-width joiner must be accepted in emoji");
        let listed = admin.get("/v1/admin/groups?tenant_id=acme&q=CAFE%CC%81").await.json();
        assert_eq!(listed["total"], 1);
    }

    async fn users_are_found_in_any_case_and_normal_form(db: TestDb) {
        searches(&db.url).await;
    }

    async fn a_password_is_the_same_in_every_normal_form_over_the_wire(db: TestDb) {
        let server = serve(&db.url).await;
        let (composed, apart) = ("zu viele K\u{f6}che verderben", "zu viele Ko\u{308}che verderben");
        assert_eq!(user(&server.admin(), "ada", json!({"password": composed})).await.status, 201);
        assert_eq!(log_in(&server, "ada", composed, None).await.status, 200);
        let spaced = json!({"tenant": " acme ", "user": " ada ", "password": composed});
        assert_eq!(post(&server.http(), LOGIN, spaced).await.status, 200, "surrounding blanks must be ignored");
        let session = log_in(&server, "ada", apart, None).await;
        assert_eq!(session.status, 200, "{session:?}");
        let own = server.http().token(session.json()["token"].as_str().unwrap());
        // The same password in another spelling is not a new one.
        let again = json!({"tenant": "acme", "user": "ada", "password": composed, "new_password": apart});
        assert_eq!(post(&server.http(), LOGIN, again).await.status, 422);
        let change = json!({"user_id": "ada", "current_password": apart, "password": "noch viel mehr Ko\u{308}che"});
        let changed = post(&own, "/v1/admin/users/password", change).await;
        assert_eq!(changed.status, 200, "{changed:?}");
        assert_eq!(log_in(&server, "ada", "noch viel mehr K\u{f6}che", None).await.status, 200);
        assert_eq!(log_in(&server, "ada", "noch viel mehr Koche", None).await.status, 401);
    }

    async fn an_address_is_not_a_password_in_any_form(db: TestDb) {
        let server = serve(&db.url).await;
        let admin = server.admin();
        let address = "maria@b\u{fc}cherladen.example";
        for password in [address, "maria@xn--bcherladen-9db.example"] {
            let created = user(&admin, "maria", json!({"email": address, "password": password})).await;
            assert_eq!(created.status, 422, "{password}: {created:?}");
        }
        for password in [address, "maria@xn--bcherladen-9db.example"] {
            let written = json!({"email": "maria@xn--bcherladen-9db.example", "password": password});
            assert_eq!(user(&admin, "maria", written).await.status, 422, "{password}");
        }
        for (email, password) in [
            ("\"maria\"@big.example", "\"maria\"@big.example"),
            ("maria.schroedinger@big.example", "\"maria.schroedinger\"@big.example"),
            ("maria.schroedinger@big.example", "\"maria\\.schroedinger\"@big.example"),
            ("maria.schroedinger@big.example", "maria.schroedinger@big\u{3002}example"),
            ("maria@b\u{fc}cher.l\u{e4}den.example", "maria@b\u{fc}cher.xn--lden-loa.example"),
            ("\u{1e9b}\u{323}.schroedinger@big.example", "\u{17f}\u{323}\u{307}.schroedinger@big.example"),
        ] {
            let created = user(&admin, "maria", json!({"email": email, "password": password})).await;
            assert!(created.status == 422 && created.body.contains("must not be the name"), "{password}: {created:?}");
        }
        for name in ["\u{ff2d}\u{ff41}ria Schroedinger", "Maria\u{3000}Schroedinger", "Schroedinger\u{b2} Lab"] {
            let created = user(&admin, "maria", json!({"display_name": name, "password": name})).await;
            assert!(created.status == 422 && created.body.contains("must not be the name"), "{name}: {created:?}");
        }
        assert_eq!(user(&admin, "maria", json!({"email": address})).await.status, 201);
        for password in [address, "maria@xn--bcherladen-9db.example"] {
            let body = json!({"tenant_id": "acme", "user_id": "maria", "password": password});
            assert_eq!(post(&admin, "/v1/admin/users/password", body).await.status, 422, "{password}");
        }
    }

    async fn an_address_is_the_same_with_every_full_stop(db: TestDb) {
        let server = serve(&db.url).await;
        let admin = server.admin();
        let password = "correct horse battery staple";
        let created = user(&admin, "ada", json!({"email": "ada@big\u{3002}example", "password": password})).await;
        assert_eq!(created.status, 201, "{created:?}");
        for stop in [".", "\u{3002}", "\u{ff0e}", "\u{ff61}"] {
            let address = format!("ada@big{stop}example");
            assert_eq!(log_in(&server, &address, password, None).await.status, 200, "{address}");
            assert_eq!(user(&admin, "eve", json!({"email": address})).await.status, 409, "{address}");
        }
        let refused = user(&admin, "eve", json!({"email": "b\u{fe0f}b@big.example"})).await;
        assert!(refused.status == 422 && refused.body.contains("it is invisible"), "{refused:?}");
    }

    async fn codes_are_accepted_as_people_type_them(db: TestDb) {
        let server = serve(&db.url).await;
        let admin = server.admin();
        let password = "correct horse battery staple";
        assert_eq!(user(&admin, "ada", json!({"password": password})).await.status, 201);
        let session = log_in(&server, "ada", password, None).await.json();
        let own = server.http().token(session["token"].as_str().unwrap());
        let enrolled = post(&own, "/v1/admin/users/totp/enroll", json!({"user_id": "ada"})).await.json();
        let secret = enrolled["secret"].as_str().expect("a secret").to_owned();
        let code = |later: u64| {
            let secret = totp_rs::Secret::try_from_base32(&secret).unwrap();
            let app = totp_rs::Builder::new().with_secret(secret).build().unwrap();
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
            app.generate(now + 30 * later).to_string()
        };
        let parts = |code: &str, between: &str| format!("{}{between}{}", &code[..3], &code[3..]);
        let verify = json!({"user_id": "ada", "code": parts(&code(0), " ")});
        let enabled = post(&own, "/v1/admin/users/totp/verify", verify).await;
        assert_eq!(enabled.status, 200, "{enabled:?}");
        let recovery = enabled.json()["recovery_codes"][0].as_str().expect("recovery codes").to_owned();
        let at_login = log_in(&server, "ada", password, Some(&parts(&code(1), "\u{a0}"))).await;
        assert_eq!(at_login.status, 200, "{at_login:?}");
        let spaced: String = recovery.to_uppercase().replace('-', "").chars().flat_map(|c| [c, ' ']).collect();
        assert_eq!(log_in(&server, "ada", password, Some(&spaced)).await.status, 200);
        assert_eq!(log_in(&server, "ada", password, Some(&recovery)).await.status, 401, "a recovery code must not be accepted twice");
    }

    async fn a_hash_of_a_truncated_password_is_never_replaced_by_another_text(db: TestDb) {
        let server = serve(&db.url).await;
        assert_eq!(user(&server.admin(), "ada", json!({"password": "correct horse battery staple"})).await.status, 201);
        let long = "Xy7".repeat(27);
        let store = |hash: String| set_hash(&db, hash);
        store(bcrypt::hash(&long, 4).unwrap()).await;
        for text in [format!("{}TYPO", &long[..72]), long.clone(), long[..72].to_owned()] {
            let answer = log_in(&server, "ada", &text, None).await;
            assert_eq!(answer.status, 403, "the password must be changed first: {answer:?}");
            let row = accounts::Entity::find().filter(accounts::Column::Username.eq("ada")).one(db.read()).await.unwrap();
            assert!(row.unwrap().password_hash.starts_with("$2"), "the hash must not be replaced");
        }
        assert_eq!(log_in(&server, "ada", &long[..71], None).await.status, 401);
        let new = json!({"tenant": "acme", "user": "ada", "password": long, "new_password": "noch viel mehr Leute"});
        assert_eq!(post(&server.http(), LOGIN, new).await.status, 200);
        assert_eq!(log_in(&server, "ada", "noch viel mehr Leute", None).await.status, 200);
        for unreadable in ["$2b$", "$2b$10$short", "$argon2id$v=19$", "plain"] {
            store(unreadable.to_owned()).await;
            assert_eq!(log_in(&server, "ada", unreadable, None).await.status, 401, "{unreadable}");
        }
    }
}

async fn set_hash(db: &TestDb, hash: String) {
    let set = accounts::Entity::update_many()
        .col_expr(accounts::Column::PasswordHash, sea_orm::sea_query::Expr::value(hash))
        .filter(accounts::Column::Username.eq("ada"));
    crate::db::write(db, &db::platform_cx("test"), move |tx| {
        let set = set.clone();
        Box::pin(async move {
            set.run(tx.conn()).await?;
            Ok(())
        })
    })
    .await
    .unwrap();
}

/// With this locale, `lower` in the database handles only ASCII.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_are_found_case_insensitively_with_an_ascii_only_database() {
    searches(&db::postgres_of_locale("C").await).await;
}
