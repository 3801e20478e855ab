//! Emits the JSON codec: an implementation of `Message` for each message and of `Enum` for each enum, with a line or
//! two for each field.

use std::{collections::HashSet, fmt::Write as _};

use prost_reflect::{Cardinality, EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor};

use crate::{
    Error,
    names::{literal, oneof_of, path, snake, variant},
    options::Options,
    wellknown::{is_well_known, well_known},
};

/// How prost represents a field.
enum Form {
    /// A bare value.
    One,
    /// An `Option`.
    Optional,
    /// A `Vec`.
    List,
    /// A `BTreeMap` with this kind of key.
    Map(String),
    /// A variant of the enum of a oneof.
    Oneof { field: String, variant: String },
}

/// One field, ready to be emitted.
struct Emitted {
    index: usize,
    name: String,
    proto: String,
    json: String,
    /// Its name on surfaces with proto names.
    written: String,
    form: Form,
    kind: String,
    /// A generated message: query keys descend into it.
    message: bool,
    boxed: bool,
    /// An empty list or map is omitted.
    omit_empty: bool,
    secret: bool,
    required: bool,
    /// A single message with required fields in it.
    requires: bool,
}

/// Emits the codec of a message and its nested types.
pub fn message(out: &mut String, message: &MessageDescriptor, options: &Options<'_>) -> Result<(), Error> {
    if message.is_map_entry() {
        return Ok(());
    }
    let fields = message.fields().enumerate().map(|(index, field)| emitted(index, &field, options));
    let fields = fields.collect::<Result<Vec<_>, _>>()?;
    let ty = rust_path(message.full_name(), message.package_name(), message.package_name());
    let own: Vec<String> = fields.iter().map(descriptor_of).collect();
    let _ = writeln!(
        out,
        "#[allow(unused_variables)]\nimpl ::transcoder::json::Message for {ty} {{\n\
         const NAME: &'static str = {name};\n\
         const FIELDS: &'static [::transcoder::json::Field] = &[{fields}];\n\
         fn field(name: &str) -> ::core::option::Option<usize> {{ match name {{ {finds} _ => None }} }}\n\
         fn read<'de, D: ::transcoder::generated::serde::Deserializer<'de>>(&mut self, field: usize, value: D, cx: &mut ::transcoder::json::Reader<'_>) -> ::core::result::Result<(), D::Error> {{\n\
         match field {{ {reads} _ => <::transcoder::generated::serde::de::IgnoredAny as ::transcoder::generated::serde::Deserialize>::deserialize(value).map(|_| ()) }} }}\n\
         fn write(&self, field: usize, out: &mut ::transcoder::json::Members<'_, '_>) {{ match field {{ {writes} _ => {{}} }} }}\n\
         fn bind(&mut self, field: usize, text: &mut ::transcoder::json::text::Text<'_>) -> ::core::result::Result<(), ::transcoder::json::DecodeError> {{\n\
         match field {{ {binds} _ => Ok(()) }} }}\n{missing}}}",
        name = literal(message.full_name()),
        fields = own.join(", "),
        finds = fields.iter().map(find).collect::<String>(),
        reads = fields.iter().map(read).collect::<String>(),
        writes = fields.iter().map(write).collect::<String>(),
        binds = fields.iter().map(bind).collect::<String>(),
        missing = missing(&fields),
    );
    for nested in message.child_messages() {
        self::message(out, &nested, options)?;
    }
    for nested in message.child_enums() {
        enumeration(out, &nested);
    }
    Ok(())
}

/// Emits the list of the messages of a package that an `Any` may contain.
pub fn types(out: &mut String, package: &str, files: &[FileDescriptor]) {
    let mut queue: Vec<_> = files.iter().flat_map(FileDescriptor::messages).collect();
    let mut types = String::new();
    while let Some(message) = queue.pop() {
        if !message.is_map_entry() {
            let ty = rust_path(message.full_name(), package, package);
            let _ = write!(types, "::transcoder::json::AnyType::message::<{ty}>(), ");
        }
        queue.extend(message.child_messages());
    }
    let _ = writeln!(
        out,
        "/// The messages of the package, for what `google.protobuf.Any` may hold.\n\
         pub const TYPES: &[::transcoder::json::AnyType] = &[{types}];"
    );
}

