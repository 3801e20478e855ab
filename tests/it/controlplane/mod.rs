//! The control-plane surface and its rules.

mod modes;
mod provisioning;
mod rest;
mod rules;
mod sessions;
