//! The control-plane surface and its rules.

mod grants;
mod modes;
mod rest;
mod rules;
mod sessions;
