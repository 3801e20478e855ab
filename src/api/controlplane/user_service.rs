//! `UserService`: identities.

use super::optional_filter;
use crate::{
    api::{Deps, List, handlers::controlplane::v1::user_service::UserService, list_response},
    base::{Cx, Result},
    identity::{Identity, accounts::identities},
    proto::controlplane::v1::{CreateUserRequest, CreateUserResponse, ListUsersRequest, ListUsersResponse, User},
};

pub struct Users {
    pub(super) deps: Deps,
}

impl UserService for Users {
    async fn list_users(&self, cx: &Cx, message: ListUsersRequest) -> Result<List<ListUsersResponse>> {
        let users = identities::list(cx, &self.deps.store, optional_filter(&message.email)).await?;
        Ok(list_response(cx, users, |page| ListUsersResponse { users: page.into_iter().map(to_proto).collect() }))
    }

    async fn create_user(&self, cx: &Cx, message: CreateUserRequest) -> Result<CreateUserResponse> {
        let user = identities::create(cx, &self.deps.store, &message.email.unwrap_or_default()).await?;
        Ok(CreateUserResponse { user: Some(to_proto(user)) })
    }
}

fn to_proto(identity: Identity) -> User {
    User { id: identity.id.to_string(), email: identity.email, is_active: identity.is_active }
}
