//! Listeners, layers, drain, health, metrics, and the assembly of all services.

mod app;
mod checks;
pub mod docs;
mod first_bytes;
mod grpc_health;
pub mod layers;
pub mod listen;
pub mod logs;
mod malformed;
pub mod metrics;
pub mod ops;
mod process;
pub mod readiness;
pub mod services;
mod signals;
mod surfaces;
pub mod tls;

pub use app::App;
pub use signals::Signals;
pub use tls::Tls;
