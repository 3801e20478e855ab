use std::{ffi::OsString, io::Write, path::Path};

use super::*;

fn found(flags: &[(&'static str, &str)], env: &[(&str, &str)], file: Option<&Path>) -> Found {
    let flags: Vec<_> = flags.iter().map(|(k, v)| (*k, (*v).to_owned())).collect();
    let env = env.iter().map(|(k, v)| ((*k).into(), (*v).into()));
    Config::read(&flags, env, file.map(|file| file.to_str().unwrap()))
}

fn read(
    flags: &[(&'static str, &str)],
    env: &[(&str, &str)],
    file: Option<&Path>,
) -> Result<(Config, Layers), ConfigError> {
    let found = found(flags, env, file);
    let layers = found.layers.clone();
    found.usable().map(|config| (config, layers))
}

fn file(content: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    file
}

fn problems(env: &[(&str, &str)], content: &str) -> String {
    read(&[], env, Some(file(content).path())).unwrap_err().to_string()
}

#[test]
fn every_setting_is_parsed_the_same_from_every_source() {
    for setting in SETTINGS {
        let key = setting.key;
        let line = file(&format!("{key} = \"\\n\\t \\r\\n\"\n"));
        for blank in ["", " ", "\n", "\u{feff}\r\n"] {
            let sources = [
                found(&[(key, blank)], &[], None),
                found(&[], &[(setting.variable, blank)], None),
                found(&[], &[], Some(line.path())),
            ];
            for found in sources {
                assert!(found.problems.is_empty(), "{key} {blank:?}: {:?}", found.problems);
                assert_eq!(found.layers.text(key).unwrap_or_default(), setting.default, "{key} {blank:?} is not set");
            }
        }
        let around = "\u{feff} x \r\n";
        let of_file = file(&format!("{key} = {around:?}\n").replace("\\u{feff}", "\\uFEFF"));
        let sources = [
            found(&[(key, around)], &[], None),
            found(&[], &[(setting.variable, around)], None),
            found(&[], &[], Some(of_file.path())),
        ];
        for found in sources {
            assert_eq!(found.layers.text(key), Some("x"), "{key}");
        }
        let within = "hun\nter2";
        let of_file = file(&format!("{key} = {within:?}\n"));
        let sources = [
            found(&[(key, within)], &[], None),
            found(&[], &[(setting.variable, within)], None),
            found(&[], &[], Some(of_file.path())),
        ];
        for found in sources {
            let told = format!("{:?} {:?}", found.problems, found.layers);
            assert!(told.contains("line ends") && !told.contains("hun"), "{key}: {told}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_tenantry_variable_that_is_not_utf_8_is_an_error() {
    use std::os::unix::ffi::OsStringExt;

    let bytes = || OsString::from_vec(vec![b'h', b'u', 0xff]);
    for name in SETTINGS.iter().map(|setting| setting.variable).chain(["TENANTRY_CONFIG", "TENANTRY_LISTN"]) {
        let told = Config::read(&[], [(name.into(), bytes())].into_iter(), None).usable().unwrap_err().to_string();
        assert!(told.contains(name) && told.contains("UTF-8") && !told.contains("hu\u{fffd}"), "{told}");
    }
    let others = [("PATH".into(), bytes()), (OsString::from_vec(vec![0xff]), "x".into())];
    assert!(Config::read(&[], others.into_iter(), None).usable().is_ok(), "what others set is theirs");
}

#[test]
fn a_file_may_begin_with_a_byte_order_mark() {
    let file = file("\u{feff}log = 'debug'\n");
    assert_eq!(read(&[], &[], Some(file.path())).unwrap().0.log, "debug");
}

#[test]
fn an_older_key_needs_the_one_that_seals() {
    let told = read(&[], &[("TENANTRY_KEK_PREVIOUS", "x")], None).unwrap_err().to_string();
    assert!(told.contains("TENANTRY_KEK") && told.contains("together with kek_previous"), "{told}");
}

#[test]
fn flags_beat_the_environment_which_beats_the_file() {
    let file = file("data_dir = 'file'\nlog = 'file'\nlisten = ['127.0.0.1:1', '127.0.0.1:2']\nmax_tenants = 7\n");
    let env = [("TENANTRY_DATA_DIR", "env"), ("TENANTRY_LOG", "env"), ("TENANTRY_MAX_TENANTS", "")];
    let (config, layers) = read(&[("data_dir", "flag")], &env, Some(file.path())).unwrap();
    assert_eq!(config.data_dir, Path::new("flag"));
    assert_eq!(config.log, "env");
    assert_eq!(config.listen.len(), 2);
    assert_eq!(config.max_tenants, Some(7), "an empty variable is not set");
    let sources: Vec<_> = layers.shown().map(|(setting, _, source)| (setting.key, source)).collect();
    assert!(sources.contains(&("data_dir", Source::Flag)));
    assert!(sources.contains(&("log", Source::Environment)));
    assert!(sources.contains(&("max_tenants", Source::File(file.path().to_owned()))));
    assert!(sources.contains(&("drain_timeout", Source::Default)));
}

#[test]
fn the_file_may_be_named_by_a_variable() {
    let file = file("log = 'debug'\n");
    let (config, _) = read(&[], &[("TENANTRY_CONFIG", file.path().to_str().unwrap())], None).unwrap();
    assert_eq!(config.log, "debug");
}

#[test]
fn variables_of_the_manager_without_an_effect_are_found() {
    let names = ["KUBEOP_REQUIRE_AUTH", "KUBEOP_DB_URL", "PATH", "KUBEOP_AGGREGATOR", "KUBEOP_RATE_MEM_MIB"];
    assert_eq!(unused_of_manager(names.map(OsString::from).into_iter()), ["KUBEOP_AGGREGATOR", "KUBEOP_DB_URL"]);
}

#[test]
fn the_defaults_are_usable() {
    let (config, _) = read(&[], &[("PATH", "/bin"), ("KUBEOP_RATE_CPU_MILLI", "3")], None).unwrap();
    assert_eq!(config.max_body_bytes, 1 << 18);
    assert_eq!(config.request_timeout, Duration::from_secs(30));
    assert!(config.messaging_force_delete && config.messaging_bootstrap.is_none());
    assert_eq!(config.warehouse_edge, EdgeAddress::default());
    assert_eq!(config.max_tenants, None);
    assert!(config.multitenancy && !config.self_service_provisioning);
    assert_eq!(config.features, ["all"]);
    assert_eq!(config.renewal_grace, Duration::from_secs(7 * 24 * 3600));
    assert_eq!((config.mtls_listen, config.trust_domain), (None, TrustDomain::default()));
}

#[test]
fn unknown_keys_and_variables_are_reported_together() {
    let told =
        problems(&[("TENANTRY_LISTN", "x"), ("TENANTRY_MAX_TENANTS", "many")], "colour = 'red'\n[table]\na = 1\n");
    for part in [
        "unknown environment variable TENANTRY_LISTN",
        "unknown key colour",
        "unknown key table",
        "max_tenants (TENANTRY_MAX_TENANTS) must be",
    ] {
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn malformed_values_are_refused_without_being_repeated() {
    for (variable, value) in [
        ("TENANTRY_LISTEN", "hunter2"),
        ("TENANTRY_MTLS_LISTEN", "hunter2"),
        ("TENANTRY_MTLS_LISTEN", "127.0.0.1:1,127.0.0.1:2"),
        ("TENANTRY_TRUST_DOMAIN", "spiffe://hunter2"),
        ("TENANTRY_RENEWAL_GRACE", "91d"),
        ("TENANTRY_RENEWAL_GRACE", "0"),
        ("TENANTRY_MAX_BODY_BYTES", "0"),
        ("TENANTRY_REQUEST_TIMEOUT", "hunter2"),
        ("TENANTRY_REQUEST_TIMEOUT", "0s"),
        ("TENANTRY_MESSAGING_BOOTSTRAP", "hunter2"),
        ("TENANTRY_MULTITENANCY", "hunter2"),
        ("TENANTRY_TRUSTED_PROXIES", "10.0.0.0/8, hunter2"),
        ("TENANTRY_CORS_ORIGINS", "hunter2"),
        ("TENANTRY_CORS_ORIGINS", "*, https://console.example"),
        ("TENANTRY_JWT_KEY", "-----BEGIN PRIVATE KEY-----\nhunter2"),
    ] {
        let told = read(&[], &[(variable, value)], None).unwrap_err().to_string();
        assert!(told.contains(variable) && !told.contains("hunter2"), "{told}");
    }
}

#[test]
fn a_broken_file_is_reported_without_its_content() {
    let told = problems(&[], "qod_api_key = 'hunter2\nlog = ");
    assert!(told.contains("is not valid TOML") && !told.contains("hunter2"), "{told}");
    let told = read(&[], &[], Some(Path::new("/nowhere/tenantry.toml"))).unwrap_err().to_string();
    assert!(told.contains("/nowhere/tenantry.toml"), "{told}");
}

#[test]
fn secrets_are_masked() {
    let env = [
        ("QOD_API_KEY", "hunter2"),
        ("KUBEOP_JWT_SIGNING_KEY", "hunter2"),
        ("TENANTRY_DATABASE_URL", "postgres://me:hunter2@db.example/tenantry?password=hunter2"),
    ];
    let (config, layers) = read(&[], &env, None).unwrap();
    let shown: Vec<_> = layers.shown().map(|(setting, value, _)| format!("{} {value}", setting.key)).collect();
    assert!(shown.contains(&"database_url postgres://***@db.example/tenantry?***".to_owned()), "{shown:?}");
    assert!(!shown.join("\n").contains("hunter2") && !format!("{config:?}").contains("hunter2"));
}

#[test]
fn the_managers_placeholder_is_not_a_key() {
    let (config, _) = read(&[], &[("KUBEOP_JWT_SIGNING_KEY", "REPLACE-ME")], None).unwrap();
    assert!(config.kubeop_jwt_signing_key.is_none());
}

#[test]
fn durations_have_units() {
    assert_eq!(duration("1h"), Some(Duration::from_secs(3600)));
    assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
    for text in ["", "1", "h", "-1s", "1.5h", "1w", "99999999999999999999s", "18446744073709551615d"] {
        assert_eq!(duration(text), None, "{text}");
    }
}

#[test]
fn a_certificate_and_its_key_come_together() {
    let of = |env| read(&[], env, None);
    let told = of(&[("TENANTRY_TLS_CERT", "c.pem")]).unwrap_err().to_string();
    assert!(told.contains("TENANTRY_TLS_KEY") && told.contains("together with tls_cert"), "{told}");
    let told = of(&[("TENANTRY_TLS_KEY", "k.pem")]).unwrap_err().to_string();
    assert!(told.contains("TENANTRY_TLS_CERT") && told.contains("together with tls_key"), "{told}");
    let (config, _) = of(&[("TENANTRY_TLS_CERT", "c.pem"), ("TENANTRY_TLS_KEY", "k.pem")]).unwrap();
    assert_eq!(config.tls, Some(TlsFiles { certificate: "c.pem".into(), key: "k.pem".into() }));
}

#[test]
fn the_edge_of_the_warehouse_has_two_names_for_each_setting() {
    let edge = |env: &[(&str, &str)]| read(&[], env, None).map(|(config, _)| config.warehouse_edge);
    let documented = [("PROXY_PORT", "31000"), ("PROXY_TLS_ENABLED", "false")];
    let wanted = EdgeAddress { host: String::new(), port: 31000, tls: false };
    assert_eq!(edge(&documented).unwrap(), wanted);
    let ours = [
        ("TENANTRY_WAREHOUSE_EDGE_HOST", "sql.example.com"),
        ("TENANTRY_WAREHOUSE_EDGE_PORT", "443"),
        ("TENANTRY_WAREHOUSE_EDGE_TLS", "true"),
    ];
    let wanted = EdgeAddress { host: "sql.example.com".to_owned(), port: 443, tls: true };
    assert_eq!(edge(&[&documented[..], &ours].concat()).unwrap(), wanted);
    // A variable with this name may belong to another program, such as the links of Kubernetes.
    let links = [("PROXY_PORT", "tcp://10.0.0.1:80"), ("PROXY_TLS_ENABLED", "maybe")];
    assert_eq!(edge(&[&links[..], &ours].concat()).unwrap(), wanted);
    assert!(edge(&links).unwrap_err().to_string().contains("proxy_port (PROXY_PORT) must be a port from 1 to 65535"));
    for host in ["::1", "10.0.0.1", "[::1]", "sql"] {
        assert_eq!(edge(&[("TENANTRY_WAREHOUSE_EDGE_HOST", host)]).unwrap().host, host);
    }
    for (variable, value) in [
        ("TENANTRY_WAREHOUSE_EDGE_HOST", "sql:443"),
        ("TENANTRY_WAREHOUSE_EDGE_HOST", "https://sql"),
        ("TENANTRY_WAREHOUSE_EDGE_HOST", "a b"),
        ("TENANTRY_WAREHOUSE_EDGE_HOST", "user@sql"),
        ("TENANTRY_WAREHOUSE_EDGE_PORT", "0"),
        ("TENANTRY_WAREHOUSE_EDGE_PORT", "65536"),
        ("TENANTRY_WAREHOUSE_EDGE_TLS", "maybe"),
    ] {
        assert!(edge(&[(variable, value)]).unwrap_err().to_string().contains(variable), "{value}");
    }
}

#[test]
fn operations_are_kept_for_a_time_that_callers_can_rely_on() {
    let kept = |text: &str| {
        read(&[], &[("TENANTRY_OPERATION_RETENTION", text)], None).map(|(config, _)| config.operation_retention)
    };
    assert_eq!(kept("").unwrap(), Duration::from_secs(30 * 24 * 3600));
    assert_eq!(kept("1m").unwrap(), Duration::from_secs(60));
    for (text, wanted) in [("59s", "from 1m to 3650d"), ("3651d", "from 1m to 3650d"), ("soon", "such as 500ms")] {
        let problem = kept(text).unwrap_err().to_string();
        let named = problem.contains("operation_retention (TENANTRY_OPERATION_RETENTION)");
        assert!(named && problem.contains(wanted), "{problem}");
    }
}

#[test]
fn the_outbox_is_kept_for_a_time_that_followers_can_rely_on() {
    let kept =
        |text: &str| read(&[], &[("TENANTRY_OUTBOX_RETENTION", text)], None).map(|(config, _)| config.outbox_retention);
    assert_eq!(kept("").unwrap(), Duration::from_secs(7 * 24 * 3600));
    assert_eq!(kept("1m").unwrap(), Duration::from_secs(60));
    assert_eq!(kept("3650d").unwrap(), Duration::from_secs(3650 * 24 * 3600));
    for (text, wanted) in [("59s", "from 1m to 3650d"), ("3651d", "from 1m to 3650d"), ("0d", "7d"), ("soon", "7d")] {
        let problem = kept(text).unwrap_err().to_string();
        assert!(
            problem.contains("outbox_retention (TENANTRY_OUTBOX_RETENTION)") && problem.contains(wanted),
            "{problem}"
        );
    }
}

#[test]
fn durations_have_bounds() {
    for (key, shortest, longest, outside) in [
        ("trust_refresh", "1s", "7d", ["999ms", "8d", "100000d", "99999999999d"]),
        ("gateway_heartbeat", "1s", "1d", ["1ms", "25h", "100000d", "99999999999d"]),
        ("request_timeout", "1ms", "1d", ["25h", "2d", "100000d", "99999999999d"]),
        ("drain_timeout", "1ms", "1d", ["25h", "2d", "100000d", "99999999999d"]),
        ("renewal_grace", "1ms", "90d", ["91d", "2161h", "100000d", "99999999999d"]),
        ("outbox_retention", "1m", "3650d", ["59s", "3651d", "100000d", "99999999999d"]),
        ("operation_retention", "1m", "3650d", ["59s", "3651d", "100000d", "99999999999d"]),
    ] {
        let of = |text: &str| read(&[(key, text)], &[], None).map(drop).map_err(|error| error.to_string());
        assert_eq!((of(shortest), of(longest)), (Ok(()), Ok(())), "{key}");
        for text in outside {
            let problem = of(text).unwrap_err();
            assert!(problem.contains(&format!("{key} (")) && problem.contains(longest), "{key} {text}: {problem}");
        }
    }
}

#[test]
fn listeners_do_not_take_the_port_of_another() {
    let of = |listen: &str, mutual: &str| {
        let env = [("TENANTRY_LISTEN", listen), ("TENANTRY_MTLS_LISTEN", mutual)];
        read(&[], &env, None).map(drop).map_err(|error| error.to_string())
    };
    for (listen, mutual, wanted) in [
        ("127.0.0.1:80,127.0.0.1:80", "", "listen (TENANTRY_LISTEN) must not have two addresses"),
        ("0.0.0.0:80,127.0.0.1:81,127.0.0.1:80", "", "0.0.0.0:80 and 127.0.0.1:80"),
        ("[::]:80,[::1]:80", "", "listen (TENANTRY_LISTEN) must not have two addresses"),
        ("127.0.0.1:80", "127.0.0.1:80", "mtls_listen (TENANTRY_MTLS_LISTEN) must not take the port of 127.0.0.1:80"),
        ("127.0.0.1:81,127.0.0.1:80", "0.0.0.0:80", "the port of 127.0.0.1:80 in listen (TENANTRY_LISTEN)"),
        ("[::]:80", "[::1]:80", "mtls_listen (TENANTRY_MTLS_LISTEN) must not take the port of [::]:80"),
    ] {
        let problem = of(listen, mutual).unwrap_err();
        assert!(problem.contains(wanted), "{problem}");
    }
    for (listen, mutual) in [
        ("127.0.0.1:80,127.0.0.1:81", "127.0.0.1:82"),
        ("127.0.0.1:80,127.0.0.2:80", "127.0.0.3:80"),
        ("127.0.0.1:0,127.0.0.1:0", "127.0.0.1:0"),
        ("", "127.0.0.1:80"),
    ] {
        assert_eq!(of(listen, mutual), Ok(()), "{listen} {mutual}");
    }
}

#[test]
fn an_unknown_feature_is_not_shown() {
    let (config, layers) = read(&[], &[("TENANTRY_FEATURES", "all, hunter2")], None).unwrap();
    assert_eq!(config.features, ["all", "hunter2"]);
    let shown: Vec<_> = layers.shown().map(|(setting, value, _)| format!("{} {value}", setting.key)).collect();
    assert!(shown.contains(&"features all,***".to_owned()), "{shown:?}");
}
