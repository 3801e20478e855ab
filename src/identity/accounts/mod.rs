//! Accounts: creation, lookup and changes.

pub(in crate::identity) mod account;
pub(in crate::identity) mod address_gate;
pub(in crate::identity) mod display_name;
pub(in crate::identity) mod email;
pub mod identities;
pub mod password;
pub mod principals;
pub mod unknown_name;

use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, DbBackend, EntityTrait, IntoActiveModel, QueryFilter, QuerySelect,
    Select, sea_query::Expr,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Account, AccountStatus, Email,
    passwords::{Password, Passwords},
};
use crate::{
    base::{Cx, Error, IdKind, Result, Role, Secret, TenantScope, error::Reason, text},
    entitlements,
    store::{
        Change, ChangeKind, Db, Exec, Fetch, Stamp, Store, Tx, UpdateRow,
        columns::{Authority, Source, TotpState},
        tables::accounts,
    },
};

/// Maximum length of an account name, in characters: it can be an email address.
const MAX_NAME: usize = 254;

/// A requested account.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// None for a platform account.
    pub tenant: Option<TenantScope>,
    /// Unique in the tenant or on the platform, case-insensitively. If empty, [`insert`] uses the id as the name.
    pub username: String,
    /// Whether the name replaces the id in responses.
    pub named_id: bool,
    /// Unique in the tenant or on the platform, case-insensitively.
    pub email: Option<Email>,
    pub display_name: String,
    /// Without a password the account is invited and cannot log in.
    pub password: Option<Password>,
    /// Platform accounts have `platform_admin`, or `user`, whose access to tenants comes from grants.
    pub role: Role,
}

impl NewAccount {
    /// An account with a name and a password.
    pub fn login(tenant: Option<TenantScope>, username: &str, password: Password, role: Role) -> Self {
        let (username, password) = (username.to_owned(), Some(password));
        Self { tenant, username, named_id: false, email: None, display_name: String::new(), password, role }
    }
}

/// Creates an account and returns its id. Fails with ALREADY_EXISTS if the name or the address is taken, with
/// INVALID_ARGUMENT if the name or the role is not valid.
pub async fn create_account(store: &Store, passwords: &Passwords, cx: &Cx, new: NewAccount) -> Result<Uuid> {
    check(&new)?;
    let password_hash = hash(passwords, new.password.as_ref()).await?;
    Ok(store.write(cx, (new, password_hash), insert_new).await?.id)
}

/// [`insert`] in the form of a write.
pub async fn insert_new(tx: &Tx, (new, password_hash): &(NewAccount, String)) -> Result<Account> {
    insert(tx, new, password_hash.clone()).await
}

/// The hash of a password for storage; without a password, a text that matches no password.
pub async fn hash(passwords: &Passwords, password: Option<&Password>) -> Result<String> {
    match password {
        Some(password) => passwords.hash(password.clone()).await,
        None => Ok(String::new()),
    }
}

/// Checks what can be checked of an account without the database.
pub fn check(new: &NewAccount) -> Result<()> {
    // An account with an address needs no name.
    if !new.username.is_empty() || new.email.is_none() {
        check_name(&new.username)?;
    }
    let fits = match new.tenant {
        None => matches!(new.role, Role::PlatformAdmin | Role::User),
        Some(_) => !matches!(new.role, Role::PlatformAdmin | Role::Project),
    };
    if fits {
        return Ok(());
    }
    let message =
        "a platform account must be platform_admin or user; a tenant account cannot be platform_admin or project";
    Err(Error::invalid(Reason::InvalidArgument, "role", message))
}

