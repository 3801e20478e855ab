//! `UserService`: identities.

use super::wanted;
use crate::{
    api::{Deps, List, handlers::controlplane::v1::user_service::UserService, listed},
    base::{Cx, Result},
    identity::{Identity, accounts::identities},
    proto::controlplane::v1::{CreateUserRequest, CreateUserResponse, ListUsersRequest, ListUsersResponse, User},
};

pub struct Users {
    pub(super) deps: Deps,
}

impl UserService for Users {
    async fn list_users(&self, cx: &Cx, message: ListUsersRequest) -> Result<List<ListUsersResponse>> {
        let users = identities::list(cx, &self.deps.store, wanted(&message.email)).await?;
        Ok(listed(cx, users, |page| ListUsersResponse { users: page.into_iter().map(shown).collect() }))
    }

    async fn create_user(&self, cx: &Cx, message: CreateUserRequest) -> Result<CreateUserResponse> {
        let user = identities::create(cx, &self.deps.store, &message.email.unwrap_or_default()).await?;
        Ok(CreateUserResponse { user: Some(shown(user)) })
    }
}

fn shown(identity: Identity) -> User {
    User { id: identity.id.to_string(), email: identity.email, is_active: identity.is_active }
}
