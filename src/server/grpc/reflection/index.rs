//! Indexes of the files for lookups.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto};

use super::super::descriptors::{File, within};

/// The files by their names, by the symbols that they define, and by the extensions.
#[derive(Default)]
pub(super) struct Index {
    services: Vec<String>,
    files: HashMap<String, Bytes>,
    symbols: HashMap<String, Bytes>,
    messages: HashSet<String>,
    /// By the name of the extended message, then by number.
    extensions: HashMap<String, BTreeMap<i32, Bytes>>,
}

impl Index {
    pub(super) fn of(files: &[File]) -> Self {
        let mut index = Self::default();
        for file in files {
            index.files.insert(file.read.name().to_owned(), file.encoded.clone());
            index.file(&file.read, &file.encoded);
        }
        index.services.sort();
        index
    }

    /// The full names of all services, sorted.
    pub(super) fn services(&self) -> &[String] {
        &self.services
    }

    /// The encoded file with a name.
    pub(super) fn by_name(&self, name: &str) -> Option<&Bytes> {
        self.files.get(name)
    }

    /// The encoded file that defines a full name.
    pub(super) fn by_symbol(&self, symbol: &str) -> Option<&Bytes> {
        self.symbols.get(symbol)
    }

    /// The encoded file that extends a message with this number.
    pub(super) fn by_extension(&self, message: &str, number: i32) -> Option<&Bytes> {
        self.extensions.get(message)?.get(&number)
    }

    /// The extension numbers of a message; `None` if there is no such message.
    pub(super) fn extension_numbers(&self, message: &str) -> Option<Vec<i32>> {
        let numbers = self.extensions.get(message).map(|numbers| numbers.keys().copied().collect());
        numbers.or_else(|| self.messages.contains(message).then(Vec::new))
    }

    fn file(&mut self, file: &FileDescriptorProto, encoded: &Bytes) {
        let package = file.package();
        for message in &file.message_type {
            self.message(package, message, encoded);
        }
        for item in &file.enum_type {
            self.enumeration(package, item, encoded);
        }
        for extension in &file.extension {
            self.extension(package, extension, encoded);
        }
        for service in &file.service {
            let name = self.symbol(package, service.name(), encoded);
            for method in &service.method {
                self.symbol(&name, method.name(), encoded);
            }
            self.services.push(name);
        }
    }

    fn message(&mut self, scope: &str, message: &DescriptorProto, encoded: &Bytes) {
        let name = self.symbol(scope, message.name(), encoded);
        for field in &message.field {
            self.symbol(&name, field.name(), encoded);
        }
        for oneof in &message.oneof_decl {
            self.symbol(&name, oneof.name(), encoded);
        }
        for extension in &message.extension {
            self.extension(&name, extension, encoded);
        }
        for item in &message.enum_type {
            self.enumeration(&name, item, encoded);
        }
        for nested in &message.nested_type {
            self.message(&name, nested, encoded);
        }
        self.messages.insert(name);
    }

    /// The values of an enum are scoped beside it, not in it.
    fn enumeration(&mut self, scope: &str, item: &EnumDescriptorProto, encoded: &Bytes) {
        self.symbol(scope, item.name(), encoded);
        for value in &item.value {
            self.symbol(scope, value.name(), encoded);
        }
    }

    fn extension(&mut self, scope: &str, extension: &FieldDescriptorProto, encoded: &Bytes) {
        self.symbol(scope, extension.name(), encoded);
        // Compiled names are absolute, with a leading dot.
        let message = extension.extendee().trim_start_matches('.').to_owned();
        self.extensions.entry(message).or_default().insert(extension.number(), encoded.clone());
    }

    fn symbol(&mut self, scope: &str, name: &str, encoded: &Bytes) -> String {
        let name = within(scope, name);
        self.symbols.entry(name.clone()).or_insert_with(|| encoded.clone());
        name
    }
}
