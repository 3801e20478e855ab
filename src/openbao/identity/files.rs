//! The files with tokens and secret ids.

use std::path::{Path, PathBuf};

use http::Method;
use serde::Deserialize;
use tokio::time::Instant;

use crate::{
    base::{Secret, setting_file},
    openbao::{
        call::Call,
        error::{Cause, OpenBaoError, Result},
        link::{Ask, Link},
        settings::SecretId,
    },
};

/// The token in a file.
pub(super) async fn token(path: &Path) -> Result<Secret<String>> {
    read(path.to_owned(), Call::FindToken, Cause::TokenFile).await
}

/// The content of a file without surrounding white space.
async fn read(path: PathBuf, call: Call, cause: Cause) -> Result<Secret<String>> {
    let failed = || OpenBaoError::new(call, cause);
    // The file may be on a slow disk.
    let content = tokio::task::spawn_blocking(move || setting_file::read_text(&path)).await;
    let content = content.map_err(|_| failed())?.map_err(|error| failed().caused_by(error))?;
    match content.trim_start_matches('\u{feff}').trim() {
        "" => Err(failed()),
        text => Ok(Secret::new(text.to_owned())),
    }
}

/// The secret id that was unwrapped, and the token that wrapped it.
#[derive(Default)]
pub(super) struct Wrapped {
    secret_id: Option<Secret<String>>,
    used: Option<Secret<String>>,
}

#[derive(Deserialize)]
struct Unwrapped {
    data: SecretIdData,
}

#[derive(Deserialize)]
struct SecretIdData {
    secret_id: Secret<String>,
}

impl Wrapped {
    /// The secret id. One that is wrapped is unwrapped only once, because that uses up the token around it.
    pub async fn secret_id(&mut self, link: &Link, from: &SecretId, deadline: Instant) -> Result<Secret<String>> {
        let path = match from {
            SecretId::File(path) => return read(path.clone(), Call::LogIn, Cause::SecretIdFile).await,
            SecretId::WrappedFile(path) => path,
        };
        if let Some(secret_id) = &self.secret_id {
            return Ok(secret_id.clone());
        }
        let wrapping = read(path.clone(), Call::Unwrap, Cause::SecretIdFile).await?;
        if self.used.as_ref() == Some(&wrapping) {
            // Its secret id was refused; a person has to write a new one.
            return Err(OpenBaoError::new(Call::LogIn, Cause::LoginRefused));
        }
        let ask = Ask::new(Call::Unwrap, Method::POST, "sys/wrapping/unwrap").token(&wrapping);
        let unwrapped: Unwrapped = link.call(&ask, deadline).await?.parse()?;
        self.used = Some(wrapping);
        self.secret_id = Some(unwrapped.data.secret_id.clone());
        Ok(unwrapped.data.secret_id)
    }

    /// Forgets a secret id that OpenBAO refused.
    pub fn forget(&mut self) {
        self.secret_id = None;
    }
}
