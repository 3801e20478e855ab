//! Sessions of devices at gateways: admission, metering and termination (zero-trust contract, sections 4.6, 5.5 and 6.3).

pub mod admission;
pub mod jobs;
mod kill_list;
pub mod metering;
pub mod sessions;

pub use kill_list::{KillList, kill_list};
