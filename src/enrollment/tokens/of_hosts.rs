//! Tokens that enroll hosts (control-plane contract, section 3.5).

use std::ops::RangeInclusive;

use serde_json::json;
use time::Duration;
use uuid::Uuid;

use super::{EnrollmentToken, GeneratedToken, NewSecret, Stored, not_found};
use crate::{
    base::{Cx, Error, Result, TenantRef, error::Reason, text},
    store::{
        ChangeKind, Pages, Stamp, Store, Tx,
        columns::{Json, TokenKind},
        tables::EnrollmentTokenRow,
    },
    tenants,
};

/// Permitted lifetimes, in days.
const DAYS: RangeInclusive<i32> = 1..=3650;
/// Maximum length of a label, in characters.
const MAX_LABEL: usize = 255;

/// What a new token for hosts has.
#[derive(Clone, Debug, Default)]
pub struct NewHostToken {
    /// Its purpose.
    pub label: Option<String>,
    /// Does not expire if it is missing.
    pub expires_in_days: Option<i32>,
    /// Any number of times if it is missing.
    pub max_uses: Option<i32>,
}

/// A valid [`NewHostToken`].
struct Checked {
    label: String,
    life: Option<Duration>,
    max_uses: Option<i64>,
}

/// The tokens of a tenant for hosts, newest first, including those that cannot be used; an empty list for a tenant that does not
/// exist.
pub async fn list_for_hosts(cx: &Cx, store: &Store, tenant: &TenantRef) -> Result<Pages<EnrollmentToken>> {
    let scope = match tenants::resolve_any(cx, store, tenant).await {
        Ok((_, scope)) => scope,
        Err(error) if error.reason == Reason::TenantNotFound => return Ok(Pages::whole(Vec::new())),
        Err(error) => return Err(error),
    };
    let rows = store.host_tokens(cx, scope).await?;
    Ok(rows.map(move |row| EnrollmentToken { tenant: scope.tenant(), row }))
}

/// Generates a token for hosts. Checks, in this order: the members, and the tenant.
pub async fn generate_for_hosts(
    cx: &Cx,
    store: &Store,
    tenant: &TenantRef,
    new: NewHostToken,
) -> Result<GeneratedToken> {
    let (checked, secret) = (check(new)?, NewSecret::for_hosts());
    let token = store.write(cx, (tenant.clone(), checked, secret.stored()), insert).await?;
    Ok(GeneratedToken { token, text: secret.into_text() })
}

async fn insert(tx: &Tx, (tenant, new, stored): &(TenantRef, Checked, Stored)) -> Result<EnrollmentToken> {
    let (_, scope) = tenants::resolve_any_locked(tx, tenant).await?;
    let now = tx.now();
    let row = EnrollmentTokenRow {
        tenant_id: scope.into(),
        id: tx.new_id(),
        kind: TokenKind::Host,
        name: new.label.clone(),
        prefix: stored.prefix.clone(),
        secret_hash: stored.digest.clone(),
        max_uses: new.max_uses,
        use_count: 0,
        account_id: None,
        group_ids: Json(Vec::new()),
        pool_id: None,
        device_id: None,
        pre_approved: false,
        ephemeral: false,
        created_by: tx.cx().caller.subject.clone(),
        creator_id: tx.cx().caller.account,
        created_at: now.into(),
        expires_at: new.life.map(|life| Stamp::from(now + life)),
        last_used_at: None,
        revoked_at: None,
    };
    tx.tenant(scope).enrollment_tokens().insert(vec![row.clone()]).await?;
    let token = EnrollmentToken { tenant: scope.tenant(), row };
    let details = json!({
        "kind": token.row.kind.as_str(), "name": token.row.name, "max_uses": token.row.max_uses,
        "expires_at": token.row.expires_at.map(|at| at.time().unix_timestamp()),
    });
    tx.changed(token.change(ChangeKind::Created), token.shown_id(), details);
    Ok(token)
}

