//! Any bytes are JSON or are refused; what can be read is written and read again; memory is proportional.

#![no_main]

use allocation_counter::measure;
use libfuzzer_sys::fuzz_target;
use transcoder::json::{Msg, decode};
use transcoder_conformance::{
    bounds,
    checks::{self, LOOSE},
    proto::conformance::v1::Everything,
};

fuzz_target!(|bytes: &[u8]| {
    let read = measure(|| drop(decode::<Msg<Everything>>(bytes, &LOOSE)));
    bounds::JSON.check("reading", bytes.len(), read.bytes_max);
    checks::json(bytes);
});
