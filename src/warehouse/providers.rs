//! Identity providers of tenants and their configuration (document 003, "Create a tenant"; warehouse contract, section
//! 3.6).

use std::{collections::BTreeMap, fmt, str::FromStr};

use http::Uri;

use crate::base::{Error, Result, error::Reason, words::quoted};

/// The mask for a secret.
pub const MASK: &str = "***";
/// Maximum number of keys in a configuration.
const MAX_KEYS: usize = 32;
const MAX_KEY: usize = 64;
const MAX_VALUE: usize = 2048;

pub type Config = BTreeMap<String, String>;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Provider {
    /// Cognito.
    Aws,
    Azure,
    /// Our own accounts.
    #[default]
    Db,
    /// Google Workspace.
    Google,
    Keycloak,
}

impl Provider {
    pub const ALL: [Self; 5] = [Self::Aws, Self::Azure, Self::Db, Self::Google, Self::Keycloak];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Azure => "azure",
            Self::Db => "db",
            Self::Google => "google",
            Self::Keycloak => "keycloak",
        }
    }

    /// The key that it requires in addition to `issuer`; none for our own accounts, which need no configuration.
    fn own_key(self) -> Option<&'static str> {
        match self {
            Self::Aws => Some("userPoolId"),
            Self::Azure => Some("tenantId"),
            Self::Db => None,
            Self::Google => Some("hd"),
            Self::Keycloak => Some("realm"),
        }
    }

    /// Checks a configuration of this provider. Unknown keys are kept.
    pub fn check(self, config: &Config) -> Result<()> {
        let Some(own_key) = self.own_key() else {
            return if config.is_empty() { Ok(()) } else { Err(refused("authConfig is empty for db")) };
        };
        if !config.get("issuer").is_some_and(|issuer| is_issuer(issuer)) {
            return Err(refused(format!("authConfig for {self} needs issuer, an absolute http or https URL")));
        }
        if config.get(own_key).is_none_or(|value| value.trim().is_empty()) {
            return Err(refused(format!("authConfig for {self} needs {own_key}")));
        }
        bounded(config)
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Provider {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|provider| provider.as_str() == word).ok_or_else(|| {
            let words: Vec<_> = Self::ALL.iter().map(|provider| provider.as_str()).collect();
            let text = format!("authProvider must be one of {}", words.join(", "));
            Error::invalid(Reason::AuthProviderUnknown, "auth_provider", text)
        })
    }
}

/// Keys whose values are not secrets, as lower-case letters and digits: those of the documents, and similar ones.
const PLAIN: [&str; 20] = [
    "audience",
    "baseurl",
    "clientid",
    "clientsecretref",
    "domain",
    "groupsclaim",
    "hd",
    "issuer",
    "jwksuri",
    "jwksurl",
    "realm",
    "redirecturi",
    "redirecturl",
    "region",
    "rolesclaim",
    "scope",
    "scopes",
    "tenantid",
    "usernameclaim",
    "userpoolid",
];
/// Parts of the names of secrets, whatever the value looks like.
const SECRETS: [&str; 10] =
    ["secret", "pass", "pwd", "token", "credential", "privatekey", "apikey", "signingkey", "accesskey", "sharedkey"];
/// Words in the names of secrets that are too short to be searched for inside of other words.
const SECRET_WORDS: [&str; 5] = ["key", "otp", "pat", "pin", "psk"];

/// Whether a value is a secret. Only values that are known not to be secrets are shown: those of the documented keys, and
/// URLs without user and query, booleans and numbers under names that do not indicate a secret.
pub fn is_secret(key: &str, value: &str) -> bool {
    if has_user(value) {
        return true;
    }
    let plain = letters(key);
    if PLAIN.contains(&plain.as_str()) {
        return false;
    }
    let names_one = SECRETS.iter().any(|word| plain.contains(word))
        || words(key).iter().any(|word| SECRET_WORDS.contains(&word.as_str()));
    if is_issuer(value) {
        return names_one && !plain.ends_with("url") && !plain.ends_with("endpoint");
    }
    names_one || !(value.parse::<bool>().is_ok() || value.parse::<i64>().is_ok())
}

