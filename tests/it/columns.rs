//! Columns with types of the domain, on both databases.

use sea_orm::EntityTrait;
use tenantry::{
    base::{Error, Kind, TenantRef},
    identity::{
        accounts::identities,
        grants::{self, NewGrant},
    },
    messaging::{self, MessagingSettings, rules::InfoInput},
    store::{
        Fetch, Stamp,
        columns::TenantStatus,
        tables::{RoleRow, TENANT_WIDE, accounts, grants_of_identity, tenants},
    },
};

use crate::{
    db::{platform_cx, write},
    rows::{account, sql, tenant},
};

both_databases! {
    async fn an_unknown_value_is_an_internal_error_of_the_read(db: TestDb) {
        let acme = tenant(&db, "acme").await;
        account(&db, acme, "ada").await;
        let read = async || {
            accounts::Entity::find().fetch_all(db.store.read()).await.map(drop)?;
            tenants::Entity::find().fetch_all(db.store.read()).await.map(drop)
        };
        read().await.unwrap();
        for (table, column, known) in [
            ("accounts", "role", "'user'"),
            ("accounts", "status", "'active'"),
            ("accounts", "source", "'local'"),
            ("accounts", "totp_state", "'none'"),
            ("accounts", "suspended_by", "NULL"),
            ("tenants", "status", "'active'"),
            ("tenants", "suspended_by", "NULL"),
            ("tenants", "labels", "'{}'"),
        ] {
            sql(&db, format!("UPDATE {table} SET {column} = 'unknown'")).await.unwrap();
            let error = Error::from(read().await.unwrap_err());
            assert_eq!((error.kind, error.to_string().as_str()), (Kind::Internal, "internal error"), "{table}.{column}");
            sql(&db, format!("UPDATE {table} SET {column} = {known}")).await.unwrap();
            read().await.unwrap();
        }
    }

    async fn a_joined_row_that_cannot_be_read_is_not_a_missing_one(db: TestDb) {
        let (cx, settings) = (platform_cx("tenant.create"), MessagingSettings::default());
        let info = InfoInput { allowed_clusters: Some(vec!["standalone".to_owned()]), ..InfoInput::default() };
        messaging::tenants::create(&cx, &db, &settings, "acme", Some(&info)).await.unwrap();
        let (acme, statuses) = (TenantRef::parse("acme"), [TenantStatus::Active]);
        assert!(db.messaging_admin_roles(&acme, &statuses).await.unwrap().is_some());
        sql(&db, "UPDATE messaging_tenants SET allowed_clusters = 'unknown'".to_owned()).await.unwrap();
        assert_eq!(db.messaging_admin_roles(&acme, &statuses).await.unwrap_err().kind, Kind::Internal);
        assert_eq!(messaging::tenants::get(&cx, &db, "acme").await.unwrap_err().kind, Kind::Internal);
        let ada = identities::create(&platform_cx("identity.create"), &db, "ada@example.com").await.unwrap();
        let tenant = TenantRef::parse("acme");
        let new = NewGrant { identity: Some(ada.id), tenant, role: None, is_default: false, expires_at: None, reason: None };
        grants::create(&platform_cx("grant.create"), &db, new).await.unwrap();
        assert_eq!(grants_of_identity(db.store.read(), ada.id).await.unwrap().len(), 1);
        sql(&db, "UPDATE tenants SET status = 'unknown'".to_owned()).await.unwrap();
        assert_eq!(grants_of_identity(db.store.read(), ada.id).await.unwrap_err().kind, Kind::Internal);
    }

    async fn a_login_does_without_roles_that_its_server_does_not_know(db: TestDb) {
        let acme = tenant(&db, "acme").await;
        let ada = account(&db, acme, "ada").await;
        let now = Stamp::from(db.clock().now());
        for role in ["auditor", "emperor"] {
            let row = RoleRow {
                tenant_id: acme.into(),
                account_id: ada,
                role: role.to_owned(),
                scope_type: TENANT_WIDE.to_owned(),
                scope_id: String::new(),
                granted_by: "root".to_owned(),
                granted_at: now,
                expires_at: None,
            };
            write(&db, &platform_cx("role.grant"), move |tx| {
                let row = row.clone();
                Box::pin(async move { tx.tenant(acme).account_roles().put(row).await })
            })
            .await
            .unwrap();
        }
        let (roles, end) = db.tenant(acme).account_roles().tenant_wide(ada, now).await.unwrap();
        let roles: Vec<_> = roles.iter().map(|role| role.as_str()).collect();
        assert_eq!((roles, end), (vec!["auditor"], None));
    }
}
