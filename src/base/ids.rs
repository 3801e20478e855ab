//! Ids in the spellings of all surfaces.
//!
//! A tenant's id is a UUIDv7. The control-plane and native surfaces write it as a dashed UUID, zero-trust as `ten_` and
//! 26 characters of the ULID alphabet, manager as `t_` and 32 hex digits, warehouse as `t-` and 32 hex digits. Every
//! surface accepts every spelling, case-insensitively.

use std::{fmt, str::FromStr};

use uuid::Uuid;

/// The id of a tenant; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(Uuid);

/// The text is not an id in any spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id")]
pub struct NotAnId;

/// Crockford's base 32, the alphabet of ULIDs.
const ULID_ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Length of a ULID.
const ULID_LEN: usize = 26;

impl TenantId {
    /// A stored id.
    pub fn from_uuid(id: Uuid) -> Self {
        Self(id)
    }

    /// The id in its stored form.
    pub fn uuid(self) -> Uuid {
        self.0
    }

    /// `0191...-...`: control-plane and native.
    pub fn dashed(self) -> String {
        self.0.as_hyphenated().to_string()
    }

    /// `ten_01...`: zero-trust.
    pub fn zero_trust(self) -> String {
        format!("ten_{}", ulid(self.0))
    }

    /// `t_0191...`: manager.
    pub fn manager(self) -> String {
        format!("t_{}", self.0.as_simple())
    }

    /// `t-0191...`: warehouse.
    pub fn warehouse(self) -> String {
        format!("t-{}", self.0.as_simple())
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl FromStr for TenantId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let id = if let Some(rest) = strip_prefix(text, "ten_") {
            parse_ulid(rest)
        } else if let Some(rest) = strip_prefix(text, "t_").or_else(|| strip_prefix(text, "t-")) {
            parse_hex(rest)
        } else {
            read_dashed(text)
        };
        id.map(Self).ok_or(NotAnId)
    }
}

/// Parses a dashed UUID, case-insensitively; `None` for any other text.
pub fn read_dashed(text: &str) -> Option<Uuid> {
    (text.len() == uuid::fmt::Hyphenated::LENGTH).then(|| Uuid::try_parse(text).ok()).flatten()
}

/// Strips an ASCII prefix, ignoring case.
fn strip_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

fn parse_hex(text: &str) -> Option<Uuid> {
    let plain = text.len() == uuid::fmt::Simple::LENGTH && text.bytes().all(|b| b.is_ascii_hexdigit());
    plain.then(|| Uuid::try_parse(text).ok()).flatten()
}

/// The 26 characters of a 128-bit value; the first has the three most significant bits.
fn ulid(id: Uuid) -> String {
    let value = id.as_u128();
    (0..ULID_LEN).rev().map(|place| ULID_ALPHABET[(value >> (5 * place)) as usize & 31] as char).collect()
}

fn parse_ulid(text: &str) -> Option<Uuid> {
    if text.len() != ULID_LEN {
        return None;
    }
    let mut value: u128 = 0;
    for (place, byte) in text.bytes().enumerate() {
        let digit = ULID_ALPHABET.iter().position(|c| *c == byte.to_ascii_uppercase())? as u128;
        if place == 0 && digit > 7 {
            return None;
        }
        value = value << 5 | digit;
    }
    Some(Uuid::from_u128(value))
}

/// Kinds of ids on the zero-trust surface, each with a prefix before the 26 characters of a ULID (zero-trust contract,
/// section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdKind {
    /// `usr_`: an account.
    User,
    /// `grp_`: a group.
    Group,
    ApiKey,
    /// `pool_`: a pool of gateways.
    GatewayPool,
    /// `tok_`: an enrollment token.
    EnrollmentToken,
    /// `dev_`: a device.
    Device,
    /// `gw_`: a gateway.
    Gateway,
    /// `sgn_`: a key that signs for a tenant.
    Signer,
    /// `pol_`: a version of a policy.
    Policy,
    /// `rot_`: a rotation of keys.
    Rotation,
    /// `spc_`: a security policy certificate.
    Spc,
    /// `ses_`: a session of a device at a gateway.
    Session,
    /// `grt_`: the permission to start a session.
    Grant,
}

