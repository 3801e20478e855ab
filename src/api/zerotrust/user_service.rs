//! `UserService`: accounts in a tenant.

use tonic::Response;

use super::{
    given,
    people::{named, own_or_named},
    session, shown,
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
            Create => {
                let tenant = given::tenant(cx, message.tenant_id.as_deref())?;
                return Ok((lifecycle::create(cx, people, &tenant, new(message)?).await?, true));
            }
            Invite => {
                let tenant = given::tenant(cx, message.tenant_id.as_deref())?;
                return lifecycle::invite(cx, people, &tenant, new(message)?).await;
            }
            Update => lifecycle::update(cx, store, &existing(cx, &message)?, edit(message)).await,
            Suspend => {
                suspension::suspend(cx, store, &existing(cx, &message)?, message.reason).await.map(|done| done.user)
            }
            Reactivate => suspension::reactivate(cx, store, &existing(cx, &message)?, message.reason).await,
            Delete => lifecycle::delete(cx, store, &existing(cx, &message)?, message.reason).await,
            ForceReauth => lifecycle::force_reauth(cx, store, &existing(cx, &message)?, message.reason).await,
        };
        Ok((user?, false))
    }
}

impl UserService for Users {
    async fn list_users(&self, cx: &Cx, reach: Reach, message: ListUsersRequest) -> Result<ListUsersResponse> {
        let tenant = given::tenant(cx, message.tenant_id.as_deref())?;
        let request = paging::request(&message)?;
        let ListUsersRequest { q: text, status, role, group_id: group, .. } = message;
        let filter = UserFilter { text, status, role, group };
        let page = users::page(cx, &self.deps.store, &tenant, &filter, reach, request).await?;
        Ok(paging::response(page, shown::user))
    }

    async fn change_user(
        &self,
        cx: &Cx,
        action: ChangeUserAction,
        message: ChangeUserRequest,
    ) -> Result<ChangeUserResponse> {
        let (user, created) = self.act(cx, action, message).await?;
        Ok(ChangeUserResponse { answer: Some(UserAnswer { user: Some(shown::user(user)) }), created })
    }

    async fn set_password(
        &self,
        cx: &Cx,
        reach: Reach,
        message: SetPasswordRequest,
    ) -> Result<Response<SetPasswordResponse>> {
        password::check_given(message.password.is_some(), message.generate)?;
        let of = own_or_named(cx, message.tenant_id.as_deref(), message.user_id)?;
        let new = NewPassword {
            text: message.password.map(Secret::new),
            current: message.current_password.map(Secret::new),
            must_change: message.must_change,
        };
        let set = password::set(cx, &self.deps.people, &of, reach, new).await?;
        let fresh = match set.own {
            true => Some(session::fresh(&self.deps, &set.user, &set.tenant).await?),
            false => None,
        };
        let answer = Response::new(SetPasswordResponse {
            user_id: set.user.account.shown_id(),
            must_change: set.user.account.must_change,
            // The only response that contains it.
            temporary_password: set.made.map(|text| text.expose().clone()),
            session: fresh.as_ref().map(|fresh| session::shown(&self.deps.sessions, fresh)),
        });
        match &fresh {
            Some(fresh) => session::with_cookie(answer, cx, fresh),
            None => Ok(answer),
        }
    }

    async fn suspend_user(&self, cx: &Cx, message: SuspendUserRequest) -> Result<SuspendUserResponse> {
        let user = given::required("user_id", message.user_id)?;
        let of = named(cx, message.tenant_id.as_deref(), user, message.if_version)?;
        let done = suspension::suspend(cx, &self.deps.store, &of, message.reason).await?;
        Ok(SuspendUserResponse {
            user: Some(shown::user(done.user)),
            sessions_terminated: done.sessions.cast_signed(),
            // Devices are not supported yet, so no user has one.
            devices_suspended: 0,
        })
    }

    async fn reactivate_user(&self, cx: &Cx, message: ReactivateUserRequest) -> Result<ReactivateUserResponse> {
        let user = given::required("user_id", message.user_id)?;
        let of = named(cx, message.tenant_id.as_deref(), user, message.if_version)?;
        let user = suspension::reactivate(cx, &self.deps.store, &of, message.reason).await?;
        // Devices are not supported yet, so no user has one.
        Ok(ReactivateUserResponse { user: Some(shown::user(user)), devices_reactivated: 0 })
    }
}

/// The user that an action changes.
fn existing(cx: &Cx, message: &ChangeUserRequest) -> Result<UserRef> {
    let user = given::required("user_id", message.user_id.clone())?;
    named(cx, message.tenant_id.as_deref(), user, message.if_version)
}

fn edit(message: ChangeUserRequest) -> UserEdit {
    UserEdit { email: message.email, display_name: message.display_name, role: message.role }
}

fn new(message: ChangeUserRequest) -> Result<NewUser> {
    Ok(NewUser {
        id: message.user_id,
        email: given::required("email", message.email)?,
        display_name: message.display_name.unwrap_or_default(),
        role: message.role,
        groups: message.group_ids,
        password: message.password.map(Secret::new),
    })
}
