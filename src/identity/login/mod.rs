//! Login: verifies a name, a password and a second factor, and returns the account.

pub mod renewal;

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Account, AccountStatus, People, RoleGrant, TotpState, User,
    accounts::{self, unknown_name::LONGEST_NAME},
    backoff::Attempt,
    factor_attempts,
    passwords::{Password, PasswordMatch},
    sessions::records,
    totp::{self, TotpSecret, totp_purpose},
    users,
};
use crate::{
    base::{
        Access, Caller, CallerKind, Cx, Error, Kind, Result, RoleSet, Secret, TenantRef, TenantScope,
        caller::CallerFacts, cx::CxFacts, error::Reason, text,
    },
    store::{FetchUpdated, Stamp, Tx, tables::accounts as rows},
    tenants::{self, Tenant},
};

#[derive(Clone, Debug)]
pub struct Credentials {
    /// None for a platform account.
    pub tenant: Option<TenantRef>,
    /// Name, email address or id of the account.
    pub user: String,
    pub password: Secret<String>,
    /// A TOTP code or a recovery code.
    pub code: Option<Secret<String>>,
}

/// The result of a successful login.
#[derive(Clone, Debug)]
pub struct Login {
    pub account: Account,
    pub tenant: Option<Tenant>,
    /// Granted roles, without the account's own.
    pub also: RoleSet,
    /// When the first of the granted roles expires.
    pub roles_end: Option<OffsetDateTime>,
    /// All roles, in every scope.
    pub roles: Vec<RoleGrant>,
    pub groups: Vec<Uuid>,
    /// How the second factor was verified, for [`renewal::renew`].
    factor: Factor,
}

impl Login {
    /// The account as a user; a platform account has no groups and no grants.
    pub fn user(&self) -> User {
        User { account: self.account.clone(), roles: self.roles.clone(), groups: self.groups.clone() }
    }
}

/// A session to be recorded with the login.
#[derive(Clone, Debug)]
pub struct NewSession {
    pub token_id: String,
    /// Expiry, unless a role of the account expires earlier.
    pub expires_at: OffsetDateTime,
    /// Whether the account may have a session. The login is recorded even if not.
    pub admits: fn(&Login) -> bool,
}

/// What a login is for.
#[derive(Clone, Debug)]
pub enum Purpose {
    /// Nothing else: the login uses the code of the second factor.
    Nothing,
    /// A session, recorded in the same write. If the account may have none, the code is not used.
    Session(NewSession),
    /// A new password ([`renewal::renew`]), whose write uses the code.
    NewPassword,
}

/// How the second factor was verified.
#[derive(Clone, Debug)]
enum Factor {
    /// The account has no second factor.
    None,
    /// By the code of this time step.
    Step(i64),
    /// By a recovery code.
    Recovery(Secret<String>),
}

impl Factor {
    /// Uses the code. Fails with UNAUTHENTICATED if it was used before.
    async fn consume(&self, tx: &Tx, account: Uuid) -> Result<()> {
        match self {
            Self::None => return Ok(()),
            Self::Step(step) => totp::take_step(tx, account, *step).await?,
            Self::Recovery(code) => totp::take_recovery(tx, account, code.expose()).await?,
        }
        factor_attempts::forget(tx, account).await
    }

    /// Fails as [`Self::consume`] does, but does not use the code.
    async fn check(&self, tx: &Tx, account: Uuid) -> Result<()> {
        match self {
            Self::None => return Ok(()),
            Self::Step(step) => totp::check_step(tx, account, *step).await?,
            Self::Recovery(code) => totp::check_recovery(tx, account, code.expose()).await?,
        }
        factor_attempts::forget(tx, account).await
    }
}

/// What the login does to the stored password hash.
#[derive(Clone, Debug)]
enum Renewal {
    None,
    /// Replaces it by a new hash of the same password.
    Hash(String),
    /// Keeps it and requires a password change, because the old hash may cover only a part of the password.
    Demand,
}

/// An account whose password and second factor were verified, and what the login writes.
struct Verified {
    found: Found,
    factor: Factor,
    renewal: Renewal,
    purpose: Purpose,
}

struct Found {
    row: rows::Model,
    tenant: Option<(Tenant, TenantScope)>,
}

