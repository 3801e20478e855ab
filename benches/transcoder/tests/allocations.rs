//! Allocations are deterministic, so the benchmark's result is also tested.

mod counts;

#[test]
fn a_get_through_the_transcoder_allocates_less_than_through_rest_over_grpc() {
    let (ours, peer) = (counts::ours(), counts::peer());
    assert_eq!(ours.own, peer.own, "the same service");
    assert!(ours.above() < peer.above(), "{ours:?} {peer:?}");
}
