//! The secrets of tokens, which are not stored.

use crate::base::{Secret, opaque};

/// The beginning of every token for devices and gateways.
const BEGIN: &str = "tet_";
/// The beginning of every token for hosts. The rest is secret.
const OF_HOSTS: &str = "sme_";

/// The secret of a new token. It is generated outside of the write.
#[derive(Debug)]
pub struct NewSecret {
    prefix: String,
    /// The whole token.
    text: Secret<String>,
}

/// What is stored of a secret.
#[derive(Clone, Debug)]
pub struct Stored {
    pub(super) prefix: String,
    pub(super) digest: String,
}

impl NewSecret {
    pub fn generate() -> Self {
        let (prefix, text) = opaque::generate(BEGIN);
        Self { prefix, text }
    }

    /// The secret of a token for hosts.
    pub fn for_hosts() -> Self {
        Self { prefix: String::new(), text: opaque::secret(OF_HOSTS) }
    }

    pub fn stored(&self) -> Stored {
        Stored { prefix: self.prefix.clone(), digest: opaque::digest(self.text.expose()) }
    }

    /// The whole token.
    pub fn into_text(self) -> Secret<String> {
        self.text
    }
}
