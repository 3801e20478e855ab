//! Names of tenants, and references to tenants by name or id.

use std::{convert::Infallible, fmt, str::FromStr};

use super::ids::TenantId;

pub const MAX_LEN: usize = 255;
/// The longest name, in characters, on surfaces without a documented length.
pub const MAX_PLAIN_LEN: usize = 100;

/// The handle of a tenant, which the surfaces call slug, name or tenant. Unique, ignoring case;
/// `[A-Za-z0-9_.:=-]{1,255}`, except `.` and `..`. This is the rule of the most permissive surface (messaging contract,
/// section 13); the others are stricter. It cannot be parsed as an id, unless the messaging surface created it: there a
/// path is a name first. A tenant's name is never another tenant's id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TenantName(String);

/// The text is not a valid name of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAName {
    /// It is empty or too long.
    #[error("a name must have 1 to {0} characters")]
    Length(usize),
    /// It contains characters that are not allowed.
    #[error("a name may contain only letters, digits and `_ - = : .`")]
    Characters,
    /// It does not start with a letter, a digit or `_`.
    #[error("a name may contain only letters, digits and `_ - = : .`, and must start with a letter, a digit or `_`")]
    First,
    /// In a path it would be a relative segment (RFC 3986, section 3.3).
    #[error("a name must not be `.` or `..`")]
    Dots,
    #[error("a name must not have the form of an id")]
    ReadsAsId,
}

impl TenantName {
    /// The name as entered.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name in the form for comparison: lower case.
    pub fn key(&self) -> String {
        fold(&self.0)
    }

    /// A stored name.
    pub fn stored(name: String) -> Self {
        Self(name)
    }

    /// A name on surfaces that document no rule, and where a reference is an id first:
    /// `[A-Za-z0-9_][A-Za-z0-9_.:=-]{0,99}`, and nothing that can be parsed as an id.
    pub fn plain(text: &str) -> Result<Self, NotAName> {
        let first = |c: char| c.is_ascii_alphanumeric() || c == '_';
        match text.parse::<Self>() {
            _ if text.is_empty() || text.chars().count() > MAX_PLAIN_LEN => Err(NotAName::Length(MAX_PLAIN_LEN)),
            Err(NotAName::Characters | NotAName::Dots) => Err(NotAName::First),
            Ok(_) if !text.starts_with(first) => Err(NotAName::First),
            Ok(name) if name.as_id().is_some() => Err(NotAName::ReadsAsId),
            parsed => parsed,
        }
    }

    /// The id, if the name can be parsed as one.
    pub fn as_id(&self) -> Option<TenantId> {
        self.0.parse().ok()
    }
}

impl FromStr for TenantName {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        if text.is_empty() || text.chars().count() > MAX_LEN {
            return Err(NotAName::Length(MAX_LEN));
        }
        if !is_named_entity(text) {
            return Err(NotAName::Characters);
        }
        if is_dots(text) {
            return Err(NotAName::Dots);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for TenantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a text has only the characters of names in the messaging contract: letters, digits and `_ - = : .` (section
/// 4). True for the empty text.
pub fn is_named_entity(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-=:.".contains(&b))
}

/// Whether a text is a relative path segment.
pub fn is_dots(text: &str) -> bool {
    matches!(text, "." | "..")
}

/// A name in the form for comparison.
pub fn fold(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// A caller's reference to a tenant: by id in any spelling, or by name in any case. Any text is a reference; whether
/// such a tenant exists is a separate question.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TenantRef {
    Id(TenantId),
    /// By its folded name.
    Name(String),
    /// A text that can be an id or a name. At most one tenant matches, because a tenant's name is never another
    /// tenant's id; so the order of the two lookups does not matter.
    Either(TenantId, String),
}

impl TenantRef {
    /// Parses a reference.
    pub fn parse(text: &str) -> Self {
        match text.parse() {
            Ok(id) => Self::Either(id, fold(text)),
            Err(_) => Self::Name(fold(text)),
        }
    }

    /// Parses the reference in a credential, in which an id always wins: ids are never reused, but a name may become
    /// another tenant's.
    pub fn of_credential(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Name(fold(text)), Self::Id)
    }

    /// Whether it refers to the tenant with this id and folded name.
    pub fn names(&self, id: TenantId, key: &str) -> bool {
        match self {
            Self::Id(named) => *named == id,
            Self::Name(name) => name == key,
            Self::Either(named, name) => *named == id || name == key,
        }
    }
}

impl FromStr for TenantRef {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self::parse(text))
    }
}

