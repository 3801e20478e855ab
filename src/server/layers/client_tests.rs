use super::*;

/// The client of a call from this peer with these headers.
fn client(trusted: &str, peer: &str, headers: &[(&str, &str)]) -> ClientInfo {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    client_of(trusted, peer, &headers)
}

/// The same with bytes. The proxies write the header `Forwarded` if it is present.
fn client_of(trusted: &str, peer: &str, headers: &[(&str, &[u8])]) -> ClientInfo {
    let trusted = if trusted.is_empty() { TrustedProxies::default() } else { trusted.parse().unwrap() };
    let standard = headers.iter().any(|(name, _)| *name == "forwarded");
    let written = if standard { ProxyHeaders::Forwarded } else { ProxyHeaders::XForwarded };
    client_by(&trusted.that_write(written), peer, headers)
}

/// The client behind proxies that write these headers.
fn that_write(written: ProxyHeaders, headers: &[(&str, &str)]) -> ClientInfo {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    client_by(&PROXY.parse::<TrustedProxies>().unwrap().that_write(written), "10.0.0.1", &headers)
}

fn client_by(trusted: &TrustedProxies, peer: &str, headers: &[(&str, &[u8])]) -> ClientInfo {
    let request = headers.iter().fold(Request::get("/"), |request, (name, value)| request.header(*name, *value));
    let mut request = request.body(Body::empty()).unwrap();
    request.extensions_mut().insert(Peer { address: SocketAddr::new(peer.parse().unwrap(), 4711), secure: false });
    identify(&mut request, trusted);
    request.extensions().get::<ClientInfo>().unwrap().clone()
}

fn address(trusted: &str, peer: &str, headers: &[(&str, &str)]) -> String {
    describe(&client(trusted, peer, headers))
}

fn describe(client: &ClientInfo) -> String {
    client.address.map_or("unknown".to_owned(), |address| address.to_string())
}

const PROXY: &str = "10.0.0.0/8, 127.0.0.1";

#[test]
fn networks_and_addresses_are_read() {
    let trusted: TrustedProxies = "10.0.0.0/8, 192.0.2.1,2001:db8::/32".parse().unwrap();
    let trusts = |address: &str| trusted.trusts(address.parse().unwrap());
    assert!(trusts("10.255.0.1") && trusts("192.0.2.1") && trusts("2001:db8:1::1"));
    assert!(!trusts("11.0.0.1") && !trusts("192.0.2.2") && !trusts("2001:db9::1"));
    for bad in ["", "10.0.0.0/33", "proxy.example", "10.0.0.1,", "10.0.0.1 10.0.0.2"] {
        assert_eq!(bad.parse::<TrustedProxies>(), Err(NoNetworks), "{bad}");
    }
}

#[test]
fn headers_of_untrusted_peers_are_ignored() {
    let said = [
        ("x-forwarded-for", "198.51.100.7"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "api.example"),
        ("forwarded", "for=198.51.100.7;proto=https;host=api.example"),
        ("host", "own.example"),
    ];
    for trusted in ["", PROXY] {
        let client = client(trusted, "192.0.2.9", &said);
        assert_eq!((describe(&client), client.secure), ("192.0.2.9".to_owned(), Some(false)));
        assert_eq!(client.host.unwrap(), "own.example");
    }
}

#[test]
fn the_client_is_the_nearest_that_is_not_a_trusted_proxy() {
    let cases = [
        ("198.51.100.7", "198.51.100.7"),
        ("198.51.100.7, 10.0.0.2", "198.51.100.7"),
        ("1.1.1.1, 198.51.100.7, 10.0.0.2 ,10.0.0.3", "198.51.100.7"),
        ("198.51.100.7:4711", "198.51.100.7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("2001:db8::7", "2001:db8::7"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        // If the path ends at a trusted proxy, the client is unknown.
        ("10.0.0.5, 10.0.0.4", "unknown"),
        ("10.0.0.5", "unknown"),
        ("127.0.0.1", "unknown"),
        ("::ffff:10.0.0.5", "unknown"),
        // If a proxy does not report it, the client is unknown, and not the proxy.
        ("198.51.100.7, unknown", "unknown"),
        ("198.51.100.7, unknown, 10.0.0.2", "unknown"),
        ("198.51.100.7, 198.51.100.8 10.0.0.2", "unknown"),
        ("", "unknown"),
    ];
    for (chain, want) in cases {
        assert_eq!(address(PROXY, "10.0.0.1", &[("x-forwarded-for", chain)]), want, "{chain}");
    }
    let lines = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "198.51.100.7, 10.0.0.2")];
    assert_eq!(address(PROXY, "10.0.0.1", &lines), "198.51.100.7");
    assert_eq!(address(PROXY, "::ffff:10.0.0.1", &lines), "198.51.100.7");
}

