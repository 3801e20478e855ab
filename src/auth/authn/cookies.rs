//! Sessions in cookies for browser pages: which cookie belongs to which paths, how a login sets it, and how a
//! call carries it.
//!
//! The cookie contains one of our tokens. Browsers send it automatically, so a call that changes something must
//! prove that one of our pages made it ([`super::csrf`]), and must not come from a page of another site.

use std::time::Duration;

use cookie::{Cookie, SameSite};
use http::{HeaderValue, Method, header::COOKIE, request::Parts};

use super::{
    csrf,
    keys::Keys,
    origins::{Origins, Site},
    tokens,
};
use crate::auth::{
    request::{ClientInfo, is_rest},
    surface::{self, Surface},
};
use crate::base::{Error, Result, error::Reason};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Session {
    Warehouse,
    Admin,
}

impl Session {
    /// The session cookie that REST calls on this path may carry.
    pub(in crate::auth) fn of(surface: Surface, path: &str) -> Option<Self> {
        match surface {
            Surface::Warehouse => Some(Self::Warehouse),
            Surface::ZeroTrust => surface::covers(Self::Admin.path(), &surface::decoded(path)).then_some(Self::Admin),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Warehouse => "qod_session",
            Self::Admin => "tenantry_session",
        }
    }

    /// The path attribute of the cookie.
    pub fn path(self) -> &'static str {
        match self {
            Self::Warehouse => "/api",
            Self::Admin => "/v1/admin",
        }
    }

    /// The `Set-Cookie` value that starts a session with this token and lifetime. `secure` says whether the client
    /// uses TLS: its browser then never sends the cookie without TLS.
    pub fn begin(self, token: &str, time: Duration, secure: bool) -> String {
        let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        self.cookie(token, cookie::time::Duration::seconds(seconds), secure)
    }

    /// The `Set-Cookie` value that ends the session.
    pub fn end(self, secure: bool) -> String {
        self.cookie("", cookie::time::Duration::ZERO, secure)
    }

    fn cookie(self, value: &str, time: cookie::time::Duration, secure: bool) -> String {
        Cookie::build((self.name(), value))
            .http_only(true)
            .same_site(SameSite::Strict)
            .path(self.path())
            .max_age(time)
            .secure(secure)
            .to_string()
    }
}

/// The session token of a REST call. A duplicate cookie is refused: another site under the same domain can add
/// cookies, and their origin cannot be determined. Other cookies are ignored: a server receives octets (RFC
/// 6265, section 5.4), and any site of the same domain may have set them.
pub(in crate::auth) fn token(surface: Surface, call: &Parts) -> Result<Option<String>> {
    let Some(session) = Session::of(surface, call.uri.path()).filter(|_| is_rest(call)) else { return Ok(None) };
    let fields = call.headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
    let mut ours = fields.flat_map(|field| field.split(|octet| *octet == b';')).filter_map(|pair| value(pair, session));
    match (ours.next(), ours.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            std::str::from_utf8(value).map(|value| Some(value.to_owned())).map_err(|_| tokens::invalid())
        }
        (Some(_), Some(_)) => Err(tokens::invalid()),
    }
}

/// The value of a cookie pair, if it is the session's.
fn value(pair: &[u8], session: Session) -> Option<&[u8]> {
    let sign = pair.iter().position(|octet| *octet == b'=')?;
    (pair[..sign].trim_ascii() == session.name().as_bytes()).then(|| pair[sign + 1..].trim_ascii())
}

/// Refuses a call with a session cookie that changes something, unless a page of this server or of a configured
/// origin made it.
pub(in crate::auth) fn check_change(keys: &Keys, origins: &Origins, session: &str, call: &Parts) -> Result<()> {
    if matches!(call.method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let mut named = call.headers.get_all(http::header::ORIGIN).iter();
    let listed = matches!((named.next(), named.next()), (Some(origin), None) if origins.lists(origin));
    let own = call.extensions.get::<ClientInfo>().is_some_and(|client| Site::of(&call.headers, client) == Site::Own);
    if !own && !listed {
        let text = "this session cannot be used from a page of another site";
        return Err(Error::denied(Reason::OriginRefused, text));
    }
    csrf::check(keys, session, &call.headers)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn carried(surface: Surface, path: &str, headers: &[(&str, &str)]) -> Result<Option<String>> {
        let call = headers.iter().fold(Request::get(path), |call, (name, value)| call.header(*name, *value));
        token(surface, &call.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn cookies_are_set_and_cleared() {
        assert_eq!(
            Session::Warehouse.begin("a.b.c", Duration::from_secs(28_800), true),
            "qod_session=a.b.c; HttpOnly; SameSite=Strict; Secure; Path=/api; Max-Age=28800"
        );
        assert_eq!(
            Session::Admin.end(false),
            "tenantry_session=; HttpOnly; SameSite=Strict; Path=/v1/admin; Max-Age=0"
        );
    }

    #[test]
    fn a_cookie_is_read_only_on_its_own_paths() {
        let both = [("cookie", "a=1; qod_session=w; tenantry_session=z")];
        let cases = [
            (Surface::Warehouse, "/api/tenant/list", Some("w")),
            (Surface::ZeroTrust, "/v1/admin/users", Some("z")),
            (Surface::ZeroTrust, "/v1/%61dmin/users", Some("z")),
            (Surface::ZeroTrust, "/v1/administrators", None),
            (Surface::ZeroTrust, "/v1/policy", None),
            (Surface::Manager, "/v1/tenants", None),
            (Surface::ControlPlane, "/api/control-plane/tenants", None),
            (Surface::Warehouse, "/tenantry.warehouse.v1.PoolService/ListPools", None),
        ];
        for (surface, path, want) in cases {
            assert_eq!(carried(surface, path, &both).unwrap().as_deref(), want, "{path}");
        }
        let grpc = [both[0], ("content-type", "application/grpc-web+proto")];
        assert_eq!(carried(Surface::Warehouse, "/api/tenant/list", &grpc).unwrap(), None);
    }

    #[test]
    fn the_contents_of_other_cookies_are_ignored() {
        let of = |field: &[u8]| {
            let call = Request::get("/api/pool").header("cookie", field).body(()).unwrap();
            token(Surface::Warehouse, &call.into_parts().0)
        };
        for field in [
            "theme=d\u{fc}nkel; qod_session=w".as_bytes(),
            b"theme=d\xfcnkel; qod_session=w",
            b"qod_session=w; \xff\xfe=\x80; =; ;a",
            b"a=\"x; qod_session=w; b=y\"",
            b"no pair; qod_session = w ",
        ] {
            assert_eq!(of(field).unwrap().as_deref(), Some("w"), "{field:?}");
        }
        assert_eq!(of(b"a=1; qod_sessio\xfe=w").unwrap(), None);
        assert_eq!(of(b"qod_session=\xfc").unwrap_err().reason, Reason::CredentialsInvalid);
    }

    #[test]
    fn a_duplicate_cookie_is_refused() {
        let split = [("cookie", "a=1"), ("cookie", "qod_session=w")];
        assert_eq!(carried(Surface::Warehouse, "/api/pool", &split).unwrap().as_deref(), Some("w"));
        for twice in [&[("cookie", "qod_session=w; qod_session=v")][..], &[split[1], split[1]]] {
            let refused = carried(Surface::Warehouse, "/api/pool", twice).unwrap_err();
            assert_eq!(refused.reason, Reason::CredentialsInvalid);
        }
    }
}
