//! The limit of sessions of devices.

use serde_json::{Map, Value};

/// The maximum number of concurrent sessions of a tenant with these overrides; none if it has no limit. The plans themselves limit only
/// users.
pub fn concurrent_sessions(overrides: Option<&Map<String, Value>>) -> Option<u64> {
    overrides?.get("concurrent_sessions")?.as_u64()
}
