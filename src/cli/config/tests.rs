use std::{io::Write, path::Path, time::Duration};

use super::*;

fn read(
    flags: &[(&'static str, &str)],
    env: &[(&str, &str)],
    file: Option<&Path>,
) -> Result<(Config, Layers), ConfigError> {
    let flags: Vec<_> = flags.iter().map(|(k, v)| (*k, (*v).to_owned())).collect();
    Config::read(&flags, env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())), file)
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
fn the_defaults_are_usable() {
    let (config, _) = read(&[], &[("PATH", "/bin"), ("KUBEOP_RATE_CPU_MILLI", "3")], None).unwrap();
    assert_eq!(config.max_body_bytes, 1 << 18);
    assert_eq!(config.request_timeout, Duration::from_secs(30));
    assert!(config.messaging_force_delete && config.messaging_bootstrap.is_none());
    assert_eq!(config.warehouse_edge, EdgeAddress::default());
    assert_eq!(config.max_tenants, None);
    assert!(config.multitenancy && !config.self_service_provisioning);
    assert_eq!(config.features, ["all"]);
}

#[test]
fn unknown_keys_and_variables_are_told_all_at_once() {
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
fn values_out_of_form_are_refused_without_being_repeated() {
    for (variable, value) in [
        ("TENANTRY_LISTEN", "hunter2"),
        ("TENANTRY_MAX_BODY_BYTES", "0"),
        ("TENANTRY_REQUEST_TIMEOUT", "hunter2"),
        ("TENANTRY_REQUEST_TIMEOUT", "0s"),
        ("TENANTRY_MESSAGING_BOOTSTRAP", "hunter2"),
        ("TENANTRY_MULTITENANCY", "hunter2"),
        ("TENANTRY_TRUSTED_PROXIES", "10.0.0.0/8, hunter2"),
        ("TENANTRY_CORS_ORIGINS", "hunter2"),
        ("TENANTRY_CORS_ORIGINS", "*, https://console.example"),
    ] {
        let told = read(&[], &[(variable, value)], None).unwrap_err().to_string();
        assert!(told.contains(variable) && !told.contains("hunter2"), "{told}");
    }
}

#[test]
fn a_broken_file_is_told_without_its_content() {
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
fn the_managers_placeholder_is_no_key() {
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
    // A variable of that name can be another program's, such as a link that Kubernetes makes.
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
