//! Text that older versions stored as it was typed, before and after servers normalize it.

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder};
use tenantry::{
    base::{Access, Cx, PageRequest, Reach, Role, Secret, TenantRef, TenantScope, cx::CxFacts, error::Reason},
    identity::{
        self, Credentials, NewAccount, Password, Passwords, People, UserRef,
        accounts::identities,
        groups::{GroupChange, GroupRef, NewGroup},
        users::{
            self, UserFilter,
            lifecycle::{self, NewUser, UserEdit},
        },
    },
    store::{
        Exec, Kek, Sealer, UpdateRow, older_text,
        tables::{accounts, identities as identity_rows, tenants as tenant_rows},
    },
    tenants::{self, NewTenant},
};
use uuid::Uuid;

use crate::db::{TestDb, cx, platform_cx};

const MIGRATION: &str = "m20260101_000015_text";
const PASSWORD: &str = "correct horse battery";
const NFC: &str = "jos\u{e9}@example.com";
const NFD: &str = "jose\u{301}@example.com";

async fn sql(db: &TestDb, statements: &[String]) {
    let statements = statements.to_vec();
    crate::db::write(db, &platform_cx("test"), move |tx| {
        let statements = statements.clone();
        Box::pin(async move {
            for statement in &statements {
                tx.conn().execute_unprepared(statement).await?;
            }
            Ok(())
        })
    })
    .await
    .unwrap();
}

/// Reverts the migration, so that the rows are as an older version left them.
async fn age(db: &TestDb) {
    sql(
        db,
        &[
            format!("DELETE FROM seaql_migrations WHERE version = '{MIGRATION}'"),
            "ALTER TABLE accounts DROP COLUMN search_key".to_owned(),
        ],
    )
    .await;
}

async fn tenant(db: &TestDb) -> TenantScope {
    crate::db::write(db, &platform_cx("tenant.create"), |tx| {
        Box::pin(async move { Ok(tenants::insert(tx, &NewTenant::named("acme".parse().unwrap()), None).await?.1) })
    })
    .await
    .unwrap()
}

/// An account as an older version stored it.
async fn account(db: &TestDb, scope: TenantScope, username: &str, email: &str, name: &str) -> Uuid {
    let new = NewAccount::login(Some(scope), username, Password::of_development(PASSWORD), Role::User);
    let id = identity::create_account(db, &Passwords::new(1), &platform_cx("x"), new).await.unwrap();
    let row = accounts::ActiveModel {
        id: sea_orm::ActiveValue::Unchanged(id),
        email: Set(Some(email.to_owned())),
        email_key: Set(Some(email.to_lowercase())),
        display_name: Set(name.to_owned()),
        ..Default::default()
    };
    crate::db::write(db, &platform_cx("test"), move |tx| {
        let row = row.clone();
        Box::pin(async move {
            row.update_row(tx.conn()).await?;
            Ok(())
        })
    })
    .await
    .unwrap();
    id
}

fn people(db: &TestDb) -> People {
    let kek = Kek::from_base64(&Kek::generate()).unwrap();
    People::new(db.store.clone(), Passwords::new(2), Sealer::new(db.store.clone(), Some(kek.into())))
}

/// The account that a login with this name leads to.
async fn log_in(people: &People, user: &str, last: u8) -> Option<Uuid> {
    let facts = CxFacts::clone(&cx("auth.login", Access::None));
    let cx = Cx::new(CxFacts { client: Some(std::net::Ipv4Addr::new(192, 0, 2, last).into()), ..facts });
    let password = Secret::new(PASSWORD.to_owned());
    let credentials =
        Credentials { tenant: Some(TenantRef::parse("acme")), user: user.to_owned(), password, code: None };
    identity::login(&cx, people, &credentials).await.ok().map(|login| login.account.id)
}

/// The ids of the users that a search finds.
async fn found(db: &TestDb, text: &str) -> Vec<String> {
    let filter = UserFilter { text: text.to_owned(), ..UserFilter::default() };
    let request = PageRequest::read(None, None).unwrap();
    let cx = platform_cx("x");
    let page = users::page(&cx, db, &TenantRef::parse("acme"), &filter, Reach::All, request).await.unwrap();
    page.items.into_iter().map(|user| user.account.shown_id()).collect()
}

