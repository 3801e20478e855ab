//! Streams: the current state of resources, and then each change, for any number of readers.
//!
//! One reader ([`Hub`]) of the outbox in each process hands its events to followers. A [`Feed`] is the follower of one kind of
//! resource: it reads the new state of what changed once, and shares it among all streams. A [`watch`](Watch) is one stream. It
//! keeps a position in the outbox and no queue: a client that reads slowly skips to the newest states.

mod catch_up;
mod cursor;
mod feed;
mod follower;
mod hub;
mod log;
mod source;
mod until;
mod watch;

pub use feed::Feed;
pub use follower::Follower;
pub use hub::Hub;
pub use source::{Reach, Readable, Source};
pub use until::{Until, until};
pub use watch::{Message, Watch};
