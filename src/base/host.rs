//! The names of hosts.

use std::net::IpAddr;

/// Whether a text is a host name or an IP address, which may be in brackets. Parsers of URLs accept more as a host, such as `;` and `=`,
/// with which a password can look like the end of one.
pub fn is_host(text: &str) -> bool {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse::<IpAddr>().is_ok() || is_name(text)
}

/// Whether a text is a DNS name, with or without the dot of the root, of ASCII letters, digits, dashes and underscores, which container networks have in names.
fn is_name(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    text.len() <= 253 && text.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    let is_word = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
    (1..=63).contains(&label.len()) && label.bytes().all(is_word) && !label.starts_with('-') && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address() {
        for host in [
            "sql",
            "db.example",
            "db.example.",
            "my_db-1",
            "xn--bcher-kva.example",
            "10.0.0.1",
            "::1",
            "[::1]",
            "[2001:db8::1]",
        ] {
            assert!(is_host(host), "{host}");
        }
        for other in [
            "",
            "h;password=x",
            "h,password=x",
            "h,i",
            "u%3Ax%40h",
            "u:x",
            "a b",
            "a..b",
            ".",
            "-a",
            "a-",
            "b\u{fc}cher",
            "[sql]",
            "[::1",
            "sql:443",
            &"a".repeat(64),
            &"a.".repeat(128),
        ] {
            assert!(!is_host(other), "{other}");
        }
    }
}