/// Logs in. Failures delay the next attempts. An unknown account, a wrong password, and an account or tenant
/// that may not log in get the same error, LOGIN_REFUSED, after the same time. An account with a second factor
/// is asked for a code only after the right password.
pub async fn login(cx: &Cx, people: &People, credentials: &Credentials) -> Result<Login> {
    begin(cx, people, credentials, &Purpose::Nothing).await
}

/// Logs in as [`login`] does, for a purpose.
pub async fn begin(cx: &Cx, people: &People, credentials: &Credentials, purpose: &Purpose) -> Result<Login> {
    let arrival = people.throttle.approach(cx).await?;
    let (tenant_name, mut found) = find(people, credentials).await?;
    let attempt = match &found {
        Some(found) => Attempt::on(found.row.id, cx.counted_as()),
        None => Attempt::on_unknown(&tenant_name, &credentials.user, cx.counted_as()),
    };
    let turn = people.throttle.wait(cx, arrival, attempt).await?;
    if turn.waited {
        // The password may have been changed during the wait.
        found = match find(people, credentials).await {
            Ok((_, found)) => found,
            Err(error) => {
                turn.inconclusive();
                return Err(error);
            }
        };
    }
    let outcome = attempt_login(cx, people, credentials, found, turn.throttled, purpose).await;
    match &outcome {
        Ok(_) => turn.succeeded(),
        Err(error) if matches!(error.reason, Reason::LoginRefused | Reason::SecondFactorInvalid) => turn.failed(),
        Err(_) => turn.inconclusive(),
    }
    outcome
}

async fn attempt_login(
    cx: &Cx,
    people: &People,
    credentials: &Credentials,
    found: Option<Found>,
    throttled: bool,
    purpose: &Purpose,
) -> Result<Login> {
    let hash = found.as_ref().map(|found| found.row.password_hash.clone()).unwrap_or_default();
    let matched = people.passwords.compare(credentials.password.clone(), hash, throttled).await?;
    let found = found.filter(|found| matched != PasswordMatch::Wrong && may_log_in(found)).ok_or_else(refused)?;
    let factor = factor(people, &found.row, credentials.code.as_ref()).await.map_err(gone)?;
    let renewal = match matched {
        PasswordMatch::Outdated => {
            Renewal::Hash(people.passwords.hash(Password::kept(credentials.password.clone())).await?)
        }
        PasswordMatch::Truncated => Renewal::Demand,
        PasswordMatch::Right | PasswordMatch::Wrong => Renewal::None,
    };
    finish(cx, people, Verified { found, factor, renewal, purpose: purpose.clone() }).await
}

/// The account that the credentials name, if it exists, and the tenant as it was given.
async fn find(people: &People, credentials: &Credentials) -> Result<(String, Option<Found>)> {
    let store = &people.store;
    let user = credentials.user.trim();
    let tenant_name = credentials.tenant.as_ref().map(TenantRef::to_string).unwrap_or_default();
    if user.len() > LONGEST_NAME {
        return Ok((tenant_name, None));
    }
    let tenant = match &credentials.tenant {
        None => None,
        Some(reference) => {
            // The caller is not known yet, so the lookup runs as the system.
            let system = Cx::system("auth.login", store.clock().clone());
            match tenants::resolve(&system, store, reference).await {
                Ok(found) => Some(found),
                Err(error) if error.reason == Reason::TenantNotFound => {
                    // An account is looked up here too, so that the response takes as long as for an existing tenant.
                    accounts::find(store.read(), None, user).await?;
                    return Ok((tenant_name, None));
                }
                Err(error) => return Err(error),
            }
        }
    };
    let scope = tenant.as_ref().map(|(_, scope)| *scope);
    let row = accounts::find(store.read(), scope, user).await?;
    let tenant_name = tenant.as_ref().map_or(tenant_name, |(tenant, _)| tenant.id.dashed());
    Ok((tenant_name, row.map(|row| Found { row, tenant })))
}

fn may_log_in(found: &Found) -> bool {
    let admitted = found.tenant.as_ref().is_none_or(|(tenant, _)| tenant.status.admits());
    admitted && found.row.status == AccountStatus::Active
}

