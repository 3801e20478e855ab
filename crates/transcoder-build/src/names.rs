//! The Rust names that prost and tonic give to protobuf names, so that generated code can refer to them.

use heck::{ToSnakeCase as _, ToUpperCamelCase as _};
use prost_reflect::{FieldDescriptor, Kind, OneofDescriptor};

/// Keywords that become raw identifiers.
const KEYWORDS: &str = " as break const continue else enum false fn for if impl in let loop match mod move mut pub ref \
    return static struct trait true type unsafe use where while dyn abstract become box do final macro override priv \
    typeof unsized virtual yield async await try gen ";

/// Words that cannot be raw identifiers and get an underscore.
const RESERVED: &str = " _ super self Self extern crate ";

fn sanitize(ident: String) -> String {
    let word = format!(" {ident} ");
    if KEYWORDS.contains(&word) {
        format!("r#{ident}")
    } else if RESERVED.contains(&word) {
        format!("{ident}_")
    } else if ident.starts_with(char::is_numeric) {
        format!("_{ident}")
    } else {
        ident
    }
}

/// A field, module or method.
pub fn snake(name: &str) -> String {
    sanitize(name.to_snake_case())
}

/// A type or variant.
pub fn camel(name: &str) -> String {
    sanitize(name.to_upper_camel_case())
}

/// The module that tonic generates for a service: it inserts an underscore before every capital letter of the trait's name.
pub fn server_module(service: &str) -> String {
    let mut module = String::new();
    for (index, c) in camel(service).char_indices() {
        if index > 0 && c.is_uppercase() {
            module.push('_');
        }
        module.push(c.to_ascii_lowercase());
    }
    module + "_server"
}

/// The file that prost generates for a package.
pub fn file(package: &str) -> String {
    let modules: Vec<_> = package.split('.').filter(|module| !module.is_empty()).map(snake).collect();
    if modules.is_empty() { "_.rs".to_owned() } else { modules.join(".") + ".rs" }
}

/// The path of a package's module, with the trailing colons, from `levels` below the module of the package `from`.
pub fn module(package: &str, from: &str, levels: usize) -> String {
    let up = levels + if from.is_empty() { 0 } else { from.split('.').count() };
    let mut path = "super::".repeat(up);
    for module in package.split('.').filter(|module| !module.is_empty()) {
        path.push_str(&format!("{}::", snake(module)));
    }
    path
}

/// The path of a type, from `levels` below the module of the package `from`.
pub fn path(full_name: &str, package: &str, from: &str, levels: usize) -> String {
    let mut path = module(package, from, levels);
    let local = full_name.strip_prefix(package).unwrap_or(full_name).trim_start_matches('.');
    let mut parts: Vec<&str> = local.split('.').collect();
    let name = parts.pop().unwrap_or_default();
    for outer in parts {
        path.push_str(&format!("{}::", snake(outer)));
    }
    path + &camel(name)
}

/// The oneof of a field, unless it is the synthetic one of an optional field.
pub fn oneof_of(field: &FieldDescriptor) -> Option<OneofDescriptor> {
    field.containing_oneof().filter(|oneof| !oneof.is_synthetic())
}

/// The enum variant of a oneof member, relative to the path of a type beside the enum. prost puts the enum into the
/// module of the message, under another name if its own is taken.
pub fn variant(field: &FieldDescriptor, oneof: &OneofDescriptor, path: impl FnOnce(&str) -> String) -> String {
    let owner = oneof.parent_message();
    let same = |name: &str| camel(name) == camel(oneof.name());
    let taken = owner.child_messages().any(|nested| same(nested.name()))
        || owner.child_enums().any(|nested| same(nested.name()));
    let ty = path(&format!("{}.{}", owner.full_name(), oneof.name()));
    format!("{ty}{}::{}", if taken { "OneOf" } else { "" }, camel(field.name()))
}

/// A Rust string literal.
pub fn literal(text: &str) -> String {
    format!("{text:?}")
}

/// Whether a kind is an integer of any width.
pub fn is_integer(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Int32
            | Kind::Sint32
            | Kind::Sfixed32
            | Kind::Uint32
            | Kind::Fixed32
            | Kind::Int64
            | Kind::Sint64
            | Kind::Sfixed64
            | Kind::Uint64
            | Kind::Fixed64
    )
}
