//! The services of a descriptor pool with their rules, checked: what cannot be served as it is written does not build.

use std::collections::HashMap;

use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor, ServiceDescriptor};

use crate::{
    Error,
    options::{Audit, Auth, By, Http, Options, Rest, Surface, Tenant},
    template::{Segment, Template},
};

/// A service.
#[derive(Debug)]
pub struct Service {
    /// Its descriptor.
    pub descriptor: ServiceDescriptor,
    /// Its methods.
    pub methods: Vec<Method>,
}

/// An RPC with its rules.
#[derive(Debug)]
pub struct Method {
    /// Its descriptor.
    pub descriptor: MethodDescriptor,
    /// Who may call it.
    pub auth: Auth,
    /// What it leaves in the audit log.
    pub audit: Option<Audit>,
    /// REST habits.
    pub rest: Rest,
    /// The surface.
    pub surface: Surface,
    /// REST paths.
    pub bindings: Vec<Binding>,
    /// The request's mask that REST fills with the body's members.
    pub mask: Option<String>,
    /// The request has required fields.
    pub has_required: bool,
}

/// A REST path of an RPC.
#[derive(Debug)]
pub struct Binding {
    /// The rule.
    pub http: Http,
    /// Its template.
    pub template: Template,
}

/// Reads and checks all services. `permissions` are those that rules may name.
pub fn services(pool: &DescriptorPool, options: &Options<'_>, permissions: &[String]) -> Result<Vec<Service>, Error> {
    let mut services = Vec::new();
    for descriptor in pool.services().filter(|service| !service.package_name().starts_with("google.")) {
        let methods = descriptor.methods().map(|method| self::method(method, options, permissions));
        services.push(Service { methods: methods.collect::<Result<_, _>>()?, descriptor });
    }
    conflicts(&services)?;
    Ok(services)
}

fn method(descriptor: MethodDescriptor, options: &Options<'_>, permissions: &[String]) -> Result<Method, Error> {
    let check = Check { method: &descriptor, options, permissions };
    if descriptor.is_client_streaming() {
        return Err(check.fail("client streaming is not supported"));
    }
    let auth = check.auth()?;
    let rest = options.rest(&descriptor);
    let surface = check.surface()?;
    let bindings = check.bindings(&rest)?;
    check.required(&bindings)?;
    let audit = check.audit(&auth, &bindings)?;
    check.rest(&rest)?;
    let mask = descriptor.input().fields().find(|field| options.is_mask_of_body(field));
    let mask = mask.map(|field| check.mask(&field)).transpose()?;
    let has_required = !options.required(&descriptor.input()).is_empty();
    Ok(Method { auth, audit, rest, surface, bindings, mask, has_required, descriptor })
}

struct Check<'a> {
    method: &'a MethodDescriptor,
    options: &'a Options<'a>,
    permissions: &'a [String],
}

