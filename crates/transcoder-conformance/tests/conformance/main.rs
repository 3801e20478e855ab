//! The transcoder against the tables of cases and Google's REST compliance suite.

mod compliance;
mod depth;
mod flow;
mod http_rules;
mod memory;
mod oracle;
mod properties;
mod proto3_json;
mod query_params;
mod rules;
mod schema;
mod support;
mod tables;
