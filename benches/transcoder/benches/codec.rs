//! Decodes and encodes a message of numbers, in comparison with pbjson and with serde's derived code. All read and
//! write the same text; the transcoder and pbjson fill the same struct.

use std::hint::black_box;

use transcoder::json::{self, JsonOptions, Msg};
use transcoder_bench::{
    load::{alternate, calls, median, rate, ratio},
    proto::fleet::v1::Telemetry,
    telemetry,
};

/// Length of one turn in milliseconds.
const TURN: u64 = 150;

const NAMES: [&str; 3] = ["serde, derived", "pbjson", "transcoder"];

fn main() {
    let message = telemetry::message();
    let text = json::encode::<Msg<Telemetry>>(&message, &JsonOptions::PROTO3).expect("all can be written");
    let twin: telemetry::Telemetry = serde_json::from_slice(&text).expect("the twin reads what the others read");
    let by_pbjson: Telemetry = serde_json::from_slice(&text).expect("pbjson reads what the transcoder wrote");
    assert_eq!(by_pbjson, message);
    for other in [serde_json::to_vec(&message), serde_json::to_vec(&twin)] {
        assert_eq!(String::from_utf8(other.expect("JSON")), String::from_utf8(text.clone()));
    }
    println!("a message of numbers, {} bytes of JSON\n", text.len());

    let rates = alternate(|side| match side {
        0 => calls(TURN, || serde_json::from_slice::<telemetry::Telemetry>(black_box(&text)).expect("JSON")),
        1 => calls(TURN, || serde_json::from_slice::<Telemetry>(black_box(&text)).expect("JSON")),
        _ => calls(TURN, || json::decode::<Msg<Telemetry>>(black_box(&text), &JsonOptions::PROTO3).expect("JSON")),
    });
    report("decode", rates, 2.0);
    let rates = alternate(|side| match side {
        0 => calls(TURN, || serde_json::to_vec(black_box(&twin)).expect("JSON")),
        1 => calls(TURN, || serde_json::to_vec(black_box(&message)).expect("JSON")),
        _ => calls(TURN, || json::encode::<Msg<Telemetry>>(black_box(&message), &JsonOptions::PROTO3).expect("JSON")),
    });
    report("encode", rates, 1.2);
}

fn report(what: &str, rates: [Vec<f64>; 3], goal: f64) {
    let [serde, pbjson, ours] = rates.map(median);
    println!("{what}");
    for (name, figure) in NAMES.into_iter().zip([serde, pbjson, ours]) {
        rate(name, figure);
    }
    ratio("ratio to pbjson", ours / pbjson, goal);
    println!("  ratio to serde, derived {:.3} (for information)", ours / serde);
}
