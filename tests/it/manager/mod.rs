//! The manager surface and its rules.

mod apps;
mod no_auth;
mod projects;
mod rest;
mod rules;
