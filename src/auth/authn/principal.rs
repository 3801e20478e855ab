//! Original principals on the messaging surface: a proxy calls with its own token and names its client in
//! `X-Original-Principal`. The call then needs the permissions of both (messaging contract, section 13).

use std::{collections::BTreeSet, str::FromStr, sync::Arc};

use async_trait::async_trait;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::base::{Caller, CallerKind, Error, Result, caller::CallerFacts, error::Reason};

/// The header with the principal; also the key in gRPC metadata.
pub const HEADER: HeaderName = HeaderName::from_static("x-original-principal");
/// Maximum length of a subject, in bytes: that of an admin role, which has at most 255 characters.
const MAX_SUBJECT: usize = 4 * 255;

/// Looks up principals. Implemented by the store, and by a fake in tests.
#[async_trait]
pub trait FindPrincipal: Send + Sync + 'static {
    /// The account with exactly this subject, as a caller. Fails with PERMISSION_DENIED if it may not act now.
    async fn find_principal(&self, subject: &str) -> Result<Option<Caller>>;
}

/// The subjects of proxies, which must always name a principal: `TENANTRY_MESSAGING_PROXY_ROLES`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyRoles(BTreeSet<String>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a list of subjects")]
pub struct InvalidSubjects;

impl FromStr for ProxyRoles {
    type Err = InvalidSubjects;

    /// Parses a comma-separated list of subjects.
    fn from_str(text: &str) -> Result<Self, InvalidSubjects> {
        let subjects: BTreeSet<_> = text.split(',').map(|subject| subject.trim().to_owned()).collect();
        if subjects.iter().any(String::is_empty) { Err(InvalidSubjects) } else { Ok(Self(subjects)) }
    }
}

/// Determines the principal of a call.
pub struct Principals {
    finder: Arc<dyn FindPrincipal>,
    proxies: ProxyRoles,
}

impl Principals {
    pub fn new(finder: Arc<dyn FindPrincipal>, proxies: ProxyRoles) -> Self {
        Self { finder, proxies }
    }

    /// Combines the caller with the principal that the headers name, if any.
    pub(in crate::auth) async fn join(&self, caller: Caller, headers: &HeaderMap) -> Result<Caller> {
        let is_proxy = self.proxies.0.contains(&caller.subject);
        let Some(subject) = requested_principal(headers)? else {
            return if is_proxy { Err(missing()) } else { Ok(caller) };
        };
        if is_proxy && self.proxies.0.contains(&subject) {
            return Err(invalid("Invalid combination of Original principal cannot be a proxy role."));
        }
        if subject == caller.subject {
            return Ok(caller);
        }
        let found = self.finder.find_principal(&subject).await?;
        let principal = found.unwrap_or_else(|| unknown_principal(subject));
        Ok(Caller::new(CallerFacts { principal: Some(principal), ..CallerFacts::clone(&caller) }))
    }
}

/// The principal in the headers; a blank value counts as absent.
fn requested_principal(headers: &HeaderMap) -> Result<Option<String>> {
    let mut all = headers.get_all(HEADER).iter();
    match (all.next(), all.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => Ok(Some(text(value)?).filter(|name| !name.is_empty())),
        (Some(_), Some(_)) => Err(invalid("send X-Original-Principal only once")),
    }
}

/// The value of a header. A value that is not text, or longer than any subject, is refused, so that it cannot
/// match a principal by a part of it.
fn text(value: &HeaderValue) -> Result<String> {
    let name = value.as_bytes().trim_ascii();
    let text = str::from_utf8(name).ok().filter(|name| name.len() <= MAX_SUBJECT);
    let nobody = || Error::denied(Reason::PermissionDenied, "X-Original-Principal is not a valid subject");
    text.map(str::to_owned).ok_or_else(nobody)
}

/// A caller of which only the subject is known. It may be an admin role of a tenant.
fn unknown_principal(subject: String) -> Caller {
    Caller::new(CallerFacts { kind: CallerKind::Service, subject, ..CallerFacts::default() })
}

/// A proxy must name a principal. The contract specifies the text.
fn missing() -> Error {
    let text = "Invalid combination of Original principal cannot be empty if the request is via proxy.";
    Error::unauthenticated(Reason::CredentialsMissing, text)
}

fn invalid(text: &'static str) -> Error {
    Error::unauthenticated(Reason::CredentialsInvalid, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Role;

    /// Knows only the platform administrator `root`.
    struct Known;

    #[async_trait]
    impl FindPrincipal for Known {
        async fn find_principal(&self, subject: &str) -> Result<Option<Caller>> {
            let facts =
                CallerFacts { role: Role::PlatformAdmin, subject: subject.to_owned(), ..CallerFacts::default() };
            Ok((subject == "root").then(|| Caller::new(facts)))
        }
    }

    /// Whether a platform caller with this subject keeps platform access, or why it is refused.
    async fn stands(subject: &str, headers: &[&[u8]]) -> Result<bool, Reason> {
        let principals = Principals::new(Arc::new(Known), "proxy, other-proxy".parse().unwrap());
        let (role, subject) = (Role::PlatformAdmin, subject.to_owned());
        let caller = Caller::new(CallerFacts { role, subject, ..CallerFacts::default() });
        let mut map = HeaderMap::new();
        for value in headers {
            map.append(HEADER, HeaderValue::from_bytes(value).unwrap());
        }
        principals.join(caller, &map).await.map(|joined| joined.is_platform()).map_err(|error| error.reason)
    }

    #[tokio::test]
    async fn a_proxy_must_name_a_principal() {
        assert_eq!(stands("proxy", &[]).await, Err(Reason::CredentialsMissing));
        assert_eq!(stands("proxy", &[b" "]).await, Err(Reason::CredentialsMissing));
        for proxy in [b"proxy".as_slice(), b"other-proxy"] {
            assert_eq!(stands("proxy", &[proxy]).await, Err(Reason::CredentialsInvalid));
        }
        assert_eq!(stands("proxy", &[b"root"]).await, Ok(true));
        assert_eq!(stands("proxy", &[b"nobody"]).await, Ok(false));
    }

    #[tokio::test]
    async fn a_principal_restricts_every_caller() {
        assert_eq!(stands("ops", &[]).await, Ok(true));
        assert_eq!(stands("ops", &[b"ops"]).await, Ok(true), "who names oneself names nobody else");
        for nobody in [b"nobody".as_slice(), b"root, ops", b"Root", b"proxy", &[b'x'; 1020]] {
            assert_eq!(stands("ops", &[nobody]).await, Ok(false), "{nobody:?}");
        }
        // Neither a part of it nor a substitute is accepted as a name.
        for no_name in [b"r\xf6\xf6t".as_slice(), b"\xff", &[b'x'; 1021]] {
            assert_eq!(stands("ops", &[no_name]).await, Err(Reason::PermissionDenied), "{no_name:?}");
        }
        assert_eq!(stands("ops", &[b"root", b"root"]).await, Err(Reason::CredentialsInvalid));
    }

    #[test]
    fn subjects_are_parsed_as_a_list() {
        assert_eq!("a, b/c ".parse::<ProxyRoles>().unwrap().0, ["a".to_owned(), "b/c".to_owned()].into());
        for bad in ["", "a,", ",", " "] {
            assert_eq!(bad.parse::<ProxyRoles>(), Err(InvalidSubjects), "{bad}");
        }
    }
}
