//! The manager surface and its rules.

mod apps;
mod billing;
mod no_auth;
mod projects;
mod rest;
mod rules;
