//! What may be done to a device in which state.

use crate::{
    base::{Error, IdKind, Result, TenantScope, error::Reason, text},
    entitlements,
    identity::{AccountStatus, accounts},
    store::{
        Db,
        columns::DeviceStatus,
        tables::{DeviceRow, TenantRows},
    },
};

/// Maximum length of a name, in characters.
const MAX_NAME: usize = 64;

/// What is done to a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Suspend,
    Reactivate,
    Revoke,
    Approve,
    /// Revokes a device that waits for approval.
    Reject,
    Rename(String),
    /// Generates a token with which the device enrolls once more.
    ReEnroll,
    /// As `ReEnroll`, and revokes the credentials at once.
    ForceReauth,
}

impl Action {
    /// Validates an action without the database.
    pub(super) fn checked(self) -> Result<Self> {
        match self {
            Self::Rename(name) => {
                let rule = "a name must have 1 to 64 characters";
                Ok(Self::Rename(text::name_of("name", &name, 1..=MAX_NAME, rule)?))
            }
            other => Ok(other),
        }
    }

    /// Whether it generates a token.
    pub(super) fn generates_token(&self) -> bool {
        matches!(self, Self::ReEnroll | Self::ForceReauth)
    }

    /// Whether it gives access to a device that had none.
    fn admits(&self) -> bool {
        matches!(self, Self::Reactivate | Self::Approve)
    }
}

/// The device after an action. Fails with FAILED_PRECONDITION if its state does not permit the action.
pub(super) fn after(row: &DeviceRow, action: &Action) -> Result<DeviceRow> {
    use DeviceStatus::{Active, PendingApproval, Revoked, Suspended};
    let refused = |message: &'static str| Err(Error::precondition(Reason::EnrolledStateConflict, message));
    let set = |status| Ok(DeviceRow { status, suspended_with_user: false, ..row.clone() });
    match (action, row.status) {
        (_, Revoked) => refused("the device is revoked and stays so; enroll it as a new device"),
        (Action::Suspend | Action::Reactivate, PendingApproval) => {
            refused("the device waits for approval; approve or reject it")
        }
        (Action::Suspend, Active | Suspended) => set(Suspended),
        (Action::Approve, Suspended) => refused("the device is suspended; reactivate it"),
        (Action::Reactivate, _) | (Action::Approve, _) => set(Active),
        (Action::Reject, Active | Suspended) => refused("the device was approved before; revoke it"),
        (Action::Reject | Action::Revoke, _) => set(Revoked),
        (Action::Rename(name), _) => Ok(DeviceRow { name: name.clone(), ..row.clone() }),
        (Action::ReEnroll | Action::ForceReauth, _) => Ok(row.clone()),
    }
}

/// Refuses to give access to the device of a suspended user, which would have none, and to reactivate a device beyond the limits of
/// the tenant.
pub(super) async fn refuse_access<C: Db>(
    conn: &C,
    rows: &TenantRows<'_, C>,
    scope: TenantScope,
    row: &DeviceRow,
    action: &Action,
) -> Result<()> {
    if *action == Action::Reactivate && row.status != DeviceStatus::Active {
        entitlements::require_no_excess(rows, row.account_id).await?;
    }
    let Some(account) = row.account_id.filter(|_| action.admits()) else { return Ok(()) };
    let user = accounts::find(conn, Some(scope), &IdKind::User.show(account)).await?;
    if user.is_some_and(|user| user.status == AccountStatus::Suspended) {
        let message = "the user of the device is suspended; reactivate the user";
        return Err(Error::precondition(Reason::EnrolledStateConflict, message));
    }
    Ok(())
}

pub(super) fn not_found() -> Error {
    Error::not_found(Reason::DeviceNotFound, "device not found")
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        base::{Access, TenantId},
        store::{
            Stamp,
            columns::{EnrolledVia, Json, Platform},
        },
    };

    fn device(status: DeviceStatus) -> DeviceRow {
        let scope = TenantScope::grant(&Access::Platform, TenantId::from_uuid(Uuid::nil()), "acme").unwrap();
        DeviceRow {
            tenant_id: scope.into(),
            id: Uuid::nil(),
            account_id: None,
            name: "laptop".to_owned(),
            name_key: String::new(),
            platform: Platform::Linux,
            os_version: String::new(),
            client_version: String::new(),
            hardware_id_hash: None,
            status,
            suspended_with_user: status == DeviceStatus::Suspended,
            enrolled_via: EnrolledVia::Token,
            token_id: None,
            group_ids: Json::default(),
            ephemeral: false,
            labels: Json::default(),
            last_seen_at: None,
            last_ip: None,
            policy_floor: 0,
            version: 1,
            created_at: Stamp::from_micros(0),
            updated_at: Stamp::from_micros(0),
        }
    }

    #[test]
    fn the_state_of_a_device_decides_what_may_be_done() {
        use DeviceStatus::{Active, PendingApproval, Revoked, Suspended};
        // In this order: pending, active, suspended, revoked.
        let table = [
            (Action::Suspend, [None, Some(Suspended), Some(Suspended), None]),
            (Action::Reactivate, [None, Some(Active), Some(Active), None]),
            (Action::Approve, [Some(Active), Some(Active), None, None]),
            (Action::Reject, [Some(Revoked), None, None, None]),
            (Action::Revoke, [Some(Revoked), Some(Revoked), Some(Revoked), None]),
            (Action::Rename("x".to_owned()), [Some(PendingApproval), Some(Active), Some(Suspended), None]),
            (Action::ReEnroll, [Some(PendingApproval), Some(Active), Some(Suspended), None]),
            (Action::ForceReauth, [Some(PendingApproval), Some(Active), Some(Suspended), None]),
        ];
        for (action, expected) in table {
            for (status, expected) in [PendingApproval, Active, Suspended, Revoked].into_iter().zip(expected) {
                let found = after(&device(status), &action).ok().map(|row| row.status);
                assert_eq!(found, expected, "{action:?} {status:?}");
            }
        }
    }

    #[test]
    fn a_device_that_is_suspended_by_itself_does_not_come_back_with_its_user() {
        assert!(!after(&device(DeviceStatus::Suspended), &Action::Suspend).unwrap().suspended_with_user);
        let renamed = after(&device(DeviceStatus::Suspended), &Action::Rename("x".to_owned())).unwrap();
        assert!(renamed.suspended_with_user);
    }

    #[test]
    fn a_name_has_characters() {
        assert!(Action::Rename(String::new()).checked().is_err());
        assert!(Action::Rename("x".repeat(65)).checked().is_err());
        assert_eq!(Action::Rename(" a ".to_owned()).checked().unwrap(), Action::Rename("a".to_owned()));
    }
}
