//! References between tables (`docs/references.md`), checked against the schema; and deletions leave nothing
//! that blocks later changes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use sea_orm::{ConnectionTrait, DbBackend, Statement};
use tenantry::{
    base::{Role, TenantRef},
    identity::{
        UserRef,
        api_keys::{self, NewApiKey},
        group_deletion,
        groups::{self, GroupChange, GroupRef, NewGroup},
        roles::grants::{self as role_grants, RoleRef},
        users::{
            self,
            lifecycle::{self, UserEdit},
        },
    },
    store::Store,
};

use crate::{
    db::platform_cx,
    harness::root,
    rows::{account, tenant},
};

/// What a column references.
#[derive(Debug, Default, PartialEq, Eq)]
struct Reference {
    to: BTreeSet<String>,
    /// `cascade`, `restrict` or `none`.
    key: String,
}

/// The rows of the table in the document, and the tables that it says have no references.
fn documented() -> (BTreeMap<String, Reference>, BTreeSet<String>) {
    let text = fs::read_to_string(root().join("docs/references.md")).unwrap();
    let mut rows = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [column, to, key, what] = cells[..] else { panic!("{line}") };
        assert!(!what.is_empty(), "{line}");
        let to = to.split(',').map(|table| table.trim().to_owned()).collect();
        let twice = rows.insert(column.trim_matches('`').to_owned(), Reference { to, key: key.to_owned() });
        assert!(twice.is_none(), "{column} stands there twice");
    }
    let plain = text.lines().find_map(|line| line.strip_prefix("These tables refer to nothing:")).unwrap();
    let plain = plain.split(',').map(|table| table.trim().trim_matches(['`', '.']).to_owned()).collect();
    (rows, plain)
}

/// Whether the name of a column suggests a reference.
fn refers(column: &str) -> bool {
    let ends = ["_id", "_ids", "_by", "_cluster", "_clusters", "_names", "_role", "_roles", "_subject", "_ref"];
    let is = ["owner", "holder", "target", "tenant", "account", "cluster", "clusters", "peers"];
    // A flag, and the caller's role at the time.
    let plain = ["named_id", "caller_role"];
    !plain.contains(&column) && (is.contains(&column) || ends.iter().any(|end| column.ends_with(end)))
}

async fn strings(store: &Store, sql: &str, columns: usize) -> Vec<Vec<String>> {
    let rows = store.orm().query_all_raw(Statement::from_string(store.backend(), sql)).await.unwrap();
    rows.iter().map(|row| (0..columns).map(|column| row.try_get_by_index(column).unwrap()).collect()).collect()
}

/// Every column of our tables.
async fn columns(store: &Store) -> BTreeSet<(String, String)> {
    let sql = match store.backend() {
        DbBackend::Sqlite => {
            "SELECT t.name, c.name FROM sqlite_master t, pragma_table_info(t.name) c \
             WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'"
        }
        _ => {
            "SELECT table_name::text, column_name::text FROM information_schema.columns \
             WHERE table_schema = current_schema()"
        }
    };
    let rows = strings(store, sql, 2).await.into_iter().map(|row| (row[0].clone(), row[1].clone()));
    rows.filter(|(table, _)| table != "seaql_migrations").collect()
}

/// The foreign keys of the database, by column.
async fn foreign_keys(store: &Store) -> BTreeMap<String, Reference> {
    let sql = match store.backend() {
        DbBackend::Sqlite => {
            "SELECT t.name, k.\"from\", k.\"table\", k.on_delete FROM sqlite_master t, pragma_foreign_key_list(t.name) k \
             WHERE t.type = 'table'"
        }
        _ => {
            "SELECT k.conrelid::regclass::text, a.attname::text, k.confrelid::regclass::text, k.confdeltype::text \
             FROM pg_constraint k CROSS JOIN unnest(k.conkey) AS c(number) \
             JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = c.number WHERE k.contype = 'f'"
        }
    };
    let mut found: BTreeMap<String, Reference> = BTreeMap::new();
    for row in strings(store, sql, 4).await {
        let [table, column, to, action] = &row[..] else { unreachable!() };
        let action = match action.as_str() {
            "CASCADE" | "c" => "cascade",
            "RESTRICT" | "r" => "restrict",
            other => panic!("{table}.{column}: {other} is not described in docs/references.md"),
        };
        let reference = found.entry(format!("{table}.{column}")).or_default();
        reference.to.insert(to.clone());
        assert!(reference.key.is_empty() || reference.key == action, "{table}.{column}");
        action.clone_into(&mut reference.key);
    }
    found
}

