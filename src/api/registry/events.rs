//! Conversion of the messages of a watch.

use super::tenant_service::to_proto;
use crate::{
    proto::registry::v1::{EventType, Tenant as TenantMessage, WatchTenantsResponse},
    streams::Message,
    tenants::Tenant,
};

impl From<Message<Tenant>> for WatchTenantsResponse {
    fn from(message: Message<Tenant>) -> Self {
        let (kind, tenant, revision) = match message {
            Message::Current(tenant) => (EventType::Current, Some(to_proto(&tenant)), 0),
            Message::Changed { revision, state } => (EventType::Changed, Some(to_proto(&state)), revision),
            Message::Deleted { revision, key } => {
                let tenant = TenantMessage { id: key.as_ref().to_owned(), ..TenantMessage::default() };
                (EventType::Deleted, Some(tenant), revision)
            }
            Message::Bookmark(revision) => (EventType::Bookmark, None, revision),
        };
        Self { r#type: kind.into(), tenant, revision }
    }
}
