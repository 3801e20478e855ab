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
        grants::switch::{self, Place, Seat},
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
        let place = match self.deps.settings.multitenancy.state {
            Multitenancy::Enabled => switch::first(&self.deps.store, &login.account).await?,
            _ => None,
        };
        match place {
            Some(place) => self.sit(cx, &Seat { account: login.account, place: Some(place) }, planned),
            None => self.token(&SessionOf::login(&login), planned),
        }
    }

    async fn list(&self, cx: &Cx) -> Result<Vec<Place>> {
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
        let seat = switch::switch(cx, &self.deps.store, to, (planned.jti.clone(), planned.expires_at()?)).await?;
        self.sit(cx, &seat, planned)
    }

    /// A session of an account in the tenant that it acts in. It expires with the session of the call, so that
    /// switching does not extend a session.
    fn sit(&self, cx: &Cx, seat: &Seat, planned: Claims) -> Result<String> {
        let place = seat.place.as_ref();
        let ends = [place.and_then(|place| place.ends), cx.caller.ends];
        let of = SessionOf {
            account: &seat.account,
            tenant: place.map(|place| (place.tenant.id, place.tenant.name.as_str())),
            role: place.map_or(seat.account.role, |place| place.role.role()),
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
        let places = self.list(cx).await?;
        // A list in memory is never too long for this.
        let total = places.len() as i64;
        Ok(ListAccountsResponse { total, accounts: places.into_iter().map(shown).collect() })
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

fn shown(place: Place) -> AccountMessage {
    AccountMessage {
        tenant_id: place.tenant.id.dashed(),
        name: place.tenant.display_name,
        slug: place.tenant.name.to_string(),
        role: place.role.as_str().to_owned(),
        is_default: place.is_default,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(userid: &str, tenant: Option<&str>) -> (Option<TenantRef>, String) {
        let (userid, tenant) = (Some(userid.to_owned()), tenant.map(str::to_owned));
        let credentials = credentials(LoginRequest { userid, tenant, ..LoginRequest::default() });
        (credentials.tenant, credentials.user)
    }

    #[test]
    fn an_account_of_a_tenant_is_named_in_two_ways() {
        let acme = || Some(TenantRef::parse("acme"));
        assert_eq!(named("ada", None), (None, "ada".to_owned()));
        assert_eq!(named("ada@example.com", None), (None, "ada@example.com".to_owned()));
        assert_eq!(named("Acme/ada", None), (acme(), "ada".to_owned()));
        assert_eq!(named("ada", Some(" acme ")), (acme(), "ada".to_owned()));
        assert_eq!(named("a/da", Some("acme")), (acme(), "a/da".to_owned()));
    }
}
