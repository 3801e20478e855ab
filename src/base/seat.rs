//! The slot of a call in progress, which a waiting call can release.

use std::{fmt, sync::Arc};

/// A slot that can be released for a while.
pub trait Seat: fmt::Debug + Send + Sync + 'static {
    /// Releases the slot.
    fn leave(&self);
    /// Takes a slot again. False if none is free: then the call must not continue.
    fn take(&self) -> bool;
}

/// The slot of a call, in its extensions.
#[derive(Clone, Debug)]
pub struct Seated(pub Arc<dyn Seat>);
