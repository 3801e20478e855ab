//! Printable values of settings: no part of a secret, and nothing of a value that may contain one and cannot be parsed.

use std::path::Path;

use url::Url;

use super::settings::Show;
use crate::{
    base::{host::is_host, setting_file},
    controlplane::licensing::is_feature,
    server::logs,
};

/// The mask for a value that is not printed.
const MASK: &str = "***";
/// The mask for a path.
const HIDDEN_PATH: &str = "/***";
/// In place of a value that does not have the form of its setting, whether or not other settings are valid.
const HIDDEN: &str = "(not shown)";
/// Maximum length of a port or a switch.
const SHORT: usize = 5;

/// The printable form of a value.
pub(super) fn show(how: Show, value: &str) -> String {
    let is_shown = match how {
        Show::Masked => return MASK.to_owned(),
        Show::Database => return database(value),
        Show::Features => return features(value),
        Show::Plain => true,
        Show::File => setting_file::is_path(Path::new(value)),
        Show::Directory => setting_file::is_directory(Path::new(value)),
        Show::Filter => logs::is_filter(value),
        Show::Short => value.len() <= SHORT && value.bytes().all(|b| b.is_ascii_alphanumeric()),
    };
    if is_shown { value.to_owned() } else { HIDDEN.to_owned() }
}

/// A database URL. Only parsed parts are printed, and only if they have the form of a host or a name. A password with an
/// unencoded `/`, `?` or `#` shifts the parts, so nothing is printed of a URL with an `@` after its authority.
fn database(url: &str) -> String {
    if let Some(file) = url.strip_prefix("sqlite:") {
        let (path, query) = file.split_once('?').map_or((file, ""), |(path, _)| (path, "?***"));
        // A URL of another database with the wrong scheme may contain a password.
        let is_file = setting_file::is_directory(Path::new(path.strip_prefix("//").unwrap_or(path)));
        return format!("sqlite:{}{query}", if is_file { path } else { MASK });
    }
    match url.split_once("://") {
        Some((scheme @ ("postgres" | "postgresql"), rest)) => {
            format!("{scheme}://{}", server(url, rest).unwrap_or_else(|| MASK.to_owned()))
        }
        _ => MASK.to_owned(),
    }
}

/// Host, port and database of a URL; `rest` is everything after the scheme.
fn server(url: &str, rest: &str) -> Option<String> {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, beyond) = rest.split_at(end);
    if beyond.contains('@') || beyond.contains('#') {
        return None;
    }
    let url = Url::parse(url).ok()?;
    let user = if authority.contains('@') { format!("{MASK}@") } else { String::new() };
    // An encoded separator, or one of another syntax, leaves a password in what is parsed as the host or the path.
    let host = url.host_str().map_or("", |host| if host.is_empty() || is_host(host) { host } else { MASK });
    let path = url.path().strip_prefix('/').unwrap_or(url.path());
    let path = if is_word(path) { url.path() } else { HIDDEN_PATH };
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let query = if url.query().is_some() { format!("?{MASK}") } else { String::new() };
    Some(format!("{user}{host}{port}{path}{query}"))
}

/// Whether the path of a URL is the plain name of a database, or empty.
fn is_word(path: &str) -> bool {
    path.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'-'))
}

