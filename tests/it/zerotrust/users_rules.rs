//! The rules of users, their roles and their tenants, on both databases (zero-trust contract, sections 4.2, 4.5 and 4.10).

use futures::future::join_all;
use sea_orm::{EntityTrait, QueryOrder};
use serde_json::{Map, Value, json};
use tenantry::{
    base::{
        Access, Caller, Cx, Error, Kind, PageRequest, Reach, Role, Secret, TenantRef, TenantScope, caller::CallerFacts,
        cx::CxFacts, error::Reason,
    },
    entitlements::Plan,
    identity::{
        AccountStatus, Passwords, People, User, UserRef,
        groups::{self, NewGroup},
        roles::grants::{self as role_grants, RoleRef},
        second_factor,
        users::{
            self, UserFilter,
            lifecycle::{self, NewUser, UserEdit},
            password::{self, NewPassword},
            suspension,
        },
    },
    store::{
        Kek, Sealer, Store,
        tables::{accounts, audit_events},
    },
    tenants::Status,
    zerotrust::tenants::{self, Deletion, NewSubscriber, Subscriber, SubscriberRef},
};

use crate::{
    db::{TestDb, cx, platform_cx},
    rows::{sql, tenant},
};

fn people(db: &TestDb) -> People {
    let kek = Kek::from_base64(&Kek::generate()).unwrap();
    People::new(db.store.clone(), Passwords::new(2), Sealer::new(db.store.clone(), Some(kek.into())))
}

fn acme() -> TenantRef {
    TenantRef::parse("acme")
}

fn of(user: &str) -> UserRef {
    UserRef { tenant: acme(), user: user.to_owned(), version: None }
}

/// The context of a call in a tenant, with or without an account.
fn of_tenant(scope: TenantScope, role: Role, account: Option<uuid::Uuid>) -> Cx {
    let facts = CxFacts::clone(&cx("user.update", Access::Tenant(TenantRef::Id(scope.tenant()))));
    let caller = Caller::new(CallerFacts { subject: "acme/ada".to_owned(), role, account, ..CallerFacts::default() });
    Cx::new(CxFacts { caller, ..facts })
}

/// Creates an active user with a chosen id.
async fn make(people: &People, id: &str, role: &str) -> User {
    let new = NewUser { id: Some(id.to_owned()), email: format!("{id}@example.com"), ..NewUser::default() };
    let new = NewUser { role: Some(role.to_owned()), password: secret("correct horse battery staple"), ..new };
    lifecycle::create(&platform_cx("user.create"), people, &acme(), new).await.unwrap()
}

fn secret(text: &str) -> Option<Secret<String>> {
    Some(Secret::new(text.to_owned()))
}

fn role(word: &str) -> RoleRef {
    RoleRef { role: word.to_owned(), scope: None }
}

fn to(word: &str) -> UserEdit {
    UserEdit { role: Some(word.to_owned()), ..UserEdit::default() }
}

#[track_caller]
fn fails<T: std::fmt::Debug>(outcome: Result<T, Error>, kind: Kind, reason: Reason) {
    let error = outcome.expect_err("it is refused");
    assert_eq!((error.kind, error.reason), (kind, reason), "{error:?}");
}

async fn ids(store: &Store, filter: UserFilter) -> Vec<String> {
    let request = PageRequest::read(None, None).unwrap();
    let page = users::page(&platform_cx("x"), store, &acme(), &filter, Reach::All, request).await.unwrap();
    assert_eq!(page.total, page.items.len() as u64);
    page.items.iter().map(|user| user.account.shown_id()).collect()
}

fn filter(text: &str) -> UserFilter {
    UserFilter { text: text.to_owned(), ..UserFilter::default() }
}

/// The ids of the active administrators of the tenant.
async fn admins(store: &Store) -> Vec<String> {
    let (status, role) = (Some("active".to_owned()), Some("admin".to_owned()));
    ids(store, UserFilter { status, role, ..UserFilter::default() }).await
}

fn subscriber(tenant: &str) -> SubscriberRef {
    SubscriberRef { tenant: TenantRef::parse(tenant), version: None }
}

