//! The zero-trust surface.

use std::sync::Arc;

use transcoder::Dialect;

use super::{Parts, Surfaces};
use crate::api::zerotrust::ZeroTrustDialect;

pub(super) fn add(surfaces: Surfaces, _: &Parts) -> Surfaces {
    surfaces
}

/// The dialect, its name and the paths that it rules.
pub(super) fn dialect() -> (&'static str, &'static [&'static str], Arc<dyn Dialect>) {
    (ZeroTrustDialect::NAME, ZeroTrustDialect::PREFIXES, Arc::new(ZeroTrustDialect))
}
