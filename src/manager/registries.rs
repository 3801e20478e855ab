//! The registries of images, as container tools read them.

use std::{net::Ipv6Addr, str::FromStr};

use crate::base::{Error, Result, error::Reason};

/// The registry of images without one.
const DOCKER: &str = "docker.io";
/// Other names of the same registry.
const DOCKER_ALIASES: [&str; 2] = ["index.docker.io", "registry-1.docker.io"];
/// Most characters of the name of an image without its tag and digest.
const LONGEST: usize = 255;

/// A registry: a host, and its port if it is not the usual one. In the form in which it is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registry(String);

impl Registry {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn of(host: &str) -> Self {
        let host = host.to_ascii_lowercase();
        Self(if DOCKER_ALIASES.contains(&host.as_str()) { DOCKER.to_owned() } else { host })
    }
}

impl FromStr for Registry {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let text = text.trim();
        if is_registry(text) { Ok(Self::of(text)) } else { Err(()) }
    }
}

/// The registry of an image. Fails for a text that is not the name of an image.
pub fn registry(image: &str) -> Result<Registry> {
    parse(image).ok_or_else(|| {
        Error::invalid(
            Reason::InvalidArgument,
            "image",
            "image must be the name of an image such as ghcr.io/acme/web:1.0",
        )
    })
}

/// The registry in a reference (the grammar of the distribution project).
fn parse(image: &str) -> Option<Registry> {
    let (rest, digest) = match image.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (image, None),
    };
    let (host, path) = match rest.split_once('/') {
        Some((first, path)) if is_host_part(first) => (first, path),
        _ => (DOCKER, rest),
    };
    let (path, tag) = match path.rsplit_once(':') {
        Some((path, tag)) => (path, Some(tag)),
        None => (path, None),
    };
    let is_named = path.split('/').all(is_component) && host.len() + 1 + path.len() <= LONGEST;
    let is_whole = is_named && tag.is_none_or(is_tag) && digest.is_none_or(is_digest) && is_registry(host);
    is_whole.then(|| Registry::of(host))
}

/// Whether the part before the first slash is a registry and not a part of the name.
fn is_host_part(part: &str) -> bool {
    part == "localhost" || part.contains(['.', ':']) || part.bytes().any(|b| b.is_ascii_uppercase())
}

/// Whether a text is a host with or without a port.
fn is_registry(text: &str) -> bool {
    if let Some((address, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let is_address = address.parse::<Ipv6Addr>().is_ok();
        return is_address && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port));
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let is_label = |label: &str| {
        let plain = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        !label.is_empty() && plain && !label.starts_with('-') && !label.ends_with('-')
    };
    host.len() <= 253 && host.split('.').all(is_label) && port.is_none_or(is_port)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// Lower-case letters and digits, with a dot, one or two underscores, or dashes between them.
fn is_component(text: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends = |b: Option<&u8>| b.is_some_and(|b| is_word(*b));
    let bytes = text.as_bytes();
    let separators = text.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()).filter(|part| !part.is_empty());
    let is_separator = |part: &str| matches!(part, "." | "_" | "__") || part.bytes().all(|b| b == b'-');
    ends(bytes.first()) && ends(bytes.last()) && separators.into_iter().all(is_separator)
}

fn is_tag(tag: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=128).contains(&tag.len())
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|b| is_word(b) || matches!(b, b'.' | b'-'))
}

fn is_digest(digest: &str) -> bool {
    let Some((algorithm, hex)) = digest.split_once(':') else { return false };
    let is_algorithm = algorithm.split(['+', '.', '-', '_']).all(|part| {
        part.bytes().next().is_some_and(|b| b.is_ascii_alphabetic()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
    });
    is_algorithm && hex.len() >= 32 && hex.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_is_read_as_container_tools_do() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (image, registry) in [
            ("nginx", "docker.io"),
            ("nginx:1.25", "docker.io"),
            ("library/nginx", "docker.io"),
            ("acme/team/web:1", "docker.io"),
            ("docker.io/library/nginx:1.25", "docker.io"),
            ("index.docker.io/library/nginx", "docker.io"),
            ("registry-1.docker.io/library/nginx", "docker.io"),
            ("GHCR.io/a/b", "ghcr.io"),
            ("Registry/a", "registry"),
            ("localhost/x", "localhost"),
            ("localhost:5000/x", "localhost:5000"),
            ("host:5000/x:tag", "host:5000"),
            ("10.0.0.1:80/x", "10.0.0.1:80"),
            ("[::1]:5000/x", "[::1]:5000"),
            ("a__b/c--d/e.f", "docker.io"),
            (format!("nginx@{digest}").as_str(), "docker.io"),
            (format!("quay.io/a/b:1@{digest}").as_str(), "quay.io"),
        ] {
            assert_eq!(parse(image).as_ref().map(Registry::as_str), Some(registry), "{image}");
        }
    }

    #[test]
    fn other_texts_are_not_images() {
        for text in [
            "",
            "/",
            "nginx:",
            ":1",
            "nginx/",
            "/nginx",
            "a//b",
            "Nginx",
            "a b",
            "nginx\n",
            "https://ghcr.io/a",
            "a@b",
            "nginx@sha256:abc",
            "docker.io./nginx",
            "docker.io/",
            "a_-b",
            "a___b",
            "-a",
            "host:port/x",
            "host:99999/x",
            "n\u{fc}ginx",
            "ghcr.io/A/b",
            "user@ghcr.io/a",
            "ghcr.io:/a",
            "[::1/x",
            "[::1]x/a",
            &"a/".repeat(200),
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn an_entry_of_a_list_is_a_registry() {
        let read = |text: &str| text.parse::<Registry>().ok().map(|registry| registry.0);
        assert_eq!(read(" GHCR.io ").as_deref(), Some("ghcr.io"));
        assert_eq!(read("index.docker.io").as_deref(), Some("docker.io"));
        assert_eq!(read("localhost:5000").as_deref(), Some("localhost:5000"));
        for bad in ["", "*", "*.io", "ghcr.io/acme", "https://ghcr.io", "a b", "a:b", "docker.io."] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
