//! `AuthService`: sessions of administrators.

use std::time::Duration;

use tonic::{
    Response,
    metadata::{Ascii, MetadataValue},
};

use crate::{
    api::{Deps, handlers::warehouse::v1::auth_service::AuthService},
    auth::{
        Surface,
        authn::{
            cookies,
            sessions::{Session, SessionOf},
            tokens::Claims,
        },
    },
    base::{Cx, Error, Kind, Result, Secret, TenantRef, error::Reason},
    identity::{Credentials, Login},
    proto::warehouse::v1::{LoginRequest, LoginResponse, LogoutRequest, LogoutResponse, WhoAmIRequest, WhoAmIResponse},
    tenants,
    warehouse::rules,
};

/// Lifetime of a session (warehouse contract, section 2.2).
const LIFETIME: Duration = Duration::from_secs(8 * 3600);
/// The name of administrator roles on this surface.
const ADMIN: &str = "admin";

pub struct Auth {
    pub(super) deps: Deps,
}

impl Auth {
    fn login_response(&self, login: Login, session: &Session) -> LoginResponse {
        let tenant = login.tenant.map(|tenant| tenant.name.as_str().to_owned());
        LoginResponse {
            token: session.token.expose().clone(),
            username: login.account.username,
            role: ADMIN.to_owned(),
            superuser: tenant.is_none(),
            manageable_tenants: tenant.iter().cloned().collect(),
            tenant,
            admin: true,
            csrf_token: self.deps.sessions.csrf_token(&session.claims.jti),
        }
    }
}

impl AuthService for Auth {
    async fn login(&self, cx: &Cx, message: LoginRequest) -> Result<Response<LoginResponse>> {
        let planned = self.deps.sessions.plan(Surface::Warehouse, LIFETIME);
        let admits = |login: &Login| rules::check_login(login).is_ok();
        let login = self.deps.sessions.log_in_to(cx, &credentials(message)?, &planned, admits).await?;
        rules::check_login(&login)?;
        let session = self.deps.sessions.begin_planned(&SessionOf::login(&login), planned)?;
        let Claims { iat, exp, .. } = &session.claims;
        // A role that expires earlier shortens the session.
        let time = Duration::from_secs(u64::try_from(exp - iat).unwrap_or_default());
        let cookie = cookies::Session::Warehouse.begin(session.token.expose(), time, cx.secure);
        with_cookie(self.login_response(login, &session), &cookie)
    }

    async fn logout(&self, cx: &Cx, _: LogoutRequest) -> Result<Response<LogoutResponse>> {
        self.deps.sessions.log_out(cx).await?;
        with_cookie(LogoutResponse {}, &cookies::Session::Warehouse.end(cx.secure))
    }

    async fn who_am_i(&self, cx: &Cx, _: WhoAmIRequest) -> Result<WhoAmIResponse> {
        let caller = &cx.caller;
        let tenant = match &caller.tenant {
            Some(own) => {
                let (tenant, _) = tenants::resolve(cx, &self.deps.store, &TenantRef::Id(own.id)).await?;
                Some(tenant.name.as_str().to_owned())
            }
            None => None,
        };
        let admin = rules::is_admin(caller.roles());
        Ok(WhoAmIResponse {
            username: username(caller.account.is_some(), &caller.subject).to_owned(),
            role: if admin { ADMIN } else { caller.role.as_str() }.to_owned(),
            superuser: caller.is_platform(),
            manageable_tenants: tenant.iter().filter(|_| admin).cloned().collect(),
            tenant,
            admin,
            csrf_token: caller.account.map(|_| self.deps.sessions.csrf_token(&caller.token_id)),
        })
    }
}

fn credentials(message: LoginRequest) -> Result<Credentials> {
    let non_blank = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let (Some(user), Some(password)) = (non_blank(message.username), message.password.filter(|text| !text.is_empty()))
    else {
        let text = "username and password are required";
        return Err(Error::new(Kind::InvalidArgument, Reason::CredentialsEmpty, text));
    };
    Ok(Credentials {
        tenant: non_blank(message.tenant).map(|tenant| TenantRef::parse(tenant.trim())),
        user,
        password: Secret::new(password),
        code: non_blank(message.code).map(Secret::new),
    })
}

/// The name in a subject: an account's subject is `<tenant>/<name>`, and names contain no slash.
fn username(of_account: bool, subject: &str) -> &str {
    match subject.rsplit_once('/') {
        Some((_, name)) if of_account => name,
        _ => subject,
    }
}

/// The response with a cookie, which the REST layer sets.
fn with_cookie<T>(message: T, cookie: &str) -> Result<Response<T>> {
    let mut response = Response::new(message);
    let value: MetadataValue<Ascii> = cookie.parse().map_err(Error::internal)?;
    response.metadata_mut().insert("set-cookie", value);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_account_is_the_last_part_of_its_subject() {
        assert_eq!(username(true, "acme/ada"), "ada");
        assert_eq!(username(true, "admin"), "admin");
        assert_eq!(username(false, "a/robot"), "a/robot");
    }
}
