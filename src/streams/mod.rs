//! Streams: the current state of resources, and then each change, for any number of readers.
//!
//! In each process one reader of the outbox, the [`Hub`], passes events to followers. A [`Feed`] is the follower of one kind of
//! resource: it reads the new state of each changed resource once, for all streams. A [`Watch`] is one stream. It has a position in
//! the outbox and no queue: a client that reads slowly skips to the newest states.

mod abort_when;
mod catch_up;
mod changes;
mod cursor;
mod demand;
mod feed;
mod follower;
mod hub;
mod log;
mod places;
mod source;
mod watch;

pub use abort_when::{AbortWhen, abort_when};
pub use changes::{Changes, Interest, Waiter};
pub use demand::{Demand, OpenStream};
pub use feed::Feed;
pub use follower::Follower;
pub use hub::Hub;
pub use places::{Place, Places, in_place, or_replaced};
pub use source::{Readable, Selection, Source, WatchScope, ids_of};
pub use watch::{Message, Watch};
