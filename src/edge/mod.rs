//! What gateways and devices follow: the newest signed state of each topic, shared by all streams that need it.
//!
//! The [`Board`] follows the outbox. After a change it reads and signs the state of each topic that somebody follows once, and wakes its
//! streams. A stream has no queue: when its client reads on, it gets the newest state.

mod board;
mod bookmark;
mod concern;
mod due;
mod gateway_stream;
mod manifest;
mod marking;
mod material;
mod measures;
mod refresh;
mod reports;
mod rollout_watch;
mod slot;
mod watch;

pub mod jobs;
pub mod rollout;

pub use board::{Board, Subscription};
pub use gateway_stream::{Follower, GatewayStream, Held, Message, Report};
pub use manifest::manifest;
pub use material::{Material, State, Topic};
pub use reports::Reports;
pub use rollout_watch::{RolloutEvent, watch as watch_rollout};
pub use watch::{Event, watch};
