//! Who is at the other end: the peer of the connection, or the client for whom a trusted proxy speaks.

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
use ipnet::IpNet;

use crate::{auth::ClientInfo, server::listen::Peer};

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const THEIR_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// Headers that proxies add. Where one is, somebody speaks for another.
const SIGNS: [HeaderName; 6] = [FORWARDED, FOR, PROTO, THEIR_HOST, VIA, HeaderName::from_static("x-real-ip")];

/// The proxies whose word counts: `TENANTRY_TRUSTED_PROXIES`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

/// A text is no list of networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a list of networks")]
pub struct NoNetworks;

impl FromStr for TrustedProxies {
    type Err = NoNetworks;

    /// Reads networks (CIDR) and single addresses, with commas between.
    fn from_str(text: &str) -> Result<Self, NoNetworks> {
        let net = |item: &str| item.parse().ok().or_else(|| item.parse::<IpAddr>().ok().map(IpNet::from));
        text.split(',').map(|item| net(item.trim())).collect::<Option<_>>().map(Self).ok_or(NoNetworks)
    }
}

impl TrustedProxies {
    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|net| net.contains(&address))
    }
}

/// Leaves in the extensions of a request who its client is.
pub(super) fn identify(request: &mut Request<Body>, trusted: &TrustedProxies) {
    let Some(Peer { address, secure }) = request.extensions().get().copied() else { return };
    let peer = address.ip().to_canonical();
    let headers = request.headers();
    let called = host(request);
    let user_agent = ClientInfo::user_agent(headers);
    let client = if trusted.trusts(peer) {
        let told = trusted.tell(peer, headers);
        ClientInfo {
            address: told.address,
            secure: told.secure.unwrap_or(secure),
            host: told.host.or(called),
            local: told.whole && peer.is_loopback() && told.address.is_loopback(),
            user_agent,
        }
    } else {
        let local = peer.is_loopback() && !SIGNS.iter().any(|name| headers.contains_key(name));
        ClientInfo { address: peer, secure, host: called, local, user_agent }
    };
    request.extensions_mut().insert(client);
}

/// The host that a request calls, if it names one.
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

/// What proxies tell of a client.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    /// The address that is furthest away and vouched for by a trusted proxy.
    address: IpAddr,
    /// Whether that is the client's, and not the last proxy that we know of.
    whole: bool,
    secure: Option<bool>,
    host: Option<Authority>,
}

/// What one proxy tells of whom it was called by.
#[derive(Clone, Copy, Default)]
struct Hop<'r> {
    address: Option<IpAddr>,
    proto: Option<&'r str>,
    host: Option<&'r str>,
}

impl TrustedProxies {
    /// What the headers tell that came through a trusted peer. A proxy that writes one of the two kinds of headers may
    /// pass on what a client made up in the other; where they disagree neither is believed.
    fn tell(&self, peer: IpAddr, headers: &HeaderMap) -> Told {
        let nobody = Told { address: peer, whole: false, secure: None, host: None };
        let by_old = || self.walk(peer, &x_forwarded(headers));
        let by_new = || self.walk(peer, &forwarded(headers));
        match (headers.contains_key(FOR), headers.contains_key(FORWARDED)) {
            (_, false) => by_old(),
            (false, true) => by_new(),
            (true, true) => Some(by_old()).filter(|told| told.address == by_new().address).unwrap_or(nobody),
        }
    }

    /// Goes from the peer towards the client as long as trusted proxies tell the way. `hops` has the nearest first.
    fn walk(&self, peer: IpAddr, hops: &[Hop<'_>]) -> Told {
        let (mut address, mut whole, mut last) = (peer, false, Hop::default());
        for hop in hops {
            if !self.trusts(address) {
                break;
            }
            last = *hop;
            whole = hop.address.is_some();
            let Some(next) = hop.address else { break };
            address = next;
        }
        let secure = last.proto.map(|proto| proto.eq_ignore_ascii_case("https"));
        Told { address, whole, secure, host: last.host.and_then(authority) }
    }
}

/// The hops of the headers `X-Forwarded-*`, the nearest first. A proxy that does not add to a list replaces it, so the
/// last item of a shorter list tells of all hops beyond.
fn x_forwarded(headers: &HeaderMap) -> Vec<Hop<'_>> {
    let (protos, hosts) = (items(headers, &PROTO), items(headers, &THEIR_HOST));
    let at = |list: &[_], index: usize| list.get(index).or(list.last()).copied();
    let hop = |index, address| Hop { address, proto: at(&protos, index), host: at(&hosts, index) };
    let nodes = items(headers, &FOR);
    if nodes.is_empty() {
        return vec![hop(0, None)];
    }
    nodes.iter().enumerate().map(|(index, text)| hop(index, node(text))).collect()
}

/// The hops of the header `Forwarded` (RFC 7239), the nearest first. No value that we read may hold a comma or a
/// semicolon, so quotes do not hide them: a client that leaves a quote open cannot swallow what a proxy adds.
fn forwarded(headers: &HeaderMap) -> Vec<Hop<'_>> {
    items(headers, &FORWARDED).into_iter().map(element).collect()
}

fn element(text: &str) -> Hop<'_> {
    text.split(';').filter_map(|pair| pair.split_once('=')).fold(Hop::default(), pair)
}

fn pair<'r>(hop: Hop<'r>, (name, value): (&str, &'r str)) -> Hop<'r> {
    let value = value.trim();
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    match name.trim().to_ascii_lowercase().as_str() {
        "for" => Hop { address: node(value), ..hop },
        "proto" => Hop { proto: Some(value), ..hop },
        "host" => Hop { host: Some(value), ..hop },
        _ => hop,
    }
}

/// The items of a list in a header, the last first. What is no text is an item that tells nothing.
fn items<'r>(headers: &'r HeaderMap, name: &HeaderName) -> Vec<&'r str> {
    let texts = headers.get_all(name).iter().map(|value: &HeaderValue| value.to_str().unwrap_or_default());
    let mut items: Vec<_> = texts.flat_map(|text| text.split(',')).map(str::trim).collect();
    items.reverse();
    items
}

/// The address of a node, with or without a port.
fn node(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
