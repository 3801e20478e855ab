//! The options of the generator, read by name from the descriptors.
//!
//! They are extensions of one package (`auth`, `actions`, `audit`, `pages`, `rest` on methods, `surface` on files, `field` on fields), whose
//! messages have the members that are read here.

mod actions;
mod read;
mod surface;

use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, MessageDescriptor, MethodDescriptor, Value};
use serde_json::Map;

use self::read::{enum_name, enum_names, extension, flag, list, message, number, statuses, text, texts};
pub use self::{
    actions::{Action, Actions},
    surface::{Surface, below},
};

/// Reads options.
#[derive(Debug)]
pub struct Options<'p> {
    pool: &'p DescriptorPool,
    package: Option<String>,
}

/// `(auth)`.
#[derive(Clone, Debug, Default)]
pub struct Auth {
    /// No credential is needed.
    pub public: bool,
    pub permission: String,
    /// The permission to access all resources, if `permission` gives access only to the caller's own; empty if there is none.
    pub all: String,
    /// Kinds of caller, without the enum's prefix.
    pub callers: Vec<String>,
    /// Where the tenant of the call comes from.
    pub tenant: Option<Tenant>,
    /// Name of a hand-written check.
    pub custom: String,
    /// Callers of suspended tenants are admitted.
    pub while_suspended: bool,
}

/// Where the tenant of a call is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tenant {
    /// A field of the request.
    Field(String),
    /// A field of the request, or else the caller's own tenant.
    FieldOrCaller(String),
    /// `CALLER`, `RESOURCE` or `NONE`.
    From(String),
}

/// `(audit)`.
#[derive(Clone, Debug, Default)]
pub struct Audit {
    /// Name of the action.
    pub action: String,
    /// Path of the request field that names the target.
    pub target: String,
    /// Why there is no audit event, for a method that is not a read by its HTTP method.
    pub unaudited: String,
    /// Why calls have no idempotency keys.
    pub keyless: String,
}

/// `(rest)`.
#[derive(Clone, Debug, Default)]
pub struct Rest {
    /// Status of success.
    pub success_status: u32,
    /// The bool in the response that reports a creation.
    pub created_field: String,
    /// A success has no body.
    pub empty_body: bool,
    /// Status by reason.
    pub status: Vec<(String, u32)>,
    /// Fields of the body may come from the query.
    pub body_or_query: bool,
    /// Query keys whose booleans are parsed leniently.
    pub lenient_query: Vec<String>,
    /// Deliberately without a REST path.
    pub grpc_only: bool,
    /// A request without a body is refused.
    pub body_required: bool,
    /// Media type of a response of raw bytes; empty for any.
    pub media_type: String,
    /// Responses have an entity tag.
    pub etag: Option<Etag>,
    /// The fields of events of a stream.
    pub event: Event,
    /// The paged list of the response; empty if none.
    pub paged_list: String,
    /// The handler returns metadata with its message.
    pub with_metadata: bool,
    /// Reasons whose statuses the surface defines.
    pub fails_with: Vec<String>,
    /// Request headers with the fields that take them.
    pub headers: Vec<(String, String)>,
}

/// The fields of entity tags, by their paths; empty if none.
#[derive(Clone, Debug)]
pub struct Etag {
    /// Has the tag of a response; empty for its digest.
    pub response: String,
    /// Takes the tag of If-Match.
    pub request: String,
    /// The fields contain tags with their quotes.
    pub quoted: bool,
    /// Takes the tags of If-None-Match.
    pub known: String,
}

/// The fields of events of a stream, by their paths; empty if none.
#[derive(Clone, Debug, Default)]
pub struct Event {
    pub id: String,
    pub kind: String,
    /// Takes Last-Event-ID.
    pub resume: String,
}

/// `(field)`, as far as the documents need it.
#[derive(Clone, Debug, Default)]
pub struct FieldRule {
    /// Never logged; masked in responses.
    pub secret: bool,
    /// Set only by the server.
    pub output_only: bool,
    /// Must be set.
    pub required: bool,
    /// Filled with the body's members.
    pub mask_of_body: bool,
    /// An example of its value.
    pub example: String,
    /// An empty list or map is omitted from responses.
    pub omit_empty: bool,
    /// Members of the JSON schema of its values in requests.
    pub schema: String,
}

