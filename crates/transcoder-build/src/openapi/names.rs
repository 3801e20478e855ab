//! The names of components. In the document of one surface they are as short as possible. In the document of all surfaces each
//! starts with its surface, so that a new surface does not change the others.

use std::collections::{HashMap, HashSet};

use prost_reflect::{Kind, MessageDescriptor};

use super::field::Form;
use crate::model::{Method, Service};

/// The local name of the error body of a surface.
const ERROR: &str = "Error";

/// Names in use, over all services.
#[derive(Debug, Default)]
pub struct Names {
    /// The full names with the same local name, by surface.
    locals: HashMap<(String, String), HashSet<String>>,
    /// Messages in responses, by surface.
    answered: HashSet<(String, String)>,
}

/// The names of one document.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'n> {
    names: &'n Names,
    /// Whether it is the document of all surfaces.
    whole: bool,
}

impl Names {
    /// Collects the names of all services and their requests and responses.
    pub fn new(services: &[Service]) -> Self {
        let mut names = Self::default();
        for service in services {
            for method in &service.methods {
                let surface = &method.surface.name;
                names.learn(surface, ERROR, "the error body");
                let full = service.descriptor.full_name();
                names.learn(surface, local(full, service.descriptor.package_name()), full);
                let mut seen = HashSet::new();
                names.visit(surface, &method.descriptor.output(), &mut seen);
                names.answered.extend(seen.drain().map(|name| (surface.clone(), name)));
                names.visit(surface, &method.descriptor.input(), &mut seen);
            }
        }
        names
    }

    /// The names of one document.
    pub fn scope(&self, whole: bool) -> Scope<'_> {
        Scope { names: self, whole }
    }

    fn learn(&mut self, surface: &str, local: &str, full: &str) {
        self.locals.entry((surface.to_owned(), local.to_owned())).or_default().insert(full.to_owned());
    }

    /// Collects a message and everything that it contains.
    fn visit(&mut self, surface: &str, message: &MessageDescriptor, seen: &mut HashSet<String>) {
        if !seen.insert(message.full_name().to_owned()) {
            return;
        }
        self.learn(surface, local(message.full_name(), message.package_name()), message.full_name());
        for field in message.fields() {
            match field.kind() {
                Kind::Message(inner) if inner.package_name() != "google.protobuf" => self.visit(surface, &inner, seen),
                Kind::Enum(item) => self.learn(surface, local(item.full_name(), item.package_name()), item.full_name()),
                _ => {}
            }
        }
    }
}

impl Scope<'_> {
    /// The component of a message in one of its forms.
    pub fn message(&self, surface: &str, message: &MessageDescriptor, form: Form) -> String {
        let name = self.name(surface, message.full_name(), message.package_name());
        let answered = self.names.answered.contains(&(surface.to_owned(), message.full_name().to_owned()));
        match form {
            Form::Output => name,
            Form::Input if answered => name + ".Input",
            Form::Input => name,
            Form::Partial => name + ".Partial",
        }
    }

    /// The name of an enum, or of a service's tag, from its full name and package.
    pub fn name(&self, surface: &str, full: &str, package: &str) -> String {
        let local = local(full, package);
        let sharing = self.names.locals.get(&(surface.to_owned(), local.to_owned()));
        let alone = sharing.is_none_or(|sharing| sharing.len() == 1);
        self.within(surface, if alone { local } else { full })
    }

    /// The error body of a surface.
    pub fn error(&self, surface: &str) -> String {
        self.within(surface, ERROR)
    }

    /// The error response of a surface with a status.
    pub fn response(&self, surface: &str, status: &str) -> String {
        self.within(surface, &format!("{ERROR}.{status}"))
    }

    /// The operation of the binding `index` of a method.
    pub fn operation(&self, service: &Service, method: &Method, index: usize) -> String {
        let surface = &method.surface.name;
        let service = self.name(surface, service.descriptor.full_name(), service.descriptor.package_name());
        let name = format!("{service}_{}", method.descriptor.name());
        if index == 0 { name } else { format!("{name}_{}", index + 1) }
    }

    fn within(&self, surface: &str, name: &str) -> String {
        if self.whole && !surface.is_empty() { format!("{surface}.{name}") } else { name.to_owned() }
    }
}

/// A full name without its package.
fn local<'n>(full: &'n str, package: &str) -> &'n str {
    full.strip_prefix(package).unwrap_or(full).trim_start_matches('.')
}
