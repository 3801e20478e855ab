//! The dependencies of the services.

use std::sync::Arc;

use time::Duration;

use crate::{
    auth::{CallerStanding, ProjectTokens, Sessions, authn::keys::Keys},
    base::public_url::PublicUrl,
    controlplane::{licensing::MultitenancySettings, provisioning::ProvisioningSettings},
    edge::{Board, Reports},
    fleet::Heartbeat,
    identity::People,
    manager::{billing::BillingSettings, images::ImageSettings},
    messaging::MessagingSettings,
    operations::OperationSource,
    spc::deltas::Deltas,
    store::{Sealer, Store},
    streams::{Changes, Feed},
    tenants::{database::Databases, source::TenantSource},
    trust::{Trust, TrustSettings},
    warehouse::EdgeAddress,
};

/// The dependencies of the services. Cheap to clone.
#[derive(Clone)]
pub struct Deps {
    pub store: Store,
    pub sealer: Sealer,
    pub people: People,
    pub sessions: Sessions,
    pub project_tokens: ProjectTokens,
    pub trust: Trust,
    /// The keys that sign tokens.
    pub keys: Arc<Keys>,
    /// The databases of tenants.
    pub databases: Databases,
    pub streams: Streams,
    pub settings: Settings,
}

/// The dependencies of streams. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Streams {
    /// The tenants.
    pub tenants: Arc<Feed<TenantSource>>,
    /// The operations.
    pub operations: Arc<Feed<OperationSource>>,
    /// What gateways and devices follow.
    pub board: Board,
    /// What streams get of the bundles of revocations.
    pub deltas: Deltas,
    /// What gateways report.
    pub reports: Reports,
    /// Terminates the streams of callers that lost their rights.
    pub standing: CallerStanding,
    /// Wakes the calls that wait for a change.
    pub changes: Arc<Changes>,
}

#[derive(Clone, Debug)]
pub struct Settings {
    /// Maximum number of tenants in the registry; `None` for no limit.
    pub max_tenants: Option<u64>,
    pub multitenancy: MultitenancySettings,
    pub provisioning: ProvisioningSettings,
    pub messaging: MessagingSettings,
    /// Which images apps may have.
    pub images: ImageSettings,
    /// The settings of usage and invoices.
    pub billing: BillingSettings,
    /// The address to which warehouse clients send queries.
    pub warehouse_edge: EdgeAddress,
    /// Where clients reach the server, if it is known.
    pub public_url: Option<PublicUrl>,
    /// The URL that the proofs of device tokens must name, if it is configured; if not, they must name the host of the request.
    pub proof_url: Option<PublicUrl>,
    pub trust: TrustSettings,
    /// The interval in which gateways report.
    pub heartbeat: Heartbeat,
    /// How many devices must have reported on a canary before it can be withdrawn.
    pub canary_min_reports: i64,
    /// How long after its end a device or gateway may renew a certificate.
    pub renewal_grace: Duration,
}
