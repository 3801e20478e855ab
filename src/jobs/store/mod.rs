//! Jobs for the tables of the store itself. Jobs of an area are in its `jobs.rs`.

pub mod idempotency_keys;
pub mod outbox_retention;
pub mod relay;
pub mod text_normalization;
