//! The tonic services, one folder a surface, one file a service. Thin: one message in, one verb, one message out.

pub mod messaging;