async fn subscribe(store: &Store, slug: &str) -> Result<Subscriber, Error> {
    let new = NewSubscriber { slug: slug.to_owned(), ..NewSubscriber::default() };
    tenants::create(&platform_cx("tenant.create"), store, new, None).await
}

async fn delete(store: &Store, tenant: &str, purge: bool) -> Result<Subscriber, Error> {
    let deletion = Deletion { confirm: "acme".to_owned(), purge };
    tenants::delete(&platform_cx("tenant.delete"), store, &subscriber(tenant), deletion, None).await
}

both_databases! {
    async fn one_administrator_remains_after_concurrent_demotions(db: TestDb) {
        tenant(&db, "acme").await;
        let people = people(&db);
        let names: Vec<_> = (0..16).map(|n| format!("admin-{n:02}")).collect();
        for (n, name) in names.iter().enumerate() {
            // Half of them by a grant.
            make(&people, name, if n % 2 == 0 { "admin" } else { "user" }).await;
            if n % 2 == 1 {
                role_grants::grant(&platform_cx("rbac.grant"), &db, &of(name), &role("admin"), None).await.unwrap();
            }
        }
        assert_eq!(admins(&db).await.len(), 16);
        let demote = async |n: usize, name: &String| {
            let (store, of) = (&db.store, of(name));
            match n % 4 {
                0 => lifecycle::update(&platform_cx("user.update"), store, &of, to("user")).await.map(drop),
                2 => suspension::suspend(&platform_cx("user.suspend"), store, &of, None).await.map(drop),
                _ => role_grants::revoke(&platform_cx("rbac.revoke"), store, &of, &role("admin")).await.map(drop),
            }
        };
        let outcomes = join_all(names.iter().enumerate().map(|(n, name)| demote(n, name))).await;
        let refused: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
        assert_eq!(refused.len(), 1, "{refused:?}");
        assert_eq!((refused[0].kind, refused[0].reason), (Kind::FailedPrecondition, Reason::LastAdmin));
        assert_eq!(admins(&db).await.len(), 1);
    }

    async fn an_administrator_with_an_expiring_role_does_not_count(db: TestDb) {
        tenant(&db, "acme").await;
        let people = people(&db);
        make(&people, "ada", "admin").await;
        make(&people, "bob", "user").await;
        let end = Some(time::OffsetDateTime::now_utc() + time::Duration::DAY);
        let cx = platform_cx("rbac.grant");
        role_grants::grant(&cx, &db, &of("bob"), &role("admin"), end).await.unwrap();
        assert_eq!(admins(&db).await, ["ada", "bob"]);
        let last = (Kind::FailedPrecondition, Reason::LastAdmin);
        fails(lifecycle::update(&cx, &db, &of("ada"), to("auditor")).await, last.0, last.1);
        fails(lifecycle::delete(&cx, &db, &of("ada"), None).await, last.0, last.1);
        role_grants::grant(&cx, &db, &of("bob"), &role("admin"), None).await.unwrap();
        lifecycle::update(&cx, &db, &of("ada"), to("auditor")).await.unwrap();
        fails(role_grants::grant(&cx, &db, &of("bob"), &role("admin"), end).await, last.0, last.1);
        fails(role_grants::revoke(&cx, &db, &of("bob"), &role("admin")).await, last.0, last.1);
    }

    async fn callers_cannot_act_above_their_own_role_or_on_suspensions_by_the_platform(db: TestDb) {
        let scope = tenant(&db, "acme").await;
        let people = people(&db);
        let ada = make(&people, "ada", "admin").await;
        make(&people, "bob", "user").await;
        let operator = of_tenant(scope, Role::SecurityOperator, None);
        let above = (Kind::PermissionDenied, Reason::RoleAboveOwn);
        fails(suspension::suspend(&operator, &db, &of("ada"), None).await, above.0, above.1);
        fails(lifecycle::update(&operator, &db, &of("bob"), to("admin")).await, above.0, above.1);
        fails(role_grants::grant(&operator, &db, &of("bob"), &role("admin"), None).await, above.0, above.1);
        fails(second_factor::disable(&operator, &db, &of("ada"), "x").await, above.0, above.1);
        // Granted roles count too.
        role_grants::grant(&platform_cx("rbac.grant"), &db, &of("bob"), &role("admin"), None).await.unwrap();
        fails(suspension::suspend(&operator, &db, &of("bob"), None).await, above.0, above.1);
        let admin = of_tenant(scope, Role::Admin, Some(ada.account.id));
        fails(role_grants::grant(&admin, &db, &of("bob"), &role("platform_admin"), None).await, above.0, above.1);
        let own = (Kind::InvalidArgument, Reason::AccountOwn);
        fails(suspension::suspend(&admin, &db, &of("ada"), None).await, own.0, own.1);
        fails(lifecycle::delete(&admin, &db, &of("ada"), None).await, own.0, own.1);

        let by_tenant = suspension::suspend(&admin, &db, &of("bob"), None).await.unwrap();
        assert_eq!(by_tenant.user.account.status, AccountStatus::Suspended);
        suspension::suspend(&platform_cx("user.suspend"), &db, &of("bob"), None).await.unwrap();
        suspension::suspend(&admin, &db, &of("bob"), None).await.unwrap();
        let lifted = suspension::reactivate(&admin, &db, &of("bob"), None).await;
        fails(lifted, Kind::PermissionDenied, Reason::SuspensionForeign);
        let cx = platform_cx("user.reactivate");
        let lifted = suspension::reactivate(&cx, &db, &of("bob"), None).await.unwrap();
        let account = lifted.user.account;
        assert_eq!((account.status, account.suspended_by), (AccountStatus::Active, None));
    }

    async fn no_tenant_reaches_accounts_of_the_platform_or_of_another_tenant(db: TestDb) {
        let (scope, people) = (tenant(&db, "acme").await, people(&db));
        tenant(&db, "other").await;
        let root = tenantry::identity::NewAccount::login(None, "root", tenantry::identity::Password::of_development("x"), Role::PlatformAdmin);
        let root = tenantry::identity::create_account(&db, &people.passwords, &platform_cx("x"), root).await.unwrap();
        let eve = NewUser { email: "eve@example.com".to_owned(), ..NewUser::default() };
        let eve = lifecycle::create(&platform_cx("x"), &people, &TenantRef::parse("other"), eve).await.unwrap();
        let admin = of_tenant(scope, Role::Admin, None);
        let shown = tenantry::base::IdKind::User.show(root);
        for user in ["root", &shown, &eve.account.shown_id(), "eve@example.com"] {
            for cx in [&admin, &platform_cx("x")] {
                fails(suspension::suspend(cx, &db, &of(user), None).await, Kind::NotFound, Reason::AccountNotFound);
            }
        }
        let elsewhere = UserRef { tenant: TenantRef::parse("other"), ..of("eve@example.com") };
        let foreign = suspension::suspend(&admin, &db, &elsewhere, None).await;
        fails(foreign, Kind::PermissionDenied, Reason::TenantForeign);
    }

    async fn callers_restricted_to_their_own_account_learn_of_no_other(db: TestDb) {
        let (scope, people) = (tenant(&db, "acme").await, people(&db));
        let ada = make(&people, "ada", "user").await;
        make(&people, "bob", "user").await;
        let own = of_tenant(scope, Role::User, Some(ada.account.id));
        for user in ["bob", "nobody"] {
            let new = NewPassword { text: secret("another long enough one"), ..NewPassword::default() };
            let refused = password::set(&own, &people, &of(user), Reach::Own, new).await;
            fails(refused, Kind::PermissionDenied, Reason::PermissionDenied);
            let refused = second_factor::enroll(&own, &people, &of(user), Reach::Own).await;
            fails(refused, Kind::PermissionDenied, Reason::PermissionDenied);
        }
        let request = PageRequest::read(None, None).unwrap();
        let page = users::page(&own, &db, &acme(), &UserFilter::default(), Reach::Own, request).await.unwrap();
        assert_eq!((page.items.len(), page.total, page.items[0].account.id), (1, 1, ada.account.id));
        let program = of_tenant(scope, Role::User, None);
        let page = users::page(&program, &db, &acme(), &UserFilter::default(), Reach::Own, request).await.unwrap();
        assert_eq!((page.items.len(), page.total), (0, 0));
    }

    async fn a_deleted_user_releases_its_address_but_not_its_id(db: TestDb) {
        tenant(&db, "acme").await;
        let people = people(&db);
        make(&people, "Ada", "user").await;
        let cx = platform_cx("group.create");
        let new = NewGroup { name: "Ops".to_owned(), users: vec!["ada".to_owned()], ..NewGroup::default() };
        let group = groups::create(&cx, &db, &acme(), new).await.unwrap();
        role_grants::grant(&cx, &db, &of("ada"), &role("auditor"), None).await.unwrap();
        let gone = lifecycle::delete(&cx, &db, &of("ada"), Some("left".to_owned())).await.unwrap();
        assert_eq!((gone.account.status, gone.roles.len(), gone.groups.len()), (AccountStatus::Deleted, 1, 0));
        fails(lifecycle::delete(&cx, &db, &of("ada"), None).await, Kind::NotFound, Reason::AccountNotFound);
        let row = accounts::Entity::find_by_id(gone.account.id).one(db.read()).await.unwrap().unwrap();
        assert_eq!((row.password_hash.as_str(), row.email_key), ("", None));
        let new = |id: &str| NewUser { id: Some(id.to_owned()), email: "ada@example.com".to_owned(), ..NewUser::default() };
        let again = lifecycle::create(&cx, &people, &acme(), new("aDA")).await;
        fails(again, Kind::AlreadyExists, Reason::AccountExists);
        let other = lifecycle::create(&cx, &people, &acme(), new("ada-2")).await.unwrap();
        assert_eq!(other.account.status, AccountStatus::Invited);
        assert_eq!(ids(&db, UserFilter::default()).await, ["ada-2"]);
        let in_group = UserFilter { group: Some(group.shown_id()), ..UserFilter::default() };
        assert_eq!(ids(&db, in_group).await, Vec::<String>::new());
    }

    async fn lists_are_filtered_case_insensitively(db: TestDb) {
        tenant(&db, "acme").await;
        let people = people(&db);
        make(&people, "ada", "admin").await;
        make(&people, "bob_1", "user").await;
        let name = UserEdit { display_name: Some("Robert 100%".to_owned()), ..UserEdit::default() };
        lifecycle::update(&platform_cx("user.update"), &db, &of("bob_1"), name).await.unwrap();
        for (text, found) in
            [("ADA", vec!["ada"]), ("EXAMPLE", vec!["ada", "bob_1"]), ("robert", vec!["bob_1"]), ("b_1", vec!["bob_1"])]
        {
            assert_eq!(ids(&db, filter(text)).await, found, "{text}");
        }
        for text in ["100%", "0%"] {
            assert_eq!(ids(&db, filter(text)).await, ["bob_1"], "{text}");
        }
        for text in ["b%1", "b.1", "a\0", "nobody"] {
            assert_eq!(ids(&db, filter(text)).await, Vec::<String>::new(), "{text:?}");
        }
    }

    async fn attributes_of_a_directory_are_changed_there(db: TestDb) {
        tenant(&db, "acme").await;
        let people = people(&db);
        make(&people, "ada", "user").await;
        sql(&db, "UPDATE accounts SET source = 'directory'".to_owned()).await.unwrap();
        let cx = platform_cx("user.update");
        let name = |name: &str| UserEdit { display_name: Some(name.to_owned()), ..UserEdit::default() };
        let synced = (Kind::FailedPrecondition, Reason::AccountSynced);
        fails(lifecycle::update(&cx, &db, &of("ada"), name("Ada")).await, synced.0, synced.1);
        let email = UserEdit { email: Some("new@example.com".to_owned()), ..UserEdit::default() };
        fails(lifecycle::update(&cx, &db, &of("ada"), email).await, synced.0, synced.1);
        let same = UserEdit { email: Some("ADA@example.com".to_owned()), ..name("") };
        assert_eq!(lifecycle::update(&cx, &db, &of("ada"), same).await.unwrap().account.version, 1);
        assert_eq!(lifecycle::update(&cx, &db, &of("ada"), to("auditor")).await.unwrap().account.version, 2);
        let stale = UserRef { version: Some(1), ..of("ada") };
        fails(lifecycle::update(&cx, &db, &stale, to("user")).await, Kind::Aborted, Reason::VersionStale);
    }

    async fn every_change_of_a_user_is_audited_without_a_secret(db: TestDb) {
        let scope = tenant(&db, "acme").await;
        let people = people(&db);
        make(&people, "ada", "user").await;
        lifecycle::update(&platform_cx("user.update"), &db, &of("ada"), to("auditor")).await.unwrap();
        let new = NewPassword { text: secret("another long enough one"), ..NewPassword::default() };
        password::set(&platform_cx("user.password.set"), &people, &of("ada"), Reach::All, new).await.unwrap();
        second_factor::enroll(&platform_cx("user.mfa.enroll"), &people, &of("ada"), Reach::All).await.unwrap();
        second_factor::disable(&platform_cx("user.mfa.disable"), &db, &of("ada"), "a drill").await.unwrap();
        suspension::suspend(&platform_cx("user.suspend"), &db, &of("ada"), Some("left".to_owned())).await.unwrap();
        let events = audit_events::Entity::find().order_by_asc(audit_events::Column::Id).all(db.read()).await.unwrap();
        let of_ada: Vec<_> = events.iter().filter(|event| event.target == "ada").collect();
        let actions: Vec<_> = of_ada.iter().map(|event| event.action.as_str()).collect();
        let expected = ["user.create", "user.update", "user.password.set", "user.mfa.enroll", "user.mfa.disable", "user.suspend"];
        assert_eq!(actions, expected);
        assert!(of_ada.iter().all(|event| event.tenant_id == Some(scope.tenant())));
        let details: Vec<Value> = of_ada.iter().map(|event| serde_json::from_str(&event.details).unwrap()).collect();
        assert_eq!((&details[1]["before"]["role"], &details[1]["after"]["role"]), (&"user".into(), &"auditor".into()));
        assert_eq!((&details[4]["reason"], &details[5]["reason"]), (&"a drill".into(), &"left".into()));
        let all = format!("{details:?}");
        assert!(!all.contains("long enough") && !all.contains("argon2") && !all.contains("v1:"), "{all}");
    }

    async fn a_tenant_from_creation_to_deletion(db: TestDb) {
        let (cx, store) = (platform_cx("tenant.set_plan"), &db.store);
        let made = subscribe(&db, "acme").await.unwrap();
        assert_eq!((made.plan, made.overrides.len(), made.tenant.version), (Plan::Unlimited, 0, 1));
        let overrides = Map::from_iter([("users".to_owned(), json!(7.0))]);
        let set = tenants::set_plan(&cx, store, &subscriber("acme"), "starter", overrides).await.unwrap();
        assert_eq!((set.plan, &set.overrides["users"], set.tenant.version), (Plan::Starter, &json!(7), 2));
        let gone = delete(&db, "acme", false).await.unwrap();
        assert!(gone.tenant.status == Status::Deprovisioning && gone.tenant.purge_at.is_some());
        fails(subscribe(&db, "acme").await, Kind::AlreadyExists, Reason::TenantExists);
        let back = tenants::reactivate(&cx, store, &subscriber("acme"), None).await.unwrap();
        assert_eq!((back.tenant.status, back.plan), (Status::Active, Plan::Starter));
        delete(&db, "acme", false).await.unwrap();
        delete(&db, "acme", true).await.unwrap();
        fails(delete(&db, "acme", true).await, Kind::NotFound, Reason::TenantNotFound);
        assert_eq!(subscribe(&db, "acme").await.unwrap().plan, Plan::Unlimited, "a new tenant must not have the plan of the deleted one");
    }

    async fn a_tenant_of_another_surface_has_no_limits(db: TestDb) {
        tenant(&db, "Else.where").await;
        subscribe(&db, "acme").await.unwrap();
        let request = PageRequest::read(None, None).unwrap();
        let page = tenants::page(&platform_cx("x"), &db, request).await.unwrap();
        let rows: Vec<_> = page.items.iter().map(|one| (one.tenant.name.as_str(), one.plan)).collect();
        assert_eq!(rows, [("Else.where", Plan::Unlimited), ("acme", Plan::Unlimited)]);
        let cx = platform_cx("tenant.set_plan");
        let set = tenants::set_plan(&cx, &db, &subscriber("else.where"), "business", Map::new()).await.unwrap();
        assert_eq!(set.plan, Plan::Business);
    }
}
