//! The number of allocations of a unary GET beyond the service's own, in comparison with `rest_over_grpc` and an axum
//! handler.

#[path = "../tests/counts/mod.rs"]
mod counts;

fn main() {
    println!("allocations of a GET of one resource, without sockets\n");
    let (twin, peer, ours) = (counts::twin(), counts::peer(), counts::ours());
    for (name, counts) in [("hand-written axum handler", twin), ("rest_over_grpc", peer), ("transcoder", ours)] {
        println!("  {name:<44} {:>4} above the service's own {}", counts.above(), counts.own);
    }
    let missed = if ours.above() < peer.above() { "" } else { ", missed" };
    println!("  (goal: fewer than rest_over_grpc{missed})");
}
