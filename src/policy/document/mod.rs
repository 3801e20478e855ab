//! The content of a policy. Each member is a section; one that is absent comes from a wider scope.

pub mod network;
pub mod ports;
mod read;
mod routes;
pub mod sections;
mod violations;
mod warnings;
pub mod words;

use serde::{Deserialize, Serialize};

use self::{
    network::Network,
    ports::Ports,
    sections::{Conditions, Dns, Posture, Session},
    words::{Access, AuthMode, Protocol, TunnelMode},
};
pub use self::{
    read::{EmptyLists, read},
    warnings::warnings,
};
use crate::{
    base::{Result, digest::sha256_hex},
    store::columns::json,
};

/// Maximum number of routes.
pub const MAX_ROUTES: usize = 2000;

/// A policy. An unknown member of a stored one is an error: a server that does not know a condition must not drop it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tunnel_mode: Option<TunnelMode>,
    /// For traffic that no route matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_access: Option<Access>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_auth_mode: Option<AuthMode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routes: Option<Vec<Route>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns: Option<Dns>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kill_switch: Option<bool>,
    /// Public ids of the pools that devices may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway_pools: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub posture: Option<Posture>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<Session>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Conditions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_client_version: Option<String>,
}

/// Runs a macro on the names of all sections.
macro_rules! with_sections {
    ($run:ident) => {
        $run! {
            tunnel_mode, default_access, min_auth_mode, routes, dns, kill_switch, gateway_pools, posture, session,
            conditions, refresh_seconds, min_client_version
        }
    };
}

pub(in crate::policy) use with_sections;

/// A rule for a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Unique in the policy.
    pub id: String,
    pub cidr: Network,
    pub protocol: Protocol,
    /// All ports if it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ports: Option<Ports>,
    pub action: Access,
}

impl Route {
    /// The rank of its ports: a port is more specific than a range, and a range than no ports.
    pub fn ports_rank(&self) -> u8 {
        match self.ports {
            None => 0,
            Some(ports) if ports.is_range() => 1,
            Some(_) => 2,
        }
    }
}

impl Document {
    /// The canonical JSON: members in a fixed order, without those that are absent. The same policy has the same bytes.
    pub fn to_json(&self) -> Result<String> {
        json::to_text(self)
    }

    /// Parses a stored policy.
    pub fn from_json(text: &str) -> Result<Self> {
        json::from_text(text)
    }
}

/// The digest of the canonical JSON of a policy, in hex.
pub fn digest(document: &str) -> String {
    sha256_hex([document.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_has_canonical_json() {
        let text = concat!(
            r#"{"tunnel_mode":"split","default_access":"deny","min_auth_mode":"B","routes":[{"id":"r1","cidr":"10.0.0.0/8","#,
            r#""protocol":"tcp","ports":"443","action":"allow"}],"dns":{"servers":["10.0.0.53"],"#,
            r#""match_domains":["corp.example"]},"kill_switch":true,"gateway_pools":[],"posture":{"required":["disk_encrypted"],"#,
            r#""max_age_seconds":3600,"on_fail":"block"},"session":{"max_seconds":43200,"idle_seconds":1800},"#,
            r#""conditions":{"countries_allow":["DE"],"time_windows":[{"days":["mon"],"start":"08:00","end":"24:00"}]},"#,
            r#""refresh_seconds":300,"min_client_version":"1.4.0"}"#
        );
        assert_eq!(Document::from_json(text).unwrap().to_json().unwrap(), text);
        assert_eq!(Document::default().to_json().unwrap(), "{}");
    }

    #[test]
    fn a_digest_is_the_sha_256_of_the_canonical_json() {
        let empty = Document::default().to_json().unwrap();
        assert_eq!(digest(&empty), "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
    }

    #[test]
    fn an_unknown_member_of_a_stored_policy_is_an_error() {
        assert!(Document::from_json(r#"{"block_printers":true}"#).is_err());
        assert!(Document::from_json(r#"{"tunnel_mode":"half"}"#).is_err());
    }
}
