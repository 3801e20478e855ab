//! Email addresses, and the domains that a tenant allows.

use email_address::{EmailAddress, Options};

use crate::base::{Error, Result, error::Reason};

/// Longest address, in characters (RFC 5321, 4.5.3.1.3).
const MAX: usize = 254;

/// An email address: as it was given, without the space around it, and as it is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email {
    text: String,
    key: String,
}

impl Email {
    /// Reads an address. Its domain may be an international one.
    pub fn read(text: &str) -> Result<Self> {
        let text = text.trim();
        let options = Options::default().without_display_text().without_domain_literal().with_required_tld();
        let parsed = (text.len() <= MAX).then(|| EmailAddress::parse_with_options(text, options).ok()).flatten();
        let parsed = parsed.ok_or_else(invalid)?;
        let key = format!("{}@{}", parsed.local_part().to_lowercase(), domain(parsed.domain())?);
        Ok(Self { text: text.to_owned(), key })
    }

    /// The address as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The address as it is compared and as the control-plane surface shows it: lower case, its domain in punycode.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Its domain, as [`domain`] gives it.
    pub fn domain(&self) -> &str {
        self.key.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

/// A domain as it is compared: lower case and punycode (RFC 5891). Fails for what is no DNS name of two labels at least.
pub fn domain(text: &str) -> Result<String> {
    let ascii = idna::domain_to_ascii_strict(text).map_err(|_| invalid())?;
    if ascii.contains('.') && ascii.len() <= 253 { Ok(ascii) } else { Err(invalid()) }
}

fn invalid() -> Error {
    Error::invalid(Reason::EmailInvalid, "email", "value is not a valid email address")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_compared_without_regard_to_case_and_script() {
        let email = Email::read("  Ada.L@Bücher.Example ").unwrap();
        assert_eq!((email.as_str(), email.key()), ("Ada.L@Bücher.Example", "ada.l@xn--bcher-kva.example"));
        assert_eq!(email.domain(), "xn--bcher-kva.example");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "ada",
            "ada@",
            "@example.com",
            "a b@example.com",
            "ada@localhost",
            "Ada <ada@example.com>",
            "ada@[127.0.0.1]",
            "ada@exa mple.com",
            "ada@-a.com",
            "ada@example..com",
        ] {
            assert!(Email::read(text).is_err(), "{text}");
        }
        assert!(Email::read(&format!("{}@example.com", "a".repeat(250))).is_err());
    }
}
