//! Which topics a change concerns.

use uuid::Uuid;

use super::Topic;
use crate::{
    base::IdKind,
    fleet::directory::Reader,
    store::{Resource, outbox::Event},
};

/// The device whose groups a topic depends on.
pub(super) fn device_of(topic: Topic) -> Option<Uuid> {
    match topic {
        Topic::DevicePolicy { device } | Topic::Directory { reader: Reader::Device(device) } => Some(device),
        _ => None,
    }
}

/// The topics that a change concerns by its key.
pub(super) fn topics_of(event: &Event) -> Vec<Topic> {
    let is = |resource: Resource| resource.topic() == event.topic;
    let gateway = || IdKind::Gateway.read(&event.key);
    if is(Resource::Device) {
        let of = |device| vec![Topic::DevicePolicy { device }, Topic::Directory { reader: Reader::Device(device) }];
        IdKind::Device.read(&event.key).map(of).unwrap_or_default()
    } else if is(Resource::Gateway) {
        let of = |gateway| vec![Topic::DeploymentConfig { gateway }, Topic::Manifest { gateway }];
        gateway().map(of).unwrap_or_default()
    } else if is(Resource::KillList) {
        let of = |gateway| vec![Topic::KillList { gateway }, Topic::Manifest { gateway }];
        gateway().map(of).unwrap_or_default()
    } else if is(Resource::SpcBundle) {
        vec![Topic::SpcBundle]
    } else {
        Vec::new()
    }
}

/// Whether a change may concern a topic of its tenant, whatever its key is.
pub(super) fn concerns(event: &Event, topic: Topic) -> bool {
    let is = |resource: Resource| resource.topic() == event.topic;
    // After a change of keys, anything may have to be signed again.
    let of_all = is(Resource::TrustAnchors) || is(Resource::Tenant);
    of_all
        || match topic {
            Topic::GatewayPolicy { .. } | Topic::DevicePolicy { .. } => is(Resource::Policy),
            Topic::DeploymentConfig { .. } => is(Resource::GatewayPool),
            Topic::Manifest { .. } => is(Resource::Policy) || is(Resource::GatewayPool) || is(Resource::SpcBundle),
            Topic::Directory { reader } => {
                let of_policy = is(Resource::Policy) && reader != Reader::Gateway;
                of_policy || is(Resource::GatewayPool) || is(Resource::Gateway)
            }
            Topic::TrustAnchors | Topic::SpcBundle | Topic::KillList { .. } => false,
        }
}

/// Whether a change may concern topics whatever its key is.
pub(super) fn is_wide(event: &Event) -> bool {
    let wide = [
        Resource::TrustAnchors,
        Resource::Tenant,
        Resource::Policy,
        Resource::GatewayPool,
        Resource::Gateway,
        Resource::SpcBundle,
    ];
    wide.iter().any(|resource| resource.topic() == event.topic)
}