/// Inserts an account, inside a write that has locked its tenant. `password_hash` is the result of [`hash`]. Fails with FAILED_PRECONDITION if
/// the tenant has as many users as it may.
pub async fn insert(tx: &Tx, new: &NewAccount, password_hash: String) -> Result<Account> {
    refuse_taken(tx, new).await?;
    if let Some(scope) = new.tenant {
        entitlements::require_user(tx, scope).await?;
    }
    let (id, now) = (tx.new_id(), Stamp::from(tx.now()));
    let username = if new.username.is_empty() { IdKind::User.show(id) } else { new.username.clone() };
    let tenant = new.tenant.map(TenantScope::tenant);
    let identity = match (&new.email, tenant) {
        (Some(email), None) => Some(super::accounts::identities::ensure(tx, email).await?),
        _ => None,
    };
    let status = if new.password.is_some() { AccountStatus::Active } else { AccountStatus::Invited };
    let row = accounts::Model {
        id,
        tenant_id: tenant,
        username_key: fold(&username),
        search_key: String::new(),
        username: username.clone(),
        identity_id: identity,
        email: new.email.as_ref().map(|email| email.as_str().to_owned()),
        email_key: new.email.as_ref().map(|email| email.key().to_owned()),
        display_name: new.display_name.clone(),
        named_id: new.named_id,
        source: Source::Local,
        external_id: None,
        password_hash,
        role: new.role,
        status,
        suspended_by: None,
        must_change: false,
        last_login_at: None,
        version: 1,
        totp_state: TotpState::None,
        totp_secret: None,
        totp_pending_until: None,
        totp_last_step: None,
        epoch: 0,
        epoch_changed_at: now,
        epoch_revision: 0,
        created_at: now,
        updated_at: now,
    };
    let row = accounts::Model { search_key: search_key(&row), ..row };
    accounts::Entity::insert(row.clone().into_active_model()).run(tx.conn()).await?;
    let change = Change::of_account(ChangeKind::Created, tenant, id, row.version);
    tx.changed(change, username, json!({"role": new.role.as_str()}));
    Ok(row.into())
}

/// The unique indexes decide concurrent inserts; this check gives the common case a better error.
async fn refuse_taken(tx: &Tx, new: &NewAccount) -> Result<()> {
    let name = Some(fold(&new.username)).filter(|name| !name.is_empty());
    // A name that is another account's address, or the reverse, would let one account impersonate the other.
    let name_as_email = Email::read(&new.username).ok().map(|email| email.key().to_owned());
    let email = new.email.as_ref().map(|email| email.key().to_owned());
    let email_as_name = email.as_deref().map(fold);
    let named = name.iter().chain(&email_as_name).cloned();
    let addressed = email.iter().chain(&name_as_email).cloned();
    let alike = Condition::any()
        .add(accounts::Column::UsernameKey.is_in(named))
        .add(accounts::Column::EmailKey.is_in(addressed));
    let rows = in_place(new.tenant).filter(alike).fetch_all(tx.conn()).await?;
    let is_named =
        |name: &Option<String>| name.is_some() && rows.iter().any(|row| Some(&row.username_key) == name.as_ref());
    let is_addressed = |key: &Option<String>| key.is_some() && rows.iter().any(|row| row.email_key == *key);
    if is_named(&name) {
        return Err(Error::exists(Reason::AccountExists, "an account with that name already exists"));
    }
    if is_addressed(&name_as_email) {
        return Err(Error::exists(Reason::AccountExists, "the name is the email address of another account"));
    }
    if is_addressed(&email) {
        return Err(Error::exists(Reason::EmailExists, "an account with that email address already exists"));
    }
    if is_named(&email_as_name) { Err(address_is_a_name()) } else { Ok(()) }
}

/// Refuses an email address that is the name of another account in the same tenant or on the platform.
async fn refuse_named(tx: &Tx, row: &accounts::Model, email: &Email) -> Result<()> {
    let place = match row.tenant_id {
        Some(tenant) => accounts::Column::TenantId.eq(tenant),
        None => accounts::Column::TenantId.is_null(),
    };
    let others = accounts::Entity::find().filter(place).filter(accounts::Column::Id.ne(row.id));
    match others.filter(accounts::Column::UsernameKey.eq(fold(email.key()))).fetch_one(tx.conn()).await? {
        Some(_) => Err(address_is_a_name()),
        None => Ok(()),
    }
}

fn address_is_a_name() -> Error {
    Error::exists(Reason::EmailExists, "the email address is the name of another account")
}

/// A change of an account; the default only raises the version.
#[derive(Clone, Debug, Default)]
pub struct AccountChange {
    pub email: Option<Email>,
    pub display_name: Option<String>,
    pub role: Option<Role>,
    /// A new status, and who set it if it is a suspension.
    pub status: Option<(AccountStatus, Option<Authority>)>,
    /// A new password hash, and whether the password must be changed at the next login.
    pub password: Option<(String, bool)>,
    /// Ends all sessions: all tokens issued to the account are revoked.
    pub end_sessions: bool,
}

