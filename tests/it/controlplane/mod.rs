//! The control-plane surface and its rules.

mod modes;
mod rest;
mod rules;
mod sessions;