both_databases! {
    async fn rows_of_older_servers_are_found_before_conversion(db: TestDb) {
        tenant(&db).await;
        let (people, acme) = (people(&db), TenantRef::parse("acme"));
        let make = async |id: &str, email: &str, name: &str| {
            let new = NewUser { id: Some(id.to_owned()), email: email.to_owned(), ..NewUser::default() };
            let new = NewUser { display_name: name.to_owned(), ..new };
            lifecycle::create(&platform_cx("user.create"), &people, &acme, new).await.map(drop)
        };
        make("Gone", "gone@example.com", "Gone").await.unwrap();
        make("here", "jos\u{e9}@example.com", "Ada Lovelace").await.unwrap();
        let gone = UserRef { tenant: acme.clone(), user: "Gone".to_owned(), version: None };
        lifecycle::delete(&platform_cx("user.delete"), &db, &gone, None).await.unwrap();
        sql(&db, &["UPDATE accounts SET search_key = ''".to_owned()]).await;
        for id in ["Gone", "gone", "GONE"] {
            let refused = make(id, "other@example.com", "Other").await.unwrap_err();
            assert_eq!(refused.reason, Reason::AccountExists, "{id}: an id is never used again");
        }
        for text in ["HERE", "jos\u{e9}@", "lovelace", ""] {
            assert_eq!(found(&db, text).await, ["here"], "{text}");
        }
        assert!(found(&db, "nobody").await.is_empty());
        make("gon", "other@example.com", "Other").await.expect("a prefix of an existing name");
    }

    async fn later_rows_of_older_servers_are_converted_by_the_next_run(db: TestDb) {
        tenant(&db).await;
        let people = people(&db);
        for id in ["ada", "gone"] {
            let email = format!("{id}@b\u{fc}cher.example");
            let new = NewUser { id: Some(id.to_owned()), email, display_name: "Ada".to_owned(), ..NewUser::default() };
            lifecycle::create(&platform_cx("user.create"), &people, &TenantRef::parse("acme"), new).await.unwrap();
        }
        let gone = UserRef { tenant: TenantRef::parse("acme"), user: "gone".to_owned(), version: None };
        lifecycle::delete(&platform_cx("user.delete"), &db, &gone, None).await.unwrap();
        assert_eq!(older_text::renew(&db).await.unwrap(), 0, "rows of this version must not need conversion");
        let changed = "UPDATE accounts SET display_name = 'Jose\u{301}\u{200b}' WHERE username = 'ada'".to_owned();
        sql(&db, &[changed]).await;
        let server = crate::harness::server::Setup::dev().database(&db.url).start().await;
        crate::db::eventually("the look at the start of a server", || async { found(&db, "jos\u{c9}").await == ["ada"] }).await;
        drop(server);
        let rows = accounts::Entity::find().filter(accounts::Column::Username.eq("ada")).all(db.read()).await.unwrap();
        assert_eq!(rows[0].display_name, "Jos\u{e9}");
    }

    async fn converting_older_rows_neither_locks_out_nor_merges_accounts(db: TestDb) {
        let scope = tenant(&db).await;
        let apart = account(&db, scope, "apart", NFD, "E\u{301}lodie").await;
        let composed = account(&db, scope, "composed", NFC, "Jos\u{e9}\u{200b}").await;
        let quoted = account(&db, scope, "quoted", "\"bob\"@example.com", "").await;
        let hidden = account(&db, scope, "hidden", "eve\u{200b}@example.com", "\u{3164}").await;
        let alone = account(&db, scope, "alone", "ju\u{308}rgen@example.com", "STRASSE").await;
        let numeric = account(&db, scope, "numeric", "a@1.2.3.4", "x").await;
        age(&db).await;
        let applied = db.migrate(|_| ()).await.unwrap();
        assert_eq!(applied, [MIGRATION]);
        let unfilled = accounts::Entity::find().filter(accounts::Column::SearchKey.eq(""));
        assert_eq!(unfilled.count(db.read()).await.unwrap(), 6, "the migration must not convert rows");
        assert_eq!(older_text::renew(&db).await.unwrap(), 6);
        assert_eq!(older_text::renew(&db).await.unwrap(), 0, "converted rows must not be converted again");

        let people = people(&db);
        for (n, (text, id)) in (1..).zip([
            // Of two spellings, each belongs to its account.
            (NFD, apart), (NFC, composed), ("JOS\u{c9}@example.com", composed),
            // If there is one account, every spelling leads to it.
            ("\"bob\"@example.com", quoted), ("bob@example.com", quoted),
            ("ju\u{308}rgen@example.com", alone), ("j\u{fc}rgen@example.com", alone),
            // What would be refused today still works.
            ("eve\u{200b}@example.com", hidden), ("a@1.2.3.4", numeric),
            ("apart", apart), ("composed", composed),
        ]) {
            assert_eq!(log_in(&people, text, n).await, Some(id), "{text:?}");
        }
        let filter = |text: &str| UserFilter { text: text.to_owned(), ..UserFilter::default() };
        let find = async |text: &str| {
            let request = PageRequest::read(None, None).unwrap();
            let cx = platform_cx("x");
            let page = users::page(&cx, &db, &TenantRef::parse("acme"), &filter(text), Reach::All, request).await.unwrap();
            page.items.into_iter().map(|user| user.account.id).collect::<Vec<_>>()
        };
        assert_eq!(find("\u{c9}LODIE").await, [apart]);
        assert_eq!(find("stra\u{df}e").await, [alone]);
        assert_eq!(find("HIDDEN").await, [hidden]);
        assert_eq!(find("JOS\u{c9}").await, [apart, composed]);
        let rows = accounts::Entity::find().order_by_asc(accounts::Column::Id).all(db.read()).await.unwrap();
        let names: Vec<_> = rows.iter().map(|row| row.display_name.as_str()).collect();
        assert_eq!(names, ["\u{c9}lodie", "Jos\u{e9}", "", "", "STRASSE", "x"]);

        // What was read can be written back, even if it would be invalid for a new account.
        for (id, email) in [("hidden", "eve\u{200b}@example.com"), ("numeric", "a@1.2.3.4"), ("apart", NFC)] {
            let of = UserRef { tenant: TenantRef::parse("acme"), user: id.to_owned(), version: None };
            let edit = UserEdit { email: Some(email.to_owned()), role: Some("auditor".to_owned()), ..UserEdit::default() };
            lifecycle::update(&platform_cx("user.update"), &db, &of, edit).await.unwrap_or_else(|e| panic!("{id}: {e:?}"));
            let edit = UserEdit { email: Some("b@1.2.3.4".to_owned()), ..UserEdit::default() };
            assert!(lifecycle::update(&platform_cx("user.update"), &db, &of, edit).await.is_err());
        }
    }

    async fn names_of_older_versions_can_be_told_apart_and_changed(db: TestDb) {
        let scope = tenant(&db).await;
        let (acme, tenant) = (TenantRef::parse("acme"), scope.tenant());
        let kept = [
            "Caf\u{e9}", "Cafe\u{301}", "CAFE\u{301}\u{200b}", "\u{3164}", "Stra\u{df}e", "STRASSE", "Plain",
        ];
        let mut statements = Vec::new();
        for (n, name) in kept.iter().enumerate() {
            let new = NewGroup { name: format!("g{n}"), ..NewGroup::default() };
            identity::groups::create(&platform_cx("group.create"), &db, &acme, new).await.unwrap();
            let key = name.to_lowercase();
            statements.push(format!("UPDATE \"groups\" SET name = '{name}', name_key = '{key}' WHERE name_key = 'g{n}'"));
        }
        statements.push("UPDATE tenants SET display_name = '\u{202e}\u{200b}' WHERE name = 'acme'".to_owned());
        sql(&db, &statements).await;
        crate::db::write(&db, &platform_cx("test"), move |tx| {
            Box::pin(async move {
                for (n, email) in [(8, NFD), (9, NFC), (10, "\"bob\"@example.com")] {
                    let now = Set(tx.now().into());
                    let row = identity_rows::ActiveModel {
                        id: Set(Uuid::from_u128(n)),
                        email: Set(email.to_owned()),
                        email_key: Set(email.to_owned()),
                        is_active: Set(true),
                        created_at: now.clone(),
                        updated_at: now,
                    };
                    identity_rows::Entity::insert(row).run(tx.conn()).await?;
                }
                Ok(())
            })
        })
        .await
        .unwrap();
        age(&db).await;
        db.migrate(|_| ()).await.unwrap();
        // Two servers start concurrently; one that loses the race for a row retries.
        let (replica, mut rounds) = (db.replica().await, 0);
        while let (Err(_), _) | (_, Err(_)) = tokio::join!(older_text::renew(&db), older_text::renew(&replica)) {
            rounds += 1;
            assert!(rounds < 100, "the conversion does not end");
        }
        assert_eq!(older_text::renew(&db).await.unwrap(), 0);

        let request = PageRequest::read(None, None).unwrap();
        let rows = identity::groups::page(&platform_cx("x"), &db, &acme, "", request).await.unwrap().items;
        let names: Vec<_> = rows.iter().map(|group| group.row.name.as_str()).collect();
        assert_eq!(names, ["Caf\u{e9}", "Caf\u{e9} (2)", "CAF\u{c9} (3)", "group", "Stra\u{df}e (2)", "STRASSE", "Plain"]);
        // Every group can still be changed: its key matches its name.
        for group in rows {
            let of = GroupRef { tenant: acme.clone(), id: group.shown_id(), version: None };
            let change = GroupChange { description: Some("x".to_owned()), ..GroupChange::default() };
            identity::groups::update(&platform_cx("group.update"), &db, &of, change).await.unwrap();
        }
        let found = async |email: &str| {
            identities::list(&platform_cx("x"), &db, Some(email)).await.unwrap().first.first().map(|found| found.id.as_u128())
        };
        assert_eq!((found(NFD).await, found(NFC).await, found("bob@example.com").await), (Some(8), Some(9), Some(10)));
        let tenant = tenant_rows::Entity::find_by_id(tenant).one(db.read()).await.unwrap().unwrap();
        assert_eq!(tenant.display_name, "acme");
    }
}
