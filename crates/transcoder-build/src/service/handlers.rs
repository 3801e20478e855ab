//! Emits the handler traits: a method for each RPC, without the types of tonic.

use std::fmt::Write as _;

use super::scope::{Handlers, Scope, enum_of};
use crate::{
    model::{Method, Service},
    names::{camel, snake},
};

impl Handlers {
    /// Emits the trait of a service.
    pub fn trait_of(&self, out: &mut String, service: &Service, scope: &Scope<'_>) {
        for method in service.methods.iter().filter(|method| method.actions.is_some()) {
            let _ = writeln!(out, "pub use {}{};", scope.tables, enum_of(method));
        }
        let _ = writeln!(
            out,
            "/// The handlers of `{}`.\npub trait {}: Send + Sync + 'static {{",
            service.descriptor.full_name(),
            camel(service.descriptor.name()),
        );
        for method in &service.methods {
            let request = scope.message(&method.descriptor.input());
            let request = match method.descriptor.is_client_streaming() {
                true => format!("tonic::Streaming<{request}>"),
                false => request,
            };
            let decided = decided(method, scope).map(|(name, ty)| format!("{name}: {ty}, ")).unwrap_or_default();
            let _ = writeln!(
                out,
                "/// `{full}`.\nfn {function}(&self, cx: &{context}, {decided}request: {request}) \
                 -> impl ::core::future::Future<Output = ::core::result::Result<{answer}, {error}>> + Send;",
                full = method.descriptor.full_name(),
                function = snake(method.descriptor.name()),
                context = self.context,
                answer = self.answer(method, scope),
                error = self.error,
            );
        }
        out.push_str("}\n");
    }

    /// The return type of a handler's success.
    fn answer(&self, method: &Method, scope: &Scope<'_>) -> String {
        let (response, error) = (scope.message(&method.descriptor.output()), &self.error);
        match Answer::of(method) {
            Answer::Message => response,
            Answer::Metadata => format!("tonic::Response<{response}>"),
            Answer::Pages => format!("::transcoder::handler::Pages<{response}, {error}>"),
            Answer::Stream => format!(
                "impl ::transcoder::generated::Stream<Item = ::core::result::Result<{response}, {error}>> + Send + 'static"
            ),
        }
    }

    /// An expression that calls the handler of a method and converts the result to a tonic response.
    pub fn call(&self, method: &Method, scope: &Scope<'_>, table: &str) -> String {
        let answer = match Answer::of(method) {
            Answer::Message => "message",
            Answer::Metadata => "response",
            Answer::Pages => "pages",
            Answer::Stream => "stream",
        };
        let (context, function) = (&self.context, snake(method.descriptor.name()));
        let decided = decided(method, scope).map(|(name, _)| format!("{name}, ")).unwrap_or_default();
        let once = format!(
            "if let Some(once) = ::transcoder::handler::Context::once(&cx, &{table}, &extensions, &metadata) {{\n\
             let inner = service.inner.clone();\n\
             return ::transcoder::once::answer(once, message, move |cx: {context}, message| async move {{\n\
             let outcome = S::{function}(&inner, &cx, {decided}message).await;\n\
             ::transcoder::handler::{answer}(cx, outcome)\n}}).await;\n}}\n",
        );
        format!(
            "let cx = <{context} as ::transcoder::handler::Context>::of(&extensions, &metadata)?;\n\
             {once}\
             let outcome = S::{function}(&service.inner, &cx, {decided}message).await;\n\
             ::transcoder::handler::{answer}(cx, outcome)",
            once = if method.takes_key() { &*once } else { "" },
        )
    }
}

/// The name and type of the additional parameter of a handler: the action, or the reach of the caller.
fn decided(method: &Method, scope: &Scope<'_>) -> Option<(&'static str, String)> {
    if method.actions.is_some() {
        Some(("action", format!("{}{}", scope.tables, enum_of(method))))
    } else if !method.auth.all.is_empty() {
        Some(("reach", "::transcoder::Reach".to_owned()))
    } else {
        None
    }
}

/// The kinds of results of handlers.
enum Answer {
    Message,
    /// A message with metadata.
    Metadata,
    /// A paged list.
    Pages,
    Stream,
}

impl Answer {
    fn of(method: &Method) -> Self {
        if method.descriptor.is_server_streaming() {
            Self::Stream
        } else if !method.rest.paged_list.is_empty() {
            Self::Pages
        } else if method.rest.with_metadata {
            Self::Metadata
        } else {
            Self::Message
        }
    }
}