/// The ASCII letters and digits of a name, in lower case.
fn letters(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// The words of a name in camel case, or with characters other than letters between them, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut previous = ' ';
    for c in name.chars() {
        if !c.is_ascii_alphanumeric() || (c.is_ascii_uppercase() && !previous.is_ascii_uppercase()) {
            words.push(String::new());
        }
        if let (true, Some(word)) = (c.is_ascii_alphanumeric(), words.last_mut()) {
            word.push(c.to_ascii_lowercase());
        }
        previous = c;
    }
    words
}

/// Whether a value is a URL with a user, and perhaps a password, before its host.
fn has_user(value: &str) -> bool {
    let authority = value.split_once("://").map(|(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or_default());
    authority.is_some_and(|authority| authority.contains('@'))
}

/// A configuration as it is shown.
pub fn masked(config: Config) -> Config {
    let mask = |(key, value): (String, String)| {
        let shown = if is_secret(&key, &value) { MASK.to_owned() } else { value };
        (key, shown)
    };
    config.into_iter().map(mask).collect()
}

/// An issuer is an absolute URL without user, query or fragment (OpenID Connect Discovery, section 2).
fn is_issuer(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else { return false };
    let http = matches!(uri.scheme_str(), Some("http" | "https"));
    let host =
        uri.authority().is_some_and(|authority| !authority.host().is_empty() && !authority.as_str().contains('@'));
    http && host && uri.query().is_none() && !text.contains('#')
}

fn bounded(config: &Config) -> Result<()> {
    if config.len() > MAX_KEYS {
        return Err(refused(format!("authConfig has more than {MAX_KEYS} keys")));
    }
    for (key, value) in config {
        if key.is_empty() || key.chars().count() > MAX_KEY || key.contains(char::is_control) {
            return Err(refused(format!(
                "a key of authConfig must have 1 to {MAX_KEY} characters and no control characters"
            )));
        }
        if value.chars().count() > MAX_VALUE || value.contains(char::is_control) {
            let text =
                format!("a value of authConfig must have at most {MAX_VALUE} characters and no control characters");
            return Err(refused(text));
        }
        // Documented keys are stored unsealed.
        if PLAIN.contains(&letters(key).as_str()) && has_user(value) {
            let key = quoted(key);
            return Err(refused(format!("{key} in authConfig must be a URL without a user name or password")));
        }
        if is_secret(key, value) && value == MASK {
            return Err(refused("authConfig contains the masked placeholder; send the secret itself"));
        }
    }
    Ok(())
}

fn refused(text: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::invalid(Reason::AuthConfigInvalid, "auth_config", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Config {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn error_of(provider: Provider, pairs: &[(&str, &str)]) -> Option<String> {
        provider.check(&config(pairs)).err().map(|error| {
            assert_eq!(error.reason, Reason::AuthConfigInvalid);
            error.message.into_owned()
        })
    }

    #[test]
    fn only_documented_providers_are_parsed() {
        for provider in Provider::ALL {
            assert_eq!(provider.as_str().parse::<Provider>().unwrap(), provider);
        }
        for word in ["", "DB", "saml", "db "] {
            let error = word.parse::<Provider>().unwrap_err();
            assert_eq!(error.message, "authProvider must be one of aws, azure, db, google, keycloak", "{word}");
        }
    }

    #[test]
    fn each_provider_needs_its_issuer_and_its_key() {
        let issuer = ("issuer", "https://kc.example.com/realms/acme");
        for (provider, key) in [
            (Provider::Keycloak, "realm"),
            (Provider::Google, "hd"),
            (Provider::Azure, "tenantId"),
            (Provider::Aws, "userPoolId"),
        ] {
            assert_eq!(error_of(provider, &[issuer, (key, "x")]), None);
            assert_eq!(error_of(provider, &[issuer, (key, "x"), ("clientSecretRef", "env:KC")]), None);
            let missing = format!("authConfig for {provider} needs {key}");
            assert_eq!(error_of(provider, &[issuer]), Some(missing.clone()));
            assert_eq!(error_of(provider, &[issuer, (key, "  ")]), Some(missing));
            assert!(error_of(provider, &[(key, "x")]).unwrap().contains("needs issuer"));
        }
        assert_eq!(error_of(Provider::Db, &[]), None);
        assert_eq!(error_of(Provider::Db, &[issuer]).as_deref(), Some("authConfig is empty for db"));
    }

    #[test]
    fn an_issuer_is_an_absolute_url() {
        for good in ["https://a", "http://localhost:8080/realms/acme", "https://[::1]/x"] {
            assert!(is_issuer(good), "{good}");
        }
        for bad in [
            "",
            "kc.example.com",
            "/realms/acme",
            "//kc.example.com",
            "ftp://a",
            "https://",
            "https:///x",
            "https://u:p@a",
            "https://a?x",
            "https://a#x",
            "https://a b",
            "javascript:alert(1)",
        ] {
            assert!(!is_issuer(bad), "{bad}");
        }
    }

    #[test]
    fn values_of_secrets_are_masked_and_their_keys_are_not() {
        for key in
            ["clientSecret", "client_secret", "SECRET", "bindPassword", "accessToken", "private-key", "note", "x"]
        {
            assert!(is_secret(key, "hunter2"), "{key}");
        }
        for key in ["clientSecretRef", "client_secret_ref", "issuer", "realm", "clientId", "baseUrl", "userPoolId"] {
            assert!(!is_secret(key, "hunter2"), "{key}");
        }
        for value in ["https://kc.example.com/token", "true", "-15"] {
            assert!(!is_secret("x", value) && is_secret("clientSecret", value), "{value}");
        }
        assert!(!is_secret("tokenEndpoint", "https://a/token") && is_secret("hook", "https://a/?key=hunter2"));
        assert!(is_secret("proxy", "https://u:hunter2@a"));
        for key in [
            "pass",
            "passwd",
            "DB_PWD",
            "psk",
            "pin",
            "totpPIN",
            "otp",
            "accessKey",
            "shared-key",
            "signing.key",
            "key",
        ] {
            assert!(is_secret(key, "12345678") && is_secret(key, "true"), "{key}");
        }
        for key in ["mapping", "spinUp", "timeout", "keys", "monkey", "hotplug"] {
            assert!(!is_secret(key, "12345678"), "{key}");
        }
        assert!(is_secret("baseUrl", "https://svc:hunter2@h/"), "stored by an older version");
        let shown = masked(config(&[("clientSecret", "hunter2"), ("realm", "acme")]));
        assert_eq!(shown, config(&[("clientSecret", MASK), ("realm", "acme")]));
    }

    #[test]
    fn configurations_have_bounds() {
        let base = [("issuer", "https://a"), ("realm", "x")];
        let with = |key: &str, value: &str| error_of(Provider::Keycloak, &[&base[..], &[(key, value)]].concat());
        assert!(with("", "x").is_some() && with(&"k".repeat(65), "x").is_some() && with("a\nb", "x").is_some());
        assert!(with("k", &"v".repeat(2049)).is_some() && with("k", "a\0b").is_some());
        assert!(with(&"k".repeat(64), &"v".repeat(2048)).is_none());
        assert!(
            with("clientSecret", MASK).is_some() && with("note", MASK).is_some() && with("realm2", "true").is_none()
        );
        assert!(
            with("baseUrl", "https://svc:hunter2@h/").is_some() && with("clientSecretRef", "vault://u@v/x").is_some()
        );
        assert!(with("baseUrl", "https://h/@x").is_none() && with("jwksUri", "https://h/?p=policy").is_none());
        let keys: Vec<String> = (0..31).map(|n| format!("k{n}")).collect();
        let many: Vec<_> = base.into_iter().chain(keys.iter().map(|key| (key.as_str(), "v"))).collect();
        assert!(error_of(Provider::Keycloak, &many).is_some());
    }
}
