//! Why a device may or may not reach a destination, by the policy that it has now (zero-trust contract, decisions, "Versions and
//! explain").

use super::{
    current,
    document::words::{Access, Protocol, Word as _},
    explain::{self, Connection, Decision},
    resolve::Published,
    scope::Scope,
};
use crate::{
    base::{Cx, Error, IdKind, Result, TenantId, TenantRef, error::Reason},
    store::{Store, columns::DeviceStatus},
    tenants,
};

/// A connection of a device, as a request describes it.
#[derive(Clone, Debug)]
pub struct Question {
    /// The public id of the device.
    pub device: String,
    /// An address.
    pub destination: String,
    /// Empty for any.
    pub protocol: String,
    pub port: Option<i32>,
}

/// Whether the connection is allowed, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    pub tenant: TenantId,
    pub access: Access,
    pub grounds: Grounds,
    /// The id of the rule that decides.
    pub rule: Option<String>,
    /// The scope and the version of the policy that decides.
    pub policy: Option<(Scope, i64)>,
}

/// What decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grounds {
    /// The device gets no policy, because it is not active.
    DeviceNotActive,
    /// No policy is for the device, so it must deny.
    NothingPublished,
    /// The policy has expired, so the device must deny.
    PolicyExpired,
    /// A rule.
    Route,
    /// No rule matches: the access to all else.
    DefaultAccess,
    /// No rule matches, and no scope sets the access to all else.
    BuiltInDefault,
}

impl Grounds {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DeviceNotActive => "device_not_active",
            Self::NothingPublished => "nothing_published",
            Self::PolicyExpired => "policy_expired",
            Self::Route => "route",
            Self::DefaultAccess => "default_access",
            Self::BuiltInDefault => "built_in_default",
        }
    }
}

/// Explains a connection of a device of a tenant. Fails with INVALID_ARGUMENT for an invalid member, with NOT_FOUND if there is no such
/// device.
pub async fn explain(cx: &Cx, store: &Store, tenant: &TenantRef, question: &Question) -> Result<Explanation> {
    let connection = connection(question)?;
    let scope = tenants::reach(cx, store, tenant).await?;
    let rows = store.tenant(scope);
    let id = IdKind::Device.read(&question.device).ok_or_else(current::not_found)?;
    let device = rows.devices().get(id).await?.ok_or_else(current::not_found)?;
    let denied =
        |grounds| Explanation { tenant: scope.tenant(), access: Access::Deny, grounds, rule: None, policy: None };
    if device.status != DeviceStatus::Active {
        return Ok(denied(Grounds::DeviceNotActive));
    }
    let now = store.clock().now().into();
    let current = current::of(&rows, &device, now).await?;
    let Some(resolved) = current.resolve() else { return Ok(denied(Grounds::NothingPublished)) };
    if resolved.is_expired(now) {
        let oldest = resolved.sources.iter().min_by_key(|source| source.expires_at);
        return Ok(Explanation { policy: oldest.map(|policy| place(policy)), ..denied(Grounds::PolicyExpired) });
    }
    let Decision { access, reason, policy } = explain::explain(&resolved, connection);
    let (grounds, rule) = match reason {
        explain::Reason::Route(id) => (Grounds::Route, Some(id.to_owned())),
        explain::Reason::DefaultAccess if policy.is_some() => (Grounds::DefaultAccess, None),
        explain::Reason::DefaultAccess => (Grounds::BuiltInDefault, None),
    };
    Ok(Explanation { tenant: scope.tenant(), access, grounds, rule, policy: policy.map(place) })
}

fn place(policy: &Published) -> (Scope, i64) {
    (policy.scope, policy.version)
}

fn connection(question: &Question) -> Result<Connection> {
    let destination = question.destination.parse();
    let destination =
        destination.map_err(|_| invalid("destination", "destination must be an IPv4 or IPv6 address".to_owned()))?;
    let protocol = match question.protocol.as_str() {
        "" => Protocol::Any,
        word => {
            Protocol::read(word).ok_or_else(|| invalid("protocol", format!("protocol must be {}", Protocol::list())))?
        }
    };
    let port = question.port.map(|port| {
        let port = u16::try_from(port).ok().filter(|port| *port > 0);
        port.ok_or_else(|| invalid("port", "port must be 1 to 65535".to_owned()))
    });
    if port.is_some() && protocol == Protocol::Any {
        return Err(invalid("port", "port is only used with the protocol tcp or udp".to_owned()));
    }
    Ok(Connection { destination, protocol, port: port.transpose()? })
}

fn invalid(field: &str, message: String) -> Error {
    Error::invalid(Reason::InvalidArgument, field, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field_of(destination: &str, protocol: &str, port: Option<i32>) -> Option<String> {
        let question = Question {
            device: String::new(),
            destination: destination.to_owned(),
            protocol: protocol.to_owned(),
            port,
        };
        connection(&question).err().map(|error| error.violations[0].field.clone())
    }

    #[test]
    fn a_connection_has_an_address_a_protocol_and_a_port() {
        assert_eq!(field_of("10.0.0.1", "tcp", Some(443)), None);
        assert_eq!(field_of("2001:db8::1", "", None), None);
        for (destination, protocol, port, field) in [
            ("corp.example", "tcp", Some(443), "destination"),
            ("10.0.0.0/8", "tcp", None, "destination"),
            ("10.0.0.1", "icmp", None, "protocol"),
            ("10.0.0.1", "udp", Some(0), "port"),
            ("10.0.0.1", "udp", Some(65_536), "port"),
            ("10.0.0.1", "any", Some(53), "port"),
        ] {
            assert_eq!(field_of(destination, protocol, port).as_deref(), Some(field), "{destination} {protocol}");
        }
    }
}
