//! Validation and access rules of users that need no database (zero-trust contract, section 4.2).

use uuid::Uuid;

use crate::base::{Caller, Error, Kind, Reach, Result, Role, error::Reason, text};
use crate::identity::{Account, AccountStatus, Email, User, accounts, groups::lists};
use crate::store::columns::Source;

/// Maximum length of an id chosen by the caller, in characters.
const MAX_ID: usize = 64;
/// Maximum length of a display name, in characters.
const MAX_NAME: usize = 128;
/// Maximum length of a reason, in characters.
const MAX_REASON: usize = 500;
/// Maximum number of groups in the creation of a user.
const MAX_GROUPS: usize = 100;

/// Parses an id chosen by the caller: 1 to 64 letters, digits and `. _ -`.
pub(in crate::identity) fn id(text: String) -> Result<String> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    let is_id = (1..=MAX_ID).contains(&text.len()) && text.bytes().all(good) && accounts::check_name(&text).is_ok();
    let message = "an id must have 1 to 64 letters, digits and `. _ -`";
    if is_id { Ok(text) } else { Err(Error::invalid(Reason::AccountNameInvalid, "user_id", message)) }
}

/// Normalizes a display name of at most 128 characters. An error names `field`.
pub fn display_name(field: &str, text: &str) -> Result<String> {
    text::name_of(field, text, 0..=MAX_NAME, "a name must have at most 128 characters")
}

/// Normalizes a reason for the audit log, of at most 500 characters.
pub fn reason(text: Option<String>) -> Result<Option<String>> {
    text.map(|text| text::prose("reason", &text, MAX_REASON, "a reason must have at most 500 characters")).transpose()
}

/// Parses group ids and removes duplicates.
pub(in crate::identity) fn groups(ids: &[String]) -> Result<Vec<Uuid>> {
    lists::ids("group_ids", ids, MAX_GROUPS)
}

/// Parses a role that the caller assigns to a user. Fails with INVALID_ARGUMENT for a role that tenants do not
/// have, with PERMISSION_DENIED for a role above the caller's own.
pub(in crate::identity) fn role(caller: &Caller, word: &str) -> Result<Role> {
    let unknown = || {
        let roles = "admin, network_admin, security_operator, auditor, read_only, user";
        Error::invalid(Reason::RoleUnknown, "role", format!("must be one of {roles}"))
    };
    let role: Role = word.parse().map_err(|_| unknown())?;
    if !caller.outranks(role) {
        return Err(above());
    }
    if matches!(role, Role::PlatformAdmin | Role::Project) { Err(unknown()) } else { Ok(role) }
}

/// Refuses callers whose role is below any role of the user.
pub(in crate::identity) fn reachable(caller: &Caller, user: &User) -> Result<()> {
    if user.every_role().iter().all(|role| caller.outranks(role)) { Ok(()) } else { Err(above()) }
}

/// Checks that the caller may access the user: their own account always, others if `reach` permits and
/// [`reachable`] does.
pub(in crate::identity) fn admitted(caller: &Caller, reach: Reach, user: &User) -> Result<()> {
    if is_own(caller, &user.account) {
        return Ok(());
    }
    if reach == Reach::Own { Err(only_own()) } else { reachable(caller, user) }
}

/// Whether the account is the caller's own.
pub(in crate::identity) fn is_own(caller: &Caller, account: &Account) -> bool {
    caller.account == Some(account.id)
}

/// Refuses actions that are not allowed on one's own account.
pub(in crate::identity) fn not_own(caller: &Caller, account: &Account) -> Result<()> {
    if is_own(caller, account) {
        return Err(Error::invalid(Reason::AccountOwn, "user_id", "this action is not allowed on your own account"));
    }
    Ok(())
}

/// Refuses to grant, extend or raise a role on the caller's own account.
pub(in crate::identity) fn refuse_self_grant(caller: &Caller, account: &Account) -> Result<()> {
    if is_own(caller, account) {
        let message = "you cannot grant, extend or raise a role on your own account; ask another administrator";
        return Err(Error::denied(Reason::AccountOwn, message));
    }
    Ok(())
}

/// Refuses API keys: permanent privileges are given only by people and by minted tokens.
pub(in crate::identity) fn not_by_key(caller: &Caller) -> Result<()> {
    if caller.is_api_key() {
        let message = "API keys cannot change roles, second factors or other users' passwords";
        return Err(Error::denied(Reason::CallerKindRefused, message));
    }
    Ok(())
}

/// Refuses to change attributes that a directory manages.
pub(in crate::identity) fn not_synced(account: &Account) -> Result<()> {
    if account.source == Source::Directory {
        let message = "the user is managed by a directory: change the address and name there";
        return Err(Error::precondition(Reason::AccountSynced, message));
    }
    Ok(())
}

/// The status of an account that is not suspended or deleted.
pub(in crate::identity) fn active_or_invited(has_password: bool) -> AccountStatus {
    if has_password { AccountStatus::Active } else { AccountStatus::Invited }
}

/// The email address of an account in the form that is compared and returned.
pub fn shown_email(account: &Account) -> Option<String> {
    let email = account.email.as_ref()?;
    Some(Email::read(email).map_or_else(|_| email.clone(), |email| email.key().to_owned()))
}

pub(in crate::identity) fn only_own() -> Error {
    Error::denied(Reason::PermissionDenied, "your role does not permit this for other users")
}

pub(in crate::identity) fn above() -> Error {
    Error::denied(Reason::RoleAboveOwn, "the role or the user is above your own role")
}

pub(in crate::identity) fn stale() -> Error {
    Error::new(Kind::Aborted, Reason::VersionStale, "the user was changed in the meantime; read it again")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::caller::CallerFacts;

    fn caller(role: Role) -> Caller {
        Caller::new(CallerFacts { role, ..CallerFacts::default() })
    }

    #[test]
    fn chosen_ids_are_plain_and_not_ambiguous() {
        for good in ["a", "Ada.L-1_x", &"x".repeat(64)] {
            assert!(id(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a@b", "ä", "a/b", &"x".repeat(65), "usr_01J7ST8Z0GFCQ9TCATDDY8V7GF"] {
            assert_eq!(id(bad.to_owned()).unwrap_err().violations[0].field, "user_id", "{bad}");
        }
    }

    #[test]
    fn no_caller_grants_a_role_above_their_own() {
        let reason = |from, word: &str| role(&caller(from), word).err().map(|error| error.reason);
        assert_eq!(reason(Role::Admin, "admin"), None);
        assert_eq!(reason(Role::SecurityOperator, "admin"), Some(Reason::RoleAboveOwn));
        assert_eq!(reason(Role::Admin, "platform_admin"), Some(Reason::RoleAboveOwn));
        assert_eq!(reason(Role::PlatformAdmin, "platform_admin"), Some(Reason::RoleUnknown));
        for word in ["project", "root", "", "Admin"] {
            assert_eq!(reason(Role::Admin, word), Some(Reason::RoleUnknown), "{word}");
        }
    }

    #[test]
    fn texts_are_bounded() {
        assert_eq!(display_name("name", " Ada ").unwrap(), "Ada");
        for bad in ["x".repeat(129), "a\0".to_owned(), "a\u{200b}".to_owned()] {
            assert_eq!(display_name("name", &bad).unwrap_err().violations[0].field, "name");
        }
        assert!(reason(Some("x".repeat(501))).is_err() && reason(Some("a\nb".to_owned())).is_ok());
        assert!(groups(&["grp_x".to_owned()]).is_err());
    }
}
