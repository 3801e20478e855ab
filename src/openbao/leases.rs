//! Leases.

use std::time::Duration;

use http::Method;
use serde::{Deserialize, Deserializer};
use serde_json::json;

use super::{
    address::Name,
    call::Call,
    client::OpenBao,
    error::{Cause, Result, unless},
    link::Ask,
};

/// A lease, as OpenBAO grants it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Lease {
    #[serde(rename = "lease_id")]
    pub id: String,
    /// How long it is valid from the response on.
    #[serde(rename = "lease_duration", deserialize_with = "seconds")]
    pub duration: Duration,
    pub renewable: bool,
}

/// A lease that exists.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct FoundLease {
    /// How long it is still valid.
    #[serde(rename = "ttl", deserialize_with = "seconds")]
    pub left: Duration,
    pub renewable: bool,
}

#[derive(Deserialize)]
struct Data {
    data: FoundLease,
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_secs)
}

impl OpenBao {
    /// Extends a lease to `by` from now, or less if the role allows only less.
    pub async fn renew_lease(&self, id: &str, by: Duration) -> Result<Lease> {
        let body = json!({"lease_id": id, "increment": by.as_secs()});
        self.call(Ask::new(Call::RenewLease, Method::PUT, "sys/leases/renew").body(body)).await?.parse()
    }

    /// Revokes a lease, if it exists: when this returns, its login is deleted.
    pub async fn revoke_lease(&self, id: &str) -> Result<()> {
        let body = json!({"lease_id": id, "sync": true});
        self.call(Ask::new(Call::RevokeLease, Method::PUT, "sys/leases/revoke").body(body)).await.map(drop)
    }

    /// Revokes all leases of a database role. Stops at the first that cannot be revoked.
    pub async fn revoke_leases(&self, role: &Name) -> Result<()> {
        let path = format!("sys/leases/revoke-prefix/database/creds/{role}");
        let body = json!({"sync": true});
        self.call(Ask::new(Call::RevokeLeases, Method::PUT, &path).body(body)).await.map(drop)
    }

    pub async fn find_lease(&self, id: &str) -> Result<Option<FoundLease>> {
        let body = json!({"lease_id": id});
        let found = self.call(Ask::new(Call::FindLease, Method::PUT, "sys/leases/lookup").body(body)).await;
        let Some(reply) = unless(found, Cause::NoLease)? else { return Ok(None) };
        let Data { data } = reply.parse()?;
        Ok(Some(data))
    }
}
