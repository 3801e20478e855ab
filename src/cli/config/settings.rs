//! All settings in one table: the key in the file, the variable, the default.

use std::ffi::OsString;

#[derive(Debug)]
pub struct Setting {
    /// Key in the TOML file.
    pub key: &'static str,
    /// Environment variable.
    pub variable: &'static str,
    /// The default value in `config check`; empty if there is none.
    pub default: &'static str,
    /// How `config check` shows the value.
    pub show: Show,
}

/// How `config check` prints a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    Plain,
    /// The name of a file: only if it certainly is one, because it may be the key that belongs into the file.
    File,
    /// The name of a directory.
    Directory,
    /// A log filter.
    Filter,
    /// A port or a switch. Only a short word: if the setting is not used, its value is not parsed, and may belong to
    /// another program.
    Short,
    /// The URL of a database: without user, password and query.
    Database,
    /// The features of a license, without unknown words.
    Features,
    /// Masked.
    Masked,
}

/// The variable that names the TOML file.
pub const CONFIG_VARIABLE: &str = "TENANTRY_CONFIG";
/// Prefix of our variables: an unknown one is an error.
pub const PREFIX: &str = "TENANTRY_";

macro_rules! setting {
    ($key:literal, $variable:literal, $default:literal, $show:ident) => {
        Setting { key: $key, variable: $variable, default: $default, show: Show::$show }
    };
}

