//! The messaging surface and its rules.

mod documents;
mod replay;
mod rest;
mod rules;
