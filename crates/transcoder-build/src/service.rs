//! Emits, for each service, a module with its method table, its guarded twin and its REST routes.

use std::fmt::Write as _;

use prost_reflect::{Kind, MessageDescriptor};

use crate::{
    model::{self, Binding, Method, Service},
    names::{camel, literal, module, path, snake},
    options::{Surface, Tenant},
    template::Segment,
};

/// The message whose answer is raw bytes.
const HTTP_BODY: &str = "google.api.HttpBody";

/// Emits the module of a service. `known` are the packages whose messages an `Any` may hold, `domain` is that of the
/// reasons of errors.
pub fn service(out: &mut String, service: &Service, known: &[&str], domain: &str) {
    let name = service.descriptor.name();
    let package = service.descriptor.package_name();
    let own = format!("{}_rest", snake(name).trim_start_matches("r#"));
    let tonic = format!("super::{}_server::{}", snake(name).trim_start_matches("r#"), camel(name));
    let _ = writeln!(
        out,
        "/// What REST and the guard need of `{}`.\npub mod {own} {{\n\
         use ::transcoder::generated::{{async_trait, tonic}};",
        service.descriptor.full_name()
    );
    let types = known.iter().map(|known| format!("{}TYPES, ", module(known, package, 1))).collect::<String>();
    surface(out, service.methods.first().map(|method| &method.surface).cloned().unwrap_or_default(), &types);
    for method in &service.methods {
        method_info(out, service, method);
        for (index, binding) in method.bindings.iter().enumerate() {
            rule(out, method, index, binding);
        }
    }
    let statics: Vec<_> = service.methods.iter().map(|method| format!("&{}", constant(method))).collect();
    let _ = writeln!(
        out,
        "/// Every method of the service.\n\
         pub static METHODS: &[&::transcoder::MethodInfo] = &[{}];",
        statics.join(", ")
    );
    guarded(out, service, &tonic, package, domain);
    routes(out, service, &tonic, package);
    out.push_str("}\n");
}

fn surface(out: &mut String, surface: Surface, types: &str) {
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
         ignore_unknown: {}, any_case: {}, unset_as_null: {}, print_defaults: true, \
         timestamps: ::transcoder::json::Timestamps::{timestamps}, types: ::transcoder::json::Types(&[{types}]), ..::transcoder::json::Habits::PROTO3 }}, \
         trailing_slash: ::transcoder::TrailingSlash::{slash} }};",
        literal(&surface.name),
        literal(&surface.error_dialect),
        surface.int64_as_number,
        surface.ignore_unknown,
        surface.any_case,
        surface.unset_as_null,
    );
}