/// The features that this server knows, with the mask for the others.
fn features(list: &str) -> String {
    let items = list.split(',').map(str::trim);
    items.map(|item| if is_feature(item) { item } else { MASK }).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_url_shows_what_was_parsed_and_no_part_of_a_password() {
        for (url, want) in [
            ("postgres://me:hunter2@db.example/tenantry?password=hunter2", "postgres://***@db.example/tenantry?***"),
            ("postgresql://db.example:5433/tenantry", "postgresql://db.example:5433/tenantry"),
            ("postgres://me:hun@ter2@db/app", "postgres://***@db/app"),
            ("sqlite:/var/lib/x.db", "sqlite:/var/lib/x.db"),
            ("sqlite:x.db?key=hunter2", "sqlite:x.db?***"),
            ("sqlite://x.db", "sqlite://x.db"),
            ("sqlite:data/tenantry", "sqlite:data/tenantry"),
            ("sqlite://me:hunter2@db/app", "sqlite:***"),
            ("sqlite:postgres://me:hunter2@db/app?x", "sqlite:***?***"),
        ] {
            assert_eq!(database(url), want, "{url}");
        }
        for url in [
            "postgres://app:Sup3r?Secret@db/app",
            "postgres://app:123?Secret@db/app",
            "postgres://app:123/Secret@db/app",
            "postgres://app:123#Secret@db/app",
            "postgres://app:123#Secret",
            "postgres://app:12@3/Secret@db/app",
        ] {
            assert_eq!(database(url), "postgres://***", "{url}");
        }
        for (url, want) in [
            ("postgres://u%3ASECRET%40h/db", "postgres://***/db"),
            ("postgres://u%40SECRET/db", "postgres://***/db"),
            ("postgres:///u:SECRET%40h/db", "postgres:///***"),
            ("postgres://h;password=SECRET/db", "postgres://***/db"),
            ("postgres://h,password=SECRET/db", "postgres://***/db"),
            ("postgres://h&password=SECRET/db", "postgres://***/db"),
            ("postgres://h:5432;password=SECRET/db", "postgres://***"),
            ("postgres://h password=SECRET/db", "postgres://***"),
            ("postgres://h/db%3Fpassword=SECRET", "postgres://h/***"),
            ("postgres://h/db|SECRET", "postgres://h/***"),
            ("postgres://h/db/SECRET", "postgres://h/***"),
            ("postgres://u@h/db;password=SECRET", "postgres://***@h/***"),
            ("postgres://u@h/db&password=SECRET", "postgres://***@h/***"),
            ("postgres://u@h/db,password=SECRET", "postgres://***@h/***"),
            ("postgres://u@h/db password=SECRET", "postgres://***@h/***"),
            ("postgres://u@h/db:SECRET", "postgres://***@h/***"),
            ("postgres://[::1]:5432/my-db_1", "postgres://[::1]:5432/my-db_1"),
            ("postgres://u@10.0.0.1", "postgres://***@10.0.0.1"),
            ("postgres://u@db.example/?host=x", "postgres://***@db.example/?***"),
            ("postgres:///db?host=%2Frun%2Fpostgresql", "postgres:///db?***"),
        ] {
            assert_eq!(database(url), want, "{url}");
        }
        for url in
            ["host=db user=app password=hunter2 dbname=x", "postgres:app:hunter2@db", "mysql://a:b@db", "hunter2"]
        {
            assert_eq!(database(url), "***", "{url}");
        }
    }

    #[test]
    fn a_secret_in_place_of_another_value_is_not_shown() {
        for (how, value, is_shown) in [
            (Show::File, "key.pem", true),
            (Show::File, "/run/secrets/tls_key", true),
            (Show::File, "MC4CAQAwBQYDK2VwBCIEIGVhY2hTZWNyZXQ", false),
            (Show::Directory, "data", true),
            (Show::Directory, "MC4CAQAwBQYDK2VwBCIEIGVhY2hTZWNyZXQ", false),
            (Show::Filter, "tenantry=debug", true),
            (Show::Filter, "MC4CAQAwBQYDK2VwBCIEIGVhY2hTZWNyZXQ", false),
            (Show::Filter, "MC4CAQAwBQYDK2VwBCIEIGVhY2hTZWNyZXQ=", false),
            (Show::Filter, "MC4CAQAwBQYDK2VwBCIEIGVhY2hTZWNyZQ==", false),
            (Show::Features, "all", true),
            (Show::Features, "Multitenancy,ALL", true),
            (Show::Short, "31338", true),
            (Show::Short, "true", true),
            (Show::Short, "http://ci:hunter2@proxy:3128", false),
        ] {
            assert_eq!(show(how, value), if is_shown { value } else { HIDDEN }, "{how:?} {value}");
        }
        assert_eq!(show(Show::Features, "hunter2, all,"), "***,all,***");
    }
}
