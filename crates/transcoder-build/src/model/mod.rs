//! The services of a descriptor pool with their rules, checked: a service that cannot be served as declared fails the
//! build.

mod actions;
mod auth;
mod paging;
mod rest;
mod surfaces;

use std::collections::HashMap;

pub use surfaces::{SurfacePaths, surfaces};

use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor, ServiceDescriptor};

use crate::{
    Error,
    names::oneof_of,
    options::{Actions, Audit, Auth, Http, Options, Rest, Surface, Tenant},
    template::{Segment, Template},
    wellknown::is_well_known,
};

/// The message that carries raw bytes.
pub const HTTP_BODY: &str = "google.api.HttpBody";

/// A service.
#[derive(Debug)]
pub struct Service {
    pub descriptor: ServiceDescriptor,
    pub methods: Vec<Method>,
}

/// An RPC with its rules.
#[derive(Debug)]
pub struct Method {
    pub descriptor: MethodDescriptor,
    /// Who may call it.
    pub auth: Auth,
    /// Its actions, if it has the option `actions`.
    pub actions: Option<Actions>,
    /// Its audit rule; `None` for reads.
    pub audit: Option<Audit>,
    /// Name of the response's list with the option `pages`; empty if there is none.
    pub pages: String,
    /// REST options.
    pub rest: Rest,
    pub surface: Surface,
    /// REST paths.
    pub bindings: Vec<Binding>,
    /// The request has required fields.
    pub has_required: bool,
}

/// A REST path of an RPC.
#[derive(Debug)]
pub struct Binding {
    /// The rule.
    pub http: Http,
    pub template: Template,
    /// The request's field mask that is filled with the body's members.
    pub mask: Option<String>,
}

impl Method {
    /// The message in the body of a request on a path, if it is a message: the request itself, or one field of it.
    pub fn body(&self, binding: &Binding) -> Option<MessageDescriptor> {
        part(&self.descriptor.input(), &binding.http.body, "*")
    }

    /// The message in the body of a response on a path, if it is a message: the response itself, or one field of it.
    pub fn answer(&self, binding: &Binding) -> Option<MessageDescriptor> {
        part(&self.descriptor.output(), &binding.http.response_body, "")
    }

    /// The statuses by reason: the method's own, then those of its surface.
    pub fn statuses(&self) -> impl Iterator<Item = &(String, u32)> {
        let own = |reason: &String| self.rest.status.iter().any(|(own, _)| own == reason);
        self.rest.status.iter().chain(self.surface.status.iter().filter(move |(reason, _)| !own(reason)))
    }

    /// Whether the body of the request is raw bytes.
    pub fn uploads(&self, binding: &Binding) -> bool {
        self.body(binding).is_some_and(|body| body.full_name() == HTTP_BODY)
    }

    /// Whether a call may have an idempotency key: the method has an audit rule, which does not exclude keys, and a caller, and
    /// returns one message.
    pub fn takes_key(&self) -> bool {
        let streams = self.descriptor.is_client_streaming() || self.descriptor.is_server_streaming();
        let may_be_stored = self.audit.as_ref().is_some_and(|audit| audit.keyless.is_empty());
        may_be_stored && !self.auth.public && !streams && self.rest.paged_list.is_empty()
    }

    /// Whether the response is raw bytes.
    pub fn downloads(&self, binding: &Binding) -> bool {
        self.answer(binding).is_some_and(|answer| answer.full_name() == HTTP_BODY)
    }
}

/// The message itself, if the name says so, or the single message in a field of it.
fn part(message: &MessageDescriptor, name: &str, itself: &str) -> Option<MessageDescriptor> {
    if name == itself {
        return Some(message.clone());
    }
    let field = message.get_field_by_name(name).filter(|field| !field.is_list() && !field.is_map())?;
    field.kind().as_message().cloned()
}

/// Reads and checks all services. `permissions` are those that rules may name; without them all are accepted.
pub fn services(
    pool: &DescriptorPool,
    options: &Options<'_>,
    permissions: Option<&[String]>,
) -> Result<Vec<Service>, Error> {
    let mut services = Vec::new();
    for descriptor in pool.services().filter(|service| !service.package_name().starts_with("google.")) {
        let methods = descriptor.methods().map(|method| self::method(method, options, permissions));
        services.push(Service { methods: methods.collect::<Result<_, _>>()?, descriptor });
    }
    conflicts(&services)?;
    Ok(services)
}

fn method(
    descriptor: MethodDescriptor,
    options: &Options<'_>,
    permissions: Option<&[String]>,
) -> Result<Method, Error> {
    let check = Check { method: &descriptor, options, permissions };
    let auth = check.auth()?;
    let rest = options.rest(&descriptor);
    let surface = check.surface()?;
    let bindings = check.bindings(&rest, &surface)?;
    check.statuses(&rest, &surface)?;
    check.required(&bindings)?;
    let mut actions = check.actions(&auth)?;
    if let Some(actions) = &actions {
        check.action_paths(actions, &bindings, &rest)?;
    }
    let audit = check.audit(actions.as_mut(), &bindings)?;
    check.rest(&rest, &bindings)?;
    let pages = check.pages()?;
    let has_required = !options.required(&descriptor.input()).is_empty();
    let method = Method { auth, actions, audit, pages, rest, surface, bindings, has_required, descriptor };
    check_stream(&method)?;
    Ok(method)
}