#[test]
fn the_standard_header_is_read_too() {
    let cases = [
        ("for=198.51.100.7", "198.51.100.7"),
        ("For=\"[2001:db8::7]:4711\";proto=https", "2001:db8::7"),
        ("for=1.1.1.1, for=198.51.100.7; by=10.0.0.2 , for=10.0.0.3", "198.51.100.7"),
        ("for=_hidden", "unknown"),
        ("for=unknown, for=10.0.0.2", "unknown"),
        ("proto=https", "unknown"),
        ("for=10.0.0.5", "unknown"),
        ("for=10.0.0.5, for=10.0.0.2", "unknown"),
        // An invalid element has no information, and those before it cannot be reached.
        ("for = 198.51.100.7", "unknown"),
        ("for =198.51.100.7", "unknown"),
        ("for= 198.51.100.7", "unknown"),
        ("for=\t198.51.100.7", "unknown"),
        ("for=198.51.100.7;proto = https", "unknown"),
        ("for=198.51.100.7;x", "unknown"),
        ("for=198.51.100.7;=x", "unknown"),
        ("for=1.1.1.1, for = 198.51.100.7", "unknown"),
        ("for=198.51.100.7;", "198.51.100.7"),
        // An unclosed quote of the client hides nothing.
        ("for=\"1.1.1.1, for=198.51.100.7", "198.51.100.7"),
        ("for=\"1.1.1.1;x=\", for=198.51.100.7", "198.51.100.7"),
    ];
    for (header, want) in cases {
        assert_eq!(address(PROXY, "10.0.0.1", &[("forwarded", header)]), want, "{header}");
    }
}

#[test]
fn headers_that_the_proxies_do_not_set_are_ignored() {
    let old = [("x-forwarded-for", "198.51.100.7"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "a.example")];
    let new = [("forwarded", "for=203.0.113.1;proto=http;host=b.example")];
    let host = [("host", "inner")];
    for (headers, told) in [
        (ProxyHeaders::XForwarded, ("198.51.100.7", Some(true), "a.example")),
        (ProxyHeaders::Forwarded, ("203.0.113.1", Some(false), "b.example")),
    ] {
        let both = that_write(headers, &[&old[..], &new, &host].concat());
        assert_eq!((describe(&both).as_str(), both.secure, both.host.unwrap().as_str()), told);
        let other: &[_] = if headers == ProxyHeaders::Forwarded { &old } else { &new };
        let silent = that_write(headers, &[other, &host].concat());
        assert_eq!((describe(&silent).as_str(), silent.secure), ("unknown", None), "a client makes nothing known");
        assert_eq!((silent.host.unwrap().as_str(), silent.peer), ("inner", "10.0.0.1".parse::<IpAddr>().unwrap()));
    }
    assert_eq!(" x-forwarded".trim().parse(), Ok(ProxyHeaders::XForwarded));
    assert_eq!("Forwarded".parse(), Ok(ProxyHeaders::Forwarded));
    assert_eq!("x-forwarded-for".parse::<ProxyHeaders>(), Err(NoHeaders));
}

#[test]
fn an_unknown_client_is_never_the_proxy_and_invalid_items_hide_no_others() {
    let of = |name: &str, value: &[u8]| client_of(PROXY, "127.0.0.1", &[(name, value)]);
    let odd: [(&str, &[u8]); 9] = [
        ("x-forwarded-for", b"\xfc, 198.51.100.7"),
        ("x-forwarded-for", b"\xff\xfe,\x80 , 198.51.100.7 ,10.0.0.2"),
        ("x-forwarded-for", "\u{fc}, 127.0.0.1, 198.51.100.7".as_bytes()),
        ("forwarded", b"for=\xfc, for=198.51.100.7"),
        ("forwarded", b"for=127.0.0.1;by=\xfc, for=198.51.100.7;ext=\xfc"),
        ("forwarded", b"for=\"\xfc, for=\"198.51.100.7\""),
        ("forwarded", b"for=198.51.100.7;host=\"a,for=127.0.0.1;x=y\";proto=https"),
        ("forwarded", b"for=127.0.0.1;x=\", for=198.51.100.7;host=\"a;for=127.0.0.1;x=y\""),
        ("forwarded", b"for=198.51.100.7;host=\"a\\\";for=127.0.0.1;x=\\\\\""),
    ];
    for (name, odd) in odd {
        let client = of(name, odd);
        assert_eq!((describe(&client).as_str(), client.local), ("198.51.100.7", false), "{odd:?}");
    }
    let untold: [(&str, &[u8]); 11] = [
        ("x-forwarded-for", b"\xfc"),
        ("x-forwarded-for", b"127.0.0.1, \xfc"),
        ("x-forwarded-for", b"127.0.0.1, 127.0.0.1\xfc"),
        ("x-forwarded-for", b"unknown"),
        ("forwarded", b"for=_hidden"),
        ("forwarded", b"for=127.0.0.1\xfc"),
        ("forwarded", b"for=198.51.100.7;for=127.0.0.1"),
        ("forwarded", b"for=198.51.100.7;host=a\";for=127.0.0.1"),
        ("forwarded", b"for=127.0.0.1, for=198.51.100.7;host=\"a"),
        ("x-real-ip", b"127.0.0.1"),
        ("via", b"1.1 x"),
    ];
    for (name, untold) in untold {
        let client = of(name, untold);
        assert_eq!((client.address, client.local), (None, false), "{name} {untold:?}");
    }
    let bare = client_of(PROXY, "127.0.0.1", &[]);
    assert_eq!((bare.address, bare.secure, bare.local), (None, None, false), "a proxy without forwarding headers");
}