both_databases! {
    async fn every_reference_of_the_schema_is_documented(db: TestDb) {
        let (documented, plain) = documented();
        let (columns, keys) = (columns(&db).await, foreign_keys(&db).await);
        assert!(keys.len() >= 15 && columns.len() > 100, "{} {}", keys.len(), columns.len());
        let keyed: BTreeMap<_, _> = documented.iter().filter(|(_, reference)| reference.key != "none").collect();
        assert_eq!(keyed, keys.iter().collect(), "docs/references.md and the database differ in their foreign keys");

        let known = |column: &str| columns.iter().any(|(table, name)| format!("{table}.{name}") == column);
        let stale: Vec<_> = documented.keys().filter(|column| !known(column)).collect();
        assert!(stale.is_empty(), "docs/references.md lists columns that do not exist: {stale:?}");
        let missing: Vec<_> = columns
            .iter()
            .filter(|(_, column)| refers(column))
            .map(|(table, column)| format!("{table}.{column}"))
            .filter(|column| !documented.contains_key(column))
            .collect();
        assert!(missing.is_empty(), "docs/references.md must say what happens to these when the referenced row is deleted: {missing:?}");

        let has_columns = |table: &String| documented.keys().any(|column| column.starts_with(&format!("{table}.")));
        let tables: BTreeSet<_> = columns.iter().map(|(table, _)| table.clone()).collect();
        let missing: Vec<_> = tables.iter().filter(|table| !plain.contains(*table) && !has_columns(table)).collect();
        assert!(missing.is_empty(), "docs/references.md must say what these tables refer to: {missing:?}");
    }

    async fn deleting_a_group_or_user_leaves_valid_references(db: TestDb) {
        let scope = tenant(&db, "acme").await;
        let (_, bob) = (account(&db, scope, "ada").await, account(&db, scope, "bob").await);
        let acme = TenantRef::parse("acme");
        let user = |name: &str| UserRef { tenant: acme.clone(), user: name.to_owned(), version: None };
        let new = |name: &str| NewGroup {
            name: name.to_owned(),
            users: vec!["ada".to_owned(), "bob".to_owned()],
            ..NewGroup::default()
        };
        let cx = platform_cx("test");
        let (ops, dev) = (
            groups::create(&cx, &db, &acme, new("ops")).await.unwrap(),
            groups::create(&cx, &db, &acme, new("dev")).await.unwrap(),
        );
        let for_group = |id: String| RoleRef { role: "auditor".to_owned(), scope: Some(("group".to_owned(), Some(id))) };
        for (name, group) in [("ada", &ops), ("bob", &ops), ("ada", &dev)] {
            role_grants::grant(&cx, &db, &user(name), &for_group(group.shown_id()), None).await.unwrap();
        }
        let of = |group: &groups::Group| GroupRef { tenant: acme.clone(), id: group.shown_id(), version: None };

        group_deletion::delete(&cx, &db, &of(&ops), false).await.unwrap();
        for (name, scopes) in [("ada", vec![dev.shown_id()]), ("bob", vec![])] {
            let edit = UserEdit { display_name: Some("still here".to_owned()), ..UserEdit::default() };
            let after = lifecycle::update(&cx, &db, &user(name), edit).await.unwrap();
            let granted: Vec<_> = after.roles.iter().skip(1).map(|grant| grant.scope.id()).collect();
            assert_eq!(granted, scopes, "{name} has roles for groups that exist");
            assert_eq!(after.groups, [dev.row.id], "{name}");
            // Every role in a response can be granted again as it is.
            for scope in scopes {
                role_grants::grant(&cx, &db, &user(name), &for_group(scope), None).await.unwrap();
            }
        }

        let key = NewApiKey { name: "ci".to_owned(), role: "auditor".to_owned(), expires_in: None, networks: Vec::new() };
        let key = api_keys::create(&cx, &db, &acme, key).await.unwrap().key;
        lifecycle::delete(&cx, &db, &user("ada"), None).await.unwrap();
        let change = GroupChange { description: Some("changed".to_owned()), ..GroupChange::default() };
        assert_eq!(groups::update(&cx, &db, &of(&dev), change).await.unwrap().members, 1);
        assert_eq!(groups::add_members(&cx, &db, &of(&dev), vec!["bob".to_owned()]).await.unwrap().members, 1);
        api_keys::revoke(&cx, &db, &acme, &key.shown_id()).await.unwrap();
        let left = users::get(&cx, &db, &acme, bob).await.unwrap();
        assert_eq!(left.account.role, Role::User);
    }
}
