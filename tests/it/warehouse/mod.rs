//! The warehouse surface and its rules.

mod login;
mod rest;
mod rules;
