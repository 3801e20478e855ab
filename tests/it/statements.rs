//! The statements of twelve calls, counted by the store's hook. The golden files list them, so that a new one
//! shows in review.

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use tenantry::{
    audit::Denials,
    auth::{
        Sessions, Surface,
        authn::{keys::Keys, sessions::SessionOf},
    },
    base::{
        Access, Basis, Caller, Clock, Cx, PageRequest, Reach, Role, Secret, TenantRef, TenantScope,
        caller::{CallerFacts, CallerTenant},
        cx::CxFacts,
    },
    identity::{
        self, Credentials, Email, NewAccount, Password, Passwords, People, UserRef, api_keys,
        groups::{self, NewGroup},
        login::Purpose,
        roles::grants::{self as role_grants, RoleRef},
        sessions::revocations,
        users::{
            self,
            lifecycle::{self, NewUser},
            suspension,
        },
    },
    messaging::{self, MessagingSettings, rules::InfoInput},
    store::{OnStatement, Sealer, Store, StoreConfig},
};
use uuid::Uuid;

use crate::{
    db::{TestDb, cx, platform_cx},
    harness::golden,
};

const PASSWORD: &str = "correct horse battery";

/// A store that records the statements of each call.
struct Counted {
    store: Store,
    recorded: Arc<Mutex<Vec<String>>>,
    /// The result, with a line for each call and each of its statements.
    text: String,
}

impl Counted {
    async fn open(db: &TestDb) -> Self {
        let recorded = Arc::<Mutex<Vec<String>>>::default();
        let hear = Arc::clone(&recorded);
        let on_statement: OnStatement = Arc::new(move |sql| hear.lock().unwrap().push(shown(sql)));
        let config = StoreConfig { on_statement: Some(on_statement), ..StoreConfig::new(&db.url) };
        Self { store: Store::open(config).await.unwrap(), recorded, text: String::new() }
    }

    /// The statements of a call. Nothing else uses this store.
    async fn call<T>(&mut self, name: &str, call: impl Future<Output = T>) -> (T, Vec<String>) {
        self.recorded.lock().unwrap().clear();
        let answer = call.await;
        let statements = std::mem::take(&mut *self.recorded.lock().unwrap());
        writeln!(self.text, "{name}: {}", statements.len()).unwrap();
        statements.iter().for_each(|statement| writeln!(self.text, "  {statement}").unwrap());
        (answer, statements)
    }
}

/// A statement by its verb and table.
fn shown(sql: &str) -> String {
    let words: Vec<_> = sql.split_whitespace().map(|word| word.trim_matches(['"', '(', ')', ',', ';'])).collect();
    let after = |mark: &str| words.iter().position(|word| *word == mark).and_then(|at| words.get(at + 1));
    let count = if sql.contains("COUNT(") { " count" } else { "" };
    let lock = if sql.contains("FOR UPDATE") { " for update" } else { "" };
    match words[0] {
        // Pages are counted by a query around theirs.
        "SELECT" => match words.iter().zip(&words[1..]).find(|(word, of)| **word == "FROM" && **of != "SELECT") {
            Some((_, table)) => format!("SELECT{count} {table}{lock}"),
            None => sql.to_owned(),
        },
        "INSERT" => format!("INSERT {}", after("INTO").unwrap()),
        "DELETE" => format!("DELETE {}", after("FROM").unwrap()),
        verb => format!("{verb} {}", words[1]),
    }
}

/// A call by an administrator who logged in to a tenant.
fn admin(account: Uuid, tenant: TenantScope, action: &'static str) -> Cx {
    let id = tenant.tenant();
    let own = CallerTenant { id, key: "acme".to_owned(), suspended: false, named_since: None };
    let caller = Caller::new(CallerFacts {
        subject: "acme/ada".to_owned(),
        role: Role::Admin,
        account: Some(account),
        basis: Basis::Account { id: account, epoch: 0 },
        tenant: Some(own),
        ..CallerFacts::default()
    });
    Cx::new(CxFacts { caller, ..CxFacts::clone(&cx(action, Access::Tenant(TenantRef::Id(id)))) })
}

async fn account(store: &Store, tenant: TenantScope, name: &str, role: Role) -> Uuid {
    let email = Some(Email::read(&format!("{name}@example.com")).unwrap());
    let new = NewAccount { email, ..NewAccount::login(Some(tenant), name, Password::of_development(PASSWORD), role) };
    identity::create_account(store, &Passwords::new(1), &platform_cx("account.create"), new).await.unwrap()
}

