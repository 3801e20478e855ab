//! `UserService`: accounts in a tenant.

use tonic::Response;

use super::{
    request::{user_or_caller, user_ref},
    response::to_user,
    session,
};
use crate::{
    api::{
        Deps,
        handlers::zerotrust::v1::user_service::{ChangeUserAction, UserService},
        paging,
    },
    base::{Cx, Reach, Result, Secret},
    identity::{
        User, UserRef,
        users::{
            self, UserFilter,
            lifecycle::{self, NewUser, UserEdit},
            password::{self, NewPassword},
            suspension,
        },
    },
    proto::zerotrust::v1::{
        ChangeUserRequest, ChangeUserResponse, ListUsersRequest, ListUsersResponse, ReactivateUserRequest,
        ReactivateUserResponse, SetPasswordRequest, SetPasswordResponse, SuspendUserRequest, SuspendUserResponse,
        UserAnswer,
    },
};

pub struct Users {
    pub(super) deps: Deps,
}

impl Users {
    /// The user, and whether it was created.
    async fn act(&self, cx: &Cx, action: ChangeUserAction, message: ChangeUserRequest) -> Result<(User, bool)> {
        use ChangeUserAction::{Create, Delete, ForceReauth, Invite, Reactivate, Suspend, Update};
        let people = &self.deps.people;
        let store = &people.store;
        let user = match action {
            Create => return Ok((lifecycle::create(cx, people, cx.tenant()?, new_user(message)).await?, true)),
            Invite => return lifecycle::invite(cx, people, cx.tenant()?, new_user(message)).await,
            Update => lifecycle::update(cx, store, &changed_user(cx, &message)?, user_edit(message)).await,
            Suspend => {
                suspension::suspend(cx, store, &changed_user(cx, &message)?, message.reason).await.map(|done| done.user)
            }
            Reactivate => suspension::reactivate(cx, store, &changed_user(cx, &message)?, message.reason)
                .await
                .map(|done| done.user),
            Delete => lifecycle::delete(cx, store, &changed_user(cx, &message)?, message.reason).await,
            ForceReauth => lifecycle::force_reauth(cx, store, &changed_user(cx, &message)?, message.reason).await,
        };
        Ok((user?, false))
    }
}

impl UserService for Users {
    async fn list_users(&self, cx: &Cx, reach: Reach, message: ListUsersRequest) -> Result<ListUsersResponse> {
        let tenant = cx.tenant()?;
        let request = paging::request(cx, &message)?;
        let ListUsersRequest { q: text, status, role, group_id: group, .. } = message;
        let filter = UserFilter { text, status, role, group };
        let page = users::page(cx, &self.deps.store, tenant, &filter, reach, request).await?;
        Ok(paging::response(page, to_user))
    }

    async fn change_user(
        &self,
        cx: &Cx,
        action: ChangeUserAction,
        message: ChangeUserRequest,
    ) -> Result<ChangeUserResponse> {
        let (user, created) = self.act(cx, action, message).await?;
        Ok(ChangeUserResponse { answer: Some(UserAnswer { user: Some(to_user(user)) }), created })
    }

    async fn set_password(
        &self,
        cx: &Cx,
        reach: Reach,
        message: SetPasswordRequest,
    ) -> Result<Response<SetPasswordResponse>> {
        password::check_given(message.password.is_some(), message.generate)?;
        let of = user_or_caller(cx, message.user_id)?;
        let new = NewPassword {
            text: message.password.map(Secret::new),
            current: message.current_password.map(Secret::new),
            must_change: message.must_change,
        };
        let set = password::set(cx, &self.deps.people, &of, reach, new).await?;
        let session = match set.own {
            true => Some(session::begin_for(&self.deps, &set.user, &set.tenant).await?),
            false => None,
        };
        let response = Response::new(SetPasswordResponse {
            user_id: set.user.account.shown_id(),
            must_change: set.user.account.must_change,
            // The only response that contains it.
            temporary_password: set.made.map(|text| text.expose().clone()),
            session: session.as_ref().map(|session| session::to_proto(&self.deps.sessions, session)),
        });
        match &session {
            Some(session) => session::with_cookie(response, cx, session),
            None => Ok(response),
        }
    }

    async fn suspend_user(&self, cx: &Cx, message: SuspendUserRequest) -> Result<SuspendUserResponse> {
        let of = user_ref(cx, message.user_id.unwrap_or_default(), message.if_version)?;
        let done = suspension::suspend(cx, &self.deps.store, &of, message.reason).await?;
        Ok(SuspendUserResponse {
            user: Some(to_user(done.user)),
            sessions_terminated: done.sessions.cast_signed(),
            devices_suspended: done.devices.cast_signed(),
        })
    }

    async fn reactivate_user(&self, cx: &Cx, message: ReactivateUserRequest) -> Result<ReactivateUserResponse> {
        let of = user_ref(cx, message.user_id.unwrap_or_default(), message.if_version)?;
        let done = suspension::reactivate(cx, &self.deps.store, &of, message.reason).await?;
        let devices_reactivated = done.devices.cast_signed();
        Ok(ReactivateUserResponse { user: Some(to_user(done.user)), devices_reactivated })
    }
}

/// The user that an action changes.
fn changed_user(cx: &Cx, message: &ChangeUserRequest) -> Result<UserRef> {
    user_ref(cx, message.user_id().to_owned(), message.if_version)
}

fn user_edit(message: ChangeUserRequest) -> UserEdit {
    UserEdit { email: message.email, display_name: message.display_name, role: message.role }
}

fn new_user(message: ChangeUserRequest) -> NewUser {
    NewUser {
        id: message.user_id,
        email: message.email.unwrap_or_default(),
        display_name: message.display_name.unwrap_or_default(),
        role: message.role,
        groups: message.group_ids,
        password: message.password.map(Secret::new),
    }
}
