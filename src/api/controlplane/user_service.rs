//! `UserService`: identities.

use tonic::{Request, Response, Status, async_trait};

use super::wanted;
use crate::{
    api::{answer, listed, take},
    identity::{Identity, identities},
    proto::controlplane::v1::{
        CreateUserRequest, CreateUserResponse, ListUsersRequest, ListUsersResponse, User,
        user_service_server::UserService,
    },
    store::Store,
};

/// The service.
#[derive(Clone, Debug)]
pub struct Users {
    store: Store,
}

impl Users {
    /// The service on a store.
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

#[async_trait]
impl UserService for Users {
    async fn list_users(&self, request: Request<ListUsersRequest>) -> Result<Response<ListUsersResponse>, Status> {
        let (cx, message) = take(request)?;
        let users = identities::list(&cx, &self.store, wanted(&message.email)).await;
        listed(&cx, users, |page| ListUsersResponse { users: page.into_iter().map(shown).collect() })
    }

    async fn create_user(&self, request: Request<CreateUserRequest>) -> Result<Response<CreateUserResponse>, Status> {
        let (cx, message) = take(request)?;
        let user = identities::create(&cx, &self.store, &message.email.unwrap_or_default()).await;
        answer(&cx, user.map(|user| CreateUserResponse { user: Some(shown(user)) }))
    }
}

fn shown(identity: Identity) -> User {
    User { id: identity.id.to_string(), email: identity.email, is_active: identity.is_active }
}
