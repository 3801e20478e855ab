//! Any message in the binary format is written as JSON, unless it has no JSON form, and read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use transcoder_conformance::checks;

fuzz_target!(|bytes: &[u8]| checks::binary(bytes));
