//! What is created on the server, what is left alone, and what is dropped.

use futures::future::join_all;
use tenantry::{
    base::{Kind, error::Reason},
    providers::provisioner::TenantDatabase,
};

use super::{LOGIN, PASSWORD, Place, acme, connect, provision, rows, tenant};

#[tokio::test]
async fn members_of_the_owner_role_share_a_database_and_nobody_else_can_connect() {
    for place in Place::all().await {
        provision(&place.provisioner(), acme()).await.unwrap();
        let found = place.catalog().await;
        let mark = format!("tenantry: tenant {}", tenant(7).dashed());
        assert!(found.contains(&format!("role acme_owner falsefalsefalsefalse {mark}")), "{found:#?}");
        let database = found.iter().find(|line| line.starts_with("database tenant_acme of acme_owner ")).unwrap();
        assert!(
            database.ends_with(&format!(" true UTF8 {mark}")) && !database.contains("{=") && !database.contains(",="),
            "{database}"
        );

        // Logins as OpenBAO creates them.
        for login in ["one", "two"] {
            place.sql(&format!("CREATE ROLE {login} LOGIN PASSWORD 'x' IN ROLE acme_owner")).await;
            place.sql(&format!("ALTER ROLE {login} SET role = acme_owner")).await;
        }
        place.sql("CREATE ROLE outsider LOGIN PASSWORD 'x'").await;
        let url = |login: &str| place.postgres.url_of(login, "x", "tenant_acme");
        let one = connect(&url("one")).await.unwrap();
        rows(&one, "CREATE TABLE notes (text text); INSERT INTO notes VALUES ('hello')").await.unwrap();
        let two = connect(&url("two")).await.unwrap();
        assert_eq!(rows(&two, "SELECT text FROM notes").await.unwrap(), ["hello"]);
        let refused = connect(&url("outsider")).await.expect_err("others must be refused");
        assert_eq!(refused.code().map(|code| code.code()), Some("42501"));
        // The provisioner checks connections on behalf of OpenBAO.
        connect(&place.postgres.url_of(LOGIN, PASSWORD, "tenant_acme")).await.unwrap();
        // The owner role is not a login.
        place.sql("ALTER ROLE acme_owner PASSWORD 'x'").await;
        assert!(connect(&url("acme_owner")).await.is_err());
    }
}

#[tokio::test]
async fn provisioning_again_changes_nothing() {
    for place in Place::all().await {
        let provisioner = place.provisioner();
        provision(&provisioner, acme()).await.unwrap();
        place.sql("ALTER DATABASE tenant_acme WITH ALLOW_CONNECTIONS false").await;
        let before = place.catalog().await;
        for _ in 0..2 {
            provision(&provisioner, acme()).await.unwrap();
        }
        assert_eq!(place.catalog().await, before, "an administrator may close a database");
    }
}

#[tokio::test]
async fn concurrent_calls_create_one_database() {
    for place in Place::all().await {
        let provisioners: Vec<_> = (0..6).map(|_| place.provisioner()).collect();
        for outcome in join_all(provisioners.iter().map(|provisioner| provision(provisioner, acme()))).await {
            // Two of them may change the same row of a catalog; then one has to try again.
            let kind = outcome.err().map(|error| error.kind);
            assert!(kind.is_none_or(|kind| kind == Kind::Unavailable), "{kind:?}");
        }
        provision(&provisioners[0], acme()).await.unwrap();
        let databases = place.sql("SELECT datname FROM pg_database WHERE datname ~ 'acme'").await;
        assert_eq!(databases, ["tenant_acme"]);
    }
}

