//! Verifies the signed artifacts of Tenantry where they are used: in a gateway or on a device, without a connection.
//!
//! Every artifact is an [`Envelope`] (DSSE) of a JSON payload with an expiry and a version that only rises. A consumer keeps two things:
//!
//! - [`AnchorSet`]: the keys that it trusts, and for what. It gets the first one when it enrolls, and walks from each set to the next with
//!   [`AnchorSet::next`]: every set is signed by the root keys of the one before and by its own.
//! - [`Shelf`]: the newest artifact of each [`Kind`]. [`Shelf::accept`] takes an artifact only if it passes every check, and keeps the one
//!   it has otherwise; [`Shelf::current`] returns it until it expires. After that, a consumer must deny.
//!
//! A gateway admits a device by its security policy certificate ([`spc::verify`]) or by an admission grant ([`grant::verify`]); while it
//! cannot reach the control plane, by the certificate alone, for as long as its configuration permits ([`spc::verify_offline`]).
//!
//! The library does no input or output, and knows no clock: every function takes the time, in seconds since 1970. It needs `alloc`, and
//! not the standard library. `vectors/vectors.json` has test cases for implementations in other languages, and `vectors/check.py`
//! is one in Python.
//!
//! ```
//! use bundle_verify::{AnchorSet, Kind, Refusal, Shelf};
//!
//! /// What a gateway does with a policy that it received.
//! fn apply(anchors: &AnchorSet, shelf: &mut Shelf, envelope: &[u8], now: i64) -> Result<(), Refusal> {
//!     let accepted = shelf.accept(anchors, Kind::GatewayPolicy, envelope, now)?;
//!     // Report `accepted.version` as applied; on an error, report it with `refusal.code()`.
//!     let _payload: &[u8] = &accepted.payload;
//!     Ok(())
//! }
//! ```

#![no_std]

extern crate alloc;

mod anchors;
mod delta;
mod envelope;
mod instant;
mod jws;
mod refusal;
mod shelf;
mod strict;

pub mod grant;
pub mod spc;

pub use anchors::{Anchor, AnchorSet, KeyState, KeyUse, key_id, spki};
pub use envelope::{Envelope, Signature, digest};
pub use instant::seconds;
pub use jws::Compact;
pub use refusal::Refusal;
pub use shelf::{Accepted, Kind, Mark, Shelf};
