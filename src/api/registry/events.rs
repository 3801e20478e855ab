//! Conversion of the messages of watches.

use super::{operation_service, tenant_service};
use crate::{
    operations::Operation,
    proto::registry::v1::{
        EventType, Operation as OperationMessage, Tenant as TenantMessage, WatchOperationsResponse,
        WatchTenantsResponse,
    },
    streams::Message,
    tenants::Tenant,
};

impl From<Message<Tenant>> for WatchTenantsResponse {
    fn from(message: Message<Tenant>) -> Self {
        let gone = |id| TenantMessage { id, ..TenantMessage::default() };
        let (kind, tenant, revision) = parts(message, tenant_service::to_proto, gone);
        Self { r#type: kind.into(), tenant, revision }
    }
}

impl From<Message<Operation>> for WatchOperationsResponse {
    fn from(message: Message<Operation>) -> Self {
        let gone = |id| OperationMessage { id, ..OperationMessage::default() };
        let (kind, operation, revision) = parts(message, operation_service::to_proto, gone);
        Self { r#type: kind.into(), operation, revision }
    }
}

/// The type, the resource and the revision of a message. `gone` makes the resource that no longer exists of its id.
fn parts<T, M>(
    message: Message<T>,
    to_proto: impl Fn(&T) -> M,
    gone: impl Fn(String) -> M,
) -> (EventType, Option<M>, i64) {
    match message {
        Message::Current(state) => (EventType::Current, Some(to_proto(&state)), 0),
        Message::Changed { revision, state } => (EventType::Changed, Some(to_proto(&state)), revision),
        Message::Deleted { revision, key } => (EventType::Deleted, Some(gone(key.as_ref().to_owned())), revision),
        Message::Bookmark(revision) => (EventType::Bookmark, None, revision),
    }
}
