//! The signed directory of gateways, for devices that choose one (zero-trust contract, section 5.5).
//!
//! Devices that may use the same pools get the same bytes, which are signed once. All directories of a tenant have one number and one time
//! of issue, which change when any of them does: a device that may use other pools takes the next directory for newer, or as new.

mod listing;
mod payload;

use std::collections::BTreeMap;

use time::Duration;
use uuid::Uuid;

use self::listing::Listing;
use crate::{
    base::{Cx, Error, Result, TenantRef, TenantScope, digest::sha256_hex, error::Reason},
    fleet::state::Heartbeat,
    policy::batch,
    store::{
        Store, Tx,
        columns::{ArtifactKind, KeyUse},
        tables::{ArtifactRow, GatewayDirectoryRow},
    },
    tenants,
    trust::{Artifact, ArtifactKey, Trust, require_active, sign},
};

const TYPE: &str = "application/vnd.tenantry.gateway-pools+json";
/// Validity of a directory; after two thirds of it the next one is issued.
const LIFE: Duration = Duration::hours(24);

/// Who gets a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reader {
    /// A device: the pools that its groups and its policy allow.
    Device(Uuid),
    /// A gateway: all pools.
    Gateway,
}

/// Readers with their groups, which only devices have.
type Readers = Vec<(Reader, Vec<Uuid>)>;

/// A directory, and the readers that get it.
#[derive(Debug)]
pub struct Listed {
    pub artifact: Result<Artifact>,
    pub readers: Readers,
}

/// The directory of a device or a gateway. Fails with PERMISSION_DENIED if the device is not active.
pub async fn get(
    cx: &Cx,
    store: &Store,
    trust: &Trust,
    tenant: &TenantRef,
    reader: Reader,
    heartbeat: Heartbeat,
) -> Result<Artifact> {
    let scope = tenants::reach(cx, store, tenant).await?;
    let mut listed = of_readers(store, trust, scope, &[reader], heartbeat).await?;
    match listed.pop() {
        Some(listed) => listed.artifact,
        None => Err(Error::denied(Reason::DeviceSuspended, "the device is not active")),
    }
}

/// The directories of devices and gateways, each once. Those of devices that are not active, or unknown, are missing.
pub async fn of_readers(
    store: &Store,
    trust: &Trust,
    scope: TenantScope,
    readers: &[Reader],
    heartbeat: Heartbeat,
) -> Result<Vec<Listed>> {
    let rows = store.tenant(scope);
    let devices: Vec<Uuid> = readers.iter().filter_map(|reader| reader.device()).collect();
    let devices = if devices.is_empty() {
        Vec::new()
    } else {
        batch::pools_of_devices(&rows, &devices, store.clock().now().into()).await?
    };
    // The first call makes the keys.
    let key = trust.signer_of(scope, KeyUse::PolicySigning).await?;
    let listing = Listing::read(&rows, store.clock().now(), heartbeat).await?;
    let known = rows.gateway_directories().current().await?;
    let (listing, whole) = match known.filter(|row| is_current(row, &listing, &key, store)) {
        Some(row) => (listing, row),
        None => store.maintain("gateway.directory.number", (scope, key.clone(), heartbeat), number).await?,
    };
    let mut places: BTreeMap<String, (Listing, Readers)> = BTreeMap::new();
    let mut add = |listing: Listing, reader, groups| {
        let place = sha256_hex(listing.pools.iter().map(|pool| pool.row.id.as_bytes().as_slice()));
        places.entry(place).or_insert_with(|| (listing, Vec::new())).1.push((reader, groups));
    };
    for device in devices {
        add(listing.allowed(&device), Reader::Device(device.subject.device), device.subject.groups);
    }
    if readers.contains(&Reader::Gateway) {
        add(listing, Reader::Gateway, Vec::new());
    }
    let mut listed = Vec::with_capacity(places.len());
    for (place, (listing, readers)) in places {
        listed.push(Listed { artifact: current(store, trust, scope, place, &listing, &whole, &key).await, readers });
    }
    Ok(listed)
}

