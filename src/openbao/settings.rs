//! The settings of the client.

use std::{path::PathBuf, time::Duration};

use tokio_rustls::rustls::pki_types::CertificateDer;

use super::address::{Address, Namespace};
use crate::base::Secret;

/// How to reach OpenBAO, and as whom.
#[derive(Clone, Debug)]
pub struct OpenBaoSettings {
    pub address: Address,
    pub credential: Credential,
    pub namespace: Option<Namespace>,
    /// The only authorities whose certificates are accepted; `None` for the public ones.
    pub authorities: Option<Vec<CertificateDer<'static>>>,
    /// The time limit of a call, including its repetitions.
    pub timeout: Duration,
}

/// Where the token of the server comes from.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A token, which the server renews.
    Token(Secret<String>),
    /// A file with a token, which may be replaced at any time.
    TokenFile(PathBuf),
    /// A login with a role id and a secret id (AppRole).
    AppRole { role_id: Secret<String>, secret_id: SecretId },
}

/// Where the secret id of a role comes from.
#[derive(Clone, Debug)]
pub enum SecretId {
    /// A file with the secret id, which is read at each login.
    File(PathBuf),
    /// A file with a token that wraps the secret id. It can be unwrapped once; the secret id is then kept in memory.
    WrappedFile(PathBuf),
}