/// Revokes a token for hosts, unless it is revoked already. Hosts that registered with it stay. Fails with NOT_FOUND if the tenant has
/// no such token, or does not exist.
pub async fn revoke_for_hosts(cx: &Cx, store: &Store, tenant: &TenantRef, id: Option<Uuid>) -> Result<()> {
    let id = id.ok_or_else(no_token)?;
    let revoked = store.write(cx, (tenant.clone(), id), revoke_in).await;
    revoked.map_err(|error| if error.reason == Reason::TenantNotFound { no_token() } else { error })
}

async fn revoke_in(tx: &Tx, (tenant, id): &(TenantRef, Uuid)) -> Result<()> {
    let (_, scope) = tenants::resolve_any_locked(tx, tenant).await?;
    let rows = tx.tenant(scope).enrollment_tokens();
    let row = rows.get_locked(*id).await?.filter(|row| row.kind == TokenKind::Host).ok_or_else(no_token)?;
    let token = EnrollmentToken { tenant: scope.tenant(), row };
    let details = json!({"name": token.row.name});
    if token.row.revoked_at.is_some() {
        tx.audit_only(Some(scope.tenant()), token.shown_id(), details);
        return Ok(());
    }
    rows.revoke(*id, tx.now().into()).await?;
    tx.changed(token.change(ChangeKind::Revoked), token.shown_id(), details);
    Ok(())
}

/// The error that the control-plane surface documents.
fn no_token() -> Error {
    Error { message: "Enrollment token not found.".into(), ..not_found() }
}

fn check(new: NewHostToken) -> Result<Checked> {
    Ok(Checked {
        label: label(new.label.as_deref().unwrap_or_default())?,
        life: new.expires_in_days.map(life).transpose()?,
        max_uses: new.max_uses.map(uses).transpose()?,
    })
}

fn label(text: &str) -> Result<String> {
    if text.trim().is_empty() {
        return Ok(String::new());
    }
    text::name_of("label", text, 1..=MAX_LABEL, "a label must have at most 255 characters")
}

fn life(days: i32) -> Result<Duration> {
    if DAYS.contains(&days) {
        return Ok(Duration::days(days.into()));
    }
    let message = format!("the lifetime of a token must be {} to {} days", DAYS.start(), DAYS.end());
    Err(Error::invalid(Reason::InvalidArgument, "expires_in_days", message))
}

fn uses(most: i32) -> Result<i64> {
    if most >= 1 {
        return Ok(most.into());
    }
    let message = "max_uses must be at least 1; leave it out for any number of uses";
    Err(Error::invalid(Reason::InvalidArgument, "max_uses", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_for_hosts_may_be_valid_without_limits() {
        let checked = check(NewHostToken::default()).unwrap();
        assert_eq!((checked.label.as_str(), checked.life, checked.max_uses), ("", None, None));
    }

    #[test]
    fn each_member_has_its_bounds() {
        assert_eq!(life(1).unwrap(), Duration::DAY);
        assert_eq!(life(3650).unwrap(), Duration::days(3650));
        for bad in [0, -1, 3651, i32::MAX, i32::MIN] {
            assert_eq!(life(bad).unwrap_err().violations[0].field, "expires_in_days", "{bad}");
        }
        assert_eq!((uses(1).unwrap(), uses(i32::MAX).unwrap()), (1, i64::from(i32::MAX)));
        for bad in [0, -1, i32::MIN] {
            assert_eq!(uses(bad).unwrap_err().violations[0].field, "max_uses", "{bad}");
        }
        assert_eq!((label("  ").unwrap().as_str(), label(" laptops ").unwrap().as_str()), ("", "laptops"));
        assert!(label(&"x".repeat(255)).is_ok());
        for bad in ["x".repeat(256), "a\0b".to_owned()] {
            assert_eq!(label(&bad).unwrap_err().violations[0].field, "label");
        }
    }
}
