//! Gateways: their pools (zero-trust contract, sections 4.9 and 8).

pub mod pools;
