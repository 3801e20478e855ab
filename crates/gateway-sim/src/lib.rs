//! The reference client of gateway streams (docs/gateways.md): how a gateway enrolls, verifies what it gets and acknowledges it. The
//! program beside this library runs any number of such gateways.

mod clock;
mod connect;
mod enroll;
mod fleet;
mod gateway;
mod key;
mod metering;
mod percentiles;
mod progress;
mod publisher;

pub use clock::Clock;
pub use connect::{Identity, Route};
pub use enroll::{Enrolled, enroll};
pub use fleet::{Fleet, Plan};
pub use gateway::{End, Gateway};
pub use key::Key;
pub use metering::Meter;
pub use percentiles::Percentiles;
pub use progress::{Applied, Progress};
pub use publisher::{Publisher, Selected};
