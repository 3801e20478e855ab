//! Printable values of settings: no part of a secret, and nothing of a value that may contain one and cannot be parsed.

use std::path::Path;

use url::Url;

use super::settings::Show;
use crate::{base::setting_file, server::logs};

/// The mask for a value that is not printed.
const MASK: &str = "***";
/// In place of a value that does not have the form of its setting, whether or not other settings are valid.
const HIDDEN: &str = "(not shown)";
/// Maximum length of a port or a switch.
const SHORT: usize = 5;

/// The printable form of a value.
pub(super) fn show(how: Show, value: &str) -> String {
    let is_shown = match how {
        Show::Masked => return MASK.to_owned(),
        Show::Database => return database(value),
        Show::Plain => true,
        Show::File => setting_file::is_path(Path::new(value)),
        Show::Directory => setting_file::is_directory(Path::new(value)),
        Show::Filter => logs::is_filter(value),
        Show::Short => value.len() <= SHORT && value.bytes().all(|b| b.is_ascii_alphanumeric()),
    };
    if is_shown { value.to_owned() } else { HIDDEN.to_owned() }
}

/// A database URL. Only parsed parts are printed. A password with an unencoded `/`, `?` or `#` shifts the parts, so
/// nothing is printed of a URL with an `@` after its authority.
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
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let query = if url.query().is_some() { format!("?{MASK}") } else { String::new() };
    Some(format!("{user}{host}{port}{}{query}", url.path()))
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
            (Show::Short, "31338", true),
            (Show::Short, "true", true),
            (Show::Short, "http://ci:hunter2@proxy:3128", false),
        ] {
            assert_eq!(show(how, value), if is_shown { value } else { HIDDEN }, "{how:?} {value}");
        }
    }
}
