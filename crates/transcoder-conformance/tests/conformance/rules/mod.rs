//! Services that use every option.

mod actions;
mod answers;
mod decode_errors;
mod fixture;
mod forms;
mod guard;
mod json_options;
mod masks;
mod odd;
mod required;
mod routing;
