//! The control-plane surface and its rules.

mod enrollment;
mod grants;
mod hosts;
mod modes;
mod rest;
mod rules;
mod sessions;