impl fmt::Display for TenantRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) | Self::Either(id, _) => id.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_contract_pass() {
        for name in
            ["a", "_", "my-tenant", "0day", "a.b:c=d", "Public", "-a", ".a", "=a", ":a", "...", &"x".repeat(255)]
        {
            assert!(name.parse::<TenantName>().is_ok(), "{name}");
        }
    }

    #[test]
    fn surfaces_without_their_own_rule_accept_plain_names() {
        for name in ["a", "_", "my-tenant", "0day", "a.b:c=d", "Public", &"x".repeat(100)] {
            assert!(TenantName::plain(name).is_ok(), "{name}");
        }
        for name in ["-a", ".a", "=a", ":a", ".", "..", "a b", "ä"] {
            assert_eq!(TenantName::plain(name), Err(NotAName::First), "{name}");
        }
        for name in [String::new(), "x".repeat(101), "x".repeat(256)] {
            assert_eq!(TenantName::plain(&name), Err(NotAName::Length(100)), "{name}");
        }
        assert_eq!(TenantName::plain("t_0191f3a47c107b2e9d315a6b7c8d9e0f"), Err(NotAName::ReadsAsId));
    }

    #[test]
    fn other_names_are_refused() {
        let cases = [
            ("", NotAName::Length(255)),
            (&"x".repeat(256), NotAName::Length(255)),
            (".", NotAName::Dots),
            ("..", NotAName::Dots),
            ("a b", NotAName::Characters),
            ("a/b", NotAName::Characters),
            ("tenänt", NotAName::Characters),
            ("a';--", NotAName::Characters),
        ];
        for (name, why) in cases {
            assert_eq!(name.parse::<TenantName>(), Err(why), "{name}");
        }
        let ids = [
            "t_0191f3a47c107b2e9d315a6b7c8d9e0f",
            "T-0191F3A47C107B2E9D315A6B7C8D9E0F",
            "0191f3a4-7c10-7b2e-9d31-5a6b7c8d9e0f",
        ];
        for name in ids {
            assert!(name.parse::<TenantName>().is_ok(), "{name}");
            assert_eq!(TenantName::plain(name), Err(NotAName::ReadsAsId), "{name}");
        }
    }

    #[test]
    fn a_reference_by_name_ignores_case() {
        assert_eq!(TenantRef::parse("Acme"), TenantRef::parse("aCME"));
    }

    #[test]
    fn a_text_in_the_form_of_an_id_is_a_name_except_in_a_credential() {
        let text = "T_0191F3A47C107B2E9D315A6B7C8D9E0F";
        let (id, other) = (text.parse::<TenantId>().unwrap(), TenantId::from_uuid(uuid::Uuid::nil()));
        let name: TenantName = text.parse().unwrap();
        assert_eq!((name.as_str(), name.as_id()), (text, Some(id)));
        let reference = TenantRef::parse(text);
        assert!(reference.names(id, "acme") && reference.names(other, &name.key()));
        assert!(!reference.names(other, &id.warehouse()) && !reference.names(other, "acme"));
        let reference = TenantRef::of_credential(text);
        assert!(reference.names(id, "acme") && !reference.names(other, &name.key()));
        assert_eq!(TenantRef::of_credential("Acme"), TenantRef::parse("acme"));
    }
}
