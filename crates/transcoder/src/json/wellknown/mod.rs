//! The well-known types, one file a family. Wrappers are not here: prost gives them the wrapped type, and their kinds
//! are those of the scalars, with presence.

mod any;
mod dynamic;
mod mask;
mod time;

pub use any::Any;
pub use dynamic::{ListValue, NullValue, Struct, Value};
pub use mask::FieldMask;
pub use time::{Duration, Timestamp};
