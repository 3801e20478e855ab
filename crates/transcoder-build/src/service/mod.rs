//! Emits the code of each service: the tables of its methods and paths, and the guarded service with its REST routes.

mod actions;
mod guarded;
mod handlers;
mod paging;
mod routes;
mod rule;
mod scope;

use std::fmt::Write as _;

pub use scope::{Handlers, Scope, enum_of};

use crate::{
    Limits,
    model::{Method, Service},
    names::{camel, literal, module, snake},
    options::{Surface, Tenant},
};

/// Emits the modules of a service.
pub struct Emit<'a> {
    pub service: &'a Service,
    /// The domain of error reasons.
    pub domain: &'a str,
    /// The types of handlers; `None` if the service implements tonic's trait.
    pub handlers: Option<&'a Handlers>,
}

impl Emit<'_> {
    /// Emits the tables of methods and paths. `known` are the packages whose messages an `Any` may contain. The module
    /// stays open if the serving code follows in it.
    pub fn definitions(&self, out: &mut String, known: &[String], limits: Limits, serving: bool) {
        let service = self.service;
        let package = service.descriptor.package_name();
        let _ = writeln!(
            out,
            "/// The rules of `{}` and its paths.\npub mod {} {{",
            service.descriptor.full_name(),
            rest_module(service),
        );
        let types = known.iter().map(|known| format!("{}TYPES, ", module(known, package, 1))).collect::<String>();
        let own_surface = service.methods.first().map(|method| &method.surface).cloned().unwrap_or_default();
        surface(out, own_surface, &types, limits);
        let scope = Scope::new(service, None, true, None);
        for method in &service.methods {
            method_info(out, service, method);
            actions::enumeration(out, method, &scope);
            paging::paging(out, method, &scope);
            for (index, binding) in method.bindings.iter().enumerate() {
                rule::rule(out, method, index, binding);
            }
        }
        let statics: Vec<_> = service.methods.iter().map(|method| format!("&{}", constant(method))).collect();
        let _ = writeln!(
            out,
            "/// Every method of the service.\n\
             pub static METHODS: &[&::transcoder::MethodInfo] = &[{}];",
            statics.join(", ")
        );
        if !self.shares_module(serving) {
            out.push_str("}\n");
        }
    }

    /// Whether the serving code is in the module of the tables.
    fn shares_module(&self, serving: bool) -> bool {
        serving && self.handlers.is_none()
    }

    /// Emits the serving code. `definitions` is the module of another crate with the definitions; without it they
    /// precede this code in the same file.
    pub fn serving(&self, out: &mut String, definitions: Option<&str>) {
        let service = self.service;
        let shares_module = definitions.is_none() && self.shares_module(true);
        if !shares_module {
            let name = match self.handlers {
                Some(_) => handlers_module(service),
                None => rest_module(service),
            };
            let _ = writeln!(out, "/// What serves `{}`.\npub mod {name} {{", service.descriptor.full_name());
        }
        out.push_str("use ::transcoder::generated::{async_trait, tonic};\n");
        let scope = Scope::new(service, definitions, shares_module, self.handlers);
        if let Some(handlers) = self.handlers {
            handlers.trait_of(out, service, &scope);
        }
        guarded::guarded(out, service, &scope, self.domain);
        routes::routes(out, service, &scope);
        mount(out, service, &scope);
        out.push_str("}\n");
    }
}

/// The module of the tables of a service.
fn rest_module(service: &Service) -> String {
    format!("{}_rest", snake(service.descriptor.name()).trim_start_matches("r#"))
}

/// The module of the handlers of a service.
fn handlers_module(service: &Service) -> String {
    snake(service.descriptor.name())
}

/// Emits the function that wraps a service, its routes and its methods into one value.
fn mount(out: &mut String, service: &Service, scope: &Scope<'_>) {
    let _ = writeln!(
        out,
        "/// The service over gRPC and REST, to be served behind a guard.\n\
         pub fn mount<S: {bound}>(inner: S) -> ::transcoder::Service {{\n\
         ::transcoder::Service::new({tables}METHODS, |guard, max_message| {{\n\
         let service = Guarded::new(inner, guard);\n\
         (routes(&service), {tonic}::{server}Server::new(service).max_decoding_message_size(max_message))\n}})\n}}",
        bound = scope.bound,
        tables = scope.tables,
        tonic = scope.tonic,
        server = camel(service.descriptor.name()),
    );
}

