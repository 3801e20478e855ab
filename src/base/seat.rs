//! The place of a call among those that are worked on, which a call that only waits can do without.

use std::{fmt, sync::Arc};

/// A place that can be given back for a while.
pub trait Seat: fmt::Debug + Send + Sync + 'static {
    /// Gives the place back.
    fn leave(&self);
    /// Takes a place again. False if there is none: the call must not go on.
    fn take(&self) -> bool;
}

/// The place of the call that carries it in its extensions.
#[derive(Clone, Debug)]
pub struct Seated(pub Arc<dyn Seat>);
