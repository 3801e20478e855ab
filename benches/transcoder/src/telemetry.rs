//! The message of numbers: some 2.6 KB of JSON, the same text for every codec.

use serde::{Deserialize, Serialize};

use crate::proto::fleet::v1 as proto;

/// Deterministic numbers that look like measurements.
struct Numbers(u64);

impl Numbers {
    /// The next number of a linear congruential generator, below `limit`.
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    /// A value with this number of decimals, between `low` and `low + width`.
    fn decimal(&mut self, low: i32, width: u32, decimals: u32) -> f64 {
        let scale = 10_u64.pow(decimals);
        // A last digit of zero would shorten the text.
        let parts = self.below(u64::from(width) * scale) / 10 * 10 + 7;
        f64::from(low) + parts as f64 / scale as f64
    }

    fn list<T>(&mut self, length: usize, mut next: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..length).map(|_| next(self)).collect()
    }
}

/// The message.
pub fn message() -> proto::Telemetry {
    let mut numbers = Numbers(42);
    let round = |value: f64, decimals: i32| (value * 10_f64.powi(decimals)).round() / 10_f64.powi(decimals);
    proto::Telemetry {
        sequence: 8_417_225,
        captured_at_nanos: 1_764_123_456_789_012_345,
        battery_millivolts: 11_872,
        signal_dbm: -87,
        latitude: 57.149_717_3,
        longitude: -2.094_278_1,
        altitude_meters: 31.25,
        heading_degrees: 271.5,
        uptime_millis: 987_654_321,
        clock_drift_nanos: -1_204_833,
        cell_millivolts: numbers.list(28, |n| 3_600 + n.below(600) as i32),
        energy_counters: numbers.list(30, |n| 7_000_000_000_000 + n.below(2_000_000_000) as i64),
        packet_counters: numbers.list(30, |n| 40_000_000_000 + n.below(2_000_000_000)),
        temperatures: numbers.list(40, |n| round(n.decimal(-20, 80, 4), 4)),
        accelerations: numbers.list(40, |n| n.decimal(-9, 18, 3) as f32),
        samples: numbers.list(10, |n| proto::Sample {
            at_millis: 1_764_123_456_000 + n.below(60_000) as i64,
            value: round(n.decimal(-1, 2, 7), 7),
            channel: n.below(64) as i32,
        }),
    }
}

/// A hand-written message for serde.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[allow(missing_docs, reason = "the proto says what they are")]
pub struct Telemetry {
    #[serde(with = "text")]
    pub sequence: i64,
    #[serde(with = "text")]
    pub captured_at_nanos: u64,
    pub battery_millivolts: i32,
    pub signal_dbm: i32,
    pub latitude: f64,
    pub longitude: f64,
    pub altitude_meters: f32,
    pub heading_degrees: f32,
    #[serde(with = "text")]
    pub uptime_millis: u64,
    #[serde(with = "text")]
    pub clock_drift_nanos: i64,
    pub cell_millivolts: Vec<i32>,
    #[serde(with = "texts")]
    pub energy_counters: Vec<i64>,
    #[serde(with = "texts")]
    pub packet_counters: Vec<u64>,
    pub temperatures: Vec<f64>,
    pub accelerations: Vec<f32>,
    pub samples: Vec<Sample>,
}

/// The nested message.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[allow(missing_docs, reason = "the proto says what they are")]
pub struct Sample {
    #[serde(with = "text")]
    pub at_millis: i64,
    pub value: f64,
    pub channel: i32,
}

/// A 64-bit integer as a JSON string.
pub mod text {
    use std::{fmt::Display, str::FromStr};

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes it.
    pub fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    /// Reads it.
    pub fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        <&str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A list of 64-bit integers as JSON strings.
mod texts {
    use std::{fmt::Display, str::FromStr};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(bound(serialize = "T: Display", deserialize = "T: FromStr<Err: Display>"))]
    struct Text<T>(#[serde(with = "super::text")] T);

    pub fn serialize<T: Display, S: Serializer>(values: &[T], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(Text))
    }

    pub fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<T>, D::Error> {
        let texts: Vec<Text<T>> = Deserialize::deserialize(deserializer)?;
        Ok(texts.into_iter().map(|text| text.0).collect())
    }
}
