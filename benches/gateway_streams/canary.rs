//! What a canary of 10 % costs, beside a publication for all: bytes and CPU time by the number of its gateways, and one signature for each
//! bundle.

use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tenantry_gateway_sim::Selected;

use super::{
    ROUTES, World, median, milliseconds, missed_if,
    receivers::{FEW, Plan, Receivers, Wanted, Who},
};

const PERCENT: i32 = 10;
const ROUNDS: usize = 5;
/// By how much the shares may exceed that of the gateways, for what does not depend on their number.
const ALLOWED: f64 = 0.05;
/// Until everything of a publication is done: what gateways acknowledge is written within a second.
const SETTLED: Duration = Duration::from_millis(1800);

/// What a publication has cost.
struct Cost {
    cpu: Duration,
    messages: usize,
    bytes: usize,
    bundles: usize,
    signatures: i64,
}

pub async fn run(world: &World) {
    let connections = world.enrolled.len();
    let who = Who::Tokens(world.enrolled.clone());
    let (receivers, _) = Receivers::open(Plan {
        route: world.ours(),
        connections,
        each: 1,
        who,
        wanted: Wanted::Policies,
        at_once: FEW,
    })
    .await;
    let (mut of_all, mut of_canary) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        of_all.push(cost(world, &receivers, Selected::Stable).await);
        of_canary.push(cost(world, &receivers, Selected::Canary(PERCENT)).await);
    }
    let (Some(all), Some(canary)) = (of_all.last(), of_canary.last()) else { return };
    println!("a canary of {PERCENT} % of {connections} gateways, beside a publication for all");
    let cohort = canary.messages as f64 / all.messages as f64;
    println!("  {} of {} gateways get it: {cohort:.3}", canary.messages, all.messages);
    let each = |cost: &Cost| cost.bytes as f64 / cost.messages as f64;
    println!("  {:.0} bytes for each of them, {:.0} for each of all", each(canary), each(all));
    let cpu = |costs: &[Cost]| median(costs.iter().map(|cost| cost.cpu).collect());
    let (cpu_all, cpu_canary) = (cpu(&of_all), cpu(&of_canary));
    println!("  CPU time {:.0} ms, {:.0} ms for all", milliseconds(cpu_canary), milliseconds(cpu_all));
    let share = cpu_canary.as_secs_f64() / cpu_all.as_secs_f64();
    let most = cohort + ALLOWED;
    println!("  {share:.3} of the CPU time (goal: at most {most:.2}{})", missed_if(share > most));
    let signatures = canary.signatures + all.signatures;
    let bundles = (canary.bundles + all.bundles) as i64;
    println!("  {signatures} signatures (goal: {bundles}, one for each bundle{})", missed_if(signatures != bundles));
}

async fn cost(world: &World, receivers: &Receivers, selected: Selected) -> Cost {
    receivers.forget();
    let (cpu, signatures) = (world.program.cpu(), signatures(world));
    world.publisher.publish(selected, ROUTES).await.expect("a publication");
    tokio::time::sleep(SETTLED).await;
    let (messages, bytes, bundles) = receivers.received();
    let signatures = self::signatures(world) - signatures;
    Cost { cpu: world.program.cpu() - cpu, messages, bytes, bundles, signatures }
}

/// The number of bundles that the program has signed.
fn signatures(world: &World) -> i64 {
    let path = world.home.join(".tenantry/tenantry.db");
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the database");
    let sql = "SELECT count(*) FROM audit_events WHERE action = 'trust.artifact.issue'";
    db.query_row(sql, [], |row| row.get(0)).expect("a read")
}
