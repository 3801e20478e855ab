//! `tenantry-gateway-sim`: simulated gateways with real enrollments, streams and verification.

use std::{
    fmt::Display,
    io::{self, Write as _},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;
use tenantry_gateway_sim::{Clock, Fleet, Percentiles, Plan, Publisher, Route, Selected};
use tenantry_proto::edge::v1::Material;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{sleep, timeout},
};

/// Enrolls simulated gateways, holds their streams, verifies and acknowledges what they get, and reports how long it takes.
#[derive(Debug, Parser)]
#[command(name = "tenantry-gateway-sim", version)]
struct Arguments {
    /// URL of the server.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    server: String,
    /// Certificate of the authority of an https server, in PEM.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// URL of the listener for client certificates; without it, the streams use device tokens with proofs.
    #[arg(long, value_name = "URL")]
    mtls: Option<String>,
    /// Enrollment token for gateways; it must have enough uses.
    #[arg(long, env = "TENANTRY_GATEWAY_TOKEN", hide_env_values = true)]
    token: String,
    /// Number of gateways.
    #[arg(long, default_value_t = 1)]
    gateways: usize,
    /// Number of streams on each connection, without --mtls.
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    streams_per_connection: usize,
    /// How long to run, in seconds; until Ctrl-C without it.
    #[arg(long, value_name = "SECONDS")]
    duration: Option<u64>,
    /// Publish this number of policies, one after the other, and measure when the gateways have applied them.
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    publish: usize,
    /// Number of routes of a published policy.
    #[arg(long, default_value_t = 8, value_name = "NUMBER")]
    routes: usize,
    /// Token of an administrator, for --publish.
    #[arg(long, env = "TENANTRY_TOKEN", hide_env_values = true)]
    admin_token: Option<String>,
    /// Tenant of the policies, if the administrator is of the platform.
    #[arg(long)]
    tenant: Option<String>,
    /// By how many seconds the clocks of the gateways are ahead; negative if they are behind.
    #[arg(long, default_value_t = 0, value_name = "SECONDS", allow_negative_numbers = true)]
    clock_ahead: i64,
    /// How long gateways that are refused wait before they try again, in seconds; not at all without it.
    #[arg(long, value_name = "SECONDS")]
    retry_refused: Option<u64>,
    /// How often each gateway reports to the server, in seconds; not at all without it.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    metering: Option<u64>,
}

/// How long all gateways may take to apply a policy.
const APPLIED: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Result<()> {
    // By default, the signal ends the process when standard output is a file that has reached its limit (`ulimit -f`). With
    // a handler, the write fails.
    let _unread = signal(SignalKind::from_raw(libc::SIGXFSZ)).context("signals cannot be caught")?;
    let arguments = Arguments::parse();
    let plan = Plan {
        server: Route::new(&arguments.server, authorities(arguments.ca.as_ref())?)?,
        mutual: arguments.mtls.clone(),
        streams_per_connection: arguments.streams_per_connection,
        clock: Clock::ahead(arguments.clock_ahead),
        retry_refused: arguments.retry_refused.map(Duration::from_secs),
        metering: arguments.metering.map(Duration::from_secs),
    };
    let began = Instant::now();
    let enrolled = plan.enroll(&arguments.token, arguments.gateways).await?;
    let seconds = began.elapsed().as_secs_f64();
    let rate = enrolled.len() as f64 / seconds;
    say(format_args!("enrolled {} gateways in {seconds:.2} s: {rate:.0}/s", enrolled.len()))?;
    let mut fleet = plan.start(enrolled)?;
    if arguments.publish > 0 {
        publish(&arguments, &plan, &fleet).await?;
    }
    match arguments.duration {
        Some(seconds) => sleep(Duration::from_secs(seconds)).await,
        None if arguments.publish > 0 => {}
        None => tokio::signal::ctrl_c().await?,
    }
    summary(&mut fleet)
}

/// The authorities in a file, in DER.
fn authorities(file: Option<&PathBuf>) -> Result<Vec<Vec<u8>>> {
    use tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject as _};
    let Some(file) = file else { return Ok(Vec::new()) };
    let of_file = CertificateDer::pem_file_iter(file).with_context(|| format!("cannot read {}", file.display()))?;
    let authorities: Vec<_> = of_file.map(|der| der.map(|der| der.to_vec())).collect::<Result<_, _>>()?;
    ensure!(!authorities.is_empty(), "{} has no certificate", file.display());
    Ok(authorities)
}

/// Publishes policies, and measures the time from the call until each gateway has applied it.
async fn publish(arguments: &Arguments, plan: &Plan, fleet: &Fleet) -> Result<()> {
    let token = arguments.admin_token.clone().context("--publish needs --admin-token")?;
    let publisher = Publisher { channel: plan.server.channel(None)?, token, tenant: arguments.tenant.clone() };
    let all: Vec<usize> = (0..arguments.gateways).collect();
    // The streams are open when all have the first one.
    let (version, _) = publisher.publish(Selected::Stable, arguments.routes).await?;
    timeout(APPLIED, fleet.progress.all(&all, Material::GatewayPolicy, version))
        .await
        .context("not all streams open")?;
    for _ in 0..arguments.publish {
        let (version, began) = publisher.publish(Selected::Stable, arguments.routes).await?;
        let answered = began.elapsed();
        let applied = timeout(APPLIED, fleet.progress.all(&all, Material::GatewayPolicy, version)).await;
        let applied = applied.with_context(|| format!("not all gateways have applied version {version}"))?;
        let times = Percentiles::of(applied.into_iter().map(|at| at.duration_since(began)));
        let of = |percent| times.at(percent).as_secs_f64() * 1e3;
        say(format_args!(
            "version {version}: answered after {:.1} ms; applied after {:.1} ms (p50), {:.1} ms (p99), {:.1} ms (last)",
            answered.as_secs_f64() * 1e3,
            of(50),
            of(99),
            of(100),
        ))?;
    }
    Ok(())
}

fn summary(fleet: &mut Fleet) -> Result<()> {
    let (refusals, ends) = (fleet.progress.refusals(), fleet.progress.ends());
    say(format_args!(
        "applied {} updates of policies; {} gateways are running",
        fleet.progress.updates(Material::GatewayPolicy),
        fleet.running()
    ))?;
    if fleet.progress.reports() > 0 {
        say(format_args!("the server has {} reports of the gateways", fleet.progress.reports()))?;
    }
    ends.iter().try_for_each(|end| say(format_args!("ended: {end}")))?;
    if let Some(first) = refusals.first() {
        bail!("{} updates were refused, the first one by {first}", refusals.len());
    }
    Ok(())
}

/// Writes a line to standard output.
fn say(line: impl Display) -> Result<()> {
    writeln!(io::stdout().lock(), "{line}").context("cannot write to standard output")
}
