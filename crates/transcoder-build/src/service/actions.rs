//! Emits the enum of a method's actions, which reads the action of a request and checks its fields.

use std::fmt::Write as _;

use prost_reflect::{FieldDescriptor, Kind};

use super::{Scope, enum_of, guarded::text_of};
use crate::{
    model::Method,
    names::{camel, literal, oneof_of, snake, variant},
    options::{Action, Actions},
};

/// The table of the actions, sorted by name.
fn table(actions: &Actions) -> String {
    let mut sorted: Vec<_> = actions.list.iter().collect();
    sorted.sort_by(|one, other| one.name.cmp(&other.name));
    let listed = sorted.iter().map(|action| {
        let (name, permission, audit) = (literal(&action.name), literal(&action.permission), literal(&action.audit));
        format!("::transcoder::Action {{ name: {name}, permission: {permission}, audit: {audit} }}, ")
    });
    let (field, listed) = (literal(&actions.field), listed.collect::<String>());
    format!("::transcoder::Actions {{ field: {field}, listed: &[{listed}] }}")
}

/// Emits the enum of a method, if it has actions.
pub fn enumeration(out: &mut String, method: &Method, scope: &Scope<'_>) {
    let Some(actions) = &method.actions else { return };
    let (name, input) = (enum_of(method), method.descriptor.input());
    let each = |text: &dyn Fn(&Action) -> String| actions.list.iter().map(text).collect::<String>();
    let _ = writeln!(
        out,
        "/// What `{full}` can do.\n\
         #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]\n\
         pub enum {name} {{ {variants} }}\n\
         impl {name} {{\n\
         /// Every action.\n\
         pub const ALL: &'static [Self] = &[{all}];\n\
         /// The actions for the guard.\n\
         pub const TABLE: ::transcoder::Actions = {table};\n\
         /// Its name, which is the value of the selecting field.\n\
         pub fn name(self) -> &'static str {{ match self {{ {names} }} }}\n\
         /// The requested action; `None` if it is not listed.\n\
         pub fn of(message: &{request}) -> Option<Self> {{ match {value} {{ {values} _ => None }} }}\n\
         /// The requested action, after checking the fields of the request.\n\
         pub fn checked(message: &{request}, domain: &str) -> ::core::result::Result<Self, ::transcoder::generated::tonic::Status> {{\n\
         let action = Self::of(message).ok_or_else(|| Self::TABLE.unknown(domain))?;\n\
         let (takes, requires): (&[&str], &[&str]) = match action {{ {fields} }};\n\
         ::transcoder::actions::check(action.name(), &[{given}], takes, requires, domain)?;\n\
         Ok(action)\n}}\n}}",
        full = method.descriptor.full_name(),
        variants = each(&|action| format!("/// `{}`.\n{},\n", action.name, camel(&action.name))),
        all = each(&|action| format!("Self::{}, ", camel(&action.name))),
        names = each(&|action| format!("Self::{} => {}, ", camel(&action.name), literal(&action.name))),
        request = scope.message(&input),
        value = text_of(&input, &actions.field, scope),
        values =
            each(&|action| format!("{} => Some(Self::{}), ", values(method, actions, action), camel(&action.name))),
        table = table(actions),
        fields = each(&|action| fields(actions, action)),
        given = input
            .fields()
            .filter(|field| field.name() != actions.field)
            .map(|field| format!("({}, {}), ", literal(field.name()), given(&field, scope)))
            .collect::<String>(),
    );
}

/// The values of the selecting field for an action: its name, and for the default action also the value of an unset field.
fn values(method: &Method, actions: &Actions, action: &Action) -> String {
    let mut values = literal(&action.name);
    if action.name == actions.default {
        values.push_str(" | \"\"");
        let field = method.descriptor.input().get_field_by_name(&actions.field);
        let unset = field.and_then(|field| field.kind().as_enum()?.get_value(0));
        if let Some(unset) = unset {
            let _ = write!(values, " | {}", literal(unset.name()));
        }
    }
    values
}

/// The arm with the fields that an action takes and those that it requires.
fn fields(actions: &Actions, action: &Action) -> String {
    let list = |names: &[String]| names.iter().map(|name| literal(name) + ", ").collect::<String>();
    let takes = list(&actions.takes) + &list(&action.takes);
    format!("Self::{} => (&[{takes}], &[{}]), ", camel(&action.name), list(&action.requires))
}

/// An expression for whether a request has a field. A field without presence counts unless it has its default value.
fn given(field: &FieldDescriptor, scope: &Scope<'_>) -> String {
    if let Some(oneof) = oneof_of(field) {
        let message = field.parent_message();
        let variant = variant(field, &oneof, |full| scope.path(full, message.package_name()));
        return format!("matches!(&message.{}, Some({variant}(_)))", snake(oneof.name()));
    }
    let place = format!("message.{}", snake(field.name()));
    if field.supports_presence() {
        return format!("{place}.is_some()");
    }
    match field.kind() {
        _ if field.is_list() || field.is_map() => format!("!{place}.is_empty()"),
        Kind::String | Kind::Bytes => format!("!{place}.is_empty()"),
        Kind::Bool => place,
        Kind::Double | Kind::Float => format!("{place} != 0.0"),
        _ => format!("{place} != 0"),
    }
}
