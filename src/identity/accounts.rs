//! Accounts: a login on the platform or in one tenant.

use sea_orm::{ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, Select};
use uuid::Uuid;

use super::passwords::{Password, Passwords};
use crate::{
    base::{Cx, Error, Result, Role, Secret, TenantScope, error::Reason},
    store::{Stamp, Store, Tx, entities::accounts},
};

/// Longest name of an account, in characters.
const MAX_NAME: usize = 64;
/// The status of an account that may log in.
const ACTIVE: &str = "active";

/// An account to be made.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// The tenant; none for a platform account.
    pub tenant: Option<TenantScope>,
    /// Name, unique in the tenant or on the platform without regard to case.
    pub username: String,
    /// Address for mail.
    pub email: Option<String>,
    /// Password.
    pub password: Password,
    /// Role. `platform_admin` is for platform accounts, and theirs alone.
    pub role: Role,
}

/// Makes an account and returns its id. Fails with ALREADY_EXISTS if the name is taken, with INVALID_ARGUMENT if the name
/// or the role does not fit.
pub async fn create_account(store: &Store, passwords: &Passwords, cx: &Cx, new: NewAccount) -> Result<Uuid> {
    check_name(&new.username)?;
    if (new.role == Role::PlatformAdmin) != new.tenant.is_none() {
        let message = "platform_admin is the role of platform accounts, and of no others";
        return Err(Error::invalid(Reason::InvalidArgument, "role", message));
    }
    let password_hash = passwords.hash(new.password.clone()).await?;
    store
        .write(cx, "account.create", move |tx| {
            let (new, password_hash) = (new.clone(), password_hash.clone());
            Box::pin(async move { insert(tx, new, password_hash).await })
        })
        .await
}

/// Sets the password of an account, and revokes every token that it was given before.
/// Fails with NOT_FOUND if there is no such account.
pub async fn set_password(
    store: &Store,
    passwords: &Passwords,
    cx: &Cx,
    tenant: Option<TenantScope>,
    username: &str,
    password: Password,
) -> Result<()> {
    let (username, password_hash) = (username.to_owned(), passwords.hash(password).await?);
    store
        .write(cx, "account.set_password", move |tx| {
            let (username, password_hash) = (username.clone(), password_hash.clone());
            Box::pin(async move {
                let Some(account) = by_name(tenant, &username).one(tx.conn()).await? else {
                    return Err(Error::not_found(Reason::AccountNotFound, "there is no such account"));
                };
                let (now, epoch) = (Stamp::from(tx.now()), account.epoch + 1);
                let mut changed = account.into_active_model();
                changed.password_hash = Set(password_hash);
                changed.epoch = Set(epoch);
                changed.epoch_changed_at = Set(now);
                changed.updated_at = Set(now);
                changed.update(tx.conn()).await?;
                tx.audit_in(tenant.map(TenantScope::tenant), username, serde_json::Value::Null);
                Ok(())
            })
        })
        .await
}

/// Whether there is an account of that name.
pub async fn exists(store: &Store, tenant: Option<TenantScope>, username: &str) -> Result<bool> {
    Ok(by_name(tenant, username).one(store.read()).await?.is_some())
}

/// Whether a platform account has this password. For the server's own checks: it does not ask whether the account may
/// log in.
pub async fn has_password(store: &Store, passwords: &Passwords, username: &str, text: Secret<String>) -> Result<bool> {
    match by_name(None, username).one(store.read()).await? {
        Some(account) => passwords.verify(text, account.password_hash).await,
        None => Ok(false),
    }
}

async fn insert(tx: &Tx, new: NewAccount, password_hash: String) -> Result<Uuid> {
    // The unique index decides between two at once; this tells the usual case in our words.
    if by_name(new.tenant, &new.username).one(tx.conn()).await?.is_some() {
        return Err(Error::exists(Reason::AccountExists, "an account of that name exists"));
    }
    let (id, now) = (tx.new_id(), Stamp::from(tx.now()));
    let tenant = new.tenant.map(TenantScope::tenant);
    let row = accounts::Model {
        id,
        tenant_id: tenant.map(|tenant| tenant.uuid()),
        username_key: fold(&new.username),
        username: new.username.clone(),
        email: new.email,
        password_hash,
        role: new.role.as_str().to_owned(),
        status: ACTIVE.to_owned(),
        epoch: 0,
        epoch_changed_at: now,
        created_at: now,
        updated_at: now,
    };
    accounts::Entity::insert(row.into_active_model()).exec_without_returning(tx.conn()).await?;
    tx.audit_in(tenant, new.username, serde_json::json!({"role": new.role.as_str()}));
    Ok(id)
}

fn by_name(tenant: Option<TenantScope>, username: &str) -> Select<accounts::Entity> {
    let here = match tenant {
        Some(scope) => accounts::Column::TenantId.eq(scope.tenant().uuid()),
        None => accounts::Column::TenantId.is_null(),
    };
    accounts::Entity::find().filter(here).filter(accounts::Column::UsernameKey.eq(fold(username)))
}

fn fold(username: &str) -> String {
    username.to_ascii_lowercase()
}

/// A name stands in token subjects (`<tenant>/<username>`) and in logs, so it has no slash, space or control character.
pub fn check_name(username: &str) -> Result<()> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"._@+-".contains(&b);
    if (1..=MAX_NAME).contains(&username.len()) && username.bytes().all(good) {
        return Ok(());
    }
    let message = "the name of an account has 1 to 64 letters, digits and `. _ @ + -`";
    Err(Error::invalid(Reason::AccountNameInvalid, "username", message))
}
