//! `tenantry token revoke`: writes a revocation to the database; running servers see it within half a second.

use anyhow::Context;
use jsonwebtoken::dangerous::insecure_decode_claims;
use serde::Deserialize;
use time::{Duration, OffsetDateTime};

use super::{
    Common,
    start::{block_on, open_store},
};
use crate::{auth::authenticate::foreign_token_id, base::Cx, identity::revoked::revoke_token};

/// How long the revocation of an id is kept, when nobody says when its token ends.
const KEPT: Duration = Duration::days(400);

/// Arguments of `token revoke`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The token, or its id (`jti`)
    token: String,
}

/// What a token says of itself. It need not be true: whoever may write to the database may revoke any id.
#[derive(Deserialize)]
struct Claims {
    jti: Option<String>,
    exp: Option<i64>,
}

pub(super) fn run(common: &Common, arguments: &Args) -> anyhow::Result<()> {
    let (config, _) = common.load(&[])?;
    let (id, ends) = identify(&arguments.token)?;
    block_on(async {
        let store = open_store(&config).await?;
        let now = store.clock().now();
        let cx = Cx::system("token revoke", store.clock().clone());
        let done = revoke_token(&store, &cx, id.clone(), ends.unwrap_or(now + KEPT)).await;
        store.close().await;
        done?;
        println!("revoked {id}");
        Ok(())
    })
}

/// The id of a token and its end. A token without an id is known by its digest.
fn identify(text: &str) -> anyhow::Result<(String, Option<OffsetDateTime>)> {
    if text.matches('.').count() != 2 {
        anyhow::ensure!(!text.is_empty() && text.len() <= 256, "that is neither a token nor an id");
        return Ok((text.to_owned(), None));
    }
    let claims: Claims = insecure_decode_claims(text).ok().context("that is no token")?;
    let ends = claims.exp.and_then(|exp| OffsetDateTime::from_unix_timestamp(exp).ok());
    Ok((claims.jti.unwrap_or_else(|| foreign_token_id(text)), ends))
}
