//! The keys and certificates of a server, read from the settings and the files that they name. `dev`, `serve` and
//! `config check` share this code, so that they refuse the same things.

use std::{path::Path, sync::Arc};

use tokio_rustls::rustls::pki_types::CertificateDer;

use super::config::{Config, ConfigError, OpenBaoConfig, Problem, TlsFiles, UNUSABLE, trimmed};
use crate::{
    auth::authn::{
        keys::{KeyError, Keys},
        legacy_tokens::{ApiKey, ManagerKey},
    },
    base::{
        Secret, pem, private_file,
        setting_file::{self, DEV_MARK},
    },
    controlplane::{
        licensing::{FEATURES, is_feature},
        migrations::TenantMigrations,
        provisioning::check_address,
    },
    openbao::{Credential, InvalidName, OpenBao, OpenBaoSettings, SecretId, transit},
    providers::provisioner::Provisioner,
    server::{Tls, logs, tls::TlsError},
    store::{self, Kek, Keyring},
};

/// The purpose of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// For any command.
    Any,
    /// For `serve`, which refuses what is only good for development.
    Production,
}

/// The minimum length of the warehouse's static key in production, in bytes: approximately 128 bits in base64.
const LEAST_API_KEY: usize = 20;

/// Loaded keys and certificates.
pub(super) struct Material {
    /// The token signing key, if a file is configured.
    pub keys: Option<Keys>,
    /// The previous signing key.
    pub previous_keys: Option<Keys>,
    /// The manager's shared key.
    pub manager_key: Option<ManagerKey>,
    /// The warehouse's static key.
    pub warehouse_key: Option<ApiKey>,
    /// The key-encryption keys.
    pub keyring: Option<Keyring>,
    /// The certificate of the listeners.
    pub tls: Option<Tls>,
    /// The client of OpenBAO, if it is used. It has made no call.
    pub openbao: Option<OpenBao>,
    /// The server of the databases of tenants.
    pub provisioner: Option<Provisioner>,
    /// The migrations for the databases of tenants.
    pub migrations: Arc<TenantMigrations>,
    /// Suspicious settings that do not prevent a start.
    pub warnings: Vec<String>,
}

impl Material {
    /// The keys of the configured files; `signing` replaces a missing signing key.
    pub fn keys_or(&mut self, signing: impl FnOnce() -> Result<Keys, KeyError>) -> Result<Keys, KeyError> {
        let keys = match self.keys.take() {
            Some(keys) => keys,
            None => signing()?,
        };
        Ok(match self.previous_keys.take() {
            Some(previous) => previous.rotated(keys),
            None => keys,
        })
    }

    /// Reads everything, and reports all problems together.
    pub fn read(config: &Config, purpose: Purpose) -> Result<Self, ConfigError> {
        let mut reader = Reader { config, purpose, problems: Vec::new() };
        reader.check_texts();
        let openbao = reader.openbao();
        let material = Self {
            keys: reader.keys("jwt_key", config.jwt_key.as_deref()),
            previous_keys: reader.keys("jwt_key_previous", config.jwt_key_previous.as_deref()),
            manager_key: reader.manager_key(),
            warehouse_key: reader.warehouse_key(),
            keyring: reader.keyring(openbao.as_ref()),
            tls: reader.tls(),
            openbao,
            provisioner: reader.provisioner(),
            migrations: reader.migrations(),
            warnings: warnings(config),
        };
        if purpose == Purpose::Production {
            reader.check_production();
        }
        match (reader.problems.is_empty(), purpose) {
            (true, _) => Ok(material),
            (false, Purpose::Any) => Err(ConfigError { title: UNUSABLE, problems: reader.problems }),
            (false, Purpose::Production) => Err(ConfigError {
                title: "the configuration is not suitable for production",
                problems: reader.problems,
            }),
        }
    }
}

/// Reads a key-encryption key: the setting is the name of a file with it, or the key itself.
pub(super) fn read_kek(setting: &Secret<String>) -> Result<Kek, String> {
    let file = Path::new(setting.expose());
    if !file.is_file() {
        let rule = "must be a file, a 32-byte key in base64, or openbao: and the name of a key of OpenBAO";
        return Kek::from_base64(setting).map_err(|_| rule.to_owned());
    }
    let name = setting_file::shown(file);
    let text = setting_file::read_text(file).map_err(|error| format!("names the file {name}: {error}"))?;
    let text = Secret::new(trimmed(text.strip_prefix(DEV_MARK).unwrap_or(&text)).to_owned());
    Kek::from_base64(&text)
        .map_err(|_| format!("names the file {name}, which does not contain a 32-byte key in base64"))
}

