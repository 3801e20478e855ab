//! Parses texts to typed values.

use std::{num::NonZero, str::FromStr, time::Duration};

use super::{Config, Layers, OpenBaoConfig, Problem, TlsFiles, listeners};
use crate::{
    base::{Secret, host::is_host},
    openbao::{Address, Credential, SecretId},
    server::layers::TrustedProxies,
    warehouse::EdgeAddress,
};

/// The manager document's placeholder for a key that is not set.
const PLACEHOLDER: &str = "REPLACE-ME";

/// Descriptions of values that several settings share.
const NETWORKS: &str = "a comma-separated list of networks such as 10.0.0.0/8 or single addresses";
const PUBLIC_URL: &str = "a URL such as https://tenantry.example.com, without a query";
const OPENBAO: &str = "a URL such as https://openbao.example.com:8200, without a path or credentials";
const NAMESPACE: &str = "a namespace such as platform/production";
const TRUST_DOMAIN: &str = "a name of at most 255 lower-case letters, digits, dots, dashes and underscores";
const HOST: &str = "a host name or an address, without a port";
const SUBJECTS: &str = "a comma-separated list of token subjects";
const RATE: &str = "a decimal such as 0.000001, with at most 9 digits before the point and 12 after it";
const REGISTRIES: &str = "a comma-separated list of registries such as docker.io or registry.example.com:5000";
const ORIGINS: &str =
    "a comma-separated list of origins such as https://console.example.com, without a path; or only *";

/// Parses every setting; an invalid one adds a problem and gets a harmless value, which is not used.
///
/// A consumer asks three times for anchors before a new key is used, and an anchor set is valid for 30 days, so that the interval is at most
/// a week. Retention is at least a minute, below which no follower could restart.
pub(super) fn config(layers: &Layers, problems: &mut Vec<Problem>) -> Config {
    let mut p = Parser { layers, problems };
    let config = Config {
        listen: p.list("listen", "an address with a port, such as 127.0.0.1:8080"),
        mtls_listen: p.value("mtls_listen", "an address with a port, such as 0.0.0.0:18443"),
        trust_domain: p.value("trust_domain", TRUST_DOMAIN).unwrap_or_default(),
        trust_refresh: p.between("trust_refresh", "1s", "7d"),
        gateway_heartbeat: p.between("gateway_heartbeat", "1s", "1d"),
        renewal_grace: p.grace("renewal_grace"),
        canary_min_reports: p.bounded("canary_min_reports", 1, 1_000_000),
        data_dir: p.text("data_dir").unwrap_or_default().into(),
        database_url: p.text("database_url").map(Secret::new),
        database_connections: p.bounded("database_connections", 2, 1000),
        jwt_key: p.text("jwt_key").map(Into::into),
        jwt_key_previous: p.text("jwt_key_previous").map(Into::into),
        kek: p.text("kek").map(Secret::new),
        kek_previous: p.previous_kek().map(Secret::new),
        tls: p.tls(),
        trusted_proxies: p.trusted_proxies(),
        cors_origins: p.value("cors_origins", ORIGINS).unwrap_or_default(),
        log: p.text("log").unwrap_or_default(),
        max_body_bytes: p.bounded("max_body_bytes", 1024, 1 << 30),
        max_in_flight: p.bounded("max_in_flight", 1, 1_000_000),
        request_timeout: p.between("request_timeout", "1ms", "1d"),
        drain_timeout: p.between("drain_timeout", "1ms", "1d"),
        outbox_retention: p.between("outbox_retention", "1m", "3650d"),
        operation_retention: p.between("operation_retention", "1m", "3650d"),
        max_tenants: p.value("max_tenants", "a whole number"),
        multitenancy: p.bool("multitenancy").unwrap_or_default(),
        features: p.list("features", "a list of words"),
        self_service_provisioning: p.bool("self_service_provisioning").unwrap_or_default(),
        provisioner_url: p.text("provisioner_url").map(Secret::new),
        provision_timeout: p.between("provision_timeout", "100ms", "5m"),
        tenant_migrations: p.text("tenant_migrations").map(Into::into),
        suspend_disconnects: p.suspend_disconnects(),
        max_database_leases: p.bounded("max_database_leases", 1, 100_000),
        messaging_bootstrap: p.bool("messaging_bootstrap"),
        messaging_force_delete: p.bool("messaging_force_delete").unwrap_or_default(),
        public_url: p.value("public_url", PUBLIC_URL),
        local_url: None,
        warehouse_edge: p.warehouse_edge(),
        messaging_proxy_roles: p.value("messaging_proxy_roles", SUBJECTS).unwrap_or_default(),
        openbao: p.openbao(),
        kubeop_jwt_signing_key: p.text("kubeop_jwt_signing_key").filter(|key| key != PLACEHOLDER).map(Secret::new),
        kubeop_require_auth: p.bool("kubeop_require_auth"),
        kubeop_image_allowlist: p.list("kubeop_image_allowlist", REGISTRIES),
        image_policy: p.value("image_policy", "open or closed").unwrap_or_default(),
        kubeop_rate_cpu_milli: p.value("kubeop_rate_cpu_milli", RATE).unwrap_or_default(),
        kubeop_rate_mem_mib: p.value("kubeop_rate_mem_mib", RATE).unwrap_or_default(),
        billing_close_after: p.between("billing_close_after", "1h", "60d"),
        qod_api_key: p.text("qod_api_key").map(Secret::new),
    };
    problems.extend(listeners::problems(&config));
    config
}

