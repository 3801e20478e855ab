//! A key of the Transit engine as a key-encryption key. The key stays in OpenBAO, which seals and opens data keys with it.

use std::sync::Arc;

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::{
    address::Name,
    call::Call,
    client::OpenBao,
    error::{Cause, OpenBaoError, unless},
    link::Ask,
};
use crate::{
    base::{Error, Kind, Result, Secret, error::Reason},
    store::{Kek, RemoteKek},
};

/// The beginning of the ids of these keys, and of the setting that names one.
pub const BEGIN: &str = "openbao:";

/// A key of the engine at `transit/`.
struct TransitKey {
    bao: OpenBao,
    name: Name,
}

#[derive(Deserialize)]
struct Encrypted {
    data: Ciphertext,
}

#[derive(Deserialize)]
struct Ciphertext {
    ciphertext: String,
}

#[derive(Deserialize)]
struct Decrypted {
    data: Plaintext,
}

#[derive(Deserialize)]
struct Plaintext {
    plaintext: Secret<String>,
}

/// The key with a name. Makes no call yet.
pub fn kek(bao: &OpenBao, name: Name) -> Kek {
    Kek::remote(format!("{BEGIN}{name}"), Arc::new(TransitKey { bao: bao.clone(), name }))
}

#[async_trait]
impl RemoteKek for TransitKey {
    /// The text of the engine is `vault:vVERSION:TEXT`. The purpose is authenticated.
    async fn wrap(&self, purpose: &str, key: &[u8]) -> Result<String> {
        let path = format!("transit/encrypt/{}", self.name);
        let plaintext = Secret::new(STANDARD.encode(key));
        let body = json!({"plaintext": plaintext.expose(), "associated_data": STANDARD.encode(purpose)});
        let secrets = [&plaintext];
        let ask = Ask::new(Call::EncryptKey, Method::POST, &path).body(body).secrets(&secrets);
        let reply = self.bao.call(ask).await.map_err(unusable)?;
        let Encrypted { data: Ciphertext { ciphertext } } = reply.parse().map_err(unusable)?;
        Ok(ciphertext)
    }

    async fn unwrap(&self, purpose: &str, wrapped: &str) -> Result<Option<Secret<Vec<u8>>>> {
        let path = format!("transit/decrypt/{}", self.name);
        let body = json!({"ciphertext": wrapped, "associated_data": STANDARD.encode(purpose)});
        let reply = self.bao.call(Ask::new(Call::DecryptKey, Method::POST, &path).body(body)).await;
        let Some(reply) = unless(reply, Cause::NotSealed).map_err(unusable)? else { return Ok(None) };
        let Decrypted { data: Plaintext { plaintext } } = reply.parse().map_err(unusable)?;
        let key = STANDARD.decode(plaintext.expose());
        // The error of the decoder would have a part of the key.
        let key = key.map_err(|_| unusable(OpenBaoError::new(Call::DecryptKey, Cause::Response)))?;
        Ok(Some(Secret::new(key)))
    }
}

/// Callers learn that the server cannot do this now; the log has what failed.
fn unusable(error: OpenBaoError) -> Error {
    let message = "cannot seal or open secrets: the key-encryption key cannot be used now";
    Error::new(Kind::Unavailable, Reason::KekUnavailable, message).caused_by(error)
}
