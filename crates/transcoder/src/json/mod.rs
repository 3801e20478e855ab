//! proto3 JSON, in the habits of a surface.
//!
//! Generated code implements [`Message`] and [`Enum`] and names a [`Kind`] for each field; the visitor that reads and
//! the writer that writes are here, once. `serde_json` is the format library.

mod escape;
mod fault;
mod habits;
mod kind;
mod message;
mod missing;
pub mod read;
pub mod scalar;
pub mod text;
mod types;
pub mod wellknown;
mod write;

pub use fault::{Expected, Fault, FaultFacts, FaultKind, PathStep, Place, Step};
pub use habits::{Habits, Names, Timestamps};
pub use kind::{Boxed, EnumOf, Kind, Met, Msg};
pub use message::{Enum, Field, Message};
pub use missing::Missing;
pub use read::Reader;
pub use types::{AnyType, Types};
pub use write::{Members, Unprintable, Writer};

/// Reads a JSON text.
pub fn decode<K: Kind>(bytes: &[u8], habits: &Habits) -> Result<K::Rust, Fault> {
    let mut value = K::Rust::default();
    match read::from_slice(bytes, Reader::new(habits), |json, cx| K::read(&mut value, json, cx))? {
        (Met::Value, _) => Ok(value),
        _ => Err(Fault::new(FaultKind::Null, "null is no value here")),
    }
}

/// Writes a JSON text.
pub fn encode<K: Kind>(value: &K::Rust, habits: &Habits) -> Result<Vec<u8>, Unprintable> {
    // Room for a usual message, so that writing it does not grow the text step by step.
    let mut writer = Writer::with_capacity(habits, 1024);
    K::write(value, &mut writer);
    writer.finish()
}
