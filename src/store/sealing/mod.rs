//! Envelope encryption of secrets: data keys, the key-encryption key that seals them, and the rotation of both.

pub mod kek;
pub mod keyring;
pub mod reseal;
pub mod rotation;
mod sealed;
pub(in crate::store) mod sealer;
