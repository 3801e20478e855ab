//! Listeners, layers, drain, health, metrics, and the assembly of all services.

pub mod layers;
pub mod listen;
pub mod logs;
pub mod ops;
pub mod readiness;
pub mod services;

mod grpc_health;
mod process;