impl FieldRule {
    /// The constraints on the field's values in requests; `None` if they are not a JSON object.
    pub fn narrowed(&self) -> Option<Map<String, serde_json::Value>> {
        if self.schema.is_empty() { Some(Map::new()) } else { serde_json::from_str(&self.schema).ok() }
    }
}

/// One binding of `google.api.http`.
#[derive(Clone, Debug)]
pub struct Http {
    /// Method.
    pub method: String,
    /// Template.
    pub path: String,
    /// `body`.
    pub body: String,
    /// `response_body`.
    pub response_body: String,
}

impl<'p> Options<'p> {
    /// The options of a package; without one, every method is public and REST has no options.
    pub fn new(pool: &'p DescriptorPool, package: Option<String>) -> Self {
        Self { pool, package }
    }

    /// Whether methods need authorization rules.
    pub fn has_rules(&self) -> bool {
        self.package.is_some()
    }

    fn extension(&self, options: &DynamicMessage, name: &str) -> Option<DynamicMessage> {
        let name = format!("{}.{name}", self.package.as_ref()?);
        extension(self.pool, options, &name)
    }

    /// `(auth)` of a method.
    pub fn auth(&self, method: &MethodDescriptor) -> Option<Auth> {
        let rule = self.extension(&method.options(), "auth")?;
        let tenant =
            message(&rule, "tenant").map(|tenant| match (text(&tenant, "field"), text(&tenant, "field_or_caller")) {
                (field, _) if !field.is_empty() => Tenant::Field(field),
                (_, field) if !field.is_empty() => Tenant::FieldOrCaller(field),
                _ => Tenant::From(enum_name(&tenant, "from", "TENANT_SOURCE_")),
            });
        Some(Auth {
            public: flag(&rule, "public"),
            permission: text(&rule, "permission"),
            all: text(&rule, "all"),
            callers: enum_names(&rule, "callers", "CALLER_KIND_"),
            tenant,
            custom: text(&rule, "custom"),
            while_suspended: flag(&rule, "while_suspended"),
        })
    }

    /// `(audit)` of a method.
    pub fn audit(&self, method: &MethodDescriptor) -> Option<Audit> {
        let rule = self.extension(&method.options(), "audit")?;
        Some(Audit {
            action: text(&rule, "action"),
            target: text(&rule, "target"),
            unaudited: text(&rule, "unaudited"),
            keyless: text(&rule, "keyless"),
        })
    }

    /// `(actions)` of a method.
    pub fn actions(&self, method: &MethodDescriptor) -> Option<Actions> {
        self.extension(&method.options(), "actions").map(|rule| Actions::of(&rule))
    }

    /// `(pages)` of a method: the name of the list.
    pub fn pages(&self, method: &MethodDescriptor) -> Option<String> {
        self.extension(&method.options(), "pages").map(|rule| text(&rule, "items"))
    }

    /// `(rest)` of a method.
    pub fn rest(&self, method: &MethodDescriptor) -> Rest {
        let Some(rule) = self.extension(&method.options(), "rest") else { return Rest::default() };
        Rest {
            success_status: number(&rule, "success_status"),
            created_field: text(&rule, "created_field"),
            empty_body: flag(&rule, "empty_body"),
            status: statuses(&rule),
            body_or_query: flag(&rule, "body_or_query"),
            lenient_query: texts(&rule, "lenient_query"),
            grpc_only: flag(&rule, "grpc_only"),
            body_required: flag(&rule, "body_required"),
            media_type: text(&rule, "media_type"),
            etag: message(&rule, "etag").map(|etag| Etag::of(&etag)),
            event: message(&rule, "event").map(|event| Event::of(&event)).unwrap_or_default(),
            paged_list: text(&rule, "paged_list"),
            with_metadata: flag(&rule, "with_metadata"),
            fails_with: enum_names(&rule, "fails_with", "REASON_"),
            headers: headers(&rule),
        }
    }

    /// `(surface)` of a method: from its file, or from another file of its package.
    pub fn surface(&self, method: &MethodDescriptor) -> Option<Surface> {
        let own = method.parent_service().parent_file();
        let package = self.pool.files().filter(|file| file.package_name() == own.package_name());
        let mut files = std::iter::once(own.clone()).chain(package);
        let rule = files.find_map(|file| self.extension(&file.options(), "surface"))?;
        Some(Surface::of(&rule))
    }

