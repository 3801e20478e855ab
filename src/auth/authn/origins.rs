//! Origins of browser pages, and whether they may call.

use std::{net::IpAddr, str::FromStr};

use http::{
    HeaderMap, HeaderValue, Uri,
    header::ORIGIN,
    uri::{Authority, Scheme},
};

use crate::{auth::request::ClientInfo, base::host::is_host};

/// The allowed foreign origins: `TENANTRY_CORS_ORIGINS`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    any: bool,
    listed: Vec<HeaderValue>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a list of origins")]
pub struct InvalidOrigins;

impl Origins {
    /// Whether every origin is allowed, in which case cookies are not.
    pub fn any(&self) -> bool {
        self.any
    }

    pub fn listed(&self) -> &[HeaderValue] {
        &self.listed
    }

    /// Whether an origin is listed explicitly. With `*` none is, because no origin is trusted by name.
    pub fn lists(&self, origin: &HeaderValue) -> bool {
        self.listed.contains(origin)
    }
}

impl FromStr for Origins {
    type Err = InvalidOrigins;

    /// Parses a comma-separated list of origins as browsers send them, or `*`.
    fn from_str(text: &str) -> Result<Self, InvalidOrigins> {
        if text.trim() == "*" {
            return Ok(Self { any: true, listed: Vec::new() });
        }
        let listed = text.split(',').map(|item| origin(item.trim())).collect::<Option<_>>().ok_or(InvalidOrigins)?;
        Ok(Self { any: false, listed })
    }
}

/// Parses an origin as browsers serialize it: lower-case scheme and host, no default port, no path.
fn origin(text: &str) -> Option<HeaderValue> {
    let (scheme, authority) = parts(text)?;
    let as_sent = text == format!("{scheme}://{authority}") && !text.bytes().any(|byte| byte.is_ascii_uppercase());
    let plain =
        is_host(authority.host()) && authority.port_u16().is_none_or(|port| default_port(&scheme) != Some(port));
    (as_sent && plain).then(|| HeaderValue::from_str(text).ok()).flatten()
}

/// Scheme and authority of an origin; `None` for `null` and other texts that are not origins.
fn parts(text: &str) -> Option<(Scheme, Authority)> {
    let uri: Uri = text.parse().ok()?;
    let (scheme, authority) = (uri.scheme()?.clone(), uri.authority()?.clone());
    // Wildcards are refused: no browser sends them.
    let bare =
        !authority.host().contains('*') && uri.path().trim_start_matches('/').is_empty() && uri.query().is_none();
    (bare && !authority.as_str().contains('@')).then_some((scheme, authority))
}

fn default_port(scheme: &Scheme) -> Option<u16> {
    match scheme.as_str() {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// The origin of the page that calls, as reported by the browser. Programs report none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::auth) enum Site {
    /// No page, a page of this server, or a direct action of the user.
    Own,
    /// A page of another origin on this machine.
    Loopback,
    /// Any other page.
    Foreign,
}

impl Site {
    /// Reads the headers of a call.
    pub(in crate::auth) fn of(headers: &HeaderMap, client: &ClientInfo) -> Self {
        let mut origins = headers.get_all(ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
                None | Some(b"same-origin" | b"none") => Self::Own,
                Some(_) => Self::Foreign,
            },
            (Some(origin), None) => {
                origin.to_str().ok().and_then(parts).map_or(Self::Foreign, |(scheme, authority)| {
                    if is_own(&scheme, &authority, client) {
                        Self::Own
                    } else if is_loopback_host(&authority) {
                        Self::Loopback
                    } else {
                        Self::Foreign
                    }
                })
            }
            (Some(_), Some(_)) => Self::Foreign,
        }
    }
}

/// Whether an origin is the one that the call was sent to. Without TLS an attacker on the network can inject a
/// page, so unless the client is known not to use TLS, only an `https` origin counts. The reverse is accepted:
/// an unconfigured proxy may have terminated TLS.
fn is_own(scheme: &Scheme, origin: &Authority, client: &ClientInfo) -> bool {
    let Some(host) = &client.host else { return false };
    let port = |authority: &Authority| authority.port_u16().or(default_port(scheme));
    let safe = *scheme == Scheme::HTTPS || (*scheme == Scheme::HTTP && !client.needs_tls());
    safe && origin.host().eq_ignore_ascii_case(host.host()) && port(origin) == port(host)
}

