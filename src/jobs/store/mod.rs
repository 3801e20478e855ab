//! The jobs that look after the tables of the store itself. Those of the areas are in the areas.

pub mod idempotency_keys;
pub mod outbox_retention;
pub mod relay;
pub mod text_normalization;