async fn factor(people: &People, row: &rows::Model, code: Option<&Secret<String>>) -> Result<Factor> {
    let (TotpState::Enabled, Some(sealed)) = (row.totp_state, &row.totp_secret) else {
        return Ok(Factor::None);
    };
    let code = code.map(|code| text::code(code.expose())).filter(|code| !code.is_empty());
    let Some(code) = code else {
        let message = "a second-factor code is required";
        return Err(Error::unauthenticated(Reason::SecondFactorRequired, message));
    };
    // Only clients that know the password get this far, so this limit cannot lock out an account.
    factor_attempts::begin(&people.store, row.id).await?;
    if !totp::is_code(&code) {
        return Ok(Factor::Recovery(Secret::new(code)));
    }
    let tenant = row.tenant_id;
    let secret = TotpSecret::kept(people.sealer.open(tenant, &totp_purpose(row.id), sealed).await?);
    secret.step(&code, people.store.clock().now())?.map(Factor::Step).ok_or_else(totp::invalid)
}

/// Consumes the code and records the login in one write, whose audit event names the account.
async fn finish(cx: &Cx, people: &People, verified: Verified) -> Result<Login> {
    let Found { row, tenant } = &verified.found;
    let as_account = Cx::new(CxFacts {
        caller: caller(row, tenant.as_ref().map(|(tenant, _)| tenant)),
        access: Access::Platform,
        audit_action: Some("auth.login"),
        ..CxFacts::clone(cx)
    });
    people.store.write(&as_account, verified, note).await
}

async fn note(tx: &Tx, Verified { found, factor, renewal, purpose }: &Verified) -> Result<Login> {
    let Found { row, tenant } = found;
    let account = put_login(tx, row, renewal).await?;
    let user = match tenant {
        Some((_, scope)) => users::as_user(tx, *scope, account).await?,
        None => User { roles: vec![RoleGrant::own(&account)], groups: Vec::new(), account },
    };
    let (also, roles_end) = user.tenant_roles();
    let User { account, roles, groups } = user;
    let tenant = tenant.as_ref().map(|(tenant, _)| tenant.clone());
    let login = Login { account, tenant, also, roles_end, roles, groups, factor: factor.clone() };
    match purpose {
        Purpose::Nothing => factor.consume(tx, row.id).await?,
        Purpose::Session(session) if (session.admits)(&login) => {
            factor.consume(tx, row.id).await?;
            let ends = login.roles_end.map_or(session.expires_at, |end| end.min(session.expires_at));
            records::note(tx, &login.account, &session.token_id, ends).await?;
        }
        // The caller repeats a login that is refused a session, such as with a new password, and may repeat its code.
        Purpose::Session(_) | Purpose::NewPassword => factor.check(tx, row.id).await?,
    }
    let details = serde_json::json!({"second_factor": !matches!(factor, Factor::None)});
    tx.audit_only(login.account.tenant, login.account.username.clone(), details);
    Ok(login)
}

/// Records the login time, if the account is still as it was verified: it may have been suspended, or its
/// password changed, which raises its epoch. Another login may have replaced the hash by one of the same password.
async fn put_login(tx: &Tx, verified: &rows::Model, renewal: &Renewal) -> Result<Account> {
    let mut change =
        rows::ActiveModel { last_login_at: Set(Some(Stamp::from(tx.now()))), ..rows::ActiveModel::default() };
    match renewal {
        Renewal::None => {}
        Renewal::Hash(hash) => change.password_hash = Set(hash.clone()),
        Renewal::Demand => change.must_change = Set(true),
    }
    let same = rows::Entity::update_many()
        .set(change)
        .filter(rows::Column::Id.eq(verified.id))
        .filter(rows::Column::Status.eq(verified.status))
        .filter(rows::Column::Epoch.eq(verified.epoch));
    Ok(same.fetch_updated(tx.conn()).await?.pop().ok_or_else(refused)?.into())
}

/// The account as the caller of its own login.
fn caller(row: &rows::Model, tenant: Option<&Tenant>) -> Caller {
    let subject = tenant.map_or_else(|| row.username.clone(), |tenant| format!("{}/{}", tenant.name, row.username));
    let (role, account) = (row.role, Some(row.id));
    Caller::new(CallerFacts { kind: CallerKind::User, subject, role, account, ..CallerFacts::default() })
}

/// The error of a login whose account or tenant is deleted meanwhile.
fn gone(error: Error) -> Error {
    if error.kind == Kind::NotFound { refused().caused_by(error) } else { error }
}

/// The same error for every reason why a login is refused.
fn refused() -> Error {
    Error::unauthenticated(Reason::LoginRefused, "the name or password is wrong")
}
