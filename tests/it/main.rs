//! The one test binary, a module an area.

#[macro_use]
mod db;
mod messaging_verbs;
mod store;
mod tenants;
