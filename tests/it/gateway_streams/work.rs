//! The work of an event grows with what it concerns: resolutions, signatures and encodings among 10,000 devices in 100 groups.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use tenantry::{
    base::{IdKind, Reach, TenantRef, TenantScope},
    edge::{Board, State, Subscription, Topic},
    fleet::Heartbeat,
    identity::groups::{self, GroupRef, NewGroup},
    jobs::{self, store::relay::Relay},
    policy::publish::{self, Content, NewPolicy, ScopeInput},
    proto::zerotrust::v1::PolicyDocument,
    store::{
        Change, ChangeKind, Kek, Sealer, Stamp,
        columns::{DeviceStatus, EnrolledVia, Json, Platform},
        tables::DeviceRow,
    },
    streams::Hub,
    trust::{Trust, TrustSettings},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    db::{TestDb, platform_cx, write},
    harness::eventually,
    rows::{account, audited, tenant},
};

const GROUPS: usize = 100;
/// On PostgreSQL, whose rows take longer to insert, there are fewer.
fn number_of_devices(db: &TestDb) -> usize {
    if db.is_sqlite() { 10_000 } else { 2000 }
}

/// The audit event of a signature.
const SIGNED: &str = "policy.bundle.issue";

/// The devices, by their groups, and what their streams follow.
struct Fleet {
    groups: Vec<Uuid>,
    devices: Vec<Uuid>,
    followed: HashMap<Uuid, Subscription>,
}

impl Fleet {
    /// The envelopes of the devices; those that share one share its bytes.
    fn envelopes(&self) -> Option<HashMap<Uuid, Bytes>> {
        let known = |(device, followed): (&Uuid, &Subscription)| match followed.state() {
            State::Known(material) => Some((*device, material.envelope.clone())),
            State::Unknown | State::Absent => None,
        };
        self.followed.iter().map(known).collect()
    }

    /// Waits until what has changed is settled, and returns the devices whose envelopes differ from those before.
    async fn changed(&self, before: &HashMap<Uuid, Bytes>, expected: usize) -> Vec<Uuid> {
        eventually("the changed devices", async || {
            let now = self.envelopes()?;
            let changed: Vec<_> = self.devices.iter().copied().filter(|device| before[device] != now[device]).collect();
            (changed.len() >= expected).then_some(changed)
        })
        .await
    }
}

async fn publish(db: &TestDb, scope: TenantScope, group: Option<Uuid>, kill_switch: bool) {
    let of_group = group.map(|id| ScopeInput { kind: "group".to_owned(), id: Some(IdKind::Group.show(id)) });
    publish_to(db, scope, of_group, kill_switch).await;
}

async fn publish_to(db: &TestDb, scope: TenantScope, to: Option<ScopeInput>, kill_switch: bool) {
    let policy = PolicyDocument { kill_switch: Some(kill_switch), ..PolicyDocument::default() };
    let new = NewPolicy {
        channel: "stable".to_owned(),
        scope: to,
        priority: None,
        content: Content::Policy(Box::new(policy), Default::default()),
        canary: None,
        notes: String::new(),
        expires_in: None,
        dry_run: false,
        expected_base: None,
    };
    let tenant = TenantRef::Id(scope.tenant());
    publish::publish(&platform_cx("policy.publish"), db, &tenant, new, Reach::All).await.unwrap();
}

fn device(scope: TenantScope, id: Uuid, account_id: Option<Uuid>, groups: Vec<Uuid>) -> DeviceRow {
    let now = Stamp::from(time::OffsetDateTime::now_utc());
    DeviceRow {
        tenant_id: scope.into(),
        id,
        account_id,
        name: "laptop".to_owned(),
        name_key: "laptop".to_owned(),
        platform: Platform::Linux,
        os_version: String::new(),
        client_version: String::new(),
        hardware_id_hash: None,
        status: DeviceStatus::Active,
        suspended_with_user: false,
        enrolled_via: EnrolledVia::Token,
        token_id: None,
        group_ids: Json(groups),
        ephemeral: false,
        labels: Json::default(),
        last_seen_at: None,
        last_ip: None,
        policy_floor: 0,
        version: 1,
        created_at: now,
        updated_at: now,
    }
}

async fn insert(db: &TestDb, scope: TenantScope, rows: Vec<DeviceRow>) {
    let cx = platform_cx("test");
    write(db, &cx, move |tx| {
        let rows = rows.clone();
        Box::pin(async move {
            for row in rows {
                tx.tenant(scope).devices().insert(row).await?;
            }
            tx.audit_only(None, "devices", serde_json::Value::Null);
            Ok(())
        })
    })
    .await
    .unwrap();
}

async fn fleet(db: &TestDb, scope: TenantScope, board: &Board, of_ada: Uuid) -> Fleet {
    let cx = platform_cx("group.create");
    let mut groups = Vec::new();
    for number in 0..GROUPS {
        let new = NewGroup {
            name: format!("group {number}"),
            description: String::new(),
            policy_id: None,
            users: Vec::new(),
        };
        let group = groups::create(&cx, db, &TenantRef::Id(scope.tenant()), new).await.unwrap();
        groups.push(group.row.id);
        publish(db, scope, Some(group.row.id), true).await;
    }
    publish(db, scope, None, false).await;
    let devices: Vec<Uuid> = (0..number_of_devices(db)).map(|_| Uuid::now_v7()).collect();
    for (at, ids) in devices.chunks(1000).enumerate() {
        let rows = ids.iter().enumerate().map(|(number, id)| {
            // The first device is that of ada, in no group yet.
            match at * 1000 + number {
                0 => device(scope, *id, Some(of_ada), Vec::new()),
                number => device(scope, *id, None, vec![groups[number % GROUPS]]),
            }
        });
        insert(db, scope, rows.collect()).await;
    }
    let bell = Arc::new(Notify::new());
    let follow = |device: &Uuid| (*device, board.follow(scope, Topic::DevicePolicy { device: *device }, &bell));
    let followed = devices.iter().map(follow).collect();
    Fleet { groups, devices, followed }
}

