//! The client of a call: the peer of the connection, or the client of a trusted proxy.

use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use axum::body::Body;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request,
    header::{FORWARDED, HOST, VIA},
    uri::Authority,
};
use ipnet::{IpNet, Ipv4Net};

use crate::{auth::ClientInfo, base::network, server::listen::Peer};

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const THEIR_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// Headers that proxies add. They show that the peer acts for another client.
const SIGNS: [HeaderName; 6] = [FORWARDED, FOR, PROTO, THEIR_HOST, VIA, HeaderName::from_static("x-real-ip")];

/// The trusted proxies, `TENANTRY_TRUSTED_PROXIES`, and the headers that they write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    headers: ProxyHeaders,
}

/// The headers in which proxies report their clients: `TENANTRY_PROXY_HEADERS`. A proxy that writes one kind passes on
/// the other kind as the client sent it, so only one is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyHeaders {
    /// `X-Forwarded-For`, `-Proto` and `-Host`, the most common ones.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// The text is not a kind of headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither x-forwarded nor forwarded")]
pub struct NoHeaders;

impl FromStr for ProxyHeaders {
    type Err = NoHeaders;

    fn from_str(text: &str) -> Result<Self, NoHeaders> {
        match text.to_ascii_lowercase().as_str() {
            "x-forwarded" => Ok(Self::XForwarded),
            "forwarded" => Ok(Self::Forwarded),
            _ => Err(NoHeaders),
        }
    }
}

/// The text is not a list of networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a list of networks")]
pub struct NoNetworks;

impl FromStr for TrustedProxies {
    type Err = NoNetworks;

    /// Parses networks (CIDR) and single addresses, separated by commas.
    fn from_str(text: &str) -> Result<Self, NoNetworks> {
        let net = |item: &str| network::parse(item).map(plain);
        let networks = text.split(',').map(|item| net(item.trim())).collect::<Option<_>>().ok_or(NoNetworks)?;
        Ok(Self { networks, headers: ProxyHeaders::default() })
    }
}

impl TrustedProxies {
    /// Sets the headers that the proxies write.
    pub fn that_write(self, headers: ProxyHeaders) -> Self {
        Self { headers, ..self }
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|net| net.contains(&address))
    }
}

/// Converts IPv4-mapped IPv6 networks to IPv4, the form of every peer address.
fn plain(network: IpNet) -> IpNet {
    const MAPPED: u8 = 96;
    let IpNet::V6(mapped) = network else { return network };
    let address = mapped.addr().to_ipv4_mapped().filter(|_| mapped.prefix_len() >= MAPPED);
    let v4 = address.and_then(|address| Ipv4Net::new(address, mapped.prefix_len() - MAPPED).ok());
    v4.map_or(network, IpNet::V4)
}

/// Stores the client of a request in its extensions.
pub(super) fn identify(request: &mut Request<Body>, trusted: &TrustedProxies) {
    let Some(Peer { address, secure }) = request.extensions().get().copied() else { return };
    let peer = address.ip().to_canonical();
    let headers = request.headers();
    let called = host(request);
    let user_agent = ClientInfo::user_agent(headers);
    let client = if trusted.trusts(peer) {
        let told = trusted.tell(peer, headers);
        // A proxy's own address is never that of its client: if it is not reported, it is unknown.
        ClientInfo {
            address: told.address,
            peer,
            secure: told.secure,
            host: told.host.unwrap_or(called),
            local: peer.is_loopback() && told.address.is_some_and(|address| address.is_loopback()),
            user_agent,
        }
    } else {
        let local = peer.is_loopback() && !SIGNS.iter().any(|name| headers.contains_key(name));
        ClientInfo { address: Some(peer), peer, secure: Some(secure), host: called, local, user_agent }
    };
    request.extensions_mut().insert(client);
}

/// The host that a request names, if any.
fn host(request: &Request<Body>) -> Option<Authority> {
    let mut headers = request.headers().get_all(HOST).iter();
    match (request.uri().authority(), headers.next(), headers.next()) {
        (Some(called), None, _) => Some(called.clone()),
        (Some(called), Some(header), None) if header.as_bytes().eq_ignore_ascii_case(called.as_str().as_bytes()) => {
            Some(called.clone())
        }
        (None, Some(header), None) => authority(header.to_str().ok()?),
        _ => None,
    }
    .filter(|host| !host.as_str().contains('@'))
}

fn authority(text: &str) -> Option<Authority> {
    text.parse().ok().filter(|host: &Authority| !host.as_str().contains('@'))
}

/// The information that proxies report about a client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Told {
    /// The client's address, if trusted proxies report the whole path to it.
    address: Option<IpAddr>,
    secure: Option<bool>,
    /// The host that the client requested: `None` if not reported, `Some(None)` if the reported one is not valid.
    host: Option<Option<Authority>>,
}

/// The information that one proxy reports about its peer.
#[derive(Clone, Copy, Default)]
struct Hop<'r> {
    address: Option<IpAddr>,
    proto: Option<&'r [u8]>,
    host: Option<&'r [u8]>,
}

impl TrustedProxies {
    /// Evaluates the headers that came through a trusted peer.
    fn tell(&self, peer: IpAddr, headers: &HeaderMap) -> Told {
        match self.headers {
            ProxyHeaders::XForwarded if [FOR, PROTO, THEIR_HOST].iter().any(|name| headers.contains_key(name)) => {
                self.walk(peer, &x_forwarded(headers))
            }
            ProxyHeaders::Forwarded if headers.contains_key(FORWARDED) => self.walk(peer, &forwarded(headers)),
            _ => Told::default(),
        }
    }