/// No rule can refer to fields of a streaming request.
fn check_stream(method: &Method) -> Result<(), Error> {
    if !method.descriptor.is_client_streaming() {
        return Ok(());
    }
    let by_field = matches!(method.auth.tenant, Some(Tenant::Field(_) | Tenant::FieldOrCaller(_)))
        || method.actions.is_some()
        || method.audit.as_ref().is_some_and(|audit| !audit.target.is_empty());
    let why = if !method.bindings.is_empty() {
        "a streaming request can be served only over gRPC"
    } else if by_field {
        "a rule refers to a field of the request, which is a stream"
    } else if method.has_required {
        "a streaming request must not have required fields"
    } else {
        return Ok(());
    };
    Err(Error::Rule { at: method.descriptor.full_name().to_owned(), why: why.to_owned() })
}

struct Check<'a> {
    method: &'a MethodDescriptor,
    options: &'a Options<'a>,
    permissions: Option<&'a [String]>,
}

impl Check<'_> {
    fn fail(&self, why: impl Into<String>) -> Error {
        Error::Rule { at: self.method.full_name().to_owned(), why: why.into() }
    }

    fn surface(&self) -> Result<Surface, Error> {
        match self.options.surface(self.method) {
            Some(surface) => Ok(surface),
            None if self.options.has_rules() => Err(self.fail("no file of its package has the option (surface)")),
            None => Ok(Surface::default()),
        }
    }

    /// A required field must be able to be absent, and detectably so.
    fn required(&self, bindings: &[Binding]) -> Result<(), Error> {
        let bound = |path: &str| {
            let binds = |binding: &Binding| binding.template.variables.iter().any(|variable| variable.field == path);
            !bindings.is_empty() && bindings.iter().all(binds)
        };
        for (path, field) in self.options.required(&self.method.input()) {
            if field.containing_oneof().is_some_and(|oneof| !oneof.is_synthetic()) {
                return Err(self.fail(format!("{path} cannot be required: it belongs to a oneof")));
            }
            if !field.supports_presence() && !bound(&path) {
                let why = "cannot be required without presence; make it optional";
                return Err(self.fail(format!("{path} {why}")));
            }
        }
        Ok(())
    }

    /// The field at a path; all steps before the last are messages.
    fn field(&self, message: &MessageDescriptor, path: &str) -> Result<FieldDescriptor, Error> {
        steps(message, path)
            .and_then(|mut steps| steps.pop())
            .ok_or_else(|| self.fail(format!("{} has no field {path}", message.full_name())))
    }

    /// The request field at a path, whose value is a string or the name of an enum value.
    fn text_field(&self, path: &str) -> Result<FieldDescriptor, Error> {
        let input = self.method.input();
        let field = self.field(&input, path)?;
        if is_single(&input, path) && matches!(field.kind(), Kind::String | Kind::Enum(_)) {
            Ok(field)
        } else {
            Err(self.fail(format!("{path} must be a single string")))
        }
    }
}

/// Whether every step of a path is singular, and none is a member of a oneof.
pub fn is_single(message: &MessageDescriptor, path: &str) -> bool {
    let single = |step: &FieldDescriptor| !step.is_list() && !step.is_map() && oneof_of(step).is_none();
    steps(message, path).unwrap_or_default().iter().all(single)
}

/// The fields along a path. It does not descend into protobuf's own messages, which are single values.
pub fn steps(message: &MessageDescriptor, path: &str) -> Option<Vec<FieldDescriptor>> {
    let mut message = Some(message.clone());
    let mut fields = Vec::new();
    for name in path.split('.') {
        let field = message.filter(|message| !is_well_known(message))?.get_field_by_name(name)?;
        let single = !field.is_list() && !field.is_map();
        message = field.kind().as_message().filter(|_| single).cloned();
        fields.push(field);
    }
    Some(fields)
}

/// Two rules with the same shape, verb and method cannot both be served.
fn conflicts(services: &[Service]) -> Result<(), Error> {
    let mut seen: HashMap<(String, Vec<Segment>, String), String> = HashMap::new();
    for method in services.iter().flat_map(|service| &service.methods) {
        for binding in &method.bindings {
            let (segments, verb) = binding.template.shape();
            let key = (binding.http.method.clone(), segments.to_vec(), verb.to_owned());
            let name = method.descriptor.full_name().to_owned();
            if let Some(other) = seen.insert(key, name.clone()) {
                let why =
                    format!("{} {} has the same shape as a path of {other}", binding.http.method, binding.http.path);
                return Err(Error::Rule { at: name, why });
            }
        }
    }
    Ok(())
}
