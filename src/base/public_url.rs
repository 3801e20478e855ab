//! The URL under which clients reach the server.

use std::str::FromStr;

use url::Url;

use super::host::is_host;

/// The base of the server's paths, without a slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// Its name or address, without brackets.
    pub fn host(&self) -> Option<String> {
        let url = Url::parse(&self.0).ok()?;
        url.host_str().map(|host| host.trim_matches(['[', ']']).to_owned())
    }

    /// The URL of a path, which begins with a slash.
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }
}

impl FromStr for PublicUrl {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let url = Url::parse(text).map_err(drop)?;
        let is_plain = url.username().is_empty() && url.password().is_none();
        let is_base = url.query().is_none() && url.fragment().is_none() && url.host_str().is_some_and(is_host);
        if !matches!(url.scheme(), "http" | "https") || !is_plain || !is_base {
            return Err(());
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_is_a_base() {
        let at = |text: &str| text.parse::<PublicUrl>().map(|url| url.at("/v1/enroll"));
        assert_eq!(at("https://example.com"), Ok("https://example.com/v1/enroll".to_owned()));
        assert_eq!(
            at("HTTPS://Example.com:8443/tenantry/"),
            Ok("https://example.com:8443/tenantry/v1/enroll".to_owned())
        );
        for bad in [
            "",
            "example.com",
            "ftp://example.com",
            "https://u:p@example.com",
            "https://example.com/?a=b",
            "https://",
            "https://h;password=x",
            "https://h,i",
        ] {
            assert_eq!(at(bad), Err(()), "{bad}");
        }
    }
}