impl Reader {
    fn device(self) -> Option<Uuid> {
        match self {
            Self::Device(device) => Some(device),
            Self::Gateway => None,
        }
    }
}

/// The directory with a listing, signed if it was not yet.
async fn current(
    store: &Store,
    trust: &Trust,
    scope: TenantScope,
    place: String,
    listing: &Listing,
    whole: &GatewayDirectoryRow,
    key: &str,
) -> Result<Artifact> {
    let stored = store.tenant(scope).artifacts().of(ArtifactKind::GatewayPools, &place).await?;
    let says = says(listing, key);
    if let Some(row) = stored.filter(|row| row.number == whole.number && row.content == says) {
        return Ok(row.into());
    }
    let sign = || async {
        let key = trust.signing_key(scope, KeyUse::PolicySigning).await?;
        let row = signed(scope, place.clone(), listing, whole, &key)?;
        store.maintain("gateway.directory.sign", row.clone(), put).await?;
        Ok(row.into())
    };
    trust.with_current_keys(sign).await
}

/// What a listing says, and who signs it: a new key signs a new directory.
fn says(listing: &Listing, key: &str) -> String {
    sha256_hex([listing.digest().as_bytes(), key.as_bytes()])
}

fn is_current(row: &GatewayDirectoryRow, listing: &Listing, key: &str, store: &Store) -> bool {
    let renewed_at = row.issued_at.time() + LIFE * 2 / 3;
    row.content == says(listing, key) && store.clock().now() < renewed_at
}

/// Gives the directories of a tenant the next number, and returns what they list.
async fn number(
    tx: &Tx,
    (scope, key, heartbeat): &(TenantScope, String, Heartbeat),
) -> Result<(Listing, GatewayDirectoryRow)> {
    // Locked: of several calls, one takes the next number.
    let (_, scope) = tenants::resolve_locked(tx, &TenantRef::Id(scope.tenant())).await?;
    let (rows, now) = (tx.tenant(scope), tx.now());
    let listing = Listing::read(&rows, now, *heartbeat).await?;
    let (content, known) = (says(&listing, key), rows.gateway_directories().current().await?);
    if let Some(row) = known.as_ref().filter(|row| row.content == content && now < row.issued_at.time() + LIFE * 2 / 3)
    {
        return Ok((listing, row.clone()));
    }
    // Whole seconds, as in the payload. A clock that was set back must not make it look older.
    let now = now.replace_nanosecond(0).map_err(Error::internal)?;
    let issued_at = known.as_ref().map_or(now, |row| row.issued_at.time().max(now));
    let number = known.map_or(0, |row| row.number) + 1;
    let row = GatewayDirectoryRow { tenant_id: scope.into(), number, content, issued_at: issued_at.into() };
    rows.gateway_directories().put(row.clone()).await?;
    Ok((listing, row))
}

/// Signs a listing under the number of all directories of the tenant.
fn signed(
    scope: TenantScope,
    place: String,
    listing: &Listing,
    whole: &GatewayDirectoryRow,
    key: &ArtifactKey,
) -> Result<ArtifactRow> {
    let issued_at = whole.issued_at.time();
    let expires_at = issued_at + LIFE;
    let payload = payload::payload(scope.tenant(), listing, whole.number, issued_at, expires_at)?;
    Ok(ArtifactRow {
        tenant_id: scope.into(),
        kind: ArtifactKind::GatewayPools,
        place,
        number: whole.number,
        content: says(listing, key.id()),
        key_id: key.id().to_owned(),
        digest: bundle_verify::digest(&payload),
        envelope: sign(TYPE, &payload, [key]),
        issued_at: issued_at.into(),
        expires_at: expires_at.into(),
    })
}

async fn put(tx: &Tx, row: &ArtifactRow) -> Result<()> {
    let (_, scope) = tenants::resolve_locked(tx, &TenantRef::Id(row.tenant_id.tenant())).await?;
    require_active(tx, scope, KeyUse::PolicySigning, &row.key_id).await?;
    let artifacts = tx.tenant(scope).artifacts();
    artifacts.delete_expired(ArtifactKind::GatewayPools, tx.now().into()).await?;
    artifacts.put(row.clone()).await
}