    /// `(field)` of a field.
    pub fn field(&self, field: &FieldDescriptor) -> FieldRule {
        let Some(rule) = self.extension(&field.options(), "field") else { return FieldRule::default() };
        FieldRule {
            secret: self.behaves(field, "SECRET"),
            output_only: self.behaves(field, "OUTPUT_ONLY"),
            required: self.behaves(field, "REQUIRED"),
            mask_of_body: flag(&rule, "mask_of_body"),
            example: text(&rule, "example"),
            omit_empty: flag(&rule, "omit_empty"),
            schema: text(&rule, "schema"),
        }
    }

    /// Whether a field is the mask that REST fills with the body's members.
    pub fn is_mask_of_body(&self, field: &FieldDescriptor) -> bool {
        self.extension(&field.options(), "field").is_some_and(|rule| flag(&rule, "mask_of_body"))
    }

    /// Whether a flag of `(field)` is set.
    pub fn has_flag(field: &FieldDescriptor, name: &str) -> bool {
        let options = field.options();
        let rule = options.extensions().find(|(extension, _)| extension.name() == "field");
        rule.and_then(|(_, rule)| rule.as_message().map(|rule| flag(rule, name))).unwrap_or_default()
    }

    /// Whether a field has a behavior, by its name without prefix.
    pub fn behaves(&self, field: &FieldDescriptor, behavior: &str) -> bool {
        let rule = self.extension(&field.options(), "field");
        rule.is_some_and(|rule| enum_names(&rule, "behavior", "BEHAVIOR_").iter().any(|name| name == behavior))
    }

    /// The required fields of a message and of the messages in it, with their paths. It does not descend into lists and
    /// maps.
    pub fn required(&self, message: &MessageDescriptor) -> Vec<(String, FieldDescriptor)> {
        let mut found = Vec::new();
        self.required_below(message, "", &mut Vec::new(), &mut found);
        found
    }

    fn required_below(
        &self,
        message: &MessageDescriptor,
        prefix: &str,
        outer: &mut Vec<MessageDescriptor>,
        found: &mut Vec<(String, FieldDescriptor)>,
    ) {
        if outer.contains(message) {
            return;
        }
        outer.push(message.clone());
        for field in message.fields() {
            let path = format!("{prefix}{}", field.name());
            if let Some(inner) = field.kind().as_message().filter(|_| !field.is_list() && !field.is_map()) {
                self.required_below(inner, &format!("{path}."), outer, found);
            }
            if self.behaves(&field, "REQUIRED") {
                found.push((path, field));
            }
        }
        outer.pop();
    }

    /// The bindings of `google.api.http`: the rule's own, then the additional ones, each followed by its aliases on the
    /// surface.
    pub fn http(&self, method: &MethodDescriptor, surface: &Surface) -> Vec<Http> {
        let Some(rule) = extension(self.pool, &method.options(), "google.api.http") else { return Vec::new() };
        let more = list(&rule, "additional_bindings");
        let own = std::iter::once(&rule).chain(more.iter().filter_map(Value::as_message)).filter_map(binding);
        let with_aliases = own.flat_map(|http| {
            let aliases = surface.alias_of(&http.path);
            let others: Vec<_> = aliases.into_iter().map(|path| Http { path, ..http.clone() }).collect();
            std::iter::once(http).chain(others)
        });
        with_aliases.collect()
    }
}

impl Etag {
    fn of(rule: &DynamicMessage) -> Self {
        Self {
            response: text(rule, "response"),
            request: text(rule, "request"),
            quoted: flag(rule, "quoted"),
            known: text(rule, "known"),
        }
    }
}

impl Event {
    fn of(rule: &DynamicMessage) -> Self {
        Self { id: text(rule, "id"), kind: text(rule, "type"), resume: text(rule, "resume") }
    }
}

fn headers(rule: &DynamicMessage) -> Vec<(String, String)> {
    let rules = list(rule, "header");
    rules.iter().filter_map(Value::as_message).map(|rule| (text(rule, "name"), text(rule, "field"))).collect()
}

fn binding(rule: &DynamicMessage) -> Option<Http> {
    let body = text(rule, "body");
    let response_body = text(rule, "response_body");
    let (method, path) = ["get", "put", "post", "delete", "patch"]
        .into_iter()
        .map(|method| (method.to_uppercase(), text(rule, method)))
        .find(|(_, path)| !path.is_empty())
        .or_else(|| message(rule, "custom").map(|custom| (text(&custom, "kind"), text(&custom, "path"))))?;
    Some(Http { method, path, body, response_body })
}
