//! Emits the traits of paged requests and responses, for code that handles all of them.

use std::fmt::Write as _;

use super::Scope;
use crate::{
    model::Method,
    names::{literal, snake},
};

/// Emits the traits of a method's messages, if it has pages.
pub fn paging(out: &mut String, method: &Method, scope: &Scope<'_>) {
    let (input, output) = (method.descriptor.input(), method.descriptor.output());
    let Some(list) = output.get_field_by_name(&method.pages) else { return };
    let Some(item) = list.kind().as_message().cloned() else { return };
    let _ = writeln!(
        out,
        "impl ::transcoder::PagedRequest for {request} {{\n\
         const LIST: &'static str = {name};\n\
         fn limit(&self) -> Option<i32> {{ self.limit }}\n\
         fn cursor(&self) -> Option<&str> {{ self.cursor.as_deref() }}\n\
         fn selection(&self) -> Vec<u8> {{\n\
         let selection = Self {{ limit: None, cursor: None, ..self.clone() }};\n\
         ::prost::Message::encode_to_vec(&selection)\n}}\n}}\n\
         impl ::transcoder::PagedResponse for {response} {{\n\
         type Item = {item};\n\
         fn of_page(items: Vec<Self::Item>, next_cursor: Option<String>, total: i64) -> Self {{\n\
         Self {{ {list}: items, next_cursor, total, ..::core::default::Default::default() }}\n}}\n}}",
        request = scope.message(&input),
        name = literal(list.name()),
        response = scope.message(&output),
        item = scope.message(&item),
        list = snake(list.name()),
    );
}
