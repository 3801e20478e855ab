//! Generates OpenAPI 3.1 documents: one of all services, and one for each surface.
//!
//! Paths, parameters and schemas describe what the generated code does; the descriptions are the comments of the
//! protos. Everything else (titles, error bodies, security schemes, paths that no RPC serves) comes from the [`Frame`].

mod answers;
mod choices;
mod comments;
mod examples;
mod field;
mod frame;
mod names;
mod parameters;
mod paths;
mod schema;

use std::collections::BTreeMap;

use prost_reflect::DescriptorPool;
use serde_json::{Map, Value, json};

use self::{
    answers::Errors,
    comments::{Comments, first_sentence},
    frame::Dialect,
    names::{Names, Scope},
    paths::{Paths, Place},
    schema::{Schemas, describe},
};
pub use self::{examples::check, frame::Frame};
use crate::{
    model::{Binding, Method, Service},
    options::{Action, Options, Surface},
};

/// The methods of a binding to any method; the bodies of the other methods have special meanings.
const ANY: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// The methods of OpenAPI.
const KNOWN: [&str; 8] = ["GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE"];

/// The common input of all documents.
#[derive(Debug)]
pub struct Context<'a> {
    options: &'a Options<'a>,
    comments: Comments,
    frame: &'a Frame,
}

/// Generates the documents by surface, the one of all services with the empty name.
pub fn documents(
    pool: &DescriptorPool,
    services: &[Service],
    options: &Options<'_>,
    frame: &Frame,
) -> BTreeMap<String, Value> {
    let cx = Context { options, comments: Comments::new(pool), frame };
    let names = Names::new(services);
    let methods = services.iter().flat_map(|service| &service.methods);
    let served = methods.filter(|method| !method.bindings.is_empty());
    let surfaces = served.map(|method| method.surface.name.clone()).filter(|name| !name.is_empty());
    let mut documents: BTreeMap<_, _> = surfaces
        .map(|surface| {
            let document = Document::new(&cx, &names, Some(&surface)).make(services);
            (surface, document)
        })
        .collect();
    documents.insert(String::new(), Document::new(&cx, &names, None).make(services));
    documents
}

/// A document that is being generated.
struct Document<'a> {
    cx: &'a Context<'a>,
    /// The surface; `None` is all of them.
    surface: Option<&'a str>,
    scope: Scope<'a>,
    schemas: Schemas<'a>,
    errors: Errors,
    paths: Paths,
    tags: Vec<Value>,
    security: Map<String, Value>,
}

impl<'a> Document<'a> {
    fn new(cx: &'a Context<'a>, names: &'a Names, surface: Option<&'a str>) -> Self {
        let scope = names.scope(surface.is_none());
        Self {
            cx,
            surface,
            scope,
            schemas: Schemas::new(cx, scope),
            errors: Errors::default(),
            paths: Paths::default(),
            tags: Vec::new(),
            security: Map::new(),
        }
    }

    fn make(mut self, services: &[Service]) -> Value {
        for service in services {
            let served = |method: &&Method| self.surface.is_none_or(|surface| surface == method.surface.name);
            let methods: Vec<_> = service.methods.iter().filter(served).collect();
            if methods.iter().any(|method| !method.bindings.is_empty()) {
                self.tag(service, &methods[0].surface);
                for method in methods {
                    self.method(service, method);
                }
            }
        }
        self.fixed();
        let info = self.info();
        let components = json!({
            "schemas": self.schemas.finish(),
            "responses": self.errors.finish(),
            "securitySchemes": self.security,
        });
        json!({
            "openapi": "3.1.0",
            "info": info,
            "servers": [{"url": "/"}],
            "tags": self.tags,
            "paths": self.paths.finish(),
            "components": components,
        })
    }

    fn info(&self) -> Value {
        let mut info = self.cx.frame.info.clone();
        let title = info.get("title").and_then(Value::as_str).unwrap_or("API").to_owned();
        info.insert("title".into(), json!(title));
        info.entry("version").or_insert_with(|| json!("0"));
        if let Some(surface) = self.surface {
            let about = self.cx.frame.surfaces.get(surface);
            let own = about.map(|about| about.title.as_str()).filter(|own| !own.is_empty()).unwrap_or(surface);
            info.insert("title".into(), json!(format!("{title}: {own}")));
            describe(&mut info, about.map_or("", |about| &about.description));
        }
        Value::Object(info)
    }

    fn tag_name(&self, service: &Service, surface: &Surface) -> String {
        self.scope.name(&surface.name, service.descriptor.full_name(), service.descriptor.package_name())
    }