    /// Follows the path from the peer to the client as long as it leads through trusted proxies. `hops` starts with the
    /// nearest. If the path ends at a trusted proxy, that proxy did not report its peer, and the client is unknown.
    fn walk(&self, peer: IpAddr, hops: &[Hop<'_>]) -> Told {
        let (mut at, mut address, mut last) = (peer, None, Hop::default());
        for hop in hops {
            if !self.trusts(at) {
                break;
            }
            (last, address) = (*hop, hop.address);
            let Some(next) = hop.address else { break };
            at = next;
        }
        let address = address.filter(|client| !self.trusts(*client));
        let host = last.host.map(|host| std::str::from_utf8(host).ok().and_then(authority));
        Told { address, secure: last.proto.and_then(is_secure), host }
    }
}

/// Whether a protocol uses TLS; `None` for unknown protocols.
fn is_secure(proto: &[u8]) -> Option<bool> {
    let is = |name: &[u8]| proto.eq_ignore_ascii_case(name);
    if is(b"https") { Some(true) } else { is(b"http").then_some(false) }
}

/// The hops in the headers `X-Forwarded-*`, the nearest first. A proxy that does not append to a list replaces it, so
/// the last item of a shorter list applies to all hops beyond.
fn x_forwarded(headers: &HeaderMap) -> Vec<Hop<'_>> {
    let (protos, hosts) = (items(headers, &PROTO), items(headers, &THEIR_HOST));
    fn at<'r>(list: &[&'r [u8]], index: usize) -> Option<&'r [u8]> {
        list.get(index).or(list.last()).copied()
    }
    let hop = |index, address| Hop { address, proto: at(&protos, index), host: at(&hosts, index) };
    let nodes = items(headers, &FOR);
    if nodes.is_empty() {
        return vec![hop(0, None)];
    }
    nodes.iter().enumerate().map(|(index, node)| hop(index, address(node))).collect()
}

/// The hops in the header `Forwarded` (RFC 7239), the nearest first.
fn forwarded(headers: &HeaderMap) -> Vec<Hop<'_>> {
    let fields: Vec<_> = headers.get_all(FORWARDED).iter().map(HeaderValue::as_bytes).collect();
    fields.into_iter().rev().flat_map(|field| split_from_the_right(field, b',')).map(element).collect()
}

/// White space around separators; it is not allowed around the `=` of a pair.
const BLANKS: [u8; 2] = [b' ', b'\t'];

/// Parses an element: empty if it breaks the grammar, or has a parameter twice (RFC 7239, section 4).
fn element(element: Option<&[u8]>) -> Hop<'_> {
    let mut hop = (None, None, None);
    for pair in element.map(|element| split_from_the_right(element, b';')).unwrap_or_default() {
        let Some(pair) = pair else { return Hop::default() };
        if pair.is_empty() {
            continue;
        }
        let Some(sign) = pair.iter().position(|octet| *octet == b'=') else { return Hop::default() };
        let (name, value) = (&pair[..sign], &pair[sign + 1..]);
        if name.is_empty() || [name.last(), value.first()].into_iter().flatten().any(|octet| BLANKS.contains(octet)) {
            return Hop::default();
        }
        let told = match name.to_ascii_lowercase().as_slice() {
            b"for" => &mut hop.0,
            b"proto" => &mut hop.1,
            b"host" => &mut hop.2,
            _ => continue,
        };
        if told.replace(unquoted(value)).is_some() {
            return Hop::default();
        }
    }
    Hop { address: hop.0.and_then(address), proto: hop.1, host: hop.2 }
}

/// The content of a quoted string. Escapes stay: addresses, protocols and hosts have none.
fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
}

/// The parts of a text between separators outside of quoted strings, the last first. It is parsed from its end, which
/// the trusted proxy wrote: an unclosed quote of the client further on cannot hide any of that, and a separator in a
/// value that the proxy quotes does not count. `None` for a part in which a quoted string does not start.
fn split_from_the_right(text: &[u8], separator: u8) -> Vec<Option<&[u8]>> {
    let is_escaped = |at: usize| text[..at].iter().rev().take_while(|octet| **octet == b'\\').count() % 2 == 1;
    let (mut parts, mut end, mut is_quoted) = (Vec::new(), text.len(), false);
    for (at, octet) in text.iter().enumerate().rev() {
        match *octet {
            b'"' if !is_quoted || !is_escaped(at) => is_quoted = !is_quoted,
            octet if octet == separator && !is_quoted => {
                parts.push(Some(text[at + 1..end].trim_ascii()));
                end = at;
            }
            _ => {}
        }
    }
    parts.push((!is_quoted).then(|| text[..end].trim_ascii()));
    parts
}

/// The items of a list in a header, the last first. They are bytes: the client may have written anything into its own
/// items, and that must not hide the items that proxies added.
fn items<'r>(headers: &'r HeaderMap, name: &HeaderName) -> Vec<&'r [u8]> {
    let values = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    let mut items: Vec<_> =
        values.flat_map(|value| value.split(|octet| *octet == b',')).map(<[u8]>::trim_ascii).collect();
    items.reverse();
    items
}

/// The address of a node, with or without a port; `None` if it is not an address.
fn address(node: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(node).ok()?;
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