fn surface(out: &mut String, surface: Surface, types: &str, limits: Limits) {
    let names = if surface.snake_case { "Proto" } else { "Json" };
    let timestamps = match surface.timestamps.as_str() {
        "MICROSECONDS" => "Microseconds",
        "NAIVE_MICROSECONDS" => "NaiveMicroseconds",
        _ => "Rfc3339",
    };
    let slash = match surface.trailing_slash.as_str() {
        "IGNORE" => "Ignore",
        "REDIRECT" => "Redirect",
        _ => "Refuse",
    };
    let _ = writeln!(
        out,
        "/// The surface of the service.\n\
         pub static SURFACE: ::transcoder::Surface = ::transcoder::Surface {{ name: {}, error_dialect: {}, \
         json: ::transcoder::json::JsonOptions {{ names: ::transcoder::json::Names::{names}, int64_as_number: {}, \
         ignore_unknown: {}, any_case: {}, unset_as_null: {}, print_defaults: {}, \
         timestamps: ::transcoder::json::Timestamps::{timestamps}, max_depth: {}, max_items: {}, types: ::transcoder::json::Types(&[{types}]) }}, \
         trailing_slash: ::transcoder::TrailingSlash::{slash}, blank_body_absent: {} }};",
        literal(&surface.name),
        literal(&surface.error_dialect),
        surface.int64_as_number,
        surface.ignore_unknown,
        surface.any_case,
        surface.unset_as_null,
        !surface.omit_defaults,
        limits.depth,
        limits.items,
        surface.blank_body_absent,
    );
}

/// The name of a method's static.
fn constant(method: &Method) -> String {
    let name = snake(method.descriptor.name()).trim_start_matches("r#").to_uppercase();
    // The module has statics with these names.
    if matches!(&*name, "SURFACE" | "METHODS") { name + "_" } else { name }
}

fn method_info(out: &mut String, service: &Service, method: &Method) {
    let auth = &method.auth;
    let permission = match &method.actions {
        _ if auth.public => "None".to_owned(),
        None if !auth.all.is_empty() => {
            format!("OwnOrAll {{ own: {}, all: {} }}", literal(&auth.permission), literal(&auth.all))
        }
        None => format!("Fixed({})", literal(&auth.permission)),
        Some(_) => format!("ByAction({}::TABLE)", enum_of(method)),
    };
    let tenant = match &auth.tenant {
        Some(Tenant::Field(field)) => format!("Field({})", literal(field)),
        Some(Tenant::FieldOrCaller(field)) => format!("FieldOrCaller({})", literal(field)),
        Some(Tenant::From(from)) => camel(&from.to_lowercase()),
        None => "None".to_owned(),
    };
    let callers = if auth.callers.is_empty() && !auth.public {
        "\"USER\", \"SERVICE\"".to_owned()
    } else {
        auth.callers.iter().map(|caller| literal(caller)).collect::<Vec<_>>().join(", ")
    };
    let custom = if auth.custom.is_empty() { "None".to_owned() } else { format!("Some({})", literal(&auth.custom)) };
    let audit = method.audit.as_ref().map_or_else(
        || "None".to_owned(),
        |audit| {
            let (action, target) = (literal(&audit.action), literal(&audit.target));
            format!("Some(::transcoder::AuditRule {{ action: {action}, target: {target} }})")
        },
    );
    let (full, name) = (service.descriptor.full_name(), method.descriptor.name());
    let _ = writeln!(
        out,
        "/// `{full}/{name}`.\n\
         pub static {constant}: ::transcoder::MethodInfo = ::transcoder::MethodInfo {{ service: {service}, name: {method}, \
         path: {path}, surface: &SURFACE, auth: ::transcoder::AuthRule {{ public: {public}, \
         permission: ::transcoder::Permission::{permission}, callers: &[{callers}], \
         tenant: ::transcoder::TenantRule::{tenant}, custom: {custom}, while_suspended: {while_suspended} }}, audit: {audit}, takes_key: {takes_key} }};",
        constant = constant(method),
        service = literal(full),
        method = literal(name),
        path = literal(&format!("/{full}/{name}")),
        public = auth.public,
        while_suspended = auth.while_suspended,
        takes_key = method.takes_key(),
    );
}
