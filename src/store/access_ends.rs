//! The end of sessions of devices by the server, which their gateways have to end, too.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::{
    Change, ChangeKind, Resource, Stamp, Tx,
    columns::{EndReason, Owner, SessionStatus},
    tables::{AccessSessionRow, DeviceRow, SessionsAt, TenantRows, access_sessions, gateways},
};
use crate::base::{IdKind, Result, TenantScope};

impl Tx {
    /// Ends sessions of devices. Returns how many of them ran.
    pub async fn end_access_sessions(&self, scope: TenantScope, of: SessionsAt<'_>, reason: EndReason) -> Result<u64> {
        let now = Stamp::from(self.now());
        let ended = self.tenant(scope).access_sessions().end(of, reason, now).await?;
        self.record_kills(scope.into(), &ended).await?;
        Ok(ended.iter().filter(|session| ran(session, now)).count() as u64)
    }

    /// Ends the sessions of devices that are deleted, of any tenant.
    pub async fn end_access_sessions_of(&self, deleted: &[DeviceRow]) -> Result<()> {
        for device in deleted {
            let rows = TenantRows::of_owner(self.conn(), device.tenant_id);
            let (of, now) = (SessionsAt::Devices(&[device.id]), Stamp::from(self.now()));
            let ended = rows.access_sessions().end(of, EndReason::DeviceDeleted, now).await?;
            self.record_kills(device.tenant_id, &ended).await?;
        }
        Ok(())
    }

    /// Ends sessions of any tenant that have expired, at most `most`. Returns their number.
    pub async fn end_expired_sessions(&self, most: u64) -> Result<u64> {
        let now = Stamp::from(self.now());
        let expired = access_sessions::expired(self.conn(), now, most).await?;
        let mut parts: BTreeMap<_, (Owner, EndReason, Vec<Uuid>)> = BTreeMap::new();
        for session in &expired {
            let (owner, reason) = (session.tenant_id, expiry(session, now));
            let part = parts.entry((owner.tenant(), reason.as_str()));
            part.or_insert_with(|| (owner, reason, Vec::new())).2.push(session.id);
        }
        for (owner, reason, ids) in parts.into_values() {
            let rows = TenantRows::of_owner(self.conn(), owner);
            let ended = rows.access_sessions().end(SessionsAt::Ids(&ids), reason, now).await?;
            self.record_kills(owner, &ended).await?;
        }
        Ok(expired.len() as u64)
    }

    /// Ends the sessions of gateways, of any tenant, whose drain is over, at most `most` gateways. Returns their number.
    pub async fn end_drained_sessions(&self, most: u64) -> Result<u64> {
        let now = Stamp::from(self.now());
        let drained = gateways::drained(self.conn(), now, most).await?;
        for gateway in &drained {
            let rows = TenantRows::of_owner(self.conn(), gateway.tenant_id);
            let of = SessionsAt::Gateway(gateway.id);
            let ended = rows.access_sessions().end(of, EndReason::Drained, now).await?;
            self.record_kills(gateway.tenant_id, &ended).await?;
        }
        Ok(drained.len() as u64)
    }

    /// Records that gateways have to end sessions.
    async fn record_kills(&self, owner: Owner, ended: &[AccessSessionRow]) -> Result<()> {
        let gateways: BTreeSet<Uuid> = ended.iter().map(|session| session.gateway_id).collect();
        self.kill_lists_changed(owner, gateways).await
    }

    /// Records that the lists of sessions that these gateways have to end have changed.
    pub async fn kill_list_changed(&self, scope: TenantScope, gateway: Uuid) -> Result<()> {
        self.kill_lists_changed(scope.into(), [gateway]).await
    }

    async fn kill_lists_changed(&self, owner: Owner, gateways: impl IntoIterator<Item = Uuid>) -> Result<()> {
        let rows = TenantRows::of_owner(self.conn(), owner);
        for gateway in gateways {
            rows.gateway_reports().raise_kill_version(gateway).await?;
            let id = IdKind::Gateway.show(gateway);
            self.also_changed(Change::new(Resource::KillList, ChangeKind::Updated, id).within(owner.tenant()));
        }
        Ok(())
    }
}

/// Whether a session ran when it was ended.
fn ran(ended: &AccessSessionRow, now: Stamp) -> bool {
    let before = AccessSessionRow { status: SessionStatus::Active, ..ended.clone() };
    before.status_at(now) == SessionStatus::Active
}

/// Why a session has expired.
fn expiry(session: &AccessSessionRow, now: Stamp) -> EndReason {
    match session.reported_at {
        None => EndReason::NotStarted,
        Some(_) if session.max_end <= now => EndReason::Expired,
        Some(_) => EndReason::Lost,
    }
}