/// The settings of the credential for OpenBAO.
const OPENBAO_CREDENTIALS: [&str; 5] = [
    "openbao_token",
    "openbao_token_file",
    "openbao_role_id",
    "openbao_secret_id_file",
    "openbao_wrapped_secret_id_file",
];

/// A host name or an address, without a port.
struct HostName(String);

impl FromStr for HostName {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if is_host(text) { Ok(Self(text.to_owned())) } else { Err(()) }
    }
}

struct Parser<'a> {
    layers: &'a Layers,
    problems: &'a mut Vec<Problem>,
}

impl Parser<'_> {
    fn text(&self, key: &str) -> Option<String> {
        self.layers.text(key).map(str::to_owned)
    }

    /// Records a problem with a setting. The value is not repeated: it may be a misplaced secret.
    fn problem(&mut self, key: &'static str, wanted: &str) {
        self.problems.push(Problem::of(key, format_args!("must be {wanted}")));
    }

    fn value<T: FromStr>(&mut self, key: &'static str, wanted: &str) -> Option<T> {
        let text = self.text(key)?;
        let value = text.parse().ok();
        if value.is_none() {
            self.problem(key, wanted);
        }
        value
    }

    fn bounded<T: TryFrom<u64> + Default>(&mut self, key: &'static str, least: u64, most: u64) -> T {
        let wanted = format!("a whole number from {least} to {most}");
        let Some(number) = self.value::<u64>(key, &wanted) else { return T::default() };
        if !(least..=most).contains(&number) {
            self.problem(key, &wanted);
        }
        T::try_from(number).unwrap_or_default()
    }

    fn bool(&mut self, key: &'static str) -> Option<bool> {
        let text = self.text(key)?.to_ascii_lowercase();
        match text.as_str() {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => {
                self.problem(key, "true or false");
                None
            }
        }
    }

    /// The proxies, and the headers that they write.
    fn trusted_proxies(&mut self) -> TrustedProxies {
        let headers = self.value("proxy_headers", "x-forwarded or forwarded").unwrap_or_default();
        self.value::<TrustedProxies>("trusted_proxies", NETWORKS).unwrap_or_default().that_write(headers)
    }

    /// At most 90 days, or none.
    fn grace(&mut self, key: &'static str) -> Duration {
        if self.text(key).as_deref() == Some("0s") {
            return Duration::ZERO;
        }
        let grace = self.duration(key);
        if grace > Duration::from_secs(90 * 24 * 3600) {
            self.problem(key, "a duration of at most 90d");
        }
        grace
    }

    /// A duration within these bounds.
    fn between(&mut self, key: &'static str, least: &str, most: &str) -> Duration {
        let given = self.duration(key);
        let is_short = duration(least).is_some_and(|least| given < least);
        let is_long = duration(most).is_some_and(|most| given > most);
        // Zero: not a duration, which is a problem already.
        if !given.is_zero() && (is_short || is_long) {
            self.problem(key, &format!("a duration from {least} to {most}"));
        }
        given
    }

    /// The certificate and its key; one without the other is a problem.
    fn tls(&mut self) -> Option<TlsFiles> {
        match (self.text("tls_cert"), self.text("tls_key")) {
            (Some(certificate), Some(key)) => Some(TlsFiles { certificate: certificate.into(), key: key.into() }),
            (Some(_), None) => {
                self.problem("tls_key", "set together with tls_cert");
                None
            }
            (None, Some(_)) => {
                self.problem("tls_cert", "set together with tls_key");
                None
            }
            (None, None) => None,
        }
    }

    /// Only a provisioner can end the sessions.
    fn suspend_disconnects(&mut self) -> bool {
        let disconnects = self.bool("suspend_disconnects").unwrap_or_default();
        if disconnects && self.text("provisioner_url").is_none() {
            self.problem("suspend_disconnects", "set only together with provisioner_url (TENANTRY_PROVISIONER_URL)");
        }
        disconnects
    }

    /// OpenBAO: its address and exactly one credential, or none of its settings.
    fn openbao(&mut self) -> Option<OpenBaoConfig> {
        let timeout = self.between("openbao_timeout", "100ms", "5m");
        let (ca_file, namespace) = (self.text("openbao_ca_file"), self.value("openbao_namespace", NAMESPACE));
        let credential = self.openbao_credential();
        if self.text("openbao_addr").is_none() {
            let others = [OPENBAO_CREDENTIALS.as_slice(), &["openbao_namespace", "openbao_ca_file"]].concat();
            if let Some(other) = others.into_iter().find(|key| self.text(key).is_some()) {
                self.problem("openbao_addr", &format!("set together with {other}"));
            }
            return None;
        }
        let address = self.value("openbao_addr", OPENBAO);
        if credential.is_none() && OPENBAO_CREDENTIALS.iter().all(|key| self.text(key).is_none()) {
            let wanted =
                "set together with openbao_token, openbao_token_file, or openbao_role_id and the file of its secret id";
            self.problem("openbao_addr", wanted);
        }
        let address: Address = address?;
        if ca_file.is_some() && !address.is_https() {
            self.problem("openbao_ca_file", "set only if openbao_addr begins with https://");
        }
        Some(OpenBaoConfig { address, credential: credential?, namespace, ca_file: ca_file.map(Into::into), timeout })
    }

    /// The credential. Two of them contradict each other.
    fn openbao_credential(&mut self) -> Option<Credential> {
        let [token, token_file, role_id, file, wrapped] = OPENBAO_CREDENTIALS.map(|key| self.text(key));
        let is_role = role_id.is_some() || file.is_some() || wrapped.is_some();
        let kinds = [token.is_some(), token_file.is_some(), is_role];
        if kinds.into_iter().filter(|is_set| *is_set).count() > 1 {
            let key = if token.is_some() { "openbao_token" } else { "openbao_token_file" };
            self.problem(
                key,
                "the only credential for OpenBAO: a token, a file with a token, or a role id with its secret id",
            );
            return None;
        }
        if let Some(token) = token {
            return Some(Credential::Token(Secret::new(token)));
        }
        if let Some(file) = token_file {
            return Some(Credential::TokenFile(file.into()));
        }
        let secret_id = match (file, wrapped) {
            (Some(file), None) => SecretId::File(file.into()),
            (None, Some(file)) => SecretId::WrappedFile(file.into()),
            (Some(_), Some(_)) => {
                self.problem("openbao_secret_id_file", "set without openbao_wrapped_secret_id_file");
                return None;
            }
            (None, None) => {
                if role_id.is_some() {
                    let wanted = "set together with openbao_secret_id_file or openbao_wrapped_secret_id_file";
                    self.problem("openbao_role_id", wanted);
                }
                return None;
            }
        };
        let Some(role_id) = role_id else {
            self.problem("openbao_role_id", "set together with the file of its secret id");
            return None;
        };
        Some(Credential::AppRole { role_id: Secret::new(role_id), secret_id })
    }

    /// The address to which clients of the warehouse send their queries. The variables of its own document are a
    /// fallback. If ours are set, they are not even parsed, because other programs use them too.
    fn warehouse_edge(&mut self) -> EdgeAddress {
        let usual = EdgeAddress::default();
        let port = if self.text("warehouse_edge_port").is_some() { "warehouse_edge_port" } else { "proxy_port" };
        let tls = if self.text("warehouse_edge_tls").is_some() { "warehouse_edge_tls" } else { "proxy_tls_enabled" };
        EdgeAddress {
            host: self.value::<HostName>("warehouse_edge_host", HOST).map_or(usual.host, |host| host.0),
            port: self.value::<NonZero<u16>>(port, "a port from 1 to 65535").map_or(usual.port, NonZero::get),
            tls: self.bool(tls).unwrap_or(usual.tls),
        }
    }

    /// The previous key-encryption key, which requires the current one.
    fn previous_kek(&mut self) -> Option<String> {
        let previous = self.text("kek_previous");
        if previous.is_some() && self.text("kek").is_none() {
            self.problem("kek", "set together with kek_previous");
        }
        previous
    }

    fn list<T: FromStr>(&mut self, key: &'static str, wanted: &str) -> Vec<T> {
        let Some(text) = self.text(key) else { return Vec::new() };
        let items: Result<Vec<T>, _> = text.split(',').map(|item| item.trim().parse()).collect();
        items.unwrap_or_else(|_| {
            self.problem(key, wanted);
            Vec::new()
        })
    }

    fn duration(&mut self, key: &'static str) -> Duration {
        let value = self.text(key).and_then(|text| duration(&text));
        if value.is_none() {
            self.problem(key, "a duration such as 500ms, 30s, 15m, 24h or 7d");
        }
        value.unwrap_or_default()
    }
}

/// Parses a duration: a positive integer and a unit of `ms`, `s`, `m`, `h` or `d`.
pub fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let unit = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..unit].parse().ok()?;
    let millis = match &text[unit..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(millis).filter(|millis| *millis > 0).map(Duration::from_millis)
}