impl Check<'_> {
    fn fail(&self, why: impl Into<String>) -> Error {
        Error::Rule { at: self.method.full_name().to_owned(), why: why.into() }
    }

    fn auth(&self) -> Result<Auth, Error> {
        if !self.options.has_rules() {
            return Ok(Auth { public: true, ..Auth::default() });
        }
        let Some(auth) = self.options.auth(self.method) else {
            return Err(self.fail("no authorization rule; give it the option (auth)"));
        };
        let named = usize::from(!auth.permission.is_empty()) + usize::from(auth.permission_by.is_some());
        if auth.public {
            let bare = named == 0 && auth.tenant.is_none() && auth.custom.is_empty() && auth.callers.is_empty();
            return if bare && !auth.while_suspended {
                Ok(auth)
            } else {
                Err(self.fail("a public method has no other authorization rule"))
            };
        }
        if named != 1 {
            return Err(self.fail("name one permission, or the field that decides it, or say public"));
        }
        let by_field = auth.permission_by.iter().flat_map(|by| by.map.iter().map(|(_, permission)| permission));
        for permission in std::iter::once(&auth.permission).filter(|name| !name.is_empty()).chain(by_field) {
            if !self.permissions.contains(permission) {
                return Err(self.fail(format!("unknown permission {permission:?}")));
            }
        }
        if auth.callers.iter().any(String::is_empty) {
            return Err(self.fail("a kind of caller is unspecified"));
        }
        if let Some(by) = &auth.permission_by {
            self.by(by, "permission_by")?;
        }
        match &auth.tenant {
            None => Err(self.fail("say where the tenant of the call is found")),
            Some(Tenant::Field(field)) => self.text_field(field).map(|_| auth),
            Some(Tenant::From(from)) if from.is_empty() => Err(self.fail("say where the tenant of the call is found")),
            Some(Tenant::From(_)) => Ok(auth),
        }
    }

    /// A field that decides: its values have names, and are those that the field can have.
    fn by(&self, by: &By, option: &str) -> Result<(), Error> {
        let field = self.text_field(&by.field)?;
        if by.map.is_empty() {
            return Err(self.fail(format!("{option} has no values")));
        }
        if let Kind::Enum(item) = field.kind() {
            let known = |name: &str| item.values().any(|value| value.name() == name);
            if let Some((value, _)) = by.map.iter().find(|(value, _)| !known(value)) {
                return Err(self.fail(format!("{option}: {} has no value {value}", item.full_name())));
            }
        }
        Ok(())
    }

    fn audit(&self, auth: &Auth, bindings: &[Binding]) -> Result<Option<Audit>, Error> {
        let Some(audit) = self.options.audit(self.method) else {
            let writes = bindings.iter().any(|binding| binding.http.method != "GET");
            let needed = writes && self.options.has_rules();
            return if needed { Err(self.fail("only reads go without an audit rule")) } else { Ok(None) };
        };
        if !audit.target.is_empty() {
            self.text_field(&audit.target)?;
        }
        match &audit.action_by {
            Some(by) => self.action_by(by, &audit.action, auth)?,
            None if audit.action.is_empty() => return Err(self.fail("the audit rule names no action")),
            None => {}
        }
        Ok(Some(audit))
    }

    /// The actions by the values of a field. `rest` is the one of values that are not listed; the field may have none
    /// such where it decides the permission too.
    fn action_by(&self, by: &By, rest: &str, auth: &Auth) -> Result<(), Error> {
        self.by(by, "action_by")?;
        if let Some((value, _)) = by.map.iter().find(|(_, action)| action.is_empty()) {
            return Err(self.fail(format!("action_by names no action for {value}")));
        }
        let values = |by: &By| by.map.iter().map(|(value, _)| value.clone()).collect::<Vec<_>>();
        match &auth.permission_by {
            Some(permission_by) if permission_by.field == by.field => {
                if values(permission_by) == values(by) {
                    Ok(())
                } else {
                    Err(self.fail(format!("permission_by and action_by list different values of {}", by.field)))
                }
            }
            // No other rule keeps unlisted values away.
            _ if rest.is_empty() => {
                Err(self.fail("the audit rule names no action for values that action_by does not list"))
            }
            _ => Ok(()),
        }
    }

    fn surface(&self) -> Result<Surface, Error> {
        match self.options.surface(self.method) {
            Some(surface) => Ok(surface),
            None if self.options.has_rules() => Err(self.fail("no file of its package has the option (surface)")),
            None => Ok(Surface::default()),
        }
    }

    fn bindings(&self, rest: &Rest) -> Result<Vec<Binding>, Error> {
        let bindings = self.options.http(self.method).into_iter().map(|http| self.binding(http));
        let bindings = bindings.collect::<Result<Vec<_>, _>>()?;
        match (bindings.is_empty(), rest.grpc_only) {
            (true, false) if self.options.has_rules() => {
                Err(self.fail("no REST path; give it google.api.http or say grpc_only"))
            }
            (false, true) => Err(self.fail("grpc_only, but it has a REST path")),
            (false, _) if self.method.is_server_streaming() => Err(self.fail("a stream is served over gRPC only")),
            _ => Ok(bindings),
        }
    }

    fn binding(&self, http: Http) -> Result<Binding, Error> {
        if http.method != "*" && (http.method.is_empty() || !http.method.bytes().all(|b| b.is_ascii_uppercase())) {
            return Err(self.fail(format!("{:?} is no HTTP method", http.method)));
        }
        let template = Template::parse(&http.path).map_err(|error| self.fail(format!("{}: {error}", http.path)))?;
        let input = self.method.input();
        for variable in &template.variables {
            let field = self.field(&input, &variable.field)?;
            if field.is_list()
                || field.is_map()
                || matches!(field.kind(), Kind::Message(m) if m.package_name() != "google.protobuf")
            {
                return Err(self.fail(format!("the path binds {}, which is not a single value", variable.field)));
            }
        }
        if !http.body.is_empty() && http.body != "*" {
            if http.body.contains('.') {
                return Err(self.fail("body names a field of the request itself"));
            }
            self.field(&input, &http.body)?;
        }
        if http.method == "GET" && !http.body.is_empty() {
            return Err(self.fail("GET takes no body"));
        }
        if !http.response_body.is_empty() {
            if http.response_body.contains('.') {
                return Err(self.fail("response_body names a field of the response itself"));
            }
            self.field(&self.method.output(), &http.response_body)?;
        }
        Ok(Binding { http, template })
    }

    fn rest(&self, rest: &Rest) -> Result<(), Error> {
        let input = self.method.input();
        for key in &rest.lenient_query {
            if !matches!(self.field(&input, key)?.kind(), Kind::Bool) {
                return Err(self.fail(format!("{key} is read leniently, but is no bool")));
            }
        }
        if !rest.created_field.is_empty() {
            let field = self.field(&self.method.output(), &rest.created_field)?;
            let own = *field.parent_message() == self.method.output() && !field.supports_presence() && !field.is_list();
            if !own || field.kind() != Kind::Bool {
                let name = &rest.created_field;
                return Err(self.fail(format!("{name} tells that something was created, but is no plain bool")));
            }
        }
        let with_body = self.options.http(self.method).iter().any(|http| !http.body.is_empty());
        if rest.body_or_query && !with_body {
            return Err(self.fail("body_or_query, but no path takes a body"));
        }
        if rest.body_required && !with_body {
            return Err(self.fail("body_required, but no path takes a body"));
        }
        if rest.body_required && rest.body_or_query {
            return Err(self.fail("body_required, but with body_or_query the query may give all"));
        }
        match rest.status.iter().find(|(reason, status)| reason.is_empty() || !(400..600).contains(status)) {
            Some((reason, status)) => Err(self.fail(format!("status {status} for reason {reason:?}"))),
            None if rest.success_status != 0 && !(200..400).contains(&rest.success_status) => {
                Err(self.fail(format!("{} is no status of success", rest.success_status)))
            }
            None => Ok(()),
        }
    }

    /// What is required of a request can be missing, and then is seen to be.
    fn required(&self, bindings: &[Binding]) -> Result<(), Error> {
        let bound = |path: &str| {
            let binds = |binding: &Binding| binding.template.variables.iter().any(|variable| variable.field == path);
            !bindings.is_empty() && bindings.iter().all(binds)
        };
        for (path, field) in self.options.required(&self.method.input()) {
            if field.containing_oneof().is_some_and(|oneof| !oneof.is_synthetic()) {
                return Err(self.fail(format!("{path} is required, but is one of a oneof")));
            }
            if !field.supports_presence() && !bound(&path) {
                let why = "is required, but nobody can tell whether it is given; make it optional";
                return Err(self.fail(format!("{path} {why}")));
            }
        }
        Ok(())
    }

    fn mask(&self, field: &FieldDescriptor) -> Result<String, Error> {
        match field.kind() {
            Kind::Message(message) if message.full_name() == "google.protobuf.FieldMask" => Ok(field.name().to_owned()),
            _ => Err(self.fail(format!("{} is filled with the body's members, but is no FieldMask", field.name()))),
        }
    }

    /// The field at a path; every step but the last is a message.
    fn field(&self, message: &MessageDescriptor, path: &str) -> Result<FieldDescriptor, Error> {
        steps(message, path)
            .and_then(|mut steps| steps.pop())
            .ok_or_else(|| self.fail(format!("{} has no field {path}", message.full_name())))
    }

    /// The request field at a path, whose value is a text or the name of an enum's value.
    fn text_field(&self, path: &str) -> Result<FieldDescriptor, Error> {
        let field = self.field(&self.method.input(), path)?;
        let single = !field.is_list() && field.containing_oneof().is_none_or(|oneof| oneof.is_synthetic());
        if single && matches!(field.kind(), Kind::String | Kind::Enum(_)) {
            Ok(field)
        } else {
            Err(self.fail(format!("{path} is no single text")))
        }
    }
}

/// The fields along a path.
pub fn steps(message: &MessageDescriptor, path: &str) -> Option<Vec<FieldDescriptor>> {
    let mut message = Some(message.clone());
    let mut fields = Vec::new();
    for name in path.split('.') {
        let field = message?.get_field_by_name(name)?;
        message = if field.is_list() { None } else { field.kind().as_message().cloned() };
        fields.push(field);
    }
    Some(fields)
}

/// Two rules of the same shape, verb and method cannot both be served.
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