/// The settings. Some belong to one surface and have the name from its document.
pub const SETTINGS: &[Setting] = &[
    setting!("listen", "TENANTRY_LISTEN", "", Plain),
    setting!("mtls_listen", "TENANTRY_MTLS_LISTEN", "", Plain),
    setting!("trust_domain", "TENANTRY_TRUST_DOMAIN", "tenantry.local", Plain),
    setting!("trust_refresh", "TENANTRY_TRUST_REFRESH", "300s", Plain),
    setting!("gateway_heartbeat", "TENANTRY_GATEWAY_HEARTBEAT", "30s", Plain),
    setting!("renewal_grace", "TENANTRY_RENEWAL_GRACE", "7d", Plain),
    setting!("canary_min_reports", "TENANTRY_CANARY_MIN_REPORTS", "1", Plain),
    setting!("data_dir", "TENANTRY_DATA_DIR", ".tenantry", Directory),
    setting!("database_url", "TENANTRY_DATABASE_URL", "", Database),
    setting!("database_connections", "TENANTRY_DATABASE_CONNECTIONS", "10", Plain),
    setting!("jwt_key", "TENANTRY_JWT_KEY", "", File),
    setting!("jwt_key_previous", "TENANTRY_JWT_KEY_PREVIOUS", "", File),
    setting!("kek", "TENANTRY_KEK", "", Masked),
    setting!("kek_previous", "TENANTRY_KEK_PREVIOUS", "", Masked),
    setting!("tls_cert", "TENANTRY_TLS_CERT", "", File),
    setting!("tls_key", "TENANTRY_TLS_KEY", "", File),
    setting!("trusted_proxies", "TENANTRY_TRUSTED_PROXIES", "", Plain),
    setting!("proxy_headers", "TENANTRY_PROXY_HEADERS", "x-forwarded", Plain),
    setting!("cors_origins", "TENANTRY_CORS_ORIGINS", "", Plain),
    setting!("log", "TENANTRY_LOG", "info", Filter),
    setting!("max_body_bytes", "TENANTRY_MAX_BODY_BYTES", "262144", Plain),
    setting!("max_in_flight", "TENANTRY_MAX_IN_FLIGHT", "1024", Plain),
    setting!("request_timeout", "TENANTRY_REQUEST_TIMEOUT", "30s", Plain),
    setting!("drain_timeout", "TENANTRY_DRAIN_TIMEOUT", "25s", Plain),
    setting!("outbox_retention", "TENANTRY_OUTBOX_RETENTION", "7d", Plain),
    setting!("operation_retention", "TENANTRY_OPERATION_RETENTION", "30d", Plain),
    setting!("max_tenants", "TENANTRY_MAX_TENANTS", "", Plain),
    setting!("multitenancy", "TENANTRY_MULTITENANCY", "true", Plain),
    setting!("features", "TENANTRY_FEATURES", "all", Features),
    setting!("self_service_provisioning", "TENANTRY_SELF_SERVICE_PROVISIONING", "false", Plain),
    setting!("provisioner_url", "TENANTRY_PROVISIONER_URL", "", Database),
    setting!("provision_timeout", "TENANTRY_PROVISION_TIMEOUT", "30s", Plain),
    setting!("tenant_migrations", "TENANTRY_TENANT_MIGRATIONS", "", Directory),
    setting!("suspend_disconnects", "TENANTRY_SUSPEND_DISCONNECTS", "false", Plain),
    setting!("max_database_leases", "TENANTRY_MAX_DATABASE_LEASES", "100", Plain),
    setting!("messaging_bootstrap", "TENANTRY_MESSAGING_BOOTSTRAP", "", Plain),
    setting!("messaging_force_delete", "TENANTRY_MESSAGING_FORCE_DELETE", "true", Plain),
    setting!("public_url", "TENANTRY_PUBLIC_URL", "", Plain),
    setting!("warehouse_edge_host", "TENANTRY_WAREHOUSE_EDGE_HOST", "", Plain),
    setting!("warehouse_edge_port", "TENANTRY_WAREHOUSE_EDGE_PORT", "", Plain),
    setting!("warehouse_edge_tls", "TENANTRY_WAREHOUSE_EDGE_TLS", "", Plain),
    setting!("messaging_proxy_roles", "TENANTRY_MESSAGING_PROXY_ROLES", "", Plain),
    setting!("openbao_addr", "TENANTRY_OPENBAO_ADDR", "", Plain),
    setting!("openbao_token", "TENANTRY_OPENBAO_TOKEN", "", Masked),
    setting!("openbao_token_file", "TENANTRY_OPENBAO_TOKEN_FILE", "", File),
    setting!("openbao_role_id", "TENANTRY_OPENBAO_ROLE_ID", "", Masked),
    setting!("openbao_secret_id_file", "TENANTRY_OPENBAO_SECRET_ID_FILE", "", File),
    setting!("openbao_wrapped_secret_id_file", "TENANTRY_OPENBAO_WRAPPED_SECRET_ID_FILE", "", File),
    setting!("openbao_namespace", "TENANTRY_OPENBAO_NAMESPACE", "", Plain),
    setting!("openbao_ca_file", "TENANTRY_OPENBAO_CA_FILE", "", File),
    setting!("openbao_timeout", "TENANTRY_OPENBAO_TIMEOUT", "10s", Plain),
    setting!("kubeop_jwt_signing_key", "KUBEOP_JWT_SIGNING_KEY", "", Masked),
    setting!("kubeop_require_auth", "KUBEOP_REQUIRE_AUTH", "", Plain),
    setting!("kubeop_image_allowlist", "KUBEOP_IMAGE_ALLOWLIST", "", Plain),
    setting!("image_policy", "TENANTRY_IMAGE_POLICY", "open", Plain),
    setting!("kubeop_rate_cpu_milli", "KUBEOP_RATE_CPU_MILLI", "0.000001", Plain),
    setting!("kubeop_rate_mem_mib", "KUBEOP_RATE_MEM_MIB", "0.0000002", Plain),
    setting!("billing_close_after", "TENANTRY_BILLING_CLOSE_AFTER", "72h", Plain),
    setting!("qod_api_key", "QOD_API_KEY", "", Masked),
    setting!("proxy_port", "PROXY_PORT", "", Short),
    setting!("proxy_tls_enabled", "PROXY_TLS_ENABLED", "", Short),
];

/// The setting with this key.
pub fn by_key(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

pub fn by_variable(variable: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.variable == variable)
}

/// Variables of the manager's document that are set and have no effect here, by their names.
pub fn unused_of_manager(names: impl Iterator<Item = OsString>) -> Vec<String> {
    let names = names.map(|name| name.to_string_lossy().into_owned());
    let mut unused: Vec<_> = names.filter(|name| name.starts_with("KUBEOP_") && by_variable(name).is_none()).collect();
    unused.sort();
    unused
}

/// An external text without a byte order mark and surrounding white space, which editors and secret stores add.
pub fn trimmed(text: &str) -> &str {
    text.trim_start_matches('\u{feff}').trim()
}
