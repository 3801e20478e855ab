//! Any path matches a rule of the tables or does not, and the values of its variables decode or do not; memory is
//! proportional.

#![no_main]

use allocation_counter::measure;
use libfuzzer_sys::fuzz_target;
use transcoder_conformance::{bounds, checks};

fuzz_target!(init: checks::path("/"), |path: &str| {
    let found = measure(|| checks::path(path));
    bounds::PATH.check("matching", path.len(), found.bytes_max);
});
