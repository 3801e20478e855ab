//! `SessionService`: login and logout of administrators.

use tonic::Response;

use super::{response::to_user, session};
use crate::{
    api::{Deps, handlers::zerotrust::v1::session_service::SessionService},
    auth::authn::sessions::{Session, SessionOf},
    base::{Cx, Error, Result, Role, Secret, TenantId, TenantRef, error::Reason},
    identity::{
        Credentials, Login,
        login::{Purpose, renewal},
        users,
    },
    proto::zerotrust::v1::{
        GetSessionRequest, GetSessionResponse, LoginRequest, LoginResponse, LogoutRequest, LogoutResponse,
    },
};

pub struct AdminSessions {
    pub(super) deps: Deps,
}

impl AdminSessions {
    /// A login with its session, in one write.
    async fn log_in(&self, cx: &Cx, credentials: &Credentials) -> Result<(Login, Session)> {
        let sessions = &self.deps.sessions;
        let planned = session::plan(sessions);
        let admits = |login: &Login| check_role(login).is_ok() && check_must_change(login).is_ok();
        let login = sessions.log_in_to(cx, credentials, &planned, admits).await?;
        check_role(&login)?;
        check_must_change(&login)?;
        let session = sessions.begin_planned(&SessionOf::login(&login), planned)?;
        Ok((login, session))
    }

    /// A login that changes the password, with a session that starts after the change.
    async fn log_in_and_renew(
        &self,
        cx: &Cx,
        credentials: &Credentials,
        new: Secret<String>,
    ) -> Result<(Login, Session)> {
        let login = self.deps.sessions.log_in(cx, credentials, &Purpose::NewPassword).await?;
        check_role(&login)?;
        let login = renewal::renew(cx, &self.deps.people, login, &credentials.password, new).await?;
        let session = session::begin(&self.deps, &SessionOf::login(&login)).await?;
        Ok((login, session))
    }
}

impl SessionService for AdminSessions {
    async fn login(&self, cx: &Cx, mut message: LoginRequest) -> Result<Response<LoginResponse>> {
        let new = message.new_password.take().map(Secret::new);
        let credentials = credentials(message);
        let (login, session) = match new {
            Some(new) => self.log_in_and_renew(cx, &credentials, new).await?,
            None => self.log_in(cx, &credentials).await?,
        };
        let user = login.user();
        let issued = session::to_proto(&self.deps.sessions, &session);
        let response = LoginResponse {
            token: issued.token,
            token_type: issued.token_type,
            expires_at: issued.expires_at,
            csrf_token: issued.csrf_token,
            user: Some(to_user(user)),
            must_change_password: login.account.must_change,
        };
        session::with_cookie(Response::new(response), cx, &session)
    }

    async fn logout(&self, cx: &Cx, _: LogoutRequest) -> Result<Response<LogoutResponse>> {
        self.deps.sessions.log_out(cx).await?;
        session::without_cookie(Response::new(LogoutResponse {}), cx)
    }

    async fn get_session(&self, cx: &Cx, _: GetSessionRequest) -> Result<GetSessionResponse> {
        let caller = &cx.caller;
        let user = users::of_caller(cx, &self.deps.store).await?;
        Ok(GetSessionResponse {
            subject: caller.subject.clone(),
            kind: caller.kind.as_str().to_lowercase(),
            tenant_id: caller.tenant.as_ref().map(|tenant| TenantId::zero_trust(tenant.id)),
            role: caller.role.as_str().to_owned(),
            roles: caller.roles().iter().map(|role| role.as_str().to_owned()).collect(),
            csrf_token: user.is_some().then(|| self.deps.sessions.csrf_token(&caller.token_id)),
            user: user.map(to_user),
        })
    }
}

/// The transcoder refuses a request without a name or a password.
fn credentials(message: LoginRequest) -> Credentials {
    let non_blank = |text: &String| !text.trim().is_empty();
    Credentials {
        tenant: message.tenant.filter(non_blank).map(|tenant| TenantRef::parse(tenant.trim())),
        user: message.user.unwrap_or_default(),
        password: Secret::new(message.password.unwrap_or_default()),
        code: message.code.map(Secret::new),
    }
}

/// Refuses platform accounts with grants in tenants: grants give no permissions on this surface.
fn check_role(login: &Login) -> Result<()> {
    if login.tenant.is_none() && login.account.role != Role::PlatformAdmin {
        let message = "this account has no administrator role";
        return Err(Error::denied(Reason::PermissionDenied, message));
    }
    Ok(())
}

/// Refuses a login if the password must be changed.
fn check_must_change(login: &Login) -> Result<()> {
    if login.account.must_change {
        let message = "the password must be changed: log in again with new_password";
        return Err(Error::denied(Reason::PasswordChangeRequired, message));
    }
    Ok(())
}
