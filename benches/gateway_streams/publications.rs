//! A publication to many gateways: the time from the call until the last stream has it, validation, signature and commit included; and
//! the memory of an idle stream.

use std::time::Duration;

use super::{
    World, median, milliseconds, missed_if,
    receivers::{FEW, Plan, Receivers, Remote, Wanted, Who},
};

/// Rounds of each side.
const ROUNDS: usize = 7;
/// The allowed factor to the twin.
const RATIO: f64 = 1.6;
/// The allowed memory of an idle stream on a connection of its own, in KiB.
const MEMORY: f64 = 42.0;

pub async fn run(world: &World) {
    let gateways = world.enrolled.len();
    // Connections, streams on each, and the goal for the last receiver.
    let shapes = [(gateways, 1, Duration::from_millis(200)), (gateways.div_ceil(20), 100, Duration::from_millis(700))];
    for (connections, each, goal) in shapes {
        shape(world, connections, each, goal).await;
    }
}

async fn shape(world: &World, connections: usize, each: usize, goal: Duration) {
    let streams = connections * each;
    println!("publish to {streams} gateways on {connections} connections, until the last one has it");
    let (our_memory, their_memory) = (world.program.own_memory(), world.twin.own_memory());
    let who = Who::Tokens(world.enrolled.clone());
    let plan = Plan { route: world.ours(), connections, each, who, wanted: Wanted::Policies, at_once: FEW };
    let (ours, _) = Receivers::open(plan).await;
    let url = format!("http://{}", world.twin.address);
    let (mut theirs, _) = tokio::task::block_in_place(|| Remote::open(&url, connections, each, FEW, None));
    tokio::time::sleep(Duration::from_secs(3)).await;
    let of_stream = |now: f64, before: f64| (now - before) * 1024.0 / streams as f64;
    let idle = of_stream(world.program.own_memory(), our_memory);
    let idle_twin = of_stream(world.twin.own_memory(), their_memory);
    let (mut our_times, mut our_p99s, mut their_times) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // Each round begins with the other side.
        for side in [round % 2, (round + 1) % 2] {
            if side == 0 {
                let (p99, last) = ours.all_have(world.publish()).await;
                our_times.push(last);
                our_p99s.push(p99);
            } else {
                their_times.push(theirs.all_have().1);
            }
            // Acknowledgements are written within a second.
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
    let (_, bytes, _) = ours.received();
    let (last, twin) = (median(our_times), median(their_times));
    println!("  tonic by hand, without validation, signature and commit: {:.1} ms", milliseconds(twin));
    let p99 = milliseconds(median(our_p99s));
    println!("  Tenantry, envelopes of {} bytes: {:.1} ms, p99 {p99:.1} ms", bytes / streams, milliseconds(last));
    let ratio = last.as_secs_f64() / twin.as_secs_f64();
    println!("  {ratio:.2} times the twin (goal at most {RATIO}{})", missed_if(ratio > RATIO));
    println!("  {:.0} ms (goal at most {} ms{})", milliseconds(last), goal.as_millis(), missed_if(last > goal));
    if each == 1 {
        println!("an idle stream on a connection of its own; one of tonic by hand has {idle_twin:.1} KiB");
        println!("  {idle:.1} KiB (goal at most {MEMORY}{})", missed_if(idle > MEMORY));
    }
}
