//! Tests of the whole program, in one binary: a file per area, a directory per surface, and shared support in `harness/`.
//!
//! `scripts/test` runs them. Tests that need PostgreSQL use the server in `TENANTRY_TEST_POSTGRES_URL`
//! (`scripts/with-postgres cargo test NAME` sets it).

#[macro_use]
mod db;
mod rows;

mod audit_outbox;
mod authorization;
mod best_effort;
mod call_tenant;
mod cancellations;
mod changes;
mod clocks;
mod columns;
mod commands;
mod config_check;
mod controlplane;
mod crashes;
mod credentials;
mod cross_surface;
mod documents;
mod draining;
mod durable_operations;
mod early_answers;
mod edge;
mod faults;
mod fields;
mod floors;
mod gateway_streams;
mod grpc_health;
mod grpc_reflection;
mod grpc_wire;
mod half_closed;
mod harness;
mod idempotency;
mod idempotency_surfaces;
mod identity;
mod isolation;
mod jobs;
mod keys;
mod limits;
mod login;
mod login_throttle;
mod long_list_queries;
mod long_lists;
mod manager;
mod messaging;
mod mtls;
mod older_schema;
mod openapi;
mod operations;
mod permissions;
mod postgres;
mod principals;
mod provisioner;
mod references;
mod reflection;
mod registry_rest;
mod reseal;
mod rules;
mod schema;
mod session_ends;
mod sqlite_build;
mod starting;
mod statements;
mod store;
mod streams;
mod style;
mod tenant_purge;
mod tenant_watch;
mod tenants;
mod tls;
mod users_commands;
mod warehouse;
mod zerotrust;
