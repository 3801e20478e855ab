//! `SessionService`: login, and switching between tenants.

use std::time::Duration;

use crate::{
    api::{Deps, handlers::controlplane::v1::session_service::SessionService},
    auth::{
        Surface,
        authn::{sessions::SessionOf, tokens::Claims},
    },
    base::{Cx, Error, Result, Secret, TenantRef, error::Reason},
    controlplane::licensing::Multitenancy,
    identity::{
        Credentials, Login,
        grants::switch::{self, ActingAccount, SwitchTarget},
    },
    proto::controlplane::v1::{
        Account as AccountMessage, ListAccountsRequest, ListAccountsResponse, LoginRequest, LoginResponse,
        SwitchAccountRequest, SwitchAccountResponse,
    },
};

/// Lifetime of a session (control-plane contract, section 1.2).
const LIFETIME: Duration = Duration::from_secs(3600);

pub struct SessionTokens {
    pub(super) deps: Deps,
}

impl SessionTokens {
    async fn log_in(&self, cx: &Cx, credentials: &Credentials) -> Result<String> {
        let planned = self.plan();
        let admits = |login: &Login| !login.account.must_change;
        let login = self.deps.sessions.log_in_to(cx, credentials, &planned, admits).await?;
        if !admits(&login) {
            let message = "The password must be changed before the account can be used here.";
            return Err(Error::denied(Reason::PasswordChangeRequired, message));
        }
        let target = match self.deps.settings.multitenancy.state {
            Multitenancy::Enabled => switch::initial_target(&self.deps.store, &login.account, &planned.jti).await?,
            _ => None,
        };
        match target {
            Some(target) => {
                self.start_session(cx, &ActingAccount { account: login.account, target: Some(target) }, planned)
            }
            None => self.token(&SessionOf::login(&login), planned),
        }
    }

    async fn list(&self, cx: &Cx) -> Result<Vec<SwitchTarget>> {
        if self.deps.settings.multitenancy.state.is_enabled() {
            switch::list(cx, &self.deps.store).await
        } else {
            Ok(Vec::new())
        }
    }

    async fn switch(&self, cx: &Cx, to: Option<&str>) -> Result<String> {
        self.deps.settings.multitenancy.state.require()?;
        let to = to.map(TenantRef::parse);
        let planned = self.plan();
        let acting = switch::switch(cx, &self.deps.store, to, (planned.jti.clone(), planned.expires_at()?)).await?;
        self.start_session(cx, &acting, planned)
    }

    /// A session of an account in the tenant that it acts in. It expires with the session of the call, so that
    /// switching does not extend a session.
    fn start_session(&self, cx: &Cx, acting: &ActingAccount, planned: Claims) -> Result<String> {
        let target = acting.target.as_ref();
        let ends = [target.and_then(|target| target.ends), cx.caller.ends];
        let of = SessionOf {
            account: &acting.account,
            tenant: target.map(|target| (target.tenant.id, target.tenant.name.as_str())),
            role: target.map_or(acting.account.role, |target| target.role.role()),
            also: Default::default(),
            ends: ends.into_iter().flatten().min(),
        };
        self.token(&of, planned)
    }

    /// Claims for a new session.
    fn plan(&self) -> Claims {
        self.deps.sessions.plan(Surface::ControlPlane, LIFETIME)
    }

    fn token(&self, of: &SessionOf<'_>, planned: Claims) -> Result<String> {
        let session = self.deps.sessions.begin_planned(of, planned)?;
        Ok(session.token.expose().clone())
    }
}

impl SessionService for SessionTokens {
    async fn login(&self, cx: &Cx, message: LoginRequest) -> Result<LoginResponse> {
        let authorization = self.log_in(cx, &credentials(message)).await?;
        Ok(LoginResponse { authorization })
    }

    async fn list_accounts(&self, cx: &Cx, _: ListAccountsRequest) -> Result<ListAccountsResponse> {
        let targets = self.list(cx).await?;
        // A list in memory is never too long for this.
        let total = targets.len() as i64;
        Ok(ListAccountsResponse { total, accounts: targets.into_iter().map(to_proto).collect() })
    }

    async fn switch_account(&self, cx: &Cx, message: SwitchAccountRequest) -> Result<SwitchAccountResponse> {
        let authorization = self.switch(cx, message.tenant_id.as_deref()).await?;
        Ok(SwitchAccountResponse { authorization })
    }
}

/// The credentials of a login. The tenant of an account is in `tenant`, or in the user id before a slash, which
/// account names cannot contain.
fn credentials(message: LoginRequest) -> Credentials {
    let userid = message.userid.unwrap_or_default();
    let (tenant, user) = match (message.tenant, userid.split_once('/')) {
        (Some(tenant), _) => (Some(tenant), userid),
        (None, Some((tenant, user))) => (Some(tenant.to_owned()), user.to_owned()),
        (None, None) => (None, userid),
    };
    Credentials {
        tenant: tenant.map(|tenant| TenantRef::parse(tenant.trim())),
        user,
        password: Secret::new(message.password.unwrap_or_default()),
        code: message.code.map(Secret::new),
    }
}

fn to_proto(target: SwitchTarget) -> AccountMessage {
    AccountMessage {
        tenant_id: target.tenant.id.dashed(),
        name: target.tenant.display_name,
        slug: target.tenant.name.to_string(),
        role: target.role.as_str().to_owned(),
        is_default: target.is_default,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(userid: &str, tenant: Option<&str>) -> (Option<TenantRef>, String) {
        let (userid, tenant) = (Some(userid.to_owned()), tenant.map(str::to_owned));
        let credentials = credentials(LoginRequest { userid, tenant, ..LoginRequest::default() });
        (credentials.tenant, credentials.user)
    }

    #[test]
    fn an_account_of_a_tenant_is_named_in_two_ways() {
        let acme = || Some(TenantRef::parse("acme"));
        assert_eq!(parsed("ada", None), (None, "ada".to_owned()));
        assert_eq!(parsed("ada@example.com", None), (None, "ada@example.com".to_owned()));
        assert_eq!(parsed("Acme/ada", None), (acme(), "ada".to_owned()));
        assert_eq!(parsed("ada", Some(" acme ")), (acme(), "ada".to_owned()));
        assert_eq!(parsed("a/da", Some("acme")), (acme(), "a/da".to_owned()));
    }
}
