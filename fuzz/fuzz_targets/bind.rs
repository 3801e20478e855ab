//! Any query of a whole call is bound or is a bad request; memory is proportional.

#![no_main]

use std::sync::LazyLock;

use allocation_counter::measure;
use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};
use transcoder_conformance::{bounds, checks};

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("a runtime needs nothing"));

fn call(query: &str) {
    RUNTIME.block_on(checks::query(query));
}

fuzz_target!(init: call(""), |query: &str| {
    let bound = measure(|| call(query));
    bounds::QUERY.check("binding", query.len(), bound.bytes_max);
});
