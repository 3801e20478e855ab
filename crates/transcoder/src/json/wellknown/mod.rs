//! The well-known types, one file for each family. Wrappers are not here: prost maps them to the wrapped type, and
//! their kinds are those of the scalars, with presence.

mod any;
mod dynamic;
mod mask;
mod time;

pub use any::Any;
pub use dynamic::{ListValue, NullValue, Struct, Value};
pub use mask::FieldMask;
pub use time::{Duration, Timestamp};