/// Whether any field of the files is a `google.protobuf.Any`.
pub fn holds_any(files: &[FileDescriptor]) -> bool {
    let mut queue: Vec<_> = files.iter().flat_map(FileDescriptor::messages).collect();
    while let Some(message) = queue.pop() {
        let is_any =
            |field: FieldDescriptor| matches!(field.kind(), Kind::Message(m) if m.full_name() == "google.protobuf.Any");
        if message.fields().any(is_any) {
            return true;
        }
        // Includes the entries of maps.
        queue.extend(message.child_messages());
    }
    false
}

/// Emits the codec of an enum. The first name of a number is the one that is written.
pub fn enumeration(out: &mut String, item: &EnumDescriptor) {
    let ty = rust_path(item.full_name(), item.package_name(), item.package_name());
    let (mut numbers, mut names, mut seen) = (String::new(), String::new(), HashSet::new());
    // The reflection library sorts values by number; the order in the file decides which name is first.
    for value in &item.enum_descriptor_proto().value {
        let _ = write!(numbers, "{} => Some({}), ", literal(value.name()), value.number());
        if seen.insert(value.number()) {
            let _ = write!(names, "{} => Some({}), ", value.number(), literal(value.name()));
        }
    }
    let _ = writeln!(
        out,
        "impl ::transcoder::json::Enum for {ty} {{\n\
         fn number(name: &str) -> ::core::option::Option<i32> {{ match name {{ {numbers} _ => None }} }}\n\
         fn name(number: i32) -> ::core::option::Option<&'static str> {{ match number {{ {names} _ => None }} }}\n}}"
    );
}

fn emitted(index: usize, field: &FieldDescriptor, options: &Options<'_>) -> Result<Emitted, Error> {
    let from = field.parent_message().package_name().to_owned();
    let boxed = !field.is_list() && !field.is_map() && is_recursive(field);
    let mut kind = kind_of(field, &from)?;
    let mut message = matches!(field.kind(), Kind::Message(m) if !is_well_known(&m));
    let form = if field.is_map() {
        let Kind::Message(entry) = field.kind() else { return Err(unsupported(field, "a map without entries")) };
        message = false;
        kind = kind_of(&entry.map_entry_value_field(), &from)?;
        Form::Map(kind_of(&entry.map_entry_key_field(), &from)?)
    } else if field.is_list() {
        Form::List
    } else if let Some(oneof) = oneof_of(field) {
        let variant = variant(field, &oneof, |full| rust_path(full, &from, &from));
        Form::Oneof { field: snake(oneof.name()), variant }
    } else if field.supports_presence() {
        Form::Optional
    } else {
        Form::One
    };
    if field.cardinality() == Cardinality::Required {
        return Err(unsupported(field, "a required field of proto2"));
    }
    if boxed {
        kind = format!("::transcoder::json::Boxed<{kind}>");
    }
    let single = message && !field.is_list();
    let inner = field.kind().as_message().cloned().filter(|_| single);
    Ok(Emitted {
        omit_empty: options.field(field).omit_empty,
        secret: options.behaves(field, "SECRET"),
        required: options.behaves(field, "REQUIRED") && field.supports_presence(),
        requires: inner.is_some_and(|inner| !options.required(&inner).is_empty()),
        index,
        name: snake(field.name()),
        proto: field.name().to_owned(),
        json: field.json_name().to_owned(),
        written: if Options::has_flag(field, "json_name") { field.json_name() } else { field.name() }.to_owned(),
        form,
        kind,
        message,
        boxed,
    })
}

