//! Listeners, layers, drain, health, metrics, and the assembly of all services.

mod app;
mod checks;
mod client_certificates;
mod connection;
pub mod docs;
mod first_bytes;
pub mod grpc;
mod job_status;
pub mod jobs;
pub mod layers;
pub mod listen;
mod log_format;
pub mod logs;
pub mod metrics;
mod mutual_tls;
mod operation_kinds;
pub mod ops;
mod process;
pub mod readiness;
pub mod services;
mod signals;
mod stream_end;
mod tasks;
pub mod tls;
mod turns;

pub use app::{App, Sockets};
pub use signals::{Signals, survive_the_limit_of_files};
pub use tls::Tls;
