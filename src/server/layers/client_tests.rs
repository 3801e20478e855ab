use super::*;

/// Who is the client of a call that comes from this peer with these headers.
fn client(trusted: &str, peer: &str, headers: &[(&str, &str)]) -> ClientInfo {
    let request = headers.iter().fold(Request::get("/"), |request, (name, value)| request.header(*name, *value));
    let mut request = request.body(Body::empty()).unwrap();
    request.extensions_mut().insert(Peer { address: SocketAddr::new(peer.parse().unwrap(), 4711), secure: false });
    let trusted = if trusted.is_empty() { TrustedProxies::default() } else { trusted.parse().unwrap() };
    identify(&mut request, &trusted);
    request.extensions().get::<ClientInfo>().unwrap().clone()
}

fn address(trusted: &str, peer: &str, headers: &[(&str, &str)]) -> String {
    client(trusted, peer, headers).address.to_string()
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
fn what_a_stranger_says_is_not_believed() {
    let said = [
        ("x-forwarded-for", "198.51.100.7"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "api.example"),
        ("forwarded", "for=198.51.100.7;proto=https;host=api.example"),
        ("host", "own.example"),
    ];
    for trusted in ["", PROXY] {
        let client = client(trusted, "192.0.2.9", &said);
        assert_eq!((client.address.to_string(), client.secure), ("192.0.2.9".to_owned(), false));
        assert_eq!(client.host.unwrap(), "own.example");
    }
}

#[test]
fn the_client_is_the_nearest_that_is_no_trusted_proxy() {
    let cases = [
        ("198.51.100.7", "198.51.100.7"),
        ("198.51.100.7, 10.0.0.2", "198.51.100.7"),
        ("1.1.1.1, 198.51.100.7, 10.0.0.2 ,10.0.0.3", "198.51.100.7"),
        ("198.51.100.7:4711", "198.51.100.7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("2001:db8::7", "2001:db8::7"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("10.0.0.5, 10.0.0.4", "10.0.0.5"),
        // The last proxy that we know of, where it does not tell.
        ("198.51.100.7, unknown", "10.0.0.1"),
        ("198.51.100.7, unknown, 10.0.0.2", "10.0.0.2"),
        ("", "10.0.0.1"),
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
        ("for=_hidden", "10.0.0.1"),
        ("proto=https", "10.0.0.1"),
        // An open quote of the client's swallows nothing.
        ("for=\"1.1.1.1, for=198.51.100.7", "198.51.100.7"),
        ("for=\"1.1.1.1;x=\", for=198.51.100.7", "198.51.100.7"),
    ];
    for (header, want) in cases {
        assert_eq!(address(PROXY, "10.0.0.1", &[("forwarded", header)]), want, "{header}");
    }
}

#[test]
fn of_two_that_disagree_neither_is_believed() {
    let both = |other| [("x-forwarded-for", "198.51.100.7"), ("forwarded", other), ("x-forwarded-proto", "https")];
    let agreed = client(PROXY, "10.0.0.1", &both("for=198.51.100.7"));
    assert!(agreed.address.to_string() == "198.51.100.7" && agreed.secure);
    let torn = client(PROXY, "10.0.0.1", &both("for=203.0.113.1"));
    assert!(torn.address.to_string() == "10.0.0.1" && !torn.secure && !torn.local);
}

#[test]
fn protocol_and_host_are_those_that_the_client_used() {
    let of = |headers: &[(&str, &str)]| {
        let client = client(PROXY, "10.0.0.1", headers);
        (client.secure, client.host.map(|host| host.to_string()).unwrap_or_default())
    };
    let (chain, host) = (("x-forwarded-for", "198.51.100.7, 10.0.0.2"), ("host", "inner:8080"));
    assert_eq!(of(&[chain, host]), (false, "inner:8080".to_owned()));
    let one = [chain, host, ("x-forwarded-proto", "https"), ("x-forwarded-host", "api.example")];
    assert_eq!(of(&one), (true, "api.example".to_owned()));
    let two = [chain, ("x-forwarded-proto", "https, http"), ("x-forwarded-host", "api.example, inner")];
    assert_eq!(of(&two), (true, "api.example".to_owned()));
    let standard = "for=198.51.100.7;proto=https;host=\"api.example:8443\", for=10.0.0.2;proto=http;host=inner";
    assert_eq!(of(&[("forwarded", standard), host]), (true, "api.example:8443".to_owned()));
    let made_up = "for=1.1.1.1;proto=https;host=evil.example, for=198.51.100.7;proto=http;host=api.example";
    assert_eq!(of(&[("forwarded", made_up), host]), (false, "api.example".to_owned()));
    let bad = [chain, host, ("x-forwarded-host", "me@evil.example")];
    assert_eq!(of(&bad).1, "inner:8080");
}

#[test]
fn a_client_is_local_only_if_nobody_speaks_for_another() {
    let local = |trusted, peer, headers: &[(&str, &str)]| client(trusted, peer, headers).local;
    assert!(local("", "127.0.0.1", &[]) && local("", "::1", &[]) && local("", "::ffff:127.0.0.1", &[]));
    assert!(!local("", "10.0.0.1", &[]));
    for sign in [("x-forwarded-for", "127.0.0.1"), ("forwarded", "for=127.0.0.1"), ("via", "1.1 x"), ("x-real-ip", "x")]
    {
        assert!(!local("", "127.0.0.1", &[sign]), "{sign:?}: a proxy that we know nothing of");
    }
    assert!(local(PROXY, "127.0.0.1", &[("x-forwarded-for", "127.0.0.1")]));
    assert!(!local(PROXY, "127.0.0.1", &[("x-forwarded-for", "198.51.100.7")]));
    assert!(!local(PROXY, "127.0.0.1", &[]), "the proxy does not tell for whom it speaks");
    assert!(!local(PROXY, "127.0.0.1", &[("x-forwarded-for", "198.51.100.7, unknown")]));
    assert!(!local(PROXY, "10.0.0.1", &[("x-forwarded-for", "127.0.0.1")]), "another machine's loopback");
}

#[test]
fn a_host_is_one_or_none() {
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
