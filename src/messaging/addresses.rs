//! The addresses of a cluster: their schemes, and the errors for other schemes.

use crate::{
    base::{Error, Result, error::Reason},
    proto::messaging::v2::{ClusterData, ClusterUrl},
};

/// The required form of an address.
struct Kind {
    schemes: &'static [&'static str],
    /// The error text of the contract's product, byte for byte (messaging contract, section 13).
    refusal: &'static str,
}

const SERVICE: Kind =
    Kind { schemes: &["http"], refusal: "Illegal service url, example: http://pulsar.example.com:8080" };
const SERVICE_TLS: Kind =
    Kind { schemes: &["https"], refusal: "Illegal service tls url, example: https://pulsar.example.com:8443" };
const BROKER: Kind =
    Kind { schemes: &["pulsar"], refusal: "Illegal broker service url, example: pulsar://pulsar.example.com:6650" };
const BROKER_TLS: Kind = Kind {
    schemes: &["pulsar+ssl"],
    refusal: "Illegal broker service tls url, example: pulsar+ssl://pulsar.example.com:6651",
};
const PROXY: Kind = Kind {
    schemes: &["pulsar", "pulsar+ssl"],
    refusal: "Illegal proxy service url, example: pulsar+ssl://ats-proxy.example.com:4443 \
              or pulsar://ats-proxy.example.com:4080",
};

/// Every address must have the scheme of its field. A blank one counts as absent: clients in Go send an empty text for
/// unset members.
pub fn check(data: &ClusterData) -> Result<()> {
    address("data.service_url", data.service_url.as_deref(), &SERVICE)?;
    address("data.service_url_tls", data.service_url_tls.as_deref(), &SERVICE_TLS)?;
    address("data.broker_service_url", data.broker_service_url.as_deref(), &BROKER)?;
    address("data.broker_service_url_tls", data.broker_service_url_tls.as_deref(), &BROKER_TLS)?;
    address("data.proxy_service_url", data.proxy_service_url.as_deref(), &PROXY)?;
    data.migrated_cluster_url.as_ref().map_or(Ok(()), check_migrated)
}

fn check_migrated(url: &ClusterUrl) -> Result<()> {
    let field = |name: &str| format!("data.migrated_cluster_url.{name}");
    address(&field("service_url"), url.service_url.as_deref(), &SERVICE)?;
    address(&field("service_url_tls"), url.service_url_tls.as_deref(), &SERVICE_TLS)?;
    address(&field("broker_service_url"), url.broker_service_url.as_deref(), &BROKER)?;
    address(&field("broker_service_url_tls"), url.broker_service_url_tls.as_deref(), &BROKER_TLS)
}

fn address(field: &str, given: Option<&str>, kind: &Kind) -> Result<()> {
    match given {
        Some(given) if !given.is_empty() && !is_of(given, kind) => {
            Err(Error::invalid(Reason::ClusterAddressInvalid, field, kind.refusal))
        }
        _ => Ok(()),
    }
}

/// Whether an address has one of the schemes and a host. There may be several hosts, separated by commas, so this is
/// not a URL parser.
fn is_of(given: &str, kind: &Kind) -> bool {
    let Some((scheme, place)) = given.split_once("://") else { return false };
    let authority = place.split(['/', '?', '#']).next().unwrap_or_default();
    kind.schemes.contains(&scheme) && !authority.is_empty() && given.chars().all(is_of_uri)
}

/// Whether a character is allowed in a URI (RFC 3986, section 2), or in an internationalized one.
fn is_of_uri(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(c) || (!c.is_ascii() && c.is_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_the_scheme_of_its_field() {
        let kinds = [&SERVICE, &SERVICE_TLS, &BROKER, &BROKER_TLS, &PROXY];
        let texts = ["http://a:80", "https://a", "pulsar://a:6650,b:6650", "pulsar+ssl://[::1]:6651/x?y=%20#z"];
        let good = kinds.map(|kind| texts.map(|text| is_of(text, kind)));
        let expected = [
            [true, false, false, false],
            [false, true, false, false],
            [false, false, true, false],
            [false, false, false, true],
            [false, false, true, true],
        ];
        assert_eq!(good, expected);
        for bad in
            ["x:80", "http:", "http://", "http:///path", "HTTP://a", "http://a b", "http://a\n", "http://a\0", " "]
        {
            assert!(!is_of(bad, &SERVICE), "{bad:?}");
        }
    }

    #[test]
    fn every_address_is_checked() {
        let set: [fn(&mut ClusterData, String); 9] = [
            |data, text| data.service_url = Some(text),
            |data, text| data.service_url_tls = Some(text),
            |data, text| data.broker_service_url = Some(text),
            |data, text| data.broker_service_url_tls = Some(text),
            |data, text| data.proxy_service_url = Some(text),
            |data, text| data.migrated_cluster_url.get_or_insert_default().service_url = Some(text),
            |data, text| data.migrated_cluster_url.get_or_insert_default().service_url_tls = Some(text),
            |data, text| data.migrated_cluster_url.get_or_insert_default().broker_service_url = Some(text),
            |data, text| data.migrated_cluster_url.get_or_insert_default().broker_service_url_tls = Some(text),
        ];
        for set in set {
            let mut data = ClusterData::default();
            set(&mut data, String::new());
            assert!(check(&data).is_ok());
            set(&mut data, "ftp://a".to_owned());
            let refused = check(&data).unwrap_err();
            assert_eq!(refused.reason, Reason::ClusterAddressInvalid);
            assert!(refused.message.starts_with("Illegal "), "{refused}");
        }
    }
}
