//! Tokens of projects on the manager surface (manager contract, section 6).

use std::{sync::Arc, time::Duration};

use serde_json::json;

use super::{
    authn::{
        authenticate::third_party_token_id,
        keys::Keys,
        legacy_tokens::ManagerKey,
        tokens::{self, Claims},
    },
    surface::Surface,
};
use crate::{
    base::{Cx, Error, ManagerId, Result, Role, error::Reason},
    manager::projects,
    store::Store,
};

/// The lifetime of a token without another one, in minutes.
const LIFETIME: i32 = 60;
/// The longest lifetime, in minutes: 30 days.
const LONGEST: i32 = 43_200;

/// Issues tokens of projects. Cheap to clone.
#[derive(Clone)]
pub struct ProjectTokens {
    keys: Arc<Keys>,
    /// The shared key of the surface. Where there is one, it signs, so that other programs with it can verify the tokens.
    shared: Option<ManagerKey>,
}

impl ProjectTokens {
    pub fn new(keys: Arc<Keys>, shared: Option<ManagerKey>) -> Self {
        Self { keys, shared }
    }

    /// Issues a token of the project with an id.
    pub async fn create(&self, cx: &Cx, store: &Store, named: &str, minutes: Option<i32>) -> Result<String> {
        if named.is_empty() {
            return Err(Error::invalid(Reason::FieldRequired, "project_id", "the project's id is empty"));
        }
        let minutes = match minutes.unwrap_or_default() {
            0 => LIFETIME,
            minutes if (1..=LONGEST).contains(&minutes) => minutes,
            _ => {
                let text = format!("TTLMinutes must be a number from 0 to {LONGEST}");
                return Err(Error::invalid(Reason::InvalidArgument, "ttl_minutes", text));
            }
        };
        let id = ManagerId::Project.read(named);
        let ttl = Duration::from_secs(60 * u64::from(minutes.unsigned_abs()));
        let project = id.map(|id| ManagerId::Project.show(id)).unwrap_or_default();
        let claims = Claims {
            project: Some(project.clone()),
            ..Claims::minted(format!("project:{project}"), Role::Project, &[Surface::Manager], ttl, &cx.clock)
        };
        let (token, token_id) = match &self.shared {
            Some(key) => {
                let token = key.sign_project(&project, claims.iat, claims.exp)?;
                let id = third_party_token_id(&token);
                (token, id)
            }
            None => (tokens::issue(&self.keys, &claims)?, claims.jti.clone()),
        };
        let details = json!({"token_id": token_id, "expires_at": claims.exp});
        projects::record_token(cx, store, id, details).await?;
        Ok(token)
    }
}