/// Changes an account, raises its version, and returns it. A deleted account releases its name and address.
pub async fn change(tx: &Tx, row: accounts::Model, change: &AccountChange) -> Result<Account> {
    if let Some(email) = &change.email {
        refuse_named(tx, &row, email).await?;
    }
    let now = Stamp::from(tx.now());
    let (id, epoch, version, tenant) = (row.id, row.epoch, row.version, row.tenant_id);
    let mut found = row.clone();
    let mut next = row.into_active_model();
    if let Some(email) = &change.email {
        found.email = Some(email.as_str().to_owned());
        found.email_key = Some(email.key().to_owned());
        next.email = Set(Some(email.as_str().to_owned()));
        next.email_key = Set(Some(email.key().to_owned()));
    }
    if let Some(display_name) = &change.display_name {
        next.display_name = Set(display_name.clone());
        found.display_name.clone_from(display_name);
    }
    next.search_key = Set(search_key(&found));
    if let Some(role) = change.role {
        next.role = Set(role);
    }
    if let Some((status, by)) = change.status {
        next.status = Set(status);
        next.suspended_by = Set(by);
        if status == AccountStatus::Deleted {
            next.username_key = Set(format!("/deleted/{id}"));
            next.email_key = Set(None);
        }
    }
    if let Some((hash, must_change)) = &change.password {
        next.password_hash = Set(hash.clone());
        next.must_change = Set(*must_change);
    }
    if change.end_sessions {
        next.epoch = Set(epoch + 1);
        next.epoch_changed_at = Set(now);
        tx.sessions_ended(tenant, id, epoch + 1);
    }
    next.version = Set(version + 1);
    next.updated_at = Set(now);
    Ok(next.update_row(tx.conn()).await?.into())
}

/// Sets the password of an account, named as in [`find`], and revokes all tokens issued to it. Fails with NOT_FOUND if
/// there is no such account.
pub async fn set_password(
    store: &Store,
    passwords: &Passwords,
    cx: &Cx,
    tenant: Option<TenantScope>,
    named: &str,
    password: Password,
) -> Result<()> {
    store.write(cx, (tenant, named.to_owned(), passwords.hash(password).await?), put_password).await
}

async fn put_password(tx: &Tx, (tenant, named, hash): &(Option<TenantScope>, String, String)) -> Result<()> {
    let account = find_locked(tx, *tenant, named).await?.ok_or_else(not_found)?;
    let password = Some((hash.clone(), false));
    let invited = account.status == AccountStatus::Invited;
    let status = invited.then_some((AccountStatus::Active, None));
    let new = AccountChange { password, status, end_sessions: true, ..AccountChange::default() };
    let account = change(tx, account, &new).await?;
    tx.changed(account.change(ChangeKind::Updated), account.username.as_str(), Value::Null);
    Ok(())
}

pub async fn exists(store: &Store, tenant: Option<TenantScope>, username: &str) -> Result<bool> {
    Ok(by_name(tenant, username).fetch_one(store.read()).await?.is_some())
}

/// Whether a platform account has this password. For the server's own checks: it does not check whether the
/// account may log in.
pub async fn has_password(store: &Store, passwords: &Passwords, username: &str, text: Secret<String>) -> Result<bool> {
    match by_name(None, username).fetch_one(store.read()).await? {
        Some(account) => passwords.verify(text, account.password_hash).await,
        None => Ok(false),
    }
}

/// Finds an account in a tenant or on the platform by id, name or email address, in that order. Deleted
/// accounts are not found.
pub async fn find(conn: &impl Db, tenant: Option<TenantScope>, named: &str) -> Result<Option<accounts::Model>> {
    find_in(conn, in_place(tenant), named).await
}

/// The same for an account that is about to be changed: locks it. Changes write the epoch and the version after those that they have read.
pub(in crate::identity) async fn find_locked(
    tx: &Tx,
    tenant: Option<TenantScope>,
    named: &str,
) -> Result<Option<accounts::Model>> {
    find_in(tx.conn(), in_place(tenant).lock_exclusive(), named).await
}

async fn find_in(conn: &impl Db, place: Select<accounts::Entity>, named: &str) -> Result<Option<accounts::Model>> {
    let found = match IdKind::User.read(named) {
        Some(id) => place.filter(accounts::Column::Id.eq(id)).fetch_one(conn).await?,
        None => by_name_or_email(conn, place, named).await?,
    };
    Ok(found.filter(|account| account.status != AccountStatus::Deleted))
}