impl IdKind {
    fn prefix(self) -> &'static str {
        match self {
            Self::User => "usr_",
            Self::Group => "grp_",
            Self::ApiKey => "key_",
            Self::GatewayPool => "pool_",
            Self::EnrollmentToken => "tok_",
            Self::Device => "dev_",
            Self::Gateway => "gw_",
            Self::Signer => "sgn_",
            Self::Policy => "pol_",
            Self::Rotation => "rot_",
            Self::Spc => "spc_",
            Self::Session => "ses_",
            Self::Grant => "grt_",
        }
    }

    pub fn show(self, id: Uuid) -> String {
        format!("{}{}", self.prefix(), ulid(id))
    }

    /// Parses an id, ignoring case.
    pub fn read(self, text: &str) -> Option<Uuid> {
        parse_ulid(strip_prefix(text, self.prefix())?)
    }
}

/// Kinds of ids on the manager surface, each with a prefix before 32 hex digits (manager contract, decisions).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManagerId {
    /// `p_`
    Project,
    /// `a_`
    App,
}

impl ManagerId {
    fn prefix(self) -> &'static str {
        match self {
            Self::Project => "p_",
            Self::App => "a_",
        }
    }

    pub fn show(self, id: Uuid) -> String {
        format!("{}{}", self.prefix(), id.as_simple())
    }

    /// Parses an id, ignoring case.
    pub fn read(self, text: &str) -> Option<Uuid> {
        parse_hex(strip_prefix(text, self.prefix())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_the_manager_are_parsed_only_as_their_own_kind() {
        let shown = ManagerId::Project.show(id().uuid());
        assert_eq!(shown, "p_0191f3a47c107b2e9d315a6b7c8d9e0f");
        assert_eq!(ManagerId::Project.read(&shown.to_uppercase()), Some(id().uuid()));
        for other in
            [ManagerId::App.show(id().uuid()), id().manager(), id().dashed(), format!("{shown}0"), "p_".to_owned()]
        {
            assert_eq!(ManagerId::Project.read(&other), None, "{other}");
        }
    }

    #[test]
    fn ids_are_parsed_only_as_their_own_kind() {
        let shown = IdKind::User.show(id().uuid());
        assert_eq!(shown, "usr_01J7ST8Z0GFCQ9TCATDDY8V7GF");
        assert_eq!(IdKind::User.read(&shown.to_lowercase()), Some(id().uuid()));
        assert_eq!(IdKind::Group.read(&shown), None);
    }

    fn id() -> TenantId {
        TenantId(Uuid::from_u128(0x0191_f3a4_7c10_7b2e_9d31_5a6b_7c8d_9e0f))
    }

    #[test]
    fn every_spelling_is_parsed() {
        for text in [id().dashed(), id().zero_trust(), id().manager(), id().warehouse()] {
            assert_eq!(text.parse(), Ok(id()), "{text}");
            assert_eq!(text.to_uppercase().parse(), Ok(id()), "{text}");
            assert_eq!(text.to_lowercase().parse(), Ok(id()), "{text}");
        }
    }

    #[test]
    fn each_surface_has_its_spelling() {
        assert_eq!(id().dashed(), "0191f3a4-7c10-7b2e-9d31-5a6b7c8d9e0f");
        assert_eq!(id().zero_trust(), "ten_01J7ST8Z0GFCQ9TCATDDY8V7GF");
        assert_eq!(id().manager(), "t_0191f3a47c107b2e9d315a6b7c8d9e0f");
        assert_eq!(id().warehouse(), "t-0191f3a47c107b2e9d315a6b7c8d9e0f");
    }

    #[test]
    fn other_texts_are_not_ids() {
        for text in [
            "",
            "acme",
            "t_",
            "t_0191f3a47c107b2e9d315a6b7c8d9e0",
            "t_0191f3a47c107b2e9d315a6b7c8d9e0g",
            "ten_81J7SST8Z0FCQ9V4QTDDY8V7GF",
            "ten_01J7SST8Z0FCQ9V4QTDDY8V7G",
            "ten_01J7SST8Z0FCQ9V4QTDDY8V7GU",
            "0191f3a47c107b2e9d315a6b7c8d9e0f",
            "0191f3a4-7c10-7b2e-9d31-5a6b7c8d9e0g",
            "tén_01J7SST8Z0FCQ9V4QTDDY8V7G",
        ] {
            assert_eq!(text.parse::<TenantId>(), Err(NotAnId), "{text}");
        }
    }
}