/// The kind of a field's type.
fn kind_of(field: &FieldDescriptor, from: &str) -> Result<String, Error> {
    let scalar = |name: &str| Ok(format!("::transcoder::json::scalar::{name}"));
    match field.kind() {
        Kind::Double => scalar("Double"),
        Kind::Float => scalar("Float"),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => scalar("Int32"),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => scalar("Int64"),
        Kind::Uint32 | Kind::Fixed32 => scalar("UInt32"),
        Kind::Uint64 | Kind::Fixed64 => scalar("UInt64"),
        Kind::Bool => scalar("Bool"),
        Kind::String if Options::has_flag(field, "decimal") => scalar("Decimal"),
        Kind::String => scalar("Str"),
        Kind::Bytes => scalar("Bytes"),
        Kind::Enum(item) if item.full_name() == "google.protobuf.NullValue" => {
            Ok("::transcoder::json::EnumOf<::transcoder::json::wellknown::NullValue>".to_owned())
        }
        Kind::Enum(item) => {
            Ok(format!("::transcoder::json::EnumOf<{}>", rust_path(item.full_name(), item.package_name(), from)))
        }
        Kind::Message(message) => match well_known(&message) {
            Some(known) => Ok(known.kind.to_owned()),
            None if is_well_known(&message) => Err(unsupported(field, &format!("{} in JSON", message.full_name()))),
            None => {
                let path = rust_path(message.full_name(), message.package_name(), from);
                Ok(format!("::transcoder::json::Msg<{path}>"))
            }
        },
    }
}

fn unsupported(field: &FieldDescriptor, what: &str) -> Error {
    Error::Rule { at: field.full_name().to_owned(), why: format!("{what} is not supported") }
}

fn rust_path(full_name: &str, package: &str, from: &str) -> String {
    // A type of the same package needs no module path.
    if package == from {
        let path = path(full_name, package, "", 0);
        let modules =
            package.split('.').filter(|module| !module.is_empty()).map(|module| format!("{}::", snake(module)));
        path.strip_prefix(&modules.collect::<String>()).map(str::to_owned).unwrap_or(path)
    } else {
        path(full_name, package, from, 0)
    }
}

/// Whether prost boxes a singular field: its message contains, through singular fields, the message of the field
/// itself.
fn is_recursive(field: &FieldDescriptor) -> bool {
    let Kind::Message(start) = field.kind() else { return false };
    let target = field.parent_message();
    let (mut seen, mut queue) = (HashSet::new(), vec![start]);
    while let Some(message) = queue.pop() {
        if message == *target {
            return true;
        }
        if seen.insert(message.full_name().to_owned()) {
            let singular = message.fields().filter(|field| field.cardinality() != Cardinality::Repeated);
            queue.extend(singular.filter_map(|field| field.kind().as_message().cloned()));
        }
    }
    false
}

fn descriptor_of(field: &Emitted) -> String {
    // A key is JSON, whose escapes differ from those of Rust.
    let key = |name: &str| literal(&format!("{}:", serde_json::Value::from(name)));
    format!(
        "::transcoder::json::Field {{ proto: {}, json: {}, proto_key: {}, json_key: {}, secret: {} }}",
        literal(&field.proto),
        literal(&field.json),
        key(&field.written),
        key(&field.json),
        field.secret,
    )
}

fn find(field: &Emitted) -> String {
    let Emitted { index, proto, json, .. } = field;
    if proto == json {
        format!("{} => Some({index}), ", literal(proto))
    } else {
        format!("{} | {} => Some({index}), ", literal(json), literal(proto))
    }
}

fn read(field: &Emitted) -> String {
    let Emitted { index, name, kind, proto, .. } = field;
    let proto = literal(proto);
    let call = |form: &str, kinds: &str| {
        format!("{index} => ::transcoder::json::read::{form}::<{kinds}, D>(&mut self.{name}, {proto}, value, cx), ")
    };
    match &field.form {
        Form::One => call("one", kind),
        Form::Optional => call("optional", kind),
        Form::List => call("list", kind),
        Form::Map(key) => call("map", &format!("{key}, {kind}")),
        Form::Oneof { field, variant } => format!(
            "{index} => {{ if let Some(value) = ::transcoder::json::read::oneof::<{kind}, D>(self.{field}.is_some(), {proto}, value, cx)? \
             {{ self.{field} = Some({variant}(value)); }} Ok(()) }} "
        ),
    }
}