/// The name of a method's static.
fn constant(method: &Method) -> String {
    snake(method.descriptor.name()).trim_start_matches("r#").to_uppercase()
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

fn rule(out: &mut String, method: &Method, index: usize, binding: &Binding) {
    let input = method.descriptor.input();
    let http = &binding.http;
    let position = |message: &MessageDescriptor, name: &str| message.fields().position(|field| field.name() == name);
    let body = match http.body.as_str() {
        "" => "None".to_owned(),
        "*" => "Whole".to_owned(),
        field => {
            format!("Field {{ index: {}, name: {} }}", position(&input, field).unwrap_or_default(), literal(field))
        }
    };
    let mut taken: Vec<_> = binding.template.variables.iter().map(|variable| literal(&variable.field)).collect();
    if !http.body.is_empty() && !method.rest.body_or_query {
        taken.push(literal(if http.body == "*" { "" } else { &http.body }));
    }
    let response = match http.response_body.as_str() {
        "" => "None".to_owned(),
        field => format!("{:?}", position(&method.descriptor.output(), field)),
    };
    let lenient: Vec<_> = method.rest.lenient_query.iter().map(|key| literal(key)).collect();
    let status: Vec<_> =
        method.rest.status.iter().map(|(reason, status)| format!("({}, {status})", literal(reason))).collect();
    let mask = method.mask.as_ref().filter(|_| !http.body.is_empty());
    let mask = mask.map_or_else(|| "None".to_owned(), |mask| format!("Some({})", literal(mask)));
    let _ = writeln!(
        out,
        "static {constant}_RULE_{index}: ::transcoder::rest::Rule = ::transcoder::rest::Rule {{ \
         method: {method}, template: {template}, info: &{constant}, \
         binding: ::transcoder::rest::Binding {{ body: ::transcoder::rest::Body::{body}, taken: &[{taken}], \
         body_or_query: {either}, body_required: {required}, lenient: &[{lenient}], mask: {mask} }}, response: {response}, success: {success}, empty_body: {empty}, \
         status: &[{status}] }};",
        constant = constant(method),
        method = literal(&http.method),
        template = template(binding),
        taken = taken.join(", "),
        either = method.rest.body_or_query,
        required = method.rest.body_required && !http.body.is_empty(),
        lenient = lenient.join(", "),
        success = if method.rest.success_status == 0 { 200 } else { method.rest.success_status },
        empty = method.rest.empty_body || matches!(method.rest.success_status, 204 | 304),
        status = status.join(", "),
    );
}

fn template(binding: &Binding) -> String {
    let segments = binding.template.segments.iter().map(|segment| match segment {
        Segment::Literal(text) => format!("::transcoder::router::Segment::Literal({}), ", literal(text)),
        Segment::Any => "::transcoder::router::Segment::Any, ".to_owned(),
        Segment::Rest => "::transcoder::router::Segment::Rest, ".to_owned(),
    });
    let variables = binding.template.variables.iter().map(|variable| {
        let (field, first, last) = (literal(&variable.field), variable.first, variable.last);
        format!("::transcoder::router::Variable {{ field: {field}, first: {first}, last: {last} }}, ")
    });
    format!(
        "::transcoder::router::Template {{ text: {}, segments: &[{}], verb: {}, variables: &[{}] }}",
        literal(&binding.http.path),
        segments.collect::<String>(),
        literal(&binding.template.verb),
        variables.collect::<String>(),
    )
}

/// The Rust type of a request or response, seen from the service's module.
fn message_type(message: &MessageDescriptor, package: &str) -> String {
    match message.full_name() {
        "google.protobuf.Empty" => "()".to_owned(),
        name if message.package_name() == "google.protobuf" => {
            format!("::prost_types::{}", name.trim_start_matches("google.protobuf."))
        }
        name => path(name, message.package_name(), package, 1),
    }
}

fn guarded(out: &mut String, service: &Service, tonic: &str, package: &str, domain: &str) {
    let _ = writeln!(
        out,
        "/// The service behind the guard: every call, from gRPC and from REST, passes it on the decoded message.\n\
         #[derive(Clone)]\n\
         pub struct Guarded<S> {{ inner: ::std::sync::Arc<S>, guard: ::std::sync::Arc<dyn ::transcoder::Guard> }}\n\
         impl<S> Guarded<S> {{\n\
         /// Puts a service behind a guard.\n\
         pub fn new(inner: S, guard: ::std::sync::Arc<dyn ::transcoder::Guard>) -> Self {{ Self {{ inner: ::std::sync::Arc::new(inner), guard }} }}\n\
         }}\n\
         impl<S> ::std::fmt::Debug for Guarded<S> {{\n\
         fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {{ f.write_str({name}) }}\n\
         }}\n\
         #[async_trait]\n\
         impl<S: {tonic}> {tonic} for Guarded<S> {{",
        name = literal(&format!("Guarded<{}>", service.descriptor.full_name())),
    );
    for method in &service.methods {
        let function = snake(method.descriptor.name());
        let (input, output) = (method.descriptor.input(), method.descriptor.output());
        let (request, mut response) = (message_type(&input, package), message_type(&output, package));
        if method.descriptor.is_server_streaming() {
            let stream = format!("{}Stream", camel(method.descriptor.name()));
            let _ = writeln!(out, "type {stream} = S::{stream};");
            response = format!("Self::{stream}");
        }
        let _ = writeln!(
            out,
            "async fn {function}(&self, request: tonic::Request<{request}>) -> Result<tonic::Response<{response}>, tonic::Status> {{\n\
             let (metadata, mut extensions, message) = request.into_parts();\n\
             let claim = ::transcoder::Claim {{ tenant: {tenant}, action: {action}, target: {target}, audited: {audited} }};\n\
             self.guard.enter(&{constant}, claim, &mut extensions).await?;\n{require}\
             self.inner.{function}(tonic::Request::from_parts(metadata, extensions, message)).await\n}}",
            constant = constant(method),
            require = if method.has_required {
                format!("::transcoder::require(&message, {})?;\n", literal(domain))
            } else {
                String::new()
            },
            tenant = match &method.auth.tenant {
                Some(Tenant::Field(field)) => format!("Some({})", text_of(&input, field, package)),
                _ => "None".to_owned(),
            },
            action = match &method.auth.permission_by {
                Some(by) => format!("Some({})", text_of(&input, &by.field, package)),
                None => "None".to_owned(),
            },
            target = match &method.audit {
                Some(audit) if !audit.target.is_empty() => format!("Some({})", text_of(&input, &audit.target, package)),
                _ => "None".to_owned(),
            },
            audited = match method.audit.as_ref().and_then(|audit| audit.action_by.as_ref()) {
                Some(by) => format!("Some({})", text_of(&input, &by.field, package)),
                None => "None".to_owned(),
            },
        );
    }
    out.push_str("}\n");
}

/// An expression for the text at a field path of `message`; empty where it is unset.
fn text_of(message: &MessageDescriptor, field_path: &str, package: &str) -> String {
    let fields = model::steps(message, field_path).unwrap_or_default();
    let Some((last, outer)) = fields.split_last() else { return "\"\"".to_owned() };
    let leaf = |base: &str| {
        let place = format!("{base}.{}", snake(last.name()));
        match last.kind() {
            Kind::Enum(item) => {
                let ty = path(item.full_name(), item.package_name(), package, 1);
                let number = if last.supports_presence() { format!("{place}.unwrap_or_default()") } else { place };
                format!("<{ty} as ::transcoder::json::Enum>::name({number}).unwrap_or_default()")
            }
            _ if last.supports_presence() => format!("{place}.as_deref().unwrap_or_default()"),
            _ => format!("{place}.as_str()"),
        }
    };
    let Some((first, rest)) = outer.split_first() else { return leaf("message") };
    let mut expression = format!("message.{}.as_ref()", snake(first.name()));
    for field in rest {
        expression.push_str(&format!(".and_then(|m| m.{}.as_ref())", snake(field.name())));
    }
    format!("{expression}.map_or(\"\", |m| {})", leaf("m"))
}

fn routes(out: &mut String, service: &Service, tonic: &str, package: &str) {
    let _ = writeln!(
        out,
        "/// The REST routes of the service.\n\
         pub fn routes<S: {tonic}>(service: &Guarded<S>) -> Vec<::transcoder::rest::Route> {{\n\
         let service = ::std::sync::Arc::new(Guarded {{ inner: service.inner.clone(), guard: service.guard.clone() }});\n\
         vec!["
    );
    for method in &service.methods {
        let function = snake(method.descriptor.name());
        let output = method.descriptor.output();
        let (request, response) = (message_type(&method.descriptor.input(), package), message_type(&output, package));
        let write = if output.full_name() == HTTP_BODY {
            format!(
                "|body: &{response}, _, _| Ok(::transcoder::rest::Payload::raw(&body.content_type, body.data.clone()))"
            )
        } else {
            format!("::transcoder::rest::json::<{response}>")
        };
        let created = match method.rest.created_field.as_str() {
            "" => "None".to_owned(),
            field => format!("Some(|answer: &{response}| answer.{})", snake(field)),
        };
        for (index, binding) in method.bindings.iter().enumerate() {
            let mask = match &method.mask {
                Some(mask) if !binding.http.body.is_empty() => {
                    format!("Some(|message: &mut {request}| &mut message.{})", snake(mask))
                }
                _ => "None".to_owned(),
            };
            let _ = writeln!(
                out,
                "::transcoder::rest::Route::unary::<{request}, {response}, _, _>(&{constant}_RULE_{index}, {{ let service = service.clone(); \
                 move |request| {{ let service = service.clone(); async move {{ {tonic}::{function}(&*service, request).await }} }} }}, \
                 {write}, {created}, {mask}),",
                constant = constant(method),
            );
        }
    }
    out.push_str("]\n}\n");
}
