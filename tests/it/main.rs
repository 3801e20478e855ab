//! Tests of the whole program, in one binary: a file per area, and shared support in `harness/`.
//!
//! `scripts/test` runs them. Tests that need PostgreSQL use the server in `TENANTRY_TEST_POSTGRES_URL`
//! (`scripts/with-postgres cargo test NAME` sets it).

#[macro_use]
mod db;

mod api_keys;
mod authorization;
mod best_effort;
mod cancellations;
mod changes;
mod clocks;
mod commands;
mod controlplane_modes;
mod controlplane_rest;
mod controlplane_sessions;
mod controlplane_verbs;
mod credentials;
mod directory_rest;
mod directory_verbs;
mod documents;
mod draining;
mod early_answers;
mod edge;
mod faults;
mod fields;
mod floors;
mod grpc_health;
mod grpc_reflection;
mod grpc_wire;
mod half_closed;
mod harness;
mod idempotency;
mod identity;
mod isolation;
mod jobs;
mod journal;
mod keys;
mod login;
mod login_throttle;
mod long_list_queries;
mod long_lists;
mod manager_open;
mod manager_rest;
mod manager_verbs;
mod messaging_documents;
mod messaging_replay;
mod messaging_rest;
mod messaging_verbs;
mod older_schema;
mod one_registry;
mod openapi;
mod operations;
mod own_limits;
mod password_change;
mod people_rest;
mod people_sessions;
mod people_text;
mod people_text_migration;
mod people_verbs;
mod principals;
mod references;
mod reflection;
mod reseal;
mod rules;
mod schema;
mod session_ends;
mod starting;
mod statements;
mod store;
mod tenants;
mod tls;
mod warehouse_login;
mod warehouse_rest;
mod warehouse_verbs;
