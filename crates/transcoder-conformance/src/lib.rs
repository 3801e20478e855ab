//! transcoder-conformance
