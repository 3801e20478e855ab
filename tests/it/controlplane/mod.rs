//! The control-plane surface and its rules.

mod enrollment;
mod grants;
mod hosts;
mod modes;
mod provisioning;
mod rest;
mod rules;
mod sessions;
mod walk;