/// Whether a host name refers to this machine without name resolution.
pub(in crate::auth) fn is_loopback_host(authority: &Authority) -> bool {
    let host = authority.host().to_ascii_lowercase();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
        || host == "localhost"
        || host.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(host: &str, secure: bool) -> ClientInfo {
        let (address, secure) = (Some(IpAddr::from([192, 0, 2, 1])), Some(secure));
        ClientInfo {
            address,
            peer: std::net::Ipv4Addr::LOCALHOST.into(),
            secure,
            host: host.parse().ok(),
            local: false,
            user_agent: None,
        }
    }

    fn site(headers: &[(&'static str, &str)], client: &ClientInfo) -> Site {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        Site::of(&map, client)
    }

    #[test]
    fn origins_are_parsed_as_browsers_send_them() {
        let origins: Origins = "https://a.example, http://b.example:8080".parse().unwrap();
        let lists = |text: &str| origins.lists(&text.parse().unwrap());
        assert!(lists("https://a.example") && lists("http://b.example:8080"));
        assert!(!lists("http://a.example") && !lists("https://a.example:8080") && !lists("null") && !lists("*"));
        let any: Origins = " * ".parse().unwrap();
        assert!(any.any() && !any.lists(&HeaderValue::from_static("https://a.example")));
        for bad in [
            "a.example",
            "https://a.example/",
            "https://a.example/x",
            "https://A.example",
            "https://a.example:443",
            "https://u@a.example",
            "null",
            "*,https://a.example",
            "https://*.example,",
            "",
        ] {
            assert_eq!(bad.parse::<Origins>(), Err(InvalidOrigins), "{bad}");
        }
    }

    #[test]
    fn our_own_pages_are_distinguished_from_others() {
        let (plain, tls) = (client("api.example:8080", false), client("api.example", true));
        let (proxied, nowhere) = (client("api.example", false), client("", false));
        let of = |origin: &str, client| site(&[("origin", origin)], client);
        assert_eq!(of("http://api.example:8080", &plain), Site::Own);
        assert_eq!(of("https://API.example:443", &tls), Site::Own);
        assert_eq!(of("https://api.example", &proxied), Site::Own, "a proxy may have ended TLS");
        assert_eq!(of("http://api.example", &tls), Site::Foreign, "a page without TLS may be forged in transit");
        let untold = ClientInfo { secure: None, ..client("api.example", false) };
        assert_eq!((of("https://api.example", &untold), of("http://api.example", &untold)), (Site::Own, Site::Foreign));
        for foreign in
            ["http://api.example", "https://evil.example", "null", "", "file://", "http://u@api.example:8080"]
        {
            assert_eq!(of(foreign, &plain), Site::Foreign, "{foreign}");
        }
        assert_eq!(of("http://api.example:8080", &nowhere), Site::Foreign, "no host was named");
        let twice = [("origin", "http://api.example:8080"), ("origin", "http://api.example:8080")];
        assert_eq!(site(&twice, &plain), Site::Foreign);
        for loopback in ["http://localhost:3000", "http://app.localhost", "https://127.8.9.1", "http://[::1]:1"] {
            assert_eq!(of(loopback, &plain), Site::Loopback, "{loopback}");
        }
        assert_eq!(of("http://localhost.evil.example", &plain), Site::Foreign);
    }

    #[test]
    fn without_an_origin_header_sec_fetch_site_decides() {
        let client = client("api.example", true);
        assert_eq!(site(&[], &client), Site::Own);
        for (word, told) in [
            ("same-origin", Site::Own),
            ("none", Site::Own),
            ("same-site", Site::Foreign),
            ("cross-site", Site::Foreign),
            ("else", Site::Foreign),
        ] {
            assert_eq!(site(&[("sec-fetch-site", word)], &client), told, "{word}");
        }
        let both = [("sec-fetch-site", "cross-site"), ("origin", "https://api.example")];
        assert_eq!(site(&both, &client), Site::Own, "the origin says more");
    }
}