#[tokio::test]
async fn roles_and_databases_of_others_are_neither_used_nor_changed() {
    let other = format!("tenantry: tenant {}", tenant(8).dashed());
    let taken = [
        vec!["CREATE ROLE acme_owner".to_owned()],
        vec!["CREATE ROLE acme_owner".to_owned(), format!("COMMENT ON ROLE acme_owner IS '{other}'")],
        vec!["CREATE DATABASE tenant_acme".to_owned()],
        vec!["CREATE DATABASE tenant_acme OWNER provisioner".to_owned()],
        vec!["CREATE DATABASE tenant_acme".to_owned(), format!("COMMENT ON DATABASE tenant_acme IS '{other}'")],
        // The mark of the tenant alone does not make a database of another owner the tenant's.
        vec![
            "CREATE DATABASE tenant_acme".to_owned(),
            format!("COMMENT ON DATABASE tenant_acme IS 'tenantry: tenant {}'", tenant(7).dashed()),
        ],
    ];
    for place in Place::all().await {
        for statements in &taken {
            for statement in statements {
                place.sql(statement).await;
            }
            let kept = |line: &String| line.starts_with("database tenant_acme") || line.starts_with("role acme_owner");
            let theirs = |lines: std::collections::BTreeSet<String>| lines.into_iter().filter(kept).collect::<Vec<_>>();
            let before = theirs(place.catalog().await);
            let error = provision(&place.provisioner(), acme()).await.unwrap_err();
            assert_eq!(error.reason, Reason::DatabaseNameTaken, "{statements:?}: {error}");
            assert!(error.to_string().contains("taken"), "{error}");
            let after = theirs(place.catalog().await);
            assert!(before.iter().all(|line| after.contains(line)), "{before:?} {after:?}");
            for statement in ["DROP DATABASE IF EXISTS tenant_acme", "DROP ROLE IF EXISTS acme_owner"] {
                place.sql(statement).await;
            }
        }
    }
}

#[tokio::test]
async fn a_database_of_the_owner_with_the_comment_of_another_is_theirs() {
    for place in Place::all().await {
        let provisioner = place.provisioner();
        provision(&provisioner, acme()).await.unwrap();
        place.sql("COMMENT ON DATABASE tenant_acme IS 'the accounts of 2024'").await;
        for outcome in [provision(&provisioner, acme()).await, provisioner.drop_database(acme()).await.map(drop)] {
            assert_eq!(outcome.unwrap_err().reason, Reason::DatabaseNameTaken);
        }
        assert_eq!(place.sql("SELECT 1 FROM pg_database WHERE datname = 'tenant_acme'").await, ["1"]);
    }
}

#[tokio::test]
async fn an_interrupted_removal_is_completed_before_the_database_is_created_anew() {
    for place in Place::all().await {
        let provisioner = place.provisioner();
        provision(&provisioner, acme()).await.unwrap();
        // What an interrupted DROP DATABASE leaves.
        place.sql("UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'tenant_acme'").await;
        provision(&provisioner, acme()).await.unwrap();
        assert_eq!(place.sql("SELECT datconnlimit FROM pg_database WHERE datname = 'tenant_acme'").await, ["-1"]);
        connect(&place.postgres.url_of(LOGIN, PASSWORD, "tenant_acme")).await.unwrap();
    }
}

#[tokio::test]
async fn every_name_is_quoted_by_the_server() {
    for place in Place::all().await {
        let provisioner = place.provisioner();
        let before = place.catalog().await;
        for (name, owner) in [
            ("a\"; DROP DATABASE postgres; --", "o\"'; DROP ROLE provisioner; --"),
            ("select", "user"),
            ("$1 %I %L \\", "%s ''"),
            ("T\u{e4}st", "O\u{df}"),
            ("0day", "1_owner"),
        ] {
            let database = TenantDatabase { tenant: tenant(9), name, owner };
            provision(&provisioner, database).await.unwrap();
            let found = place.catalog().await;
            assert!(found.iter().any(|line| line.starts_with(&format!("database {name} of {owner} "))), "{found:#?}");
            assert!(provisioner.drop_database(database).await.unwrap());
            assert!(provisioner.drop_owner(database).await.unwrap());
        }
        assert_eq!(place.catalog().await, before);
    }
}

#[tokio::test]
async fn a_dropped_database_leaves_nothing_behind() {
    for place in Place::all().await {
        let provisioner = place.provisioner();
        let before = place.catalog().await;
        provision(&provisioner, acme()).await.unwrap();
        // A session of the provisioner itself, such as the one with which OpenBAO checks connections.
        let open = connect(&place.postgres.url_of(LOGIN, PASSWORD, "tenant_acme")).await.unwrap();
        assert!(provisioner.drop_owner(acme()).await.unwrap_err().to_string().contains("still owns"));
        assert!(provisioner.drop_database(acme()).await.unwrap());
        assert!(rows(&open, "SELECT 1").await.is_err());
        assert!(provisioner.drop_owner(acme()).await.unwrap());
        assert_eq!(place.catalog().await, before);
        assert!(!provisioner.drop_database(acme()).await.unwrap() && !provisioner.drop_owner(acme()).await.unwrap());
        let error = provisioner.create_database(acme()).await.unwrap_err();
        assert!(error.to_string().contains("owner role does not exist"), "{error}");
        assert!(provisioner.open_database(acme()).await.unwrap_err().to_string().contains("dropped"));
    }
}
