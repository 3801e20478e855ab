//! Email addresses and their domains.

use email_address::{EmailAddress, Options};

use crate::base::{Error, Result, error::Reason, text};

/// Maximum length of an address, in characters (RFC 5321, 4.5.3.1.3).
const MAX: usize = 254;
/// The public error text for an invalid address.
const INVALID: &str = "value is not a valid email address";

/// An email address: in normal form, and in the form that is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email {
    text: String,
    key: String,
}

impl Email {
    /// Parses an address. Its domain may be internationalized but must not end in a number, as no domain does (RFC
    /// 3696, section 2). Unnecessary quotes of the local part are removed (RFC 5321, section 4.1.2), and it is
    /// converted to NFC (RFC 6532, section 3.1); invisible characters are refused.
    pub fn read(text: &str) -> Result<Self> {
        let text = text::address(text)
            .map_err(|refused| Error::invalid(Reason::EmailInvalid, "email", format!("{INVALID}: {refused}")))?;
        let parsed = parse(&text).ok_or_else(invalid)?;
        let (local, domain) = (text::local_part(parsed.local_part()), domain(parsed.domain())?);
        if ends_in_number(&domain) {
            return Err(invalid());
        }
        let key = format!("{}@{domain}", text::local_key(&local));
        Ok(Self { text: format!("{local}@{}", parsed.domain()), key })
    }

    /// Every key under which the address may be stored, the likeliest last: [`Email::key`], and before it the key
    /// that older versions derived from the text as it was typed, which a row keeps if the other was taken. Empty
    /// for a text that is not an address.
    pub fn keys(text: &str) -> Vec<String> {
        let older = parse(text.trim()).and_then(|parsed| {
            let domain = domain(parsed.domain()).ok()?;
            Some(format!("{}@{domain}", parsed.local_part().to_lowercase()))
        });
        let key = Self::read(text).ok().map(|email| email.key);
        let older = older.filter(|older| key.as_ref() != Some(older) && !older.contains(char::is_control));
        older.into_iter().chain(key).collect()
    }

    /// The address in normal form, with its domain as given, except for the full stops of IDNA.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The address in the form that is compared and that the control-plane surface returns: lower case, with its
    /// domain in punycode.
    pub fn key(&self) -> &str {
        &self.key
    }

