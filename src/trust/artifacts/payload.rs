//! The payloads of stored artifacts (zero-trust contract, sections 5.5 and 6.0).

use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::{
    base::{Error, Result, rfc3339::whole_seconds},
    store::columns::ArtifactKind,
};

/// The payload type.
pub(super) fn media_type(kind: ArtifactKind) -> String {
    format!("application/vnd.tenantry.{}+json", kind.as_str())
}

/// The bytes that are signed.
pub(super) fn payload(
    kind: ArtifactKind,
    number: i64,
    issued_at: OffsetDateTime,
    expires_at: OffsetDateTime,
    members: &Map<String, Value>,
) -> Result<Vec<u8>> {
    let mut payload = members.clone();
    payload.insert("schema".to_owned(), format!("tenantry.{}.v1", kind.as_str()).into());
    payload.insert(number_member(kind).to_owned(), number.into());
    payload.insert("issued_at".to_owned(), whole_seconds(issued_at)?.into());
    payload.insert("expires_at".to_owned(), whole_seconds(expires_at)?.into());
    serde_json::to_vec(&payload).map_err(Error::internal)
}

fn number_member(kind: ArtifactKind) -> &'static str {
    match kind {
        ArtifactKind::GatewayPolicy => "version",
        ArtifactKind::DeploymentConfig => "config_version",
        ArtifactKind::Manifest | ArtifactKind::GatewayPools => "sequence",
    }
}
