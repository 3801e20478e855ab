//! The manager surface and its rules.

mod no_auth;
mod rest;
mod rules;