    pub fn domain(&self) -> &str {
        self.key.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

/// A domain in the form that is compared: lower case and punycode (RFC 5891). Fails unless it is a DNS name of
/// at least two labels.
pub fn domain(text: &str) -> Result<String> {
    let ascii = idna::domain_to_ascii_strict(text).map_err(|_| invalid())?;
    if ascii.contains('.') && ascii.len() <= 253 { Ok(ascii) } else { Err(invalid()) }
}

/// Whether the last label of a domain, in lower case, is a number, as in an IP address: decimal, or hexadecimal
/// after `0x` (the URL standard, "ends in a number checker").
fn ends_in_number(domain: &str) -> bool {
    domain.rsplit('.').next().is_some_and(|label| match label.strip_prefix("0x") {
        Some(digits) => digits.bytes().all(|octet| octet.is_ascii_hexdigit()),
        None => label.bytes().all(|octet| octet.is_ascii_digit()),
    })
}

/// The full stops of IDNA beside the ASCII one (RFC 3490, section 3.1). No other character is mapped to one (Unicode
/// Technical Standard 46, section 4).
const FULL_STOPS: [char; 3] = ['\u{3002}', '\u{ff0e}', '\u{ff61}'];

/// Parses an address, with the full stops of its domain as ASCII ones: the parser knows no others, and would count the labels wrong.
fn parse(text: &str) -> Option<EmailAddress> {
    let (local, domain) = text.rsplit_once('@')?;
    let text = format!("{local}@{}", domain.replace(FULL_STOPS, "."));
    let options = Options::default().without_display_text().without_domain_literal().with_required_tld();
    (text.len() <= MAX).then(|| EmailAddress::parse_with_options(&text, options).ok()).flatten()
}

fn invalid() -> Error {
    Error::invalid(Reason::EmailInvalid, "email", INVALID)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_compared_independent_of_case_and_script() {
        let email = Email::read("  Ada.L@Bücher.Example ").unwrap();
        assert_eq!((email.as_str(), email.key()), ("Ada.L@Bücher.Example", "ada.l@xn--bcher-kva.example"));
        assert_eq!(email.domain(), "xn--bcher-kva.example");
    }

    #[test]
    fn invalid_addresses_are_refused() {
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
            "a@1.2.3.4",
            "a@example.123",
            "bob@example.0x1",
            "bob@example.0X1f",
            "bob@example.0x",
            "bob@1.2.3.0x4",
            "bob@example.\u{ff10}\u{ff58}1",
            "bob\u{200b}@example.com",
            "\u{feff}bob@example.com",
            "bob\u{202e}@example.com",
            "bob@exa\u{ad}mple.com",
            "bo\u{3164}b@example.com",
        ] {
            assert!(Email::read(text).is_err(), "{text}");
        }
        assert!(Email::read(&format!("{}@example.com", "a".repeat(250))).is_err());
    }

    #[test]
    fn a_domain_with_digits_is_not_a_number() {
        for text in ["a@0x1.example", "a@example.x1", "a@example.0xg", "a@123.example", "a@example.xn--p1ai"] {
            assert!(Email::read(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn spellings_of_one_mailbox_are_one_address() {
        let key = |text: &str| Email::read(text).unwrap().key().to_owned();
        assert_eq!(key("jose\u{301}@example.com"), key("JOS\u{c9}@example.com"));
        assert_eq!(key("\"bob\"@example.com"), key("bob@example.com"));
        assert_eq!(key("\"b\\ob\"@\u{ff45}xample.com"), key("bob@example.com"));
        assert_eq!(key("bo\u{212a}@example.com"), key("bok@example.com"));
        assert_ne!(key("\"b ob\"@example.com"), key("bob@example.com"));
        assert_eq!(Email::read("\"jose\u{301}\"@example.com").unwrap().as_str(), "jos\u{e9}@example.com");
        assert_eq!(key(&key("\"A..b\"@example.com")), key("\"a..b\"@example.com"), "a key is an address");
    }

    #[test]
    fn every_full_stop_of_a_domain_separates_labels() {
        for stop in ['\u{3002}', '\u{ff0e}', '\u{ff61}'] {
            for (text, wanted) in [
                (format!("a@example{stop}org"), "a@example.org"),
                (format!("a@mail.example{stop}org"), "a@mail.example.org"),
                (format!("A@b\u{fc}cher{stop}Example"), "a@xn--bcher-kva.example"),
            ] {
                assert_eq!(Email::read(&text).unwrap().key(), wanted, "{text}");
                assert_eq!(Email::keys(&text), [wanted], "{text}");
                assert!(!Email::read(&text).unwrap().as_str().contains(stop), "{text}");
            }
            for text in ["a@example|", "a@|org", "a@example||org", "a@mail.example.org|", "a@1|2|3|4", "a|b", "a@b@c|d"]
            {
                let text = text.replace('|', &stop.to_string());
                assert!(Email::read(&text).is_err(), "{text}");
            }
            let local = format!("a{stop}b@example.org");
            assert_eq!(Email::read(&local).unwrap().key(), local, "the local part is the receiver's own");
        }
    }

    #[test]
    fn rows_of_older_versions_are_found_by_the_typed_address() {
        assert_eq!(Email::keys("Bob@Example.com"), ["bob@example.com"]);
        assert_eq!(Email::keys("jose\u{301}@example.com"), ["jose\u{301}@example.com", "jos\u{e9}@example.com"]);
        assert_eq!(Email::keys("\"Bob\"@example.com"), ["\"bob\"@example.com", "bob@example.com"]);
        assert_eq!(Email::keys("bob\u{200b}@example.com"), ["bob\u{200b}@example.com"]);
        assert_eq!(Email::keys("a@1.2.3.4"), ["a@1.2.3.4"]);
        assert!(Email::keys("bob").is_empty());
    }
}
