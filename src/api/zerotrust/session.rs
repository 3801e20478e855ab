//! Sessions of this surface.

use std::time::Duration;

use prost_types::Timestamp;
use tonic::{
    Response,
    metadata::{Ascii, MetadataValue},
};

use crate::{
    api::Deps,
    auth::{
        Sessions, Surface,
        authn::{
            cookies,
            sessions::{Session, SessionOf},
            tokens::Claims,
        },
    },
    base::{Cx, Error, Result},
    identity::{User, sessions::records},
    proto::zerotrust::v1::SessionToken,
    tenants::Tenant,
};

/// Lifetime of a session.
const LIFETIME: Duration = Duration::from_secs(8 * 3600);

/// Claims for a new session.
pub(super) fn plan(sessions: &Sessions) -> Claims {
    sessions.plan(Surface::ZeroTrust, LIFETIME)
}

/// Starts and records a session.
pub(super) async fn begin(deps: &Deps, of: &SessionOf<'_>) -> Result<Session> {
    let session = deps.sessions.begin_planned(of, plan(&deps.sessions))?;
    records::began(&deps.store, of.account, &session.claims.jti, session.claims.expires_at()?).await?;
    Ok(session)
}

/// Starts a session for a user whose other sessions have ended.
pub(super) async fn begin_for(deps: &Deps, user: &User, tenant: &Tenant) -> Result<Session> {
    let (also, ends) = user.tenant_roles();
    let tenant = Some((tenant.id, tenant.name.as_str()));
    begin(deps, &SessionOf { account: &user.account, tenant, role: user.account.role, also, ends }).await
}

/// A session as it is returned, only once.
pub(super) fn to_proto(sessions: &Sessions, session: &Session) -> SessionToken {
    SessionToken {
        token: session.token.expose().clone(),
        token_type: "Bearer".to_owned(),
        expires_at: Some(Timestamp { seconds: session.claims.exp, nanos: 0 }),
        csrf_token: sessions.csrf_token(&session.claims.jti),
    }
}

/// The response with a session cookie, for browsers.
pub(super) fn with_cookie<T>(response: Response<T>, cx: &Cx, session: &Session) -> Result<Response<T>> {
    set_cookie(response, &cookies::Session::Admin.begin(session.token.expose(), LIFETIME, cx.secure))
}

/// The response with a cookie that removes the session.
pub(super) fn without_cookie<T>(response: Response<T>, cx: &Cx) -> Result<Response<T>> {
    set_cookie(response, &cookies::Session::Admin.end(cx.secure))
}

fn set_cookie<T>(mut response: Response<T>, cookie: &str) -> Result<Response<T>> {
    let value: MetadataValue<Ascii> = cookie.parse().map_err(Error::internal)?;
    response.metadata_mut().insert("set-cookie", value);
    Ok(response)
}
