//! Emits the service behind the guard, for gRPC and REST alike.

use std::fmt::Write as _;

use prost_reflect::{Kind, MessageDescriptor};

use super::{Scope, constant, enum_of};
use crate::{
    model::{self, Method, Service},
    names::{camel, literal, snake},
    options::Tenant,
};

/// Emits the service behind the guard.
pub fn guarded(out: &mut String, service: &Service, scope: &Scope<'_>, domain: &str) {
    let _ = writeln!(
        out,
        "/// The service behind the guard: every call, from gRPC and from REST, passes it on the decoded message.\n\
         #[derive(Clone)]\n\
         pub struct Guarded<S> {{ inner: ::std::sync::Arc<S>, guard: ::std::sync::Arc<dyn ::transcoder::Guard> }}\n\
         impl<S> Guarded<S> {{\n\
         /// Puts a service behind a guard.\n\
         pub fn new(inner: S, guard: ::std::sync::Arc<dyn ::transcoder::Guard>) -> Self {{ Self {{ inner: ::std::sync::Arc::new(inner), guard }} }}\n\
         /// The service without a guard.\n\
         pub fn open(inner: S) -> Self {{ Self::new(inner, ::std::sync::Arc::new(::transcoder::Open)) }}\n\
         }}\n\
         impl<S> ::std::fmt::Debug for Guarded<S> {{\n\
         fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {{ f.write_str({name}) }}\n\
         }}",
        name = literal(&format!("Guarded<{}>", service.descriptor.full_name())),
    );
    let mut methods = String::new();
    for method in &service.methods {
        self::method(out, &mut methods, method, scope, domain);
    }
    let (bound, tonic) = (&scope.bound, format!("{}::{}", scope.tonic, camel(service.descriptor.name())));
    let _ = writeln!(out, "#[async_trait]\nimpl<S: {bound}> {tonic} for Guarded<S> {{\n{methods}}}");
}

/// The function that calls a method behind the guard. REST calls it directly, without the boxed future of the trait
/// method.
pub fn call(method: &Method) -> String {
    format!("call_{}", snake(method.descriptor.name()).trim_start_matches("r#"))
}

fn method(out: &mut String, methods: &mut String, method: &Method, scope: &Scope<'_>, domain: &str) {
    let function = snake(method.descriptor.name());
    let (input, output) = (method.descriptor.input(), method.descriptor.output());
    let (mut request, mut response) = (scope.message(&input), scope.message(&output));
    let mut outer = response.clone();
    if method.descriptor.is_client_streaming() {
        request = format!("tonic::Streaming<{request}>");
    }
    if method.descriptor.is_server_streaming() {
        // tonic keeps the spelling of the proto.
        let stream = format!("{}Stream", method.descriptor.name());
        let inner = match scope.handlers {
            Some(_) => format!("::transcoder::handler::Statuses<{response}>"),
            None => format!("S::{stream}"),
        };
        let _ = writeln!(methods, "type {stream} = {inner};");
        (response, outer) = (inner, format!("Self::{stream}"));
    }
    let call = call(method);
    // REST does not use the trait, and sends the pages of a list one by one.
    let answer = match method.rest.paged_list.as_str() {
        "" => format!("{call}(self, request).await"),
        list => format!(
            "let answer = {call}(self, request).await?; \
             ::transcoder::pages::whole(answer, |answer: &mut {outer}| &mut answer.{list}, {domain}).await",
            list = snake(list),
            domain = literal(domain),
        ),
    };
    let _ = writeln!(
        methods,
        "async fn {function}(&self, request: tonic::Request<{request}>) -> ::core::result::Result<tonic::Response<{outer}>, tonic::Status> {{ {answer} }}"
    );
    let inner = match scope.handlers {
        Some(handlers) => handlers.call(method, scope, &format!("{}{}", scope.tables, constant(method))),
        None => format!(
            "<S as {bound}>::{function}(&*service.inner, tonic::Request::from_parts(metadata, extensions, message)).await",
            bound = scope.bound
        ),
    };
    let _ = writeln!(
        out,
        "async fn {call}<S: {bound}>(service: &Guarded<S>, request: tonic::Request<{request}>) -> ::core::result::Result<tonic::Response<{response}>, tonic::Status> {{\n\
         let (metadata, mut extensions, message) = request.into_parts();\n\
         let claim = {claim};\n\
         service.guard.enter(&{tables}{constant}, claim, &mut extensions).await?;\n{checks}{inner}\n}}",
        bound = scope.bound,
        tables = scope.tables,
        constant = constant(method),
        claim = claim(method, &input, scope),
        checks = checks(method, scope, domain),
    );
}

/// The checks of a message after the second step of the guard.
fn checks(method: &Method, scope: &Scope<'_>, domain: &str) -> String {
    let (mut checks, domain) = (String::new(), literal(domain));
    if method.has_required {
        let _ = writeln!(checks, "::transcoder::require(&message, {domain})?;");
    }
    if method.actions.is_some() {
        // A service of tonic's trait reads the action from the request itself.
        let name = if scope.handlers.is_some() { "action" } else { "_" };
        let _ = writeln!(checks, "let {name} = {}{}::checked(&message, {domain})?;", scope.tables, enum_of(method));
    }
    if scope.handlers.is_some() && !method.auth.all.is_empty() {
        checks.push_str("let reach = ::transcoder::Reach::of(&extensions)?;\n");
    }
    checks
}

/// The values of the message that the guard checks.
fn claim(method: &Method, input: &MessageDescriptor, scope: &Scope<'_>) -> String {
    let text = |field: Option<&str>| {
        field.map_or_else(|| "None".to_owned(), |field| format!("Some({})", text_of(input, field, scope)))
    };
    let tenant = match &method.auth.tenant {
        Some(Tenant::Field(field) | Tenant::FieldOrCaller(field)) => Some(field.as_str()),
        _ => None,
    };
    let target = method.audit.as_ref().map(|audit| audit.target.as_str()).filter(|target| !target.is_empty());
    let action = method.actions.as_ref().map_or_else(
        || "None".to_owned(),
        |_| {
            let action = format!("{}{}", scope.tables, enum_of(method));
            format!("Some({action}::of(&message).map_or(\"\", {action}::name))")
        },
    );
    format!("::transcoder::Claim {{ tenant: {}, action: {action}, target: {} }}", text(tenant), text(target))
}

/// An expression for the text at a field path of `message`; empty where it is unset.
pub(super) fn text_of(message: &MessageDescriptor, field_path: &str, scope: &Scope<'_>) -> String {
    let fields = model::steps(message, field_path).unwrap_or_default();
    let Some((last, outer)) = fields.split_last() else { return "\"\"".to_owned() };
    let leaf = |base: &str| {
        let place = format!("{base}.{}", snake(last.name()));
        match last.kind() {
            Kind::Enum(item) => {
                let ty = scope.path(item.full_name(), item.package_name());
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
