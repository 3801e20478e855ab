//! All ways to end sessions change the rows of accounts alike: a new epoch, a higher version, a new time.

use sea_orm::EntityTrait;
use tenantry::{
    base::{Role, TenantScope},
    identity::{self, AccountChange, Email, NewAccount, Password, Passwords, accounts},
    store::{SessionsOf, Tx, tables::accounts as rows},
};
use uuid::Uuid;

use crate::db::{TestDb, platform_cx};

async fn account(db: &TestDb, tenant: Option<TenantScope>, name: &str) -> Uuid {
    let password = Password::of_development("correct horse");
    let email = Some(Email::read(&format!("{name}@example.com")).unwrap());
    let new = NewAccount { email, ..NewAccount::login(tenant, name, password, Role::User) };
    identity::create_account(db, &Passwords::new(1), &platform_cx("account.create"), new).await.unwrap()
}

async fn row(db: &TestDb, id: Uuid) -> rows::Model {
    rows::Entity::find_by_id(id).one(db.read()).await.unwrap().unwrap()
}

/// Asserts that the sessions of an account ended exactly once.
async fn assert_ended(db: &TestDb, before: &rows::Model) {
    let after = row(db, before.id).await;
    assert_eq!((after.epoch, after.version), (before.epoch + 1, before.version + 1));
    assert!(after.epoch_revision > before.epoch_revision, "the end of the sessions needs a new revision");
    assert_eq!(after.updated_at, after.epoch_changed_at);
    assert!(after.updated_at > before.updated_at);
}

async fn end(db: &TestDb, of: SessionsOf) -> u64 {
    let end = async |tx: &Tx, of: &SessionsOf| tx.end_sessions(*of).await;
    db.write(&platform_cx("x"), of, end).await.unwrap()
}

both_databases! {
    async fn sessions_of_a_tenant(db: TestDb) {
        let scope = crate::rows::tenant(&db, "acme").await;
        let other = crate::rows::tenant(&db, "other").await;
        let (ada, bob) = (account(&db, Some(scope), "ada").await, account(&db, Some(scope), "bob").await);
        let eve = account(&db, Some(other), "eve").await;
        let (ada, bob, eve) = (row(&db, ada).await, row(&db, bob).await, row(&db, eve).await);
        assert_eq!(end(&db, SessionsOf::Tenant(scope)).await, 2);
        assert_ended(&db, &ada).await;
        assert_ended(&db, &bob).await;
        assert_eq!(row(&db, eve.id).await, eve, "an account of another tenant was changed");
    }

    async fn sessions_of_an_identity(db: TestDb) {
        let (ada, bob) = (account(&db, None, "ada").await, account(&db, None, "bob").await);
        let (ada, bob) = (row(&db, ada).await, row(&db, bob).await);
        assert_eq!(end(&db, SessionsOf::Identity(ada.identity_id.unwrap())).await, 1);
        assert_ended(&db, &ada).await;
        assert_eq!(row(&db, bob.id).await, bob, "an account of another identity was changed");
    }

    async fn sessions_of_an_account(db: TestDb) {
        let ada = account(&db, None, "ada").await;
        let ada = row(&db, ada).await;
        let change = AccountChange { end_sessions: true, ..AccountChange::default() };
        let end = async |tx: &Tx, (row, change): &(rows::Model, AccountChange)| {
            accounts::change(tx, row.clone(), change).await.map(drop)
        };
        db.write(&platform_cx("x"), (ada.clone(), change), end).await.unwrap();
        assert_ended(&db, &ada).await;
    }
}
