//! Sessions that a gateway admitted by certificates while it was cut off, and reports later (zero-trust contract, section 6.3).

use std::collections::{BTreeSet, HashMap, HashSet};

use uuid::Uuid;

use super::{Checking, check::Checked};
use crate::{
    access::admission::{LONGEST, SILENT},
    base::{Result, TenantScope},
    identity::accounts,
    store::{
        SPC_SKEW, Stamp, Tx,
        columns::{AccountStatus, Counters, DeviceStatus, EndReason, Json, SessionStatus},
        tables::{AccessSessionRow, DeviceRow, GatewayRow, SpcRow, may_have_devices},
    },
};

/// What decides about sessions that a gateway admitted.
struct Known {
    gateway: GatewayRow,
    /// Whether the pool permits it.
    permitted: bool,
    devices: HashMap<Uuid, DeviceRow>,
    /// The status of users.
    users: HashMap<Uuid, AccountStatus>,
    /// Valid ones, of the devices.
    certificates: Vec<SpcRow>,
}

/// Records the sessions of a report that the gateway admitted while it was cut off and that are new. Returns how many there were, and the
/// places of those whose device does not exist.
pub(super) async fn record(tx: &Tx, scope: TenantScope, checking: &Checking) -> Result<(usize, HashSet<usize>)> {
    let rows = tx.tenant(scope);
    let mut new: Vec<_> = checking.lines.iter().filter(|line| line.admitted_offline).collect();
    if new.is_empty() {
        return Ok((0, HashSet::new()));
    }
    let ids: Vec<_> = new.iter().map(|line| line.session).collect();
    let existing: HashSet<_> = rows.access_sessions().existing(&ids).await?.into_iter().collect();
    new.retain(|line| !existing.contains(&line.session));
    let known = known(tx, scope, checking, &new).await?;
    let (mut sessions, mut unknown) = (Vec::with_capacity(new.len()), HashSet::new());
    for line in new {
        match known.devices.get(&line.device) {
            Some(device) => sessions.push(session(scope, &known, device, line, checking.received_at.into())),
            None => {
                unknown.insert(line.index);
            }
        }
    }
    let count = sessions.len();
    rows.access_sessions().insert_offline(sessions).await?;
    Ok((count, unknown))
}

async fn known(tx: &Tx, scope: TenantScope, checking: &Checking, lines: &[&Checked]) -> Result<Known> {
    let rows = tx.tenant(scope);
    let gateway = rows.gateways().get(checking.gateway).await?.ok_or_else(crate::fleet::gateways::not_found)?;
    let pool = rows.gateway_pools().get(gateway.pool_id).await?;
    let ids: Vec<Uuid> = lines.iter().map(|line| line.device).collect::<BTreeSet<_>>().into_iter().collect();
    let devices: HashMap<_, _> = rows.devices().of(&ids).await?.into_iter().map(|row| (row.id, row)).collect();
    let owners: BTreeSet<Uuid> = devices.values().filter_map(|device| device.account_id).collect();
    let users =
        accounts::those(tx.conn(), scope, owners).await?.into_iter().map(|user| (user.id, user.status)).collect();
    let started = lines.iter().map(|line| line.started_at).min().unwrap_or(checking.received_at);
    let epoch = rows.spc_states().epoch().await?;
    let certificates = rows.spcs().valid_of(&ids, epoch, Stamp::from(started - SPC_SKEW)).await?;
    Ok(Known {
        permitted: pool.is_some_and(|pool| pool.offline_grace_seconds > 0),
        gateway,
        devices,
        users,
        certificates,
    })
}

/// The row of a session. One that was not permitted has ended; its gateway has to end it, too.
fn session(scope: TenantScope, known: &Known, device: &DeviceRow, line: &Checked, now: Stamp) -> AccessSessionRow {
    let started = Stamp::from(line.started_at).min(now);
    let certificate = known.certificates.iter().find(|spc| {
        let valid = started < Stamp::from(spc.not_after.time() + SPC_SKEW)
            && Stamp::from(spc.not_before.time() - SPC_SKEW) <= started;
        valid && spc.device_id == device.id && spc.pool_ids.contains(&known.gateway.pool_id)
    });
    let user = device.account_id.map(|id| known.users.get(&id).copied());
    let may_connect =
        device.status == DeviceStatus::Active && user.is_none_or(|status| status.is_some_and(may_have_devices));
    let is_admitted = known.permitted && may_connect && certificate.is_some();
    let max_end = Stamp::from(started.time() + LONGEST);
    AccessSessionRow {
        tenant_id: scope.into(),
        id: line.session,
        gateway_id: known.gateway.id,
        pool_id: known.gateway.pool_id,
        device_id: device.id,
        account_id: device.account_id,
        grant_id: Uuid::nil(),
        client_ip: None,
        auth_mode: certificate.map_or_else(String::new, |spc| spc.min_auth_mode.clone()),
        policy_version: certificate.map_or(0, |spc| spc.policy_version),
        started_at: started,
        granted_at: Stamp::from_micros(0),
        max_end,
        expires_at: max_end.min(Stamp::from(now.time() + SILENT)),
        reported_at: None,
        last_activity_at: started,
        bytes_in: 0,
        bytes_out: 0,
        counters: Json(Counters::default()),
        status: if is_admitted { SessionStatus::Active } else { SessionStatus::Ended },
        end_reason: (!is_admitted).then(|| EndReason::NotAdmitted.as_str().to_owned()),
        ended_at: (!is_admitted).then_some(now),
        end_reported: false,
        kill_requested_at: None,
        virtual_ip: None,
        admitted_offline: true,
    }
}
