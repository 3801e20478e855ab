//! Open manager mode: for local demos, the manager's documentation allows calls on manager paths without a
//! credential.
//!
//! It is for programs on this machine. Pages in a local browser are excluded unless this machine served them:
//! the requested host must be one that needs no name resolution, which excludes foreign names that resolve to
//! this machine (DNS rebinding), and pages of foreign origins are refused.

use http::request::Parts;

use super::origins::{Site, is_loopback_host};
use crate::auth::request::{ClientInfo, is_rest};
use crate::base::{Caller, CallerKind, Error, Result, Role, caller::CallerFacts, error::Reason};

/// The caller of a call on a manager path without a credential; `None` if the call needs one.
pub(in crate::auth) fn admit(call: &Parts) -> Result<Option<Caller>> {
    let Some(client) = call.extensions.get::<ClientInfo>().filter(|client| client.local) else { return Ok(None) };
    if !is_rest(call) {
        return Ok(None);
    }
    if !client.host.as_ref().is_some_and(is_loopback_host) {
        return Err(refused("unauthenticated access is allowed only via localhost or a loopback address"));
    }
    let cross_site = call.headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site");
    if cross_site || Site::of(&call.headers, client) == Site::Foreign {
        return Err(refused("a page of another site cannot call without a token"));
    }
    Ok(Some(caller()))
}

fn refused(text: &'static str) -> Error {
    Error::denied(Reason::OriginRefused, text)
}

fn caller() -> Caller {
    Caller::new(CallerFacts {
        kind: CallerKind::Service,
        subject: "open-manager".to_owned(),
        role: Role::PlatformAdmin,
        ..CallerFacts::default()
    })
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use http::Request;

    use super::*;

    /// The result of a call: the caller's subject, none, or the reason for a refusal.
    fn admitted(host: &str, local: bool, headers: &[(&str, &str)]) -> Result<Option<String>, Reason> {
        let address = Some(IpAddr::from([127, 0, 0, 1]));
        let client = ClientInfo {
            address,
            peer: std::net::Ipv4Addr::LOCALHOST.into(),
            secure: Some(false),
            host: host.parse().ok(),
            local,
            user_agent: None,
        };
        let call = Request::post("/v1/tenants").extension(client);
        let call = headers.iter().fold(call, |call, (name, value)| call.header(*name, *value));
        let found = admit(&call.body(()).unwrap().into_parts().0).map_err(|error| error.reason)?;
        Ok(found.map(|caller| caller.subject.clone()))
    }

    fn open() -> Result<Option<String>, Reason> {
        Ok(Some("open-manager".to_owned()))
    }

    #[test]
    fn programs_on_this_machine_need_no_token() {
        for host in ["localhost", "LOCALHOST:18080", "manager.localhost:1", "127.0.0.1:8080", "127.9.9.9", "[::1]:8080"]
        {
            assert_eq!(admitted(host, true, &[]), open(), "{host}");
        }
        assert_eq!(admitted("localhost", false, &[]), Ok(None), "who comes from elsewhere needs one");
        assert_eq!(admitted("localhost", true, &[("content-type", "application/grpc")]), Ok(None));
    }

    #[test]
    fn a_foreign_name_that_resolves_here_is_refused() {
        for host in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "192.168.0.1", "[::]", ""] {
            assert_eq!(admitted(host, true, &[]), Err(Reason::OriginRefused), "{host}");
        }
    }

    #[test]
    fn a_foreign_page_is_refused_and_a_local_one_is_not() {
        let page = |headers: &[(&str, &str)]| admitted("localhost:8080", true, headers);
        for own in ["http://localhost:8080", "http://localhost:3000", "http://127.0.0.1:1", "http://a.localhost"] {
            assert_eq!(page(&[("origin", own)]), open(), "{own}");
        }
        for foreign in ["https://evil.example", "null", "", "http://localhost.evil.example", "file://"] {
            assert_eq!(page(&[("origin", foreign)]), Err(Reason::OriginRefused), "{foreign}");
        }
        for (site, want) in
            [("cross-site", Err(Reason::OriginRefused)), ("same-site", Err(Reason::OriginRefused)), ("none", open())]
        {
            assert_eq!(page(&[("sec-fetch-site", site)]), want, "{site}");
        }
        let both = [("origin", "http://localhost:3000"), ("sec-fetch-site", "cross-site")];
        assert_eq!(page(&both), Err(Reason::OriginRefused));
        let both = [("origin", "http://localhost:3000"), ("sec-fetch-site", "same-site")];
        assert_eq!(page(&both), open());
    }
}
