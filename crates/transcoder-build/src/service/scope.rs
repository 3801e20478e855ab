//! The place of generated code, and how it names other items.

use prost_reflect::MessageDescriptor;

use super::rest_module;
use crate::{
    model::{Method, Service},
    names::{camel, module, path, server_module},
    wellknown::well_known,
};

/// The types of the context and the error of handlers, by their paths.
#[derive(Clone, Debug)]
pub struct Handlers {
    /// The context.
    pub context: String,
    /// The error.
    pub error: String,
}

/// The module of the serving code of a service.
pub struct Scope<'a> {
    package: &'a str,
    definitions: Option<&'a str>,
    /// The prefix of the names of the service's tables: empty, or the path of their module with the trailing colons.
    pub tables: String,
    /// The path of tonic's server module.
    pub tonic: String,
    /// The trait that the served type implements: the handler trait, or tonic's.
    pub bound: String,
    /// The types of handlers.
    pub handlers: Option<&'a Handlers>,
}

impl<'a> Scope<'a> {
    /// The module of a service: the one of its tables (`among_tables`), another one in the same file, or one in another
    /// crate than the definitions.
    pub fn new(
        service: &'a Service,
        definitions: Option<&'a str>,
        among_tables: bool,
        handlers: Option<&'a Handlers>,
    ) -> Self {
        let (name, package) = (service.descriptor.name(), service.descriptor.package_name());
        let outer = definitions.map_or_else(|| "super::".to_owned(), |crate_| module_in(crate_, package));
        let tonic = format!("{outer}{}", server_module(name));
        let bound = match handlers {
            Some(_) => camel(name),
            None => format!("{tonic}::{}", camel(name)),
        };
        let tables = if among_tables { String::new() } else { format!("{outer}{}::", rest_module(service)) };
        Self { package, definitions, tables, tonic, bound, handlers }
    }

    /// The path of a type.
    pub fn path(&self, full_name: &str, package: &str) -> String {
        match self.definitions {
            None => path(full_name, package, self.package, 1),
            Some(definitions) => format!("{definitions}::{}", path(full_name, package, "", 0)),
        }
    }

    /// The Rust type of a request or response.
    pub fn message(&self, message: &MessageDescriptor) -> String {
        match well_known(message) {
            Some(known) => known.rust.to_owned(),
            None => self.path(message.full_name(), message.package_name()),
        }
    }
}

/// The path of a package's module in another crate, with the trailing colons.
fn module_in(definitions: &str, package: &str) -> String {
    format!("{definitions}::{}", module(package, "", 0))
}

/// The name of the enum of a method's actions.
pub fn enum_of(method: &Method) -> String {
    format!("{}Action", camel(method.descriptor.name()))
}
