//! `tenantry token mint`: signs a token, offline unless a tenant must be looked up. Only the token goes to standard
//! output.

use std::time::Duration;

use anyhow::Context;

use super::{
    Common, Usage,
    config::{self, Config},
    key_file, output, report,
    start::{block_on, open_migrated},
};
use crate::{
    auth::{
        Surface,
        authn::{
            keys::Keys,
            tokens::{self, MAX_LIFETIME, is_subject},
        },
    },
    base::{Clock, Role, TenantId, TenantRef},
    tenants,
};

/// How long to wait for the lookup of a tenant before its name is signed instead.
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Role: platform_admin, admin, network_admin, security_operator, auditor, read_only, user or project
    #[arg(long)]
    role: Role,
    /// Tenant of the caller, by name or id; none for platform callers. The token has the id, even for a name, if the
    /// database can be read
    #[arg(long)]
    tenant: Option<String>,
    /// Project to which the caller is limited; for the role `project`
    #[arg(long)]
    project: Option<String>,
    /// Subject [default: minted:ROLE:ID, with the id of the token]
    #[arg(long)]
    sub: Option<String>,
    /// Surface for which the token is valid; may be repeated [default: all surfaces]
    #[arg(long)]
    audience: Vec<Surface>,
    /// How long the token is valid, such as 30m, 1h or 7d; at most 400d
    #[arg(long, default_value = "1h", value_parser = parse_ttl)]
    ttl: Duration,
}

pub(super) fn run(common: &Common, arguments: &Args) -> anyhow::Result<()> {
    check(arguments)?;
    let config = common.load(&[])?;
    let path = key_file(&config);
    let keys = Keys::load(&path, None).context(
        "no signing key: set TENANTRY_JWT_KEY, or set TENANTRY_DATA_DIR to the data directory of `tenantry dev`",
    )?;
    let tenant = arguments.tenant.as_deref().map(|text| tenant(&config, text)).transpose()?;
    let token = tokens::issue(&keys, &claims(arguments, tenant, &Clock::system()))?;
    output::product(format!("{token}\n").as_bytes())
}

/// The tenant in the token: its id, which is never reused. A name is looked up for that; only if no such tenant exists
/// yet, or no database can be read, the name itself is signed: servers accept it as long as no tenant gives up that
/// name.
fn tenant(config: &Config, text: &str) -> anyhow::Result<String> {
    let reference = TenantRef::parse(text);
    let found = block_on(async {
        let look_up = async {
            let store = open_migrated(config).await?;
            let found = tenants::find(&store, &reference).await;
            store.close().await;
            anyhow::Ok(found?)
        };
        tokio::time::timeout(PATIENCE, look_up).await.context("the database did not answer in time")?
    });
    match (found, text.parse::<TenantId>()) {
        (Ok(Some(tenant)), _) if tenant.status.is_present() => Ok(tenant.id.dashed()),
        // A name that can be parsed as an id is not signed: servers would take it for the id.
        (_, Ok(id)) => Ok(id.dashed()),
        (Ok(_), _) => {
            output::complain(format_args!(
                "warning: there is no tenant {text} yet; the token holds the name instead of the tenant's id"
            ));
            Ok(text.to_owned())
        }
        (Err(error), _) => {
            let why = report::text(&error);
            output::complain(format_args!(
                "warning: {why}; the token holds the name {text} instead of the tenant's id"
            ));
            Ok(text.to_owned())
        }
    }
}

/// Refuses what a server would refuse.
fn check(arguments: &Args) -> Result<(), Usage> {
    let platform = arguments.role == Role::PlatformAdmin;
    if platform && (arguments.tenant.is_some() || arguments.project.is_some()) {
        return Err(Usage("platform_admin covers all tenants: omit --tenant and --project"));
    }
    if arguments.sub.as_deref().is_some_and(|subject| !is_subject(subject)) {
        return Err(Usage("--sub is empty or has control characters"));
    }
    for (name, given) in [("--project", &arguments.project), ("--tenant", &arguments.tenant)] {
        if given.as_deref().is_some_and(|text| text.trim().is_empty()) {
            return Err(Usage(if name == "--project" { "--project is empty" } else { "--tenant is empty" }));
        }
    }
    match (arguments.role == Role::Project, arguments.project.is_some()) {
        (true, false) => Err(Usage("the role project needs --project")),
        (false, true) => Err(Usage("--project needs the role project")),
        _ => Ok(()),
    }
}

fn claims(arguments: &Args, tenant: Option<String>, clock: &Clock) -> tokens::Claims {
    let audience = if arguments.audience.is_empty() { Surface::ALL.to_vec() } else { arguments.audience.clone() };
    let minted = tokens::Claims::minted(String::new(), arguments.role, &audience, arguments.ttl, clock);
    // The id in the subject makes it unique: admin roles are granted to subjects.
    let own = || format!("minted:{}:{}", arguments.role, minted.jti);
    tokens::Claims {
        sub: arguments.sub.clone().unwrap_or_else(own),
        tenant,
        project: arguments.project.clone(),
        ..minted
    }
}

fn parse_ttl(text: &str) -> Result<Duration, &'static str> {
    let fits = |ttl: &Duration| (1..=MAX_LIFETIME.unsigned_abs()).contains(&ttl.as_secs());
    config::duration(text).filter(fits).ok_or("a duration such as 30m, 1h or 7d, at most 400d")
}
