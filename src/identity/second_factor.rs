//! The second factor of users: enrollment, confirmation and removal (zero-trust contract, section 4.2).

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, sea_query::Expr};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{
    AccountChange, People, TotpState, User, UserRef, factor_attempts,
    totp::{self, TotpSecret, totp_purpose},
    users::{self, LockedUser, ceiling, put, record, rules},
};
use crate::{
    base::{Cx, Error, Reach, Result, Secret, error::Reason},
    store::{
        ChangeKind, Exec, Fetch, Stamp, Store, Tx, UpdateRow,
        tables::{accounts, recovery_codes},
    },
};

/// How long an enrollment may be confirmed.
const PENDING: Duration = Duration::minutes(10);
/// Number of recovery codes.
const RECOVERY_CODES: usize = 10;

/// An enrollment that waits for its first code.
#[derive(Clone, Debug)]
pub struct Enrollment {
    /// The secret as text.
    pub secret: Secret<String>,
    /// The URI for authenticator apps.
    pub uri: Secret<String>,
    pub expires_at: OffsetDateTime,
}

/// Starts an enrollment and replaces an unconfirmed one. Fails with PERMISSION_DENIED for a user that the caller may not
/// change, or whose role lasts longer than the caller's, with NOT_FOUND if there is no such user, with
/// FAILED_PRECONDITION if the second factor is enabled or no key-encryption key is configured.
pub async fn enroll(cx: &Cx, people: &People, user: &UserRef, reach: Reach) -> Result<Enrollment> {
    rules::not_by_key(&cx.caller)?;
    let found = users::find_within(cx, &people.store, user, reach).await?;
    refuse_enabled(&found)?;
    let (account, secret) = (&found.account, TotpSecret::generate());
    let name = rules::shown_email(account).unwrap_or_else(|| account.username.clone());
    let (text, uri) = secret.provisioning(&name)?;
    let sealed = people.sealer.seal(account.tenant, &totp_purpose(account.id), secret.bytes()).await?;
    let own = Found { user: user.clone(), reach, id: account.id, sealed };
    let expires_at = people.store.write(cx, own, put_pending).await?;
    Ok(Enrollment { secret: Secret::new(text), uri: Secret::new(uri), expires_at })
}

/// A user that was looked up before the write, and the sealed secret of its second factor.
struct Found {
    user: UserRef,
    reach: Reach,
    id: Uuid,
    sealed: String,
}

async fn put_pending(tx: &Tx, found: &Found) -> Result<OffsetDateTime> {
    let locked = lock(tx, found).await?;
    refuse_enabled(&locked.user)?;
    // By the clock of the database, because another server may confirm it.
    let (version, expires_at) = (locked.row.version, tx.time().await? + PENDING);
    let mut row = locked.row.clone().into_active_model();
    row.totp_state = Set(TotpState::Pending);
    row.totp_secret = Set(Some(found.sealed.clone()));
    row.totp_pending_until = Set(Some(expires_at.into()));
    row.totp_last_step = Set(None);
    row.version = Set(version + 1);
    row.updated_at = Set(tx.now().into());
    row.update_row(tx.conn()).await?;
    record_next(tx, &locked, json!({}));
    Ok(expires_at)
}

/// Confirms an enrollment with a code and returns the recovery codes. Fails as [`enroll`] does, with
/// UNAUTHENTICATED for a wrong code, with RESOURCE_EXHAUSTED after too many of them, with FAILED_PRECONDITION
/// if no enrollment is pending.
pub async fn confirm(
    cx: &Cx,
    people: &People,
    user: &UserRef,
    reach: Reach,
    code: &Secret<String>,
) -> Result<Vec<Secret<String>>> {
    rules::not_by_key(&cx.caller)?;
    let found = users::find_within(cx, &people.store, user, reach).await?;
    let id = found.account.id;
    let sealed = pending(&people.store, id).await?;
    factor_attempts::begin(&people.store, id).await?;
    let secret = TotpSecret::kept(people.sealer.open(found.account.tenant, &totp_purpose(id), &sealed).await?);
    let step = secret.step(code.expose(), people.store.clock().now())?.ok_or_else(totp::invalid)?;
    let codes = totp::recovery_codes(RECOVERY_CODES);
    let hashes: Vec<_> = codes.iter().map(|code| totp::recovery_hash(code)).collect();
    let own = Found { user: user.clone(), reach, id, sealed };
    people.store.write(cx, (own, step, hashes), enable).await?;
    Ok(codes.into_iter().map(Secret::new).collect())
}

