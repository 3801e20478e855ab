//! The one test binary, a module an area.

#[macro_use]
mod db;
mod journal;
mod messaging_verbs;
mod schema;
mod store;
mod tenants;