struct Reader<'a> {
    config: &'a Config,
    purpose: Purpose,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn problem(&mut self, key: &'static str, what: impl std::fmt::Display) {
        self.problems.push(Problem::of(key, what));
    }

    /// The value, or `None` after recording a problem of the setting.
    fn noted<T, E: std::fmt::Display>(&mut self, key: &'static str, value: Result<T, E>) -> Option<T> {
        value.map_err(|error| self.problem(key, error)).ok()
    }

    fn check_texts(&mut self) {
        if !logs::is_filter(&self.config.log) {
            self.problem("log", "must be a log filter, such as info or tenantry=debug");
        }
        if let Some(url) = &self.config.database_url
            && let Err(error) = store::check_url(url)
        {
            self.problem("database_url", format_args!("is not usable: {error}"));
        }
    }

    fn keys(&mut self, key: &'static str, path: Option<&Path>) -> Option<Keys> {
        let path = path?;
        let keys = match self.purpose {
            Purpose::Any => Keys::load(path, None),
            Purpose::Production => Keys::load_strict(path, None),
        };
        let keys = keys.map_err(|error| match std::error::Error::source(&error) {
            Some(source) => format!("is not usable: {error}: {source}"),
            None => format!("is not usable: {error}"),
        });
        self.noted(key, keys)
    }

    fn manager_key(&mut self) -> Option<ManagerKey> {
        let key = ManagerKey::from_base64(self.config.kubeop_jwt_signing_key.as_ref()?);
        self.noted("kubeop_jwt_signing_key", key.map_err(|error| format!("is not usable: {error}")))
    }

    fn warehouse_key(&mut self) -> Option<ApiKey> {
        let text = self.config.qod_api_key.as_ref()?;
        if self.purpose == Purpose::Production && text.expose().len() < LEAST_API_KEY {
            let make = "make one with `openssl rand -hex 32`";
            self.problem("qod_api_key", format_args!("must have at least {LEAST_API_KEY} characters: {make}"));
        }
        ApiKey::new(text)
    }

    fn keyring(&mut self, openbao: Option<&OpenBao>) -> Option<Keyring> {
        let current = self.kek("kek", self.config.kek.as_ref(), openbao);
        let previous = self.kek("kek_previous", self.config.kek_previous.as_ref(), openbao);
        Some(Keyring::new(current?, previous))
    }

    fn kek(&mut self, key: &'static str, setting: Option<&Secret<String>>, openbao: Option<&OpenBao>) -> Option<Kek> {
        if let Some(name) = setting?.expose().strip_prefix(transit::BEGIN) {
            return self.transit_kek(key, name, openbao);
        }
        let kek = read_kek(setting?);
        if kek.is_ok() && self.purpose == Purpose::Production {
            let file = Path::new(setting?.expose());
            // A setting that is not a file is the key itself.
            if setting_file::read_text(file).is_ok_and(|text| text.starts_with(DEV_MARK)) {
                let file = setting_file::shown(file);
                self.problem(
                    key,
                    format_args!("names the file {file}, which was made by `tenantry dev` and is for development only"),
                );
            }
            if private_file::is_exposed(file).unwrap_or_default() {
                let file = setting_file::shown(file);
                self.problem(
                    key,
                    format_args!("names the file {file}, which is readable by other users: chmod 600 it"),
                );
            }
        }
        self.noted(key, kek)
    }

    /// A key of OpenBAO, with a name as in `openbao:NAME`.
    fn transit_kek(&mut self, key: &'static str, name: &str, openbao: Option<&OpenBao>) -> Option<Kek> {
        let name = self.noted(
            key,
            name.parse().map_err(|error: InvalidName| format!("names a key of OpenBAO, whose name {error}")),
        )?;
        match openbao {
            Some(openbao) => Some(transit::kek(openbao, name)),
            // If the client cannot be made, that is a problem of its own settings.
            None if self.config.openbao.is_some() => None,
            None => {
                self.problem(key, "names a key of OpenBAO, which needs openbao_addr (TENANTRY_OPENBAO_ADDR)");
                None
            }
        }
    }

    fn tls(&mut self) -> Option<Tls> {
        let TlsFiles { certificate, key } = self.config.tls.as_ref()?;
        let of = |error: &TlsError| match error {
            TlsError::NoKey { .. } | TlsError::KeyFile { .. } => "tls_key",
            _ => "tls_cert",
        };
        let loaded = Tls::load(certificate, key);
        if let Err(error) = &loaded {
            self.problem(of(error), format_args!("is not usable: {error}"));
        }
        // The certificate is read first, and a problem of the key would not be reported: its value would be shown.
        if loaded.as_ref().is_err_and(|error| of(error) != "tls_key")
            && let Err(error) = setting_file::read(key)
        {
            let path = setting_file::shown(key);
            self.problem("tls_key", format_args!("is not usable: cannot read TLS file {path}: {error}"));
        }
        loaded.ok()
    }

    fn openbao(&mut self) -> Option<OpenBao> {
        let OpenBaoConfig { address, credential, namespace, ca_file, timeout } = self.config.openbao.clone()?;
        self.check_openbao_file(&credential);
        let authorities = match &ca_file {
            Some(file) => Some(self.authorities("openbao_ca_file", file)?),
            None => None,
        };
        let settings = OpenBaoSettings { address, credential, namespace, authorities, timeout };
        let key = if ca_file.is_some() { "openbao_ca_file" } else { "openbao_addr" };
        self.noted(key, OpenBao::new(settings).map_err(|error| format!("is not usable: {error}")))
    }

    /// Checks the file of a credential, which the server reads again whenever it needs it.
    fn check_openbao_file(&mut self, credential: &Credential) {
        let (key, file) = match credential {
            Credential::Token(_) => return,
            Credential::TokenFile(file) => ("openbao_token_file", file),
            Credential::AppRole { secret_id: SecretId::File(file), .. } => ("openbao_secret_id_file", file),
            Credential::AppRole { secret_id: SecretId::WrappedFile(file), .. } => {
                ("openbao_wrapped_secret_id_file", file)
            }
        };
        let name = setting_file::shown(file);
        match setting_file::read_text(file) {
            Err(error) => self.problem(key, format_args!("names the file {name}: {error}")),
            Ok(text) if trimmed(&text).is_empty() => {
                self.problem(key, format_args!("names the file {name}, which is empty"))
            }
            Ok(_) if self.purpose == Purpose::Production && private_file::is_exposed(file).unwrap_or_default() => {
                self.problem(
                    key,
                    format_args!("names the file {name}, which is readable by other users: chmod 600 it"),
                );
            }
            Ok(_) => {}
        }
    }

    /// The certificates in a file.
    fn authorities(&mut self, key: &'static str, file: &Path) -> Option<Vec<CertificateDer<'static>>> {
        let name = setting_file::shown(file);
        let content = setting_file::read(file).map_err(|error| format!("names the file {name}: {error}"));
        let content = self.noted(key, content)?;
        self.noted(key, pem::certificates(&content).map_err(|fault| format!("names the file {name}, which {fault}")))
    }

    fn provisioner(&mut self) -> Option<Provisioner> {
        let provisioner = Provisioner::at(self.config.provisioner_url.as_ref()?).and_then(|provisioner| {
            // OpenBAO connects to the same server, from another machine or not.
            if self.config.openbao.is_some() {
                check_address(&provisioner)?;
            }
            Ok(provisioner)
        });
        self.noted("provisioner_url", provisioner.map_err(|error| format!("is not usable: {error}")))
    }

    /// The migrations of the program, or those in the directory that replaces them.
    fn migrations(&mut self) -> Arc<TenantMigrations> {
        let read = match &self.config.tenant_migrations {
            Some(directory) => TenantMigrations::read(directory),
            None => TenantMigrations::embedded(),
        };
        let read = read.map_err(|error| format!("is not usable: {error}"));
        Arc::new(self.noted("tenant_migrations", read).unwrap_or_default())
    }

    /// Additional checks of `serve`.
    fn check_production(&mut self) {
        if self.config.jwt_key.is_none() {
            self.problem("jwt_key", "is not set: the file with the Ed25519 key that signs tokens");
        }
        if self.config.database_url.is_none() {
            self.problem("database_url", "is missing: postgres://... or sqlite:FILE");
        }
        if self.config.listen.is_empty() {
            self.problem("listen", "is missing: the addresses to listen on");
        }
        if self.config.kubeop_require_auth == Some(false) {
            self.problem(
                "kubeop_require_auth",
                "must not be false: only dev runs without authentication, for local demos",
            );
        }
    }
}

/// Unknown features may belong to another part of the platform, or be misspelt. They are not repeated, because they may be misplaced
/// secrets. Without TLS, everyone on the path to OpenBAO can read its tokens.
fn warnings(config: &Config) -> Vec<String> {
    let unknown = config.features.iter().enumerate().filter(|(_, word)| !is_feature(word));
    let shown = unknown.map(|(at, _)| {
        let known = FEATURES.join(", ");
        format!(
            "features (TENANTRY_FEATURES) has an unknown feature at position {}; the known ones are {known}",
            at + 1
        )
    });
    let plain = config.openbao.iter().filter(|bao| !bao.address.is_https() && !bao.address.is_loopback());
    let plain = plain.map(|_| {
        "openbao_addr (TENANTRY_OPENBAO_ADDR) has no https://, so tokens and passwords cross the network unencrypted".to_owned()
    });
    shown.chain(plain).collect()
}