/// The sealed secret of a pending enrollment.
async fn pending(store: &Store, account: Uuid) -> Result<String> {
    let row =
        accounts::Entity::find_by_id(account).fetch_one(store.read()).await?.ok_or_else(super::accounts::not_found)?;
    let now = Stamp::from(store.time().await?);
    let in_time = row.totp_pending_until.is_some_and(|until| until > now);
    let waits = row.totp_state == TotpState::Pending && in_time;
    row.totp_secret.filter(|_| waits).ok_or_else(nothing_waits)
}

async fn enable(tx: &Tx, (found, step, hashes): &(Found, i64, Vec<String>)) -> Result<()> {
    let locked = lock(tx, found).await?;
    // It may have been confirmed or replaced in the meantime.
    let waits =
        locked.user.account.totp == TotpState::Pending && locked.row.totp_secret.as_ref() == Some(&found.sealed);
    if !waits {
        return Err(nothing_waits());
    }
    totp::take_step(tx, found.id, *step).await?;
    factor_attempts::forget(tx, found.id).await?;
    put_enabled(tx, &locked, hashes).await
}

async fn put_enabled(tx: &Tx, locked: &LockedUser, hashes: &[String]) -> Result<()> {
    let id = locked.row.id;
    accounts::Entity::update_many()
        .col_expr(accounts::Column::TotpState, Expr::value(TotpState::Enabled))
        .col_expr(accounts::Column::TotpPendingUntil, Expr::value(None::<i64>))
        .col_expr(accounts::Column::Version, Expr::value(locked.row.version + 1))
        .col_expr(accounts::Column::UpdatedAt, Expr::value(Stamp::from(tx.now())))
        .filter(accounts::Column::Id.eq(id))
        .run(tx.conn())
        .await?;
    totp::forget_codes(tx, id).await?;
    let created_at = Stamp::from(tx.now());
    let hashes = hashes.iter().cloned();
    let rows = hashes.map(|code_hash| recovery_codes::Model { account_id: id, code_hash, created_at });
    let rows = rows.map(IntoActiveModel::into_active_model);
    recovery_codes::Entity::insert_many(rows).run(tx.conn()).await?;
    record_next(tx, locked, json!({"recovery_codes": RECOVERY_CODES}));
    Ok(())
}

/// Removes the second factor of a user and ends all its sessions; without one, nothing changes. Fails with
/// INVALID_ARGUMENT without a reason, with PERMISSION_DENIED for a user above the caller's own role, with
/// NOT_FOUND if there is no such user.
pub async fn disable(cx: &Cx, store: &Store, user: &UserRef, reason: &str) -> Result<()> {
    rules::not_by_key(&cx.caller)?;
    if reason.trim().is_empty() {
        return Err(Error::invalid(Reason::InvalidArgument, "reason", "say why"));
    }
    store.write(cx, (user.clone(), rules::reason(Some(reason.to_owned()))?), disable_in).await
}

async fn disable_in(tx: &Tx, (user, reason): &(UserRef, Option<String>)) -> Result<()> {
    let locked = users::lock(tx, user).await?;
    rules::reachable(&tx.cx().caller, &locked.user)?;
    ceiling::refuse_takeover(tx, &locked).await?;
    let before = locked.user.account.totp;
    let after = if before == TotpState::None {
        locked.user.clone()
    } else {
        totp::clear(tx, locked.row.id).await?;
        put(tx, &locked, &AccountChange { end_sessions: true, ..AccountChange::default() }).await?
    };
    record(tx, ChangeKind::Updated, &locked, &after, json!({"reason": reason, "before": before.as_str()}));
    Ok(())
}

/// Records a change that raised the version of a user by one.
fn record_next(tx: &Tx, locked: &LockedUser, details: Value) {
    let mut after = locked.user.clone();
    after.account.version += 1;
    record(tx, ChangeKind::Updated, locked, &after, details);
}

/// Locks the user and checks that it is the one that was looked up: the name may belong to another account by now.
async fn lock(tx: &Tx, found: &Found) -> Result<LockedUser> {
    let locked = users::lock(tx, &found.user).await?;
    if locked.row.id != found.id {
        return Err(super::accounts::not_found());
    }
    rules::admitted(&tx.cx().caller, found.reach, &locked.user)?;
    ceiling::refuse_takeover(tx, &locked).await?;
    Ok(locked)
}

fn refuse_enabled(user: &User) -> Result<()> {
    if user.account.totp == TotpState::Enabled {
        let message = "a second factor is already enabled; disable it first";
        return Err(Error::precondition(Reason::SecondFactorState, message));
    }
    Ok(())
}

fn nothing_waits() -> Error {
    let message = "no enrollment is pending; enroll first";
    Error::precondition(Reason::SecondFactorState, message)
}