fn write(field: &Emitted) -> String {
    let Emitted { index, name, kind, .. } = field;
    let of = format!("&Self::FIELDS[{index}]");
    let given = if field.omit_empty { format!("if !self.{name}.is_empty()") } else { String::new() };
    match &field.form {
        Form::One => format!("{index} => out.one::<{kind}>({of}, &self.{name}), "),
        Form::Optional => format!("{index} => out.optional::<{kind}>({of}, self.{name}.as_ref()), "),
        Form::List => format!("{index} => {given} {{ out.list::<{kind}>({of}, &self.{name}) }}, "),
        Form::Map(key) => format!("{index} => {given} {{ out.map::<{key}, {kind}>({of}, &self.{name}) }}, "),
        Form::Oneof { field, variant } => {
            format!("{index} => if let Some({variant}(value)) = &self.{field} {{ out.set::<{kind}>({of}, value) }}, ")
        }
    }
}

fn bind(field: &Emitted) -> String {
    let Emitted { index, name, kind, message, boxed, .. } = field;
    let deref = if *boxed { "&mut **" } else { "" };
    match &field.form {
        Form::One => format!("{index} => text.one::<{kind}>(&mut self.{name}), "),
        Form::Optional if *message => format!("{index} => text.message({deref}self.{name}.get_or_insert_default()), "),
        Form::Optional => format!("{index} => text.optional::<{kind}>(&mut self.{name}), "),
        Form::List => format!("{index} => text.list::<{kind}>(&mut self.{name}), "),
        Form::Map(key) => format!("{index} => text.map::<{key}, {kind}>(&mut self.{name}), "),
        Form::Oneof { field, variant } if *message => format!(
            "{index} => match &mut self.{field} {{ Some({variant}(inner)) => text.message({deref}inner), \
             Some(_) => Err(::transcoder::json::text::oneof_taken()), \
             None => {{ let mut inner: <{kind} as ::transcoder::json::Kind>::Rust = ::core::default::Default::default(); text.message({into}inner)?; \
             self.{field} = Some({variant}(inner)); Ok(()) }} }} ",
            into = if *boxed { "&mut *" } else { "&mut " },
        ),
        Form::Oneof { field, variant } => format!(
            "{index} => {{ let own = match &self.{field} {{ Some({variant}(own)) => Some(own), _ => None }}; \
             let value = text.oneof::<{kind}>(self.{field}.is_some(), own)?; self.{field} = Some({variant}(value)); Ok(()) }} "
        ),
    }
}

/// The method that records missing required fields, if there are any.
fn missing(fields: &[Emitted]) -> String {
    let mut notes = String::new();
    for Emitted { name, proto, form, boxed, required, requires, .. } in fields {
        let proto = literal(proto);
        match form {
            Form::Optional if *required || *requires => {
                if *required {
                    let _ = write!(notes, "out.field({proto}, self.{name}.is_some()); ");
                }
                if *requires {
                    let inner = if *boxed { "as_deref" } else { "as_ref" };
                    let _ = write!(notes, "out.within({proto}, self.{name}.{inner}()); ");
                }
            }
            Form::Oneof { field, variant } if *requires => {
                let inner = if *boxed { "&**inner" } else { "inner" };
                let _ = write!(
                    notes,
                    "if let Some({variant}(inner)) = &self.{field} {{ out.within({proto}, Some({inner})); }} "
                );
            }
            _ => {}
        }
    }
    if notes.is_empty() {
        return notes;
    }
    format!("fn missing(&self, out: &mut ::transcoder::Missing) {{ {notes} }}\n")
}
