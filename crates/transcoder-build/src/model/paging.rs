//! Checks the option `pages`: the members of requests and responses must exist and have the right types.

use prost_reflect::{Kind, MessageDescriptor};

use super::Check;
use crate::Error;

impl Check<'_> {
    /// The name of the list of a method with pages; empty if it has none.
    pub(super) fn pages(&self) -> Result<String, Error> {
        let Some(items) = self.options.pages(self.method) else { return Ok(String::new()) };
        let (input, output) = (self.method.input(), self.method.output());
        if self.method.is_client_streaming() || self.method.is_server_streaming() {
            return Err(self.fail("pages: the method must not have a stream"));
        }
        let list = self.field(&output, &items)?;
        if items.contains('.') || !list.is_list() || list.kind().as_message().is_none() {
            return Err(self.fail(format!("pages: {items} must be a list of messages in the response itself")));
        }
        self.member(&input, "limit", &Kind::Int32, true)?;
        self.member(&input, "cursor", &Kind::String, true)?;
        self.member(&output, "next_cursor", &Kind::String, true)?;
        self.member(&output, "total", &Kind::Int64, false)?;
        Ok(items)
    }

    fn member(&self, of: &MessageDescriptor, name: &str, kind: &Kind, optional: bool) -> Result<(), Error> {
        let field = self.field(of, name)?;
        let single = !field.is_list() && !field.is_map();
        let own = field.containing_oneof().is_none_or(|oneof| oneof.is_synthetic());
        if single && own && field.kind() == *kind && field.supports_presence() == optional {
            return Ok(());
        }
        let form = if optional { "optional " } else { "" };
        let kind = format!("{kind:?}").to_lowercase();
        Err(self.fail(format!("pages: {name} of {} must be {form}{kind}", of.full_name())))
    }
}
