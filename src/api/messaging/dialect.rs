//! The error dialect of the messaging surface: `{"reason": "<text>"}` and nothing else (messaging contract, section 2).

use serde_json::json;
use transcoder::{Dialect, Failure, Rendered};

#[derive(Clone, Copy, Debug, Default)]
pub struct MessagingDialect;

impl Dialect for MessagingDialect {
    fn render(&self, failure: &Failure) -> Rendered {
        Rendered::json(failure, &json!({"reason": failure.message}))
    }
}