both_databases! {
    async fn an_event_costs_what_it_concerns(db: TestDb) {
        let scope = tenant(&db, "acme").await;
        let ada = account(&db, scope, "ada").await;
        let kek = Kek::from_base64(&Kek::generate()).unwrap();
        let sealer = Sealer::new(db.store.clone(), Some(kek.into()));
        let settings = TrustSettings { domain: Default::default(), refresh: time::Duration::seconds(300) };
        let trust = Trust::new(db.store.clone(), sealer, settings);
        let mut hub = Hub::new(&db.store);
        let board = Board::new(&db.store, &trust, Heartbeat::new(time::Duration::seconds(30)), hub.demand());
        hub.follow(Arc::new(board.clone()));
        let (stop, running) = (CancellationToken::new(), board.clone());
        let (of_hub, of_board) = (stop.clone(), stop.clone());
        tokio::spawn(async move { hub.run(of_hub).await });
        tokio::spawn(async move { running.run(of_board).await });
        tokio::spawn(jobs::follow(Relay::new(&db.store), db.store.clone(), stop.clone()));

        let fleet = fleet(&db, scope, &board, ada).await;
        let first = eventually("all policies", async || fleet.envelopes()).await;
        // One for each group, and that of the device without one; all devices with the same share its bytes.
        assert_eq!(audited(&db, SIGNED).await, GROUPS + 1);
        let shared: std::collections::HashSet<_> = first.values().map(|bytes| bytes.as_ptr()).collect();
        assert_eq!(shared.len(), GROUPS + 1, "encodings");

        // A publication for one group: one signature and one encoding, and only its devices are resolved and have something new. It is an
        // event for the new version, and one for the version that it replaces.
        let of_group = fleet.devices.len() / GROUPS;
        let resolved = board.resolved();
        publish(&db, scope, Some(fleet.groups[7]), false).await;
        let changed = fleet.changed(&first, of_group).await;
        assert_eq!(changed.len(), of_group);
        assert_eq!(audited(&db, SIGNED).await, GROUPS + 2);
        let now = fleet.envelopes().unwrap();
        let encoded: std::collections::HashSet<_> = changed.iter().map(|device| now[device].as_ptr()).collect();
        assert_eq!(encoded.len(), 1, "encodings");
        let after = board.resolved() - resolved;
        assert!((of_group as u64..=2 * of_group as u64).contains(&after), "{after} resolutions");

        // A user joins a group: their device gets what its devices have, under a number that it has not seen.
        let before = fleet.envelopes().unwrap();
        let resolved = board.resolved();
        let group = GroupRef {
            tenant: TenantRef::Id(scope.tenant()),
            id: IdKind::Group.show(fleet.groups[7]),
            version: None,
        };
        let cx = platform_cx("group.member.add");
        groups::add_members(&cx, &db, &group, vec![IdKind::User.show(ada)]).await.unwrap();
        let of_ada = fleet.devices[0];
        eventually("the policy of the group at the device", async || {
            let now = fleet.envelopes()?;
            (before[&of_ada] != now[&of_ada] && now[&of_ada] == now[&fleet.devices[7]]).then_some(())
        })
        .await;
        let signed = audited(&db, SIGNED).await;
        assert!(signed <= GROUPS + 3, "{signed}");
        let after = board.resolved() - resolved;
        assert!((1..=2 * (of_group as u64 + 1)).contains(&after), "{after} resolutions");

        // A device that changes, and nothing of its policy: one resolution, and no signature.
        let before = fleet.envelopes().unwrap();
        let resolved = board.resolved();
        let cx = platform_cx("device.rename");
        let renamed = fleet.devices[50];
        write(&db, &cx, move |tx| {
            Box::pin(async move {
                let row = tx.tenant(scope).devices().get_locked(renamed).await?.unwrap();
                let change = Change::of_device(ChangeKind::Updated, scope.tenant(), &row);
                tx.changed(change, IdKind::Device.show(renamed), serde_json::Value::Null);
                Ok(())
            })
        })
        .await
        .unwrap();
        // Events are processed in their order: when a later one has had its effect, so has that.
        publish(&db, scope, Some(fleet.groups[8]), false).await;
        let changed = fleet.changed(&before, of_group).await;
        assert_eq!((changed.len(), changed.contains(&renamed)), (of_group, false));
        assert_eq!(audited(&db, SIGNED).await, signed + 1);
        let after = board.resolved() - resolved;
        assert!((1 + of_group as u64..=1 + 2 * of_group as u64).contains(&after), "{after} resolutions");

        // A publication for one device.
        let before = fleet.envelopes().unwrap();
        let resolved = board.resolved();
        let only = fleet.devices[33];
        publish_to(&db, scope, Some(ScopeInput { kind: "device".to_owned(), id: Some(IdKind::Device.show(only)) }), true).await;
        assert_eq!(fleet.changed(&before, 1).await, [only]);
        assert_eq!(audited(&db, SIGNED).await, signed + 2);
        // The second event of the publication before may have come meanwhile.
        let after = board.resolved() - resolved;
        assert!((1..=1 + of_group as u64).contains(&after), "{after} resolutions");
        stop.cancel();
    }
}
