//! `tenantry token mint`: signs a token offline. The token alone goes to stdout.

use std::time::Duration;

use anyhow::Context;

use super::{Common, Usage, config, key_file};
use crate::{
    auth::{Surface, keys::Keys, tokens},
    base::{Clock, Role},
};

/// Arguments of `token mint`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Role: platform_admin, admin, network_admin, security_operator, auditor, read_only, user or project
    #[arg(long)]
    role: Role,
    /// Tenant that the caller belongs to, by name or id; none for platform callers
    #[arg(long)]
    tenant: Option<String>,
    /// Project that the caller is confined to; for the role `project`
    #[arg(long)]
    project: Option<String>,
    /// Subject [default: minted:ROLE]
    #[arg(long)]
    sub: Option<String>,
    /// Surface that the token is good for; may be repeated [default: all surfaces]
    #[arg(long)]
    audience: Vec<Surface>,
    /// How long the token is good, such as 30m, 1h or 7d
    #[arg(long, default_value = "1h", value_parser = parse_ttl)]
    ttl: Duration,
}

pub(super) fn run(common: &Common, arguments: &Args) -> anyhow::Result<()> {
    check(arguments)?;
    let (config, _) = common.load(&[])?;
    let path = key_file(&config);
    let keys = Keys::load(&path, None)
        .context("no key to sign with: set TENANTRY_JWT_KEY, or TENANTRY_DATA_DIR to the data of `tenantry dev`")?;
    println!("{}", tokens::issue(&keys, &claims(arguments, &Clock::system()))?);
    Ok(())
}

/// What a server would refuse is refused here.
fn check(arguments: &Args) -> Result<(), Usage> {
    let platform = arguments.role == Role::PlatformAdmin;
    if platform && (arguments.tenant.is_some() || arguments.project.is_some()) {
        return Err(Usage("platform_admin stands above all tenants: leave out --tenant and --project"));
    }
    match (arguments.role == Role::Project, arguments.project.is_some()) {
        (true, false) => Err(Usage("the role project needs --project")),
        (false, true) => Err(Usage("--project needs the role project")),
        _ => Ok(()),
    }
}

fn claims(arguments: &Args, clock: &Clock) -> tokens::Claims {
    let audience = if arguments.audience.is_empty() { Surface::ALL.to_vec() } else { arguments.audience.clone() };
    tokens::Claims {
        tenant: arguments.tenant.clone(),
        project: arguments.project.clone(),
        ..tokens::Claims::minted(
            arguments.sub.clone().unwrap_or_else(|| format!("minted:{}", arguments.role)),
            arguments.role,
            &audience,
            arguments.ttl,
            clock,
        )
    }
}

fn parse_ttl(text: &str) -> Result<Duration, &'static str> {
    config::duration(text).filter(|ttl| ttl.as_secs() > 0).ok_or("a duration such as 30m, 1h or 7d")
}