    fn tag(&mut self, service: &Service, surface: &Surface) {
        let mut tag = Map::from_iter([("name".to_owned(), json!(self.tag_name(service, surface)))]);
        describe(&mut tag, self.cx.comments.of(&service.descriptor.parent_file(), service.descriptor.path()));
        self.tags.push(Value::Object(tag));
    }

    fn method(&mut self, service: &Service, method: &Method) {
        for (index, binding) in method.bindings.iter().enumerate() {
            let place = self.paths.settle(Place::new(&binding.template));
            let id = self.scope.operation(service, method, index);
            let any = binding.http.method == "*";
            let own = [binding.http.method.as_str()];
            let verbs = if any { ANY.as_slice() } else { own.as_slice() };
            // Methods that OpenAPI does not have are omitted.
            for verb in verbs.iter().filter(|verb| KNOWN.contains(verb)) {
                let id = if any { format!("{id}_{}", verb.to_lowercase()) } else { id.clone() };
                let operation = self.operation(service, method, binding, &place, &id);
                self.paths.add(&place.path, verb, operation);
            }
        }
    }

    fn operation(&mut self, service: &Service, method: &Method, binding: &Binding, place: &Place, id: &str) -> Value {
        let (cx, surface) = (self.cx, &method.surface);
        let comment = cx.comments.of(&method.descriptor.parent_file(), method.descriptor.path());
        let (summary, rest) = first_sentence(comment);
        let mut operation = Map::from_iter([
            ("operationId".to_owned(), json!(id)),
            ("tags".to_owned(), json!([self.tag_name(service, surface)])),
        ]);
        if !summary.is_empty() {
            operation.insert("summary".into(), json!(summary));
        }
        describe(&mut operation, format!("{rest}\n\n{}", origin(service, method)).trim());
        let parameters = parameters::parameters(cx, &mut self.schemas, method, binding, place);
        let has_parameters = !parameters.is_empty();
        if has_parameters {
            operation.insert("parameters".into(), json!(parameters));
        }
        if let Some(body) = answers::body(cx, &mut self.schemas, method, binding) {
            operation.insert("requestBody".into(), body);
        }
        let mut responses = Map::new();
        answers::success(&mut responses, cx, &mut self.schemas, method, binding);
        let dialect = cx.frame.dialects.get(&surface.error_dialect).cloned().unwrap_or_else(Dialect::aip193);
        let statuses = answers::failures(method, binding, has_parameters, comment, &dialect);
        self.errors.answer(&mut responses, &mut self.schemas, self.scope, &dialect, surface, &statuses);
        operation.insert("responses".into(), Value::Object(responses));
        operation.insert("security".into(), self.security_of(method));
        if method.descriptor.method_descriptor_proto().options.as_ref().is_some_and(|options| options.deprecated()) {
            operation.insert("deprecated".into(), json!(true));
        }
        Value::Object(operation)
    }

    /// Any one of the surface's security schemes; none for a public method.
    fn security_of(&mut self, method: &Method) -> Value {
        if method.auth.public {
            return json!([]);
        }
        let about = self.cx.frame.surfaces.get(&method.surface.name);
        let ways = about.map(|about| about.security.as_slice()).unwrap_or_default();
        for way in ways {
            let scheme = self.cx.frame.security_schemes.get(way).cloned().unwrap_or_default();
            self.security.insert(way.clone(), scheme);
        }
        json!(ways.iter().map(|way| json!({way: []})).collect::<Vec<_>>())
    }

    /// The paths that no RPC serves.
    fn fixed(&mut self) {
        let frame = self.cx.frame;
        let here = |surfaces: &[String]| self.surface.is_none_or(|own| surfaces.iter().any(|name| name == own));
        let paths: Vec<_> = frame.paths.iter().filter(|(_, fixed)| here(&fixed.surfaces)).collect();
        if !paths.is_empty() {
            self.tags.extend(frame.tags.iter().cloned());
        }
        for (path, fixed) in paths {
            self.paths.add_item(path, &fixed.item);
        }
    }
}

/// The RPC of an operation and the permissions that it needs.
fn origin(service: &Service, method: &Method) -> String {
    let rpc = format!("{}/{}", service.descriptor.full_name(), method.descriptor.name());
    let mut text = format!("gRPC: `{rpc}`.");
    match (method.single_permission(), &method.actions) {
        (Some(permission), _) => {
            text.push_str(&format!(" Permission: `{permission}`."));
            if !method.auth.all.is_empty() {
                text.push_str(&format!(" For more than the caller's own: `{}`.", method.auth.all));
            }
        }
        (None, Some(actions)) => {
            let permission = |action: &Action| format!("`{}`: `{}`", action.name, action.permission);
            let each: Vec<_> = actions.list.iter().map(permission).collect();
            text.push_str(&format!(" Permission by `{}`: {}.", actions.field, each.join(", ")));
        }
        (None, None) => {}
    }
    text
}