fn credentials(password: &str) -> Credentials {
    Credentials {
        tenant: Some(TenantRef::parse("acme")),
        user: "ada@example.com".to_owned(),
        password: Secret::new(password.to_owned()),
        code: None,
    }
}

fn no_tenant(statements: &[String]) {
    let tenants = statements.iter().any(|statement| statement.ends_with(" tenants"));
    assert!(!tenants, "authentication has read the caller's tenant: {statements:?}");
}

both_databases! {
    async fn statements_of_twelve_calls_are_pinned(db: TestDb) {
        let mut counted = Counted::open(&db).await;
        let store = counted.store.clone();
        let acme = crate::rows::tenant(&db, "acme").await;
        let (ada, bob) = (account(&db, acme, "ada", Role::Admin).await, account(&db, acme, "bob", Role::User).await);
        let named = TenantRef::Id(acme.tenant());
        let bob = UserRef { tenant: named.clone(), user: tenantry::base::IdKind::User.show(bob), version: None };
        let page = PageRequest::read(None, None).unwrap();
        let people = People::new(store.clone(), Passwords::new(1), Sealer::new(store.clone(), None));
        let sessions = Sessions::new(people.clone(), Arc::new(Keys::ephemeral()), Denials::new(Clock::system()));
        let public = cx("auth.login", Access::None);

        let planned = sessions.plan(Surface::ZeroTrust, Duration::from_secs(3600));
        let right = credentials(PASSWORD);
        let login = sessions.log_in_to(&public, &right, &planned, |_| true);
        let (login, statements) = counted.call("log in", login).await;
        let session = sessions.begin_planned(&SessionOf::login(&login.unwrap()), planned).unwrap();
        assert!(statements.len() <= 8, "{statements:?}");
        assert_eq!(statements.iter().filter(|statement| *statement == "INSERT audit_events").count(), 1, "one write");
        let wrong = credentials("wrong");
        let (refused, _) = counted.call("log in with a wrong password", sessions.log_in(&public, &wrong, &Purpose::Nothing)).await;
        assert!(refused.is_err());

        let new = NewUser { email: "eve@example.com".to_owned(), role: Some("auditor".to_owned()), ..NewUser::default() };
        let by_ada = admin(ada, acme, "user.create");
        counted.call("create a user", lifecycle::create(&by_ada, &people, &named, new)).await.0.unwrap();
        let by_ada = admin(ada, acme, "group.create");
        let new = NewGroup { name: "ops".to_owned(), users: vec![bob.user.clone()], ..NewGroup::default() };
        counted.call("create a group with a member", groups::create(&by_ada, &store, &named, new)).await.0.unwrap();

        let (found, statements) = counted.call("list groups", groups::page(&by_ada, &store, &named, "", page)).await;
        assert_eq!(found.unwrap().total, 1);
        no_tenant(&statements);
        let all = users::UserFilter::default();
        let listed = users::page(&by_ada, &store, &named, &all, Reach::All, page);
        let (found, statements) = counted.call("list users", listed).await;
        assert_eq!(found.unwrap().total, 3);
        no_tenant(&statements);
        let (found, statements) = counted.call("list API keys", api_keys::page(&by_ada, &store, &named, page)).await;
        assert_eq!(found.unwrap().total, 0);
        no_tenant(&statements);

        let role = RoleRef { role: "auditor".to_owned(), scope: None };
        let by_ada = admin(ada, acme, "rbac.grant");
        counted.call("grant a role", role_grants::grant(&by_ada, &store, &bob, &role, None)).await.0.unwrap();
        let by_ada = admin(ada, acme, "user.suspend");
        counted.call("suspend a user", suspension::suspend(&by_ada, &store, &bob, None)).await.0.unwrap();
        let end = time::OffsetDateTime::from_unix_timestamp(session.claims.exp).unwrap();
        let by_ada = admin(ada, acme, "auth.logout");
        counted.call("log out", revocations::revoke_token(&store, &by_ada, session.claims.jti, end)).await.0.unwrap();

        let open = MessagingSettings { max_tenants: None, force_delete: true };
        let info = InfoInput {
            admin_roles: Some(vec!["ops".to_owned()]),
            allowed_clusters: Some(vec!["standalone".to_owned()]),
        };
        let create = platform_cx("tenant.create");
        let made = messaging::tenants::create(&create, &store, &open, "other", Some(&info));
        counted.call("create a messaging tenant", made).await.0.unwrap();
        counted.call("get a messaging tenant", messaging::tenants::get(&create, &store, "other")).await.0.unwrap();

        let name = if db.is_sqlite() { "statements_sqlite.txt" } else { "statements_postgres.txt" };
        golden::check(name, &counted.text);
    }
}
