//! Printable values of settings: no part of a secret, and nothing of a value that may contain one and cannot be parsed.

use url::Url;

use super::settings::Show;

/// The mask for a value that is not printed.
const MASK: &str = "***";

/// The printable form of a value.
pub(super) fn show(how: Show, value: &str) -> String {
    match how {
        Show::Plain => value.to_owned(),
        Show::Masked => MASK.to_owned(),
        Show::Database => database(value),
    }
}

/// A database URL. Only parsed parts are printed. A password with an unencoded `/`, `?` or `#` shifts the parts, so
/// nothing is printed of a URL with an `@` after its authority.
fn database(url: &str) -> String {
    if let Some(file) = url.strip_prefix("sqlite:") {
        return match file.split_once('?') {
            Some((path, _)) => format!("sqlite:{path}?{MASK}"),
            None => format!("sqlite:{file}"),
        };
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
}
