//! Groups and API keys: their rules, on both databases.

use futures::future::join_all;
use sea_orm::{ConnectionTrait, EntityTrait, QueryOrder, Statement};
use tenantry::{
    base::{
        Access, Basis, Caller, Cx, Error, IdKind, Kind, PageRequest, Role, TenantRef, TenantScope, caller::CallerFacts,
        cx::CxFacts, error::Reason,
    },
    identity::{
        UserRef,
        api_keys::{self, CreatedApiKey, NewApiKey},
        group_deletion,
        groups::{self, Group, GroupChange, GroupRef, NewGroup},
        roles::grants::{self, RoleRef},
    },
    store::{
        Store,
        tables::{accounts, audit_events},
    },
};
use uuid::Uuid;

use crate::{
    db::{TestDb, cx, platform_cx},
    rows::{account, key, sql, tenant},
};

fn named(tenant: &str) -> TenantRef {
    TenantRef::parse(tenant)
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

async fn create(store: &Store, tenant: &str, name: &str, users: &[&str]) -> Result<Group, Error> {
    let new = NewGroup { name: name.to_owned(), users: texts(users), ..NewGroup::default() };
    groups::create(&platform_cx("group.create"), store, &named(tenant), new).await
}

fn of(tenant: &str, group: &Group) -> GroupRef {
    GroupRef { tenant: named(tenant), id: group.shown_id(), version: None }
}

async fn add(store: &Store, group: &GroupRef, users: &[&str]) -> Result<Group, Error> {
    groups::add_members(&platform_cx("group.member.add"), store, group, texts(users)).await
}

async fn remove(store: &Store, group: &GroupRef, users: &[&str]) -> Result<Group, Error> {
    groups::remove_members(&platform_cx("group.member.remove"), store, group, texts(users)).await
}

async fn update(store: &Store, group: &GroupRef, change: GroupChange) -> Result<Group, Error> {
    groups::update(&platform_cx("group.update"), store, group, change).await
}

async fn delete(store: &Store, group: &GroupRef, force: bool) -> Result<Group, Error> {
    group_deletion::delete(&platform_cx("group.delete"), store, group, force).await
}

async fn names(store: &Store, tenant: &str, text: &str) -> Vec<String> {
    let request = PageRequest::read(None, None).unwrap();
    let page = groups::page(&platform_cx("x"), store, &named(tenant), text, request).await.unwrap();
    page.items.into_iter().map(|group| group.row.name).collect()
}

#[track_caller]
fn fails<T: std::fmt::Debug>(outcome: Result<T, Error>, kind: Kind, reason: Reason) -> Error {
    let error = outcome.expect_err("it is refused");
    assert_eq!((error.kind, error.reason), (kind, reason), "{error:?}");
    error
}

fn renamed(name: &str) -> GroupChange {
    GroupChange { name: Some(name.to_owned()), ..GroupChange::default() }
}

/// The context of a call in a tenant.
fn tenant_cx(scope: TenantScope, role: Role) -> Cx {
    let facts = CxFacts::clone(&cx("apikey.create", Access::Tenant(TenantRef::Id(scope.tenant()))));
    let caller = Caller::new(CallerFacts { subject: "acme/ada".to_owned(), role, ..CallerFacts::default() });
    Cx::new(CxFacts { caller, ..facts })
}

async fn make(db: &TestDb, cx: &Cx, new: NewApiKey) -> Result<CreatedApiKey, Error> {
    api_keys::create(cx, db, &named("acme"), new).await
}

async fn grant_for(db: &TestDb, group: &Group, user: &str) {
    let user = UserRef { tenant: named("acme"), user: user.to_owned(), version: None };
    let role = RoleRef { role: "admin".to_owned(), scope: Some(("group".to_owned(), Some(group.shown_id()))) };
    grants::grant(&platform_cx("rbac.grant"), db, &user, &role, None).await.unwrap();
}

/// The version and the epoch of an account.
async fn standing(db: &TestDb, id: Uuid) -> (i64, i64) {
    let row = accounts::Entity::find_by_id(id).one(db.read()).await.unwrap().unwrap();
    (row.version, row.epoch)
}

both_databases! {
    async fn deleting_a_group_revokes_its_roles_as_if_one_by_one(db: TestDb) {
        let acme = tenant(&db, "acme").await;
        let (ada, bob) = (account(&db, acme, "ada").await, account(&db, acme, "bob").await);
        let group = create(&db, "acme", "Ops", &[]).await.unwrap();
        grant_for(&db, &group, "ada").await;
        let before = (standing(&db, ada).await, standing(&db, bob).await);
        let cx = tenant_cx(acme, Role::Admin);
        let key = make(&db, &tenant_cx(acme, Role::Admin), key("admin")).await.unwrap();
        let facts = CallerFacts { basis: Basis::ApiKey(key.key.id), ..CallerFacts::clone(&cx.caller) };
        let by_key = Cx::new(CxFacts { caller: Caller::new(facts), ..CxFacts::clone(&cx) });
        let refused = group_deletion::delete(&by_key, &db, &of("acme", &group), false).await;
        fails(refused, Kind::PermissionDenied, Reason::CallerKindRefused);
        assert_eq!((standing(&db, ada).await, standing(&db, bob).await), before);
        delete(&db, &of("acme", &group), false).await.unwrap();
        let ((version, epoch), of_bob) = before;
        assert_eq!((standing(&db, ada).await, standing(&db, bob).await), ((version + 1, epoch + 1), of_bob));
        let left = Statement::from_string(db.backend(), "SELECT role FROM account_roles");
        assert!(db.read().query_one_raw(left).await.unwrap().is_none());
    }

    async fn a_group_with_the_roles_of_very_many_users_is_not_deleted(db: TestDb) {
        let scope = tenant(&db, "acme").await;
        let group = create(&db, "acme", "many", &[]).await.unwrap();
        let literal = |id: Uuid| if db.is_sqlite() { format!("x'{}'", id.simple()) } else { format!("'{id}'") };
        let tenant_id = literal(scope.tenant().uuid());
        for number in 0..501_u128 {
            let account_id = literal(Uuid::from_u128(number));
            let account = format!(
                "INSERT INTO accounts (id, tenant_id, username, username_key, role, status, password_hash, epoch, \
                 epoch_changed_at, created_at, updated_at) VALUES ({account_id}, {tenant_id}, 'u{number}', 'u{number}', 'user', \
                 'active', '', 0, 0, 0, 0)"
            );
            let role = format!(
                "INSERT INTO account_roles (tenant_id, account_id, role, scope_type, scope_id, granted_by, granted_at) \
                 VALUES ({tenant_id}, {account_id}, 'auditor', 'group', '{}', 'admin', 0)",
                group.shown_id()
            );
            sql(&db, account).await.unwrap();
            sql(&db, role).await.unwrap();
        }
        let refused = delete(&db, &of("acme", &group), true).await.unwrap_err();
        assert_eq!(refused.reason, Reason::GroupInUse);
        let fewer = format!("DELETE FROM account_roles WHERE account_id = {}", literal(Uuid::from_u128(7)));
        sql(&db, fewer).await.unwrap();
        delete(&db, &of("acme", &group), true).await.unwrap();
    }

    async fn a_group_from_creation_to_deletion(db: TestDb) {
        let acme = tenant(&db, "acme").await;
        let (ada, _) = (account(&db, acme, "ada").await, account(&db, acme, "bob").await);
        let group = create(&db, "acme", " Ops ", &["ada"]).await.unwrap();
        assert_eq!((group.row.name.as_str(), group.members, group.row.version), ("Ops", 1, 1));
        let own = of("ACME", &group);
        let shown = IdKind::User.show(ada);
        let both = add(&db, &own, &["BOB@example.com", "ADA", &shown]).await.unwrap();
        assert_eq!((both.members, both.row.version), (2, 2));
        let again = add(&db, &own, &["ada", "bob"]).await.unwrap();
        assert_eq!((again.members, again.row.version), (2, 2), "a repeated call must change nothing");
        let fewer = remove(&db, &own, &[&shown]).await.unwrap();
        assert_eq!((fewer.members, fewer.row.version), (1, 3));
        assert_eq!(remove(&db, &own, &["ada"]).await.unwrap().row.version, 3);
        let change = GroupChange { policy_id: Some("pol_1".to_owned()), ..renamed("Operators") };
        let changed = update(&db, &own, change).await.unwrap();
        assert_eq!((changed.row.name.as_str(), changed.row.version, changed.members), ("Operators", 4, 1));
        fails(delete(&db, &own, false).await, Kind::FailedPrecondition, Reason::GroupInUse);
        assert_eq!(delete(&db, &own, true).await.unwrap().members, 1);
        fails(add(&db, &own, &["ada"]).await, Kind::NotFound, Reason::GroupNotFound);
        create(&db, "acme", "operators", &[]).await.expect("reusing the name");
    }

    async fn every_change_of_a_group_is_audited(db: TestDb) {
        let acme = tenant(&db, "acme").await;
        let ada = account(&db, acme, "ada").await;
        let group = create(&db, "acme", "ops", &[]).await.unwrap();
        let own = of("acme", &group);
        add(&db, &own, &["ada"]).await.unwrap();
        remove(&db, &own, &["ada"]).await.unwrap();
        update(&db, &own, renamed("dev")).await.unwrap();
        delete(&db, &own, false).await.unwrap();
        let events = audit_events::Entity::find().order_by_asc(audit_events::Column::Id).all(db.read()).await.unwrap();
        let events: Vec<_> = events.into_iter().filter(|event| event.action.starts_with("group.")).collect();
        let actions: Vec<_> = events.iter().map(|event| event.action.as_str()).collect();
        let all = ["group.create", "group.member.add", "group.member.remove", "group.update", "group.delete"];
        assert_eq!(actions, all);
        let its = |event: &audit_events::Model| event.target == group.shown_id() && event.tenant_id == Some(acme.tenant());
        assert!(events.iter().all(its));
        assert!(events[1].details.contains(&IdKind::User.show(ada)), "{}", events[1].details);
    }

    async fn a_name_is_unique_in_its_tenant_case_insensitively(db: TestDb) {
        tenant(&db, "acme").await;
        tenant(&db, "other").await;
        let ops = create(&db, "acme", "Öps", &[]).await.unwrap();
        fails(create(&db, "acme", "öPS", &[]).await, Kind::AlreadyExists, Reason::GroupExists);
        let dev = create(&db, "acme", "dev", &[]).await.unwrap();
        fails(update(&db, &of("acme", &dev), renamed("ÖPS")).await, Kind::AlreadyExists, Reason::GroupExists);
        assert_eq!(update(&db, &of("acme", &ops), renamed("öps")).await.unwrap().row.name, "öps");
        create(&db, "other", "öps", &[]).await.expect("the same name in another tenant");
    }

    async fn one_of_32_creates_of_a_name_wins(db: TestDb) {
        tenant(&db, "acme").await;
        let spellings = ["ops", "Ops", "OPS"];
        let outcomes = join_all((0..32).map(|number| {
            let store = db.store.clone();
            tokio::spawn(async move { create(&store, "acme", spellings[number % 3], &[]).await })
        }));
        let outcomes: Vec<_> = outcomes.await.into_iter().map(Result::unwrap).collect();
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        for outcome in outcomes.into_iter().filter(Result::is_err) {
            fails(outcome, Kind::AlreadyExists, Reason::GroupExists);
        }
        assert_eq!(names(&db, "acme", "").await.len(), 1);
    }

    async fn users_of_another_tenant_look_like_missing_users(db: TestDb) {
        let (acme, other) = (tenant(&db, "acme").await, tenant(&db, "other").await);
        account(&db, acme, "ada").await;
        let eve = IdKind::User.show(account(&db, other, "eve").await);
        let nobody = IdKind::User.show(Uuid::now_v7());
        let group = create(&db, "acme", "ops", &[]).await.unwrap();
        for unknown in [eve.as_str(), "eve", "eve@example.com", &nobody, "nobody", "a\0b", ""] {
            let error = fails(add(&db, &of("acme", &group), &["ada", unknown]).await, Kind::InvalidArgument, Reason::UsersUnknown);
            assert_eq!(error.violations[0].field, "user_ids");
            fails(create(&db, "acme", "x", &[unknown]).await, Kind::InvalidArgument, Reason::UsersUnknown);
        }
        let (foreign, missing) = (add(&db, &of("acme", &group), &[&eve]).await, add(&db, &of("acme", &group), &[&nobody]).await);
        let text = |outcome: Result<Group, Error>, id: &str| outcome.unwrap_err().to_string().replace(id, "...");
        assert_eq!(text(foreign, &eve), text(missing, &nobody));
        let ada = add(&db, &of("acme", &group), &["ada"]).await.unwrap();
        assert_eq!((ada.members, ada.row.version), (1, 2), "a refused call must not add members");
    }

    async fn a_group_of_another_tenant_is_missing(db: TestDb) {
        let (acme, other) = (tenant(&db, "acme").await, tenant(&db, "other").await);
        account(&db, acme, "ada").await;
        account(&db, other, "ada").await;
        let foreign = of("acme", &create(&db, "other", "ops", &[]).await.unwrap());
        fails(update(&db, &foreign, renamed("x")).await, Kind::NotFound, Reason::GroupNotFound);
        fails(add(&db, &foreign, &["ada"]).await, Kind::NotFound, Reason::GroupNotFound);
        fails(delete(&db, &foreign, true).await, Kind::NotFound, Reason::GroupNotFound);
        for malformed in ["", "ops", "usr_01J7ST8Z0GFCQ9TCATDDY8V7GF"] {
            let group = GroupRef { id: malformed.to_owned(), ..foreign.clone() };
            fails(delete(&db, &group, false).await, Kind::NotFound, Reason::GroupNotFound);
        }
        assert_eq!(names(&db, "other", "").await, ["ops"]);
    }

    async fn a_link_across_tenants_fails_in_sql(db: TestDb) {
        let (acme, other) = (tenant(&db, "acme").await, tenant(&db, "other").await);
        let (ada, eve) = (account(&db, acme, "ada").await, account(&db, other, "eve").await);
        let group = create(&db, "acme", "ops", &[]).await.unwrap().row.id;
        let literal = |id: Uuid| if db.is_sqlite() { format!("x'{}'", id.as_simple()) } else { format!("'{id}'") };
        let link = |tenant: TenantScope, account: Uuid| {
            let (tenant, group, account) = (literal(tenant.tenant().uuid()), literal(group), literal(account));
            format!("INSERT INTO group_members (tenant_id, group_id, account_id, created_at) VALUES ({tenant}, {group}, {account}, 0)")
        };
        sql(&db, link(acme, eve)).await.expect_err("the account is another tenant's");
        sql(&db, link(other, eve)).await.expect_err("the group is another tenant's");
        sql(&db, link(acme, ada)).await.expect("a link inside one tenant");
    }

    async fn one_of_concurrent_changes_of_a_version_succeeds(db: TestDb) {
        tenant(&db, "acme").await;
        let group = create(&db, "acme", "ops", &[]).await.unwrap();
        let first = GroupRef { version: Some(1), ..of("acme", &group) };
        let outcomes = join_all((0..16).map(|number| {
            let (store, first) = (db.store.clone(), first.clone());
            tokio::spawn(async move { update(&store, &first, renamed(&format!("ops {number}"))).await })
        }));
        let outcomes: Vec<_> = outcomes.await.into_iter().map(Result::unwrap).collect();
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        fails(delete(&db, &first, false).await, Kind::Aborted, Reason::VersionStale);
        fails(add(&db, &first, &["nobody"]).await, Kind::Aborted, Reason::VersionStale);
        delete(&db, &GroupRef { version: Some(2), ..first }, false).await.unwrap();
    }

    async fn groups_of_a_directory_are_managed_there(db: TestDb) {
        let acme = tenant(&db, "acme").await;
        account(&db, acme, "ada").await;
        let group = of("acme", &create(&db, "acme", "ops", &[]).await.unwrap());
        sql(&db, "UPDATE groups SET source = 'directory', external_id = 'x'".to_owned()).await.unwrap();
        let synced = (Kind::FailedPrecondition, Reason::GroupSynced);
        fails(update(&db, &group, renamed("x")).await, synced.0, synced.1);
        fails(add(&db, &group, &["ada"]).await, synced.0, synced.1);
        fails(remove(&db, &group, &["ada"]).await, synced.0, synced.1);
        fails(delete(&db, &group, false).await, synced.0, synced.1);
        let described = GroupChange { description: Some("ours".to_owned()), ..GroupChange::default() };
        assert_eq!(update(&db, &group, described).await.unwrap().row.description, "ours");
        delete(&db, &group, true).await.unwrap();
    }

    async fn groups_are_listed_in_pages_and_by_name(db: TestDb) {
        tenant(&db, "acme").await;
        tenant(&db, "other").await;
        for name in ["Ops", "dev", "ops_2", "100%", "ÄRZTE"] {
            create(&db, "acme", name, &[]).await.unwrap();
        }
        create(&db, "other", "ops", &[]).await.unwrap();
        for (text, found) in [("OPS", &["Ops", "ops_2"][..]), ("s_2", &["ops_2"]), ("%", &["100%"]), ("_", &["ops_2"]), ("ärz", &["ÄRZTE"]), ("\\", &[]), ("a\0b", &[])] {
            assert_eq!(names(&db, "acme", text).await, found, "{text}");
        }
        let mut seen = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let request = PageRequest::read(Some(2), cursor.as_deref()).unwrap();
            let page = groups::page(&platform_cx("x"), &db, &named("acme"), "", request).await.unwrap();
            assert_eq!(page.total, 5);
            seen.extend(page.items.into_iter().map(|group| group.row.name));
            let Some(next) = page.next else { break };
            cursor = Some(next);
        }
        assert_eq!(seen, ["Ops", "dev", "ops_2", "100%", "ÄRZTE"]);
        let last = create(&db, "acme", "last", &[]).await.unwrap().row.id;
        let beyond = PageRequest { after: Some(last), ..PageRequest::read(None, None).unwrap() };
        let page = groups::page(&platform_cx("x"), &db, &named("acme"), "", beyond).await.unwrap();
        assert_eq!((page.items.len(), page.total, page.next), (0, 6, None));
    }

    async fn a_tenants_caller_sees_only_its_own_groups(db: TestDb) {
        let acme = tenant(&db, "acme").await;
        tenant(&db, "other").await;
        let request = PageRequest::read(None, None).unwrap();
        for foreign in ["other", "nowhere"] {
            let seen = groups::page(&tenant_cx(acme, Role::Admin), &db, &named(foreign), "", request).await;
            fails(seen, Kind::PermissionDenied, Reason::TenantForeign);
        }
        assert!(groups::page(&tenant_cx(acme, Role::Admin), &db, &named("acme"), "", request).await.is_ok());
    }

    async fn no_caller_creates_a_key_above_their_own_role(db: TestDb) {
        let acme = tenant(&db, "acme").await;
        let (admin, operator) = (tenant_cx(acme, Role::Admin), tenant_cx(acme, Role::SecurityOperator));
        let made = make(&db, &admin, key("admin")).await.unwrap();
        assert_eq!((made.key.role, made.key.created_by.as_str()), (Role::Admin, "acme/ada"));
        assert!(api_keys::is_key(made.text.expose()));
        fails(make(&db, &operator, key("admin")).await, Kind::PermissionDenied, Reason::RoleAboveOwn);
        fails(make(&db, &admin, key("platform_admin")).await, Kind::PermissionDenied, Reason::RoleAboveOwn);
        for none in ["platform_admin", "project", "owner", ""] {
            fails(make(&db, &platform_cx("apikey.create"), key(none)).await, Kind::InvalidArgument, Reason::InvalidArgument);
        }
        let revoked = api_keys::revoke(&operator, &db, &named("acme"), &made.key.shown_id()).await;
        fails(revoked, Kind::PermissionDenied, Reason::RoleAboveOwn);
    }

    async fn a_key_of_another_tenant_is_missing(db: TestDb) {
        let (acme, other) = (tenant(&db, "acme").await, tenant(&db, "other").await);
        let made = make(&db, &tenant_cx(acme, Role::Admin), key("user")).await.unwrap();
        let revoke = async |tenant: &str, id: &str| api_keys::revoke(&platform_cx("apikey.revoke"), &db, &named(tenant), id).await;
        for id in [made.key.shown_id().as_str(), "key_01J7ST8Z0GFCQ9TCATDDY8V7GF", "", "ci"] {
            fails(revoke("other", id).await, Kind::NotFound, Reason::ApiKeyNotFound);
        }
        let request = PageRequest::read(None, None).unwrap();
        let seen = api_keys::page(&tenant_cx(other, Role::Admin), &db, &named("other"), request).await.unwrap();
        assert_eq!((seen.items.len(), seen.total), (0, 0));
        let first = revoke("acme", &made.key.shown_id()).await.unwrap();
        let again = revoke("acme", &made.key.shown_id()).await.unwrap();
        assert!(first.revoked_at.is_some());
        assert_eq!(first.revoked_at, again.revoked_at);
    }

    async fn the_secret_of_a_key_is_not_stored(db: TestDb) {
        let acme = tenant(&db, "acme").await;
        let made = make(&db, &tenant_cx(acme, Role::Admin), key("user")).await.unwrap();
        let secret = made.text.expose()["tak_12345678_".len()..].to_owned();
        let events = audit_events::Entity::find().all(db.read()).await.unwrap();
        assert!(events.iter().any(|event| event.action == "apikey.create"));
        assert!(events.iter().all(|event| !event.details.contains(&secret)));
        assert!(!format!("{made:?}").contains(&secret));
        let row = db.api_key_by_digest(&tenantry::base::opaque::digest(made.text.expose())).await.unwrap().unwrap();
        assert_eq!(row.id, made.key.id);
        assert!(!format!("{row:?}").contains(&secret));
    }
}
