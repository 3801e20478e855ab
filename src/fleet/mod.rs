//! Devices, gateways and the pools of gateways (zero-trust contract, sections 4.4, 4.9 and 8).

pub mod devices;
pub mod directory;
mod drains;
pub mod gateways;
pub mod jobs;
pub mod pools;
mod sightings;
mod state;

pub use sightings::Sightings;
pub use state::Heartbeat;
