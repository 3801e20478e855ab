//! The rules of names and of administrators, without a database (warehouse contract, sections 2 and 3.1).

use crate::base::{Error, Kind, Result, Role, RoleSet, TenantName, error::Reason, text, words::quoted};
use crate::identity::Login;

/// Maximum length of a tenant's name, in characters: that of a PostgreSQL identifier.
pub const MAX_NAME: usize = 63;
pub const MAX_DISPLAY_NAME: usize = 200;

/// The name of a new tenant, from either of two members: in lower case, because no surface distinguishes case.
pub fn tenant_name(name: Option<&str>, id: Option<&str>) -> Result<TenantName> {
    let given = match (name, id) {
        (Some(name), Some(id)) if !name.eq_ignore_ascii_case(id) => {
            return Err(invalid_name("name and id differ: send only one of them"));
        }
        (given, other) => given.or(other).unwrap_or_default(),
    };
    if given.is_empty() {
        return Err(invalid_name("the tenant's name is empty"));
    }
    let name = TenantName::plain(&given.to_ascii_lowercase()).ok().filter(|_| is_identifier(given));
    name.ok_or_else(|| {
        let rule = "must be 1..63 chars, start with a letter or underscore, and contain only letters, digits and \
                    underscore (Postgres identifier rules); nothing that reads as an id";
        invalid_name(format!("invalid tenant name '{}': {rule}", quoted(given)))
    })
}

/// The display name; defaults to the name.
pub fn display_name(given: Option<&str>, name: &TenantName) -> Result<String> {
    let rule = "displayName must have at most 200 characters and no control characters";
    let given = text::name_of("display_name", given.unwrap_or_default(), 0..=MAX_DISPLAY_NAME, rule)?;
    Ok(if given.is_empty() { name.as_str().to_owned() } else { given })
}

/// Whether a text is an SQL identifier without quotes.
fn is_identifier(text: &str) -> bool {
    let mut bytes = text.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    first && text.len() <= MAX_NAME && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn invalid_name(text: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::invalid(Reason::TenantNameInvalid, "name", text)
}

/// Whether one of these roles administers the platform or a tenant.
pub fn is_admin(roles: RoleSet) -> bool {
    roles.contains(Role::PlatformAdmin) || roles.contains(Role::Admin)
}

/// Refuses the login of an account that is not an administrator, or must change its password first.
pub fn check_login(login: &Login) -> Result<()> {
    if login.account.must_change {
        let text = "the password must be changed before the account can be used here";
        return Err(Error::new(Kind::Unauthenticated, Reason::PasswordChangeRequired, text));
    }
    if is_admin(login.also.with(login.account.role)) {
        return Ok(());
    }
    Err(Error::denied(Reason::AdminRequired, "the account is not an administrator of any tenant"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of<T: std::fmt::Debug>(outcome: Result<T>) -> String {
        outcome.unwrap_err().message.into_owned()
    }

    #[test]
    fn names_are_identifiers_of_sql() {
        for name in ["a", "_", "Acme", "a1", "_1", &"x".repeat(63)] {
            assert_eq!(tenant_name(Some(name), None).unwrap().as_str(), name.to_ascii_lowercase());
            assert_eq!(tenant_name(None, Some(name)).unwrap().as_str(), name.to_ascii_lowercase());
        }
        for name in ["1a", "a-b", "a b", "a.b", "ä", "a\0", " a", &"x".repeat(64), "t_0191f3a47c107b2e9d315a6b7c8d9e0f"]
        {
            let refused = tenant_name(Some(name), None).unwrap_err();
            assert_eq!(refused.reason, Reason::TenantNameInvalid, "{name}");
        }
    }

    #[test]
    fn a_name_in_two_members_must_be_the_same() {
        assert_eq!(tenant_name(Some("Acme"), Some("aCME")).unwrap().as_str(), "acme");
        assert_eq!(error_of(tenant_name(Some("acme"), Some("beta"))), "name and id differ: send only one of them");
        for (name, id) in [(None, None), (Some(""), None), (Some(""), Some("")), (None, Some(""))] {
            assert_eq!(error_of(tenant_name(name, id)), "the tenant's name is empty");
        }
    }

    #[test]
    fn the_display_name_defaults_to_the_name() {
        let name: TenantName = "acme".parse().unwrap();
        assert_eq!(display_name(None, &name).unwrap(), "acme");
        assert_eq!(display_name(Some("  "), &name).unwrap(), "acme");
        assert_eq!(display_name(Some(" Acme Inc. "), &name).unwrap(), "Acme Inc.");
        assert!(display_name(Some(&"x".repeat(201)), &name).is_err() && display_name(Some("a\nb"), &name).is_err());
        assert!(display_name(Some("\u{3164}"), &name).is_err());
    }
}