async fn by_name_or_email(
    conn: &impl Db,
    place: Select<accounts::Entity>,
    named: &str,
) -> Result<Option<accounts::Model>> {
    // A text that cannot be a name is not looked up: the database may not accept it as a parameter.
    let (name, keys) = (check_name(named).is_ok().then(|| fold(named)), Email::keys(named));
    if name.is_none() && keys.is_empty() {
        return Ok(None);
    }
    let named = Condition::any()
        .add_option(name.as_deref().map(|name| accounts::Column::UsernameKey.eq(name)))
        .add(accounts::Column::EmailKey.is_in(keys.clone()));
    let rows = place.filter(named).fetch_all(conn).await?;
    // Names take precedence over addresses. If two addresses differ only in spelling, the exact spelling wins.
    let place = |row: &accounts::Model| match name.as_ref() == Some(&row.username_key) {
        true => 0,
        false => 1 + keys.iter().position(|key| row.email_key.as_ref() == Some(key)).unwrap_or(keys.len()),
    };
    Ok(rows.into_iter().min_by_key(place))
}

/// Whether an account with exactly this name, or with this name in lower case, was deleted. Other cases are not
/// searched: names of deleted accounts are indexed as they were given.
pub(super) async fn was_deleted(store: &Store, tenant: Option<TenantScope>, username: &str) -> Result<bool> {
    // Also the id of an account without a chosen name.
    if !is_written_as_name(username) {
        return Ok(false);
    }
    let deleted = in_place(tenant).filter(accounts::Column::Status.eq(AccountStatus::Deleted));
    let named = accounts::Column::Username.is_in([username.to_owned(), fold(username)]);
    Ok(deleted.filter(named).fetch_one(store.read()).await?.is_some())
}

pub fn not_found() -> Error {
    Error::not_found(Reason::AccountNotFound, "account not found")
}

/// The accounts of a tenant, or of the platform.
pub fn in_place(tenant: Option<TenantScope>) -> Select<accounts::Entity> {
    accounts::Entity::find().filter(match tenant {
        Some(scope) => accounts::Column::TenantId.eq(scope.tenant()),
        None => accounts::Column::TenantId.is_null(),
    })
}

/// Those of these accounts of a tenant that exist.
pub async fn those(
    conn: &impl Db,
    scope: TenantScope,
    ids: impl IntoIterator<Item = Uuid>,
) -> Result<Vec<accounts::Model>> {
    Ok(in_place(Some(scope)).filter(accounts::Column::Id.is_in(ids)).fetch_all(conn).await?)
}

fn by_name(tenant: Option<TenantScope>, username: &str) -> Select<accounts::Entity> {
    in_place(tenant).filter(accounts::Column::UsernameKey.eq(fold(username)))
}

/// The text that a search looks in: the name on its own line, the address as returned and as compared, and the
/// display name. A deleted account keeps it.
fn search_key(row: &accounts::Model) -> String {
    let (email, key) = (row.email.as_deref(), row.email_key.as_deref());
    text::search_key([row.username.as_str(), email.unwrap_or_default(), key.unwrap_or_default(), &row.display_name])
}

/// The name of an account as [`fold`] returns it. The key of a deleted account no longer contains the name.
pub(super) fn lower_username(backend: DbBackend) -> Expr {
    match backend {
        // Independent of how the database's locale maps the letter I.
        DbBackend::Postgres => Expr::cust("lower(username COLLATE \"C\")"),
        _ => Expr::cust("lower(username)"),
    }
}

fn fold(username: &str) -> String {
    username.to_ascii_lowercase()
}

/// A name is part of token subjects (`<tenant>/<username>`) and of logs, so it must not contain a slash, a
/// space or a control character. It must not have the form of an id.
pub fn check_name(username: &str) -> Result<()> {
    if is_written_as_name(username) && IdKind::User.read(username).is_none() {
        return Ok(());
    }
    let message = "an account name must have 1 to 254 letters, digits and `. _ @ + -`";
    Err(Error::invalid(Reason::AccountNameInvalid, "username", message))
}

/// Whether a text has the length and the characters of a name.
fn is_written_as_name(text: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"._@+-".contains(&b);
    (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(good)
}
