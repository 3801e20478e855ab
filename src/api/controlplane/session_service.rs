//! `SessionService`: logging in, and choosing the tenant to act in.

use std::time::Duration;

use tonic::{Request, Response, Status, async_trait};

use crate::{
    api::{answer, take},
    auth::{Sessions, Surface, sessions::SessionOf},
    base::{Cx, Error, Result as Outcome, Secret, TenantRef, error::Reason},
    identity::{
        Credentials,
        places::{self, Place, Seat},
    },
    proto::controlplane::v1::{
        Account as AccountMessage, ListAccountsRequest, ListAccountsResponse, LoginRequest, LoginResponse,
        SwitchAccountRequest, SwitchAccountResponse, session_service_server::SessionService,
    },
    store::Store,
    tenants::Multitenancy,
};

/// How long a session is good (control-plane contract, section 1.2).
const LIFETIME: Duration = Duration::from_secs(3600);

/// The service.
#[derive(Clone)]
pub struct SessionTokens {
    sessions: Sessions,
    multitenancy: Multitenancy,
}

impl SessionTokens {
    /// The service of these sessions.
    pub fn new(sessions: Sessions, multitenancy: Multitenancy) -> Self {
        Self { sessions, multitenancy }
    }

    fn store(&self) -> &Store {
        &self.sessions.people().store
    }

    async fn log_in(&self, cx: &Cx, credentials: &Credentials) -> Outcome<String> {
        let login = self.sessions.log_in(cx, credentials).await?;
        if login.account.must_change {
            let message = "The password must be changed before the account can be used here.";
            return Err(Error::denied(Reason::PasswordChangeRequired, message));
        }
        let place = match self.multitenancy {
            Multitenancy::Enabled => places::first(self.store(), &login.account).await?,
            _ => None,
        };
        match place {
            Some(place) => self.sit(cx, &Seat { account: login.account, place: Some(place) }),
            None => self.token(&SessionOf::login(&login)),
        }
    }

    async fn list(&self, cx: &Cx) -> Outcome<Vec<Place>> {
        if self.multitenancy.is_enabled() { places::list(cx, self.store()).await } else { Ok(Vec::new()) }
    }

    async fn switch(&self, cx: &Cx, to: Option<&str>) -> Outcome<String> {
        self.multitenancy.require()?;
        let to = to.map(TenantRef::parse);
        let seat = places::switch(cx, self.store(), to.as_ref()).await?;
        self.sit(cx, &seat)
    }

    /// A session of an account in the place where it acts. It ends with the session that the call came with: who has a
    /// token cannot make it last by asking for others.
    fn sit(&self, cx: &Cx, seat: &Seat) -> Outcome<String> {
        let place = seat.place.as_ref();
        let ends = [place.and_then(|place| place.ends), cx.caller.ends];
        self.token(&SessionOf {
            account: &seat.account,
            tenant: place.map(|place| (place.tenant.id, place.tenant.name.as_str())),
            role: place.map_or(seat.account.role, |place| place.role.role()),
            also: Default::default(),
            ends: ends.into_iter().flatten().min(),
        })
    }

    fn token(&self, of: &SessionOf<'_>) -> Outcome<String> {
        let session = self.sessions.begin(of, Surface::ControlPlane, LIFETIME)?;
        Ok(session.token.expose().clone())
    }
}

#[async_trait]
impl SessionService for SessionTokens {
    async fn login(&self, request: Request<LoginRequest>) -> Result<Response<LoginResponse>, Status> {
        let (cx, message) = take(request)?;
        let token = self.log_in(&cx, &credentials(message)).await;
        answer(&cx, token.map(|authorization| LoginResponse { authorization }))
    }

    async fn list_accounts(
        &self,
        request: Request<ListAccountsRequest>,
    ) -> Result<Response<ListAccountsResponse>, Status> {
        let (cx, _) = take(request)?;
        let listed = self.list(&cx).await.map(|places| ListAccountsResponse {
            // A list in memory is no longer than this.
            total: places.len() as i64,
            accounts: places.into_iter().map(shown).collect(),
        });
        answer(&cx, listed)
    }

    async fn switch_account(
        &self,
        request: Request<SwitchAccountRequest>,
    ) -> Result<Response<SwitchAccountResponse>, Status> {
        let (cx, message) = take(request)?;
        let token = self.switch(&cx, message.tenant_id.as_deref()).await;
        answer(&cx, token.map(|authorization| SwitchAccountResponse { authorization }))
    }
}

/// The credentials of a login. An account of a tenant is named by `tenant` beside it, or before a slash, which no name of
/// an account has.
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