#[test]
fn protocol_and_host_are_those_that_the_client_used() {
    let of = |headers: &[(&str, &str)]| {
        let client = client(PROXY, "10.0.0.1", headers);
        (client.secure, client.host.map(|host| host.to_string()).unwrap_or_default())
    };
    let (plain, tls) = (Some(false), Some(true));
    let (chain, host) = (("x-forwarded-for", "198.51.100.7, 10.0.0.2"), ("host", "inner:8080"));
    assert_eq!(of(&[chain, host]), (None, "inner:8080".to_owned()));
    let one = [chain, host, ("x-forwarded-proto", "https"), ("x-forwarded-host", "api.example")];
    assert_eq!(of(&one), (tls, "api.example".to_owned()));
    let two = [chain, ("x-forwarded-proto", "https, http"), ("x-forwarded-host", "api.example, inner")];
    assert_eq!(of(&two), (tls, "api.example".to_owned()));
    let standard = "for=198.51.100.7;proto=https;host=\"api.example:8443\", for=10.0.0.2;proto=http;host=inner";
    assert_eq!(of(&[("forwarded", standard), host]), (tls, "api.example:8443".to_owned()));
    let made_up = "for=1.1.1.1;proto=https;host=evil.example, for=198.51.100.7;proto=http;host=api.example";
    assert_eq!(of(&[("forwarded", made_up), host]), (plain, "api.example".to_owned()));
    let bad = [chain, host, ("x-forwarded-host", "me@evil.example")];
    assert_eq!(of(&bad).1, "", "an invalid host must be ignored");
    for odd in ["wss", "", "https://"] {
        assert_eq!(of(&[chain, ("x-forwarded-proto", odd)]).0, None, "{odd}");
    }
}

#[test]
fn a_client_is_local_only_without_a_proxy() {
    let local = |trusted, peer, headers: &[(&str, &str)]| client(trusted, peer, headers).local;
    assert!(local("", "127.0.0.1", &[]) && local("", "::1", &[]) && local("", "::ffff:127.0.0.1", &[]));
    assert!(!local("", "10.0.0.1", &[]));
    for sign in [("x-forwarded-for", "127.0.0.1"), ("forwarded", "for=127.0.0.1"), ("via", "1.1 x"), ("x-real-ip", "x")]
    {
        assert!(!local("", "127.0.0.1", &[sign]), "{sign:?}: a proxy that we know nothing of");
    }
    assert!(local(PROXY, "127.0.0.1", &[("x-forwarded-for", "127.0.0.2")]));
    assert!(local(PROXY, "127.0.0.1", &[("x-forwarded-for", "::1")]));
    for proxy in ["127.0.0.1", "127.0.0.2, 127.0.0.1"] {
        assert!(!local("127.0.0.0/8", "127.0.0.1", &[("x-forwarded-for", proxy)]), "{proxy}: a proxy's own address");
    }
    assert!(!local(PROXY, "127.0.0.1", &[("x-forwarded-for", "198.51.100.7")]));
    assert!(!local(PROXY, "127.0.0.1", &[]), "the proxy does not tell for whom it speaks");
    assert!(!local(PROXY, "127.0.0.1", &[("x-forwarded-for", "198.51.100.7, unknown")]));
    assert!(!local(PROXY, "10.0.0.1", &[("x-forwarded-for", "127.0.0.1")]), "another machine's loopback");
}

#[test]
fn a_request_has_at_most_one_host() {
    let host = |headers: &[(&str, &str)]| client("", "192.0.2.9", headers).host.map(|host| host.to_string());
    assert_eq!(host(&[("host", "a.example:1")]).as_deref(), Some("a.example:1"));
    for none in [&[][..], &[("host", "a"), ("host", "b")], &[("host", "u@a")], &[("host", "")], &[("host", "a b")]] {
        assert_eq!(host(none), None, "{none:?}");
    }
}

#[test]
fn the_user_agent_is_bounded() {
    let long = "a".repeat(300);
    assert_eq!(client("", "192.0.2.9", &[("user-agent", &long)]).user_agent.unwrap().len(), 256);
    assert!(client("", "192.0.2.9", &[]).user_agent.is_none());
}
