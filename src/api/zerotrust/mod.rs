//! The zero-trust surface: administration under `/v1/admin` (zero-trust contract, section 4).

mod dialect;

pub use dialect::ZeroTrustDialect;
