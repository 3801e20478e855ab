//! The required fields that a message lacks.

use super::Message;

/// The required fields that a message lacks, as paths in proto names.
#[derive(Debug, Default)]
pub struct Missing {
    prefix: Vec<&'static str>,
    paths: Vec<String>,
}

impl Missing {
    /// Checks a required field, which is present or not.
    pub fn field(&mut self, name: &'static str, given: bool) {
        if !given {
            let outer = self.prefix.iter().copied();
            self.paths.push(outer.chain([name]).collect::<Vec<_>>().join("."));
        }
    }

    /// Checks the required fields in the message of a field, if the field is set.
    pub fn within<M: Message>(&mut self, name: &'static str, message: Option<&M>) {
        if let Some(message) = message {
            self.prefix.push(name);
            message.missing(self);
            self.prefix.pop();
        }
    }

    /// The paths of the fields.
    pub(crate) fn paths(&self) -> &[String] {
        &self.paths
    }
}
