//! The resource: the same device in the types of each side. Its JSON has [`BYTES`] bytes on every side.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{peer, proto};

/// Size of the device's JSON: that of the resource in the published comparison of REST over gRPC.
pub const BYTES: usize = 635;

const NAME: &str = "fleets/north-sea/devices/pump-0042";
const UID: &str = "0191f3a4-7c10-7b2e-9d31-5a6b7c8d9e0f";
const DISPLAY_NAME: &str = "Pump 42, lower deck";
const SITE: &str = "Platform Gamma";
const TAGS: [&str; 4] = ["pump", "lower-deck", "maintenance-2026", "vendor-blue"];
const DESCRIPTION: &str = "Sea water lift pump with two stages, driven by the \"B\" motor; its bearings were \
                           replaced last spring, and the flow sensor at the outlet is read twice a minute by the gateway \
                           of deck two";
const FIRMWARE: i32 = 20_418;
const DISK: i64 = 274_877_906_944;
const CREATED: i64 = 1_760_000_000;
const UPDATED: i64 = 1_764_123_456;
const MILLIS: i32 = 789;

/// A text that pads a response to [`BYTES`]: pbjson writes `+00:00` instead of `Z`.
fn description(less: usize) -> String {
    DESCRIPTION[..DESCRIPTION.len() - less].to_owned()
}

/// The device for the transcoder.
pub fn ours() -> proto::fleet::v1::Device {
    let time = |seconds, nanos| Some(prost_types::Timestamp { seconds, nanos });
    proto::fleet::v1::Device {
        name: NAME.to_owned(),
        uid: UID.to_owned(),
        display_name: DISPLAY_NAME.to_owned(),
        description: description(0),
        state: proto::fleet::v1::State::Online.into(),
        firmware_build: FIRMWARE,
        disk_bytes: DISK,
        enrolled: true,
        created_at: time(CREATED, 0),
        updated_at: time(UPDATED, MILLIS * 1_000_000),
        site: Some(proto::fleet::v1::Site { name: SITE.to_owned(), latitude: 57.1497, longitude: 2.0943, floor: 3 }),
        tags: TAGS.map(str::to_owned).to_vec(),
    }
}

/// The device for `rest_over_grpc`.
pub fn peer() -> peer::fleet::v1::Device {
    let time = |seconds, nanos| Some(pbjson_types::Timestamp { seconds, nanos });
    peer::fleet::v1::Device {
        name: NAME.to_owned(),
        uid: UID.to_owned(),
        display_name: DISPLAY_NAME.to_owned(),
        description: description(2 * ("+00:00".len() - "Z".len())),
        state: peer::fleet::v1::State::Online.into(),
        firmware_build: FIRMWARE,
        disk_bytes: DISK,
        enrolled: true,
        created_at: time(CREATED, 0),
        updated_at: time(UPDATED, MILLIS * 1_000_000),
        site: Some(peer::fleet::v1::Site { name: SITE.to_owned(), latitude: 57.1497, longitude: 2.0943, floor: 3 }),
        tags: TAGS.map(str::to_owned).to_vec(),
    }
}

/// The device for a hand-written handler.
pub fn twin() -> Device {
    let time = |seconds, millis| {
        let time = OffsetDateTime::from_unix_timestamp(seconds).expect("a time of this age");
        time + time::Duration::milliseconds(i64::from(millis))
    };
    Device {
        name: NAME.to_owned(),
        uid: UID.to_owned(),
        display_name: DISPLAY_NAME.to_owned(),
        description: description(0),
        state: State::Online,
        firmware_build: FIRMWARE,
        disk_bytes: DISK,
        enrolled: true,
        created_at: time(CREATED, 0),
        updated_at: time(UPDATED, MILLIS),
        site: Site { name: SITE.to_owned(), latitude: 57.1497, longitude: 2.0943, floor: 3 },
        tags: TAGS.map(str::to_owned).to_vec(),
    }
}

/// The message of the hand-written handler.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the proto says what they are")]
pub struct Device {
    pub name: String,
    pub uid: String,
    pub display_name: String,
    pub description: String,
    pub state: State,
    pub firmware_build: i32,
    #[serde(with = "crate::telemetry::text")]
    pub disk_bytes: i64,
    pub enrolled: bool,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
    pub site: Site,
    pub tags: Vec<String>,
}

/// The enum of the hand-written handler.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the proto says what they are")]
pub enum State {
    #[serde(rename = "STATE_UNSPECIFIED")]
    Unspecified,
    #[serde(rename = "STATE_ONLINE")]
    Online,
    #[serde(rename = "STATE_OFFLINE")]
    Offline,
}

/// The nested message of the hand-written handler.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the proto says what they are")]
pub struct Site {
    pub name: String,
    pub latitude: f64,
    pub longitude: f64,
    pub floor: u32,
}
