//! Emits, for each service, a module with its method table, its guarded twin and its REST routes.

mod guarded;
mod routes;
mod rule;

use std::fmt::Write as _;

use prost_reflect::MessageDescriptor;

use crate::{
    Limits,
    model::{Method, Service},
    names::{camel, literal, module, path, server_module, snake},
    options::{Surface, Tenant},
    wellknown::well_known,
};

/// Emits the module of a service. `known` are the packages whose messages an `Any` may hold, `domain` is that of the
/// reasons of errors.
pub fn service(out: &mut String, service: &Service, known: &[&str], domain: &str, limits: Limits) {
    let name = service.descriptor.name();
    let package = service.descriptor.package_name();
    let own = format!("{}_rest", snake(name).trim_start_matches("r#"));
    let tonic = format!("super::{}::{}", server_module(name), camel(name));
    let _ = writeln!(
        out,
        "/// What REST and the guard need of `{}`.\npub mod {own} {{\n\
         use ::transcoder::generated::{{async_trait, tonic}};",
        service.descriptor.full_name()
    );
    let types = known.iter().map(|known| format!("{}TYPES, ", module(known, package, 1))).collect::<String>();
    let own_surface = service.methods.first().map(|method| &method.surface).cloned().unwrap_or_default();
    surface(out, own_surface, &types, limits);
    for method in &service.methods {
        method_info(out, service, method);
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
    guarded::guarded(out, service, &tonic, package, domain);
    routes::routes(out, service, &tonic, package);
    out.push_str("}\n");
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
         habits: ::transcoder::json::Habits {{ names: ::transcoder::json::Names::{names}, int64_as_number: {}, \
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
    // The module has statics of these names.
    if matches!(&*name, "SURFACE" | "METHODS") { name + "_" } else { name }
}

fn method_info(out: &mut String, service: &Service, method: &Method) {
    let auth = &method.auth;
    let permission = match &auth.permission_by {
        _ if auth.public => "None".to_owned(),
        None => format!("Fixed({})", literal(&auth.permission)),
        Some(by) => format!("ByField {{ field: {}, map: &[{}] }}", literal(&by.field), pairs(&by.map)),
    };
    let tenant = match &auth.tenant {
        Some(Tenant::Field(field)) => format!("Field({})", literal(field)),
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
            let by = audit.action_by.as_ref().map(|by| pairs(&by.map)).unwrap_or_default();
            format!("Some(::transcoder::AuditRule {{ action: {action}, target: {target}, action_by: &[{by}] }})")
        },
    );
    let (full, name) = (service.descriptor.full_name(), method.descriptor.name());
    let _ = writeln!(
        out,
        "/// `{full}/{name}`.\n\
         pub static {constant}: ::transcoder::MethodInfo = ::transcoder::MethodInfo {{ service: {service}, name: {method}, \
         path: {path}, surface: &SURFACE, auth: ::transcoder::AuthRule {{ public: {public}, \
         permission: ::transcoder::Permission::{permission}, callers: &[{callers}], \
         tenant: ::transcoder::TenantRule::{tenant}, custom: {custom}, while_suspended: {while_suspended} }}, audit: {audit} }};",
        constant = constant(method),
        service = literal(full),
        method = literal(name),
        path = literal(&format!("/{full}/{name}")),
        public = auth.public,
        while_suspended = auth.while_suspended,
    );
}

/// Pairs of value and name.
fn pairs(map: &[(String, String)]) -> String {
    map.iter().map(|(value, name)| format!("({}, {}), ", literal(value), literal(name))).collect()
}

/// The Rust type of a request or response, seen from the service's module.
fn message_type(message: &MessageDescriptor, package: &str) -> String {
    match well_known(message) {
        Some(known) => known.rust.to_owned(),
        None => path(message.full_name(), message.package_name(), package, 1),
    }
}
