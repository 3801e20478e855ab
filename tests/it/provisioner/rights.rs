//! A provisioner role without a right that it needs: the error names the right.

use tenantry::base::{Kind, error::Reason};

use super::{LOGIN, Place, acme, provision, provisioner};

/// Fails unless provisioning fails with this text, as a failure that does not pass.
async fn fails_with(place: &Place, text: &str) {
    let error = provision(&place.provisioner(), acme()).await.unwrap_err();
    assert_eq!((error.kind, error.reason), (Kind::FailedPrecondition, Reason::ProvisionerRefused), "{error:?}");
    assert!(error.to_string().contains(text), "{text}: {error}");
    let cause = error.cause.map(|cause| cause.to_string()).unwrap_or_default();
    assert!(
        !cause.is_empty() && !error.message.contains(&cause),
        "the text of the server is only for the log: {cause}"
    );
}

#[tokio::test]
async fn the_error_names_each_right_that_is_taken_away() {
    for place in Place::all().await {
        for (take, give, text) in [
            ("NOCREATEROLE", "CREATEROLE", "needs CREATEROLE"),
            ("NOCREATEDB", "CREATEDB", "needs CREATEDB"),
            ("NOLOGIN", "LOGIN", "needs LOGIN"),
            ("PASSWORD 'other'", "PASSWORD 'p'", "refused the password"),
        ] {
            place.sql(&format!("ALTER ROLE {LOGIN} {take}")).await;
            fails_with(&place, text).await;
            place.sql(&format!("ALTER ROLE {LOGIN} {give}")).await;
        }
        place.sql("REVOKE CONNECT ON DATABASE postgres FROM PUBLIC").await;
        fails_with(&place, "needs CONNECT on the database of provisioner_url").await;
        place.sql("GRANT CONNECT ON DATABASE postgres TO PUBLIC").await;
        let elsewhere = provisioner(&place.postgres.url_of(LOGIN, "p", "nowhere"));
        let error = elsewhere.create_owner(acme()).await.unwrap_err();
        assert!(error.to_string().contains("TENANTRY_PROVISIONER_URL) does not exist"), "{error}");
        provision(&place.provisioner(), acme()).await.unwrap();
    }
}

#[tokio::test]
async fn the_error_names_the_membership_that_is_missing() {
    for place in Place::all().await {
        let provisioner = place.provisioner();
        provisioner.create_owner(acme()).await.unwrap();
        place.sql("DROP OWNED BY provisioner; DROP ROLE provisioner").await;
        place.sql("CREATE ROLE provisioner LOGIN PASSWORD 'p' CREATEDB CREATEROLE").await;
        let error = provisioner.create_database(acme()).await.unwrap_err();
        assert!(error.to_string().contains("membership in the role acme_owner with the SET option"), "{error}");
        let is_newer = place.sql("SELECT current_setting('server_version_num')::int >= 160000").await == ["t"];
        let joined = provisioner.create_owner(acme()).await;
        // Until PostgreSQL 15, CREATEROLE was enough to join any role.
        match is_newer {
            true => {
                let error = joined.unwrap_err().to_string();
                assert!(error.contains("needs the ADMIN option on the role acme_owner"), "{error}");
                place.sql("GRANT acme_owner TO provisioner WITH ADMIN OPTION").await;
            }
            false => joined.unwrap(),
        }
        provision(&provisioner, acme()).await.unwrap();
    }
}

#[tokio::test]
async fn a_provisioner_that_does_not_inherit_or_is_a_superuser_needs_nothing_else() {
    for place in Place::all().await {
        for attributes in ["NOINHERIT", "INHERIT SUPERUSER"] {
            place.sql(&format!("ALTER ROLE {LOGIN} {attributes}")).await;
            let provisioner = place.provisioner();
            for _ in 0..2 {
                provision(&provisioner, acme()).await.unwrap();
            }
            super::connect(&place.postgres.url_of(LOGIN, "p", "tenant_acme")).await.unwrap();
            assert!(provisioner.drop_database(acme()).await.unwrap() && provisioner.drop_owner(acme()).await.unwrap());
        }
    }
}
