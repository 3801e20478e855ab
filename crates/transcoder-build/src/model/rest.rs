//! Checks the REST paths and options: everything that they name must exist and be possible.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use super::{Binding, Check, HTTP_BODY};
use crate::{
    Error,
    names::{is_integer, oneof_of},
    options::{Http, Rest, Surface},
    template::Template,
    wellknown::is_well_known,
};

impl Check<'_> {
    pub(super) fn bindings(&self, rest: &Rest, surface: &Surface) -> Result<Vec<Binding>, Error> {
        let bindings = self.options.http(self.method, surface).into_iter().map(|http| self.binding(http));
        let bindings = bindings.collect::<Result<Vec<_>, _>>()?;
        match (bindings.is_empty(), rest.grpc_only) {
            (true, false) if self.options.has_rules() && !self.method.is_client_streaming() => {
                Err(self.fail("no REST path; add google.api.http or set grpc_only"))
            }
            (false, true) => Err(self.fail("grpc_only is set, but the method has a REST path")),
            _ => Ok(bindings),
        }
    }

    fn binding(&self, http: Http) -> Result<Binding, Error> {
        if http.method != "*" && (http.method.is_empty() || !http.method.bytes().all(|b| b.is_ascii_uppercase())) {
            return Err(self.fail(format!("{:?} is not an HTTP method", http.method)));
        }
        let template = Template::parse(&http.path).map_err(|error| self.fail(format!("{}: {error}", http.path)))?;
        let input = self.method.input();
        if is_well_known(&input) && input.name() != "Empty" {
            return Err(
                self.fail(format!("{} cannot be the request of a REST path; put it into a field", input.full_name()))
            );
        }
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
                return Err(self.fail("body must name a field of the request itself"));
            }
            self.field(&input, &http.body)?;
        }
        if http.method == "GET" && !http.body.is_empty() {
            return Err(self.fail("GET must not have a body"));
        }
        if !http.response_body.is_empty() {
            if http.response_body.contains('.') {
                return Err(self.fail("response_body must name a field of the response itself"));
            }
            self.field(&self.method.output(), &http.response_body)?;
        }
        let mask = self.mask(&http)?;
        Ok(Binding { http, template, mask })
    }

    pub(super) fn rest(&self, rest: &Rest, bindings: &[Binding]) -> Result<(), Error> {
        self.etag(rest, bindings)?;
        self.event(rest)?;
        self.paged(rest, bindings)?;
        self.success(rest)?;
        self.inputs(rest, bindings)
    }

    /// Checks the statuses by reason, and that the surface has the statuses of the listed reasons.
    pub(super) fn statuses(&self, rest: &Rest, surface: &Surface) -> Result<(), Error> {
        let mut all = rest.status.iter().chain(&surface.status);
        if let Some((reason, status)) = all.find(|(reason, status)| reason.is_empty() || !(400..600).contains(status)) {
            return Err(self.fail(format!("status {status} for reason {reason:?}")));
        }
        let known = |reason: &&String| !surface.status.iter().any(|(known, _)| known == *reason);
        match rest.fails_with.iter().find(known) {
            Some(reason) => Err(self.fail(format!("fails_with lists {reason}, for which the surface has no status"))),
            None => Ok(()),
        }
    }

    /// Checks how success is reported.
    fn success(&self, rest: &Rest) -> Result<(), Error> {
        // 205 has no body, and 206 has only a part of one.
        let possible = (200..400).contains(&rest.success_status) && !matches!(rest.success_status, 205 | 206);
        if rest.success_status != 0 && !possible {
            return Err(self.fail(format!("{} is not a success status", rest.success_status)));
        }
        let bodiless = rest.empty_body || matches!(rest.success_status, 204 | 304);
        if self.method.is_server_streaming() && (bodiless || !rest.created_field.is_empty()) {
            return Err(self.fail("a stream must have a body and exactly one status"));
        }
        if self.method.is_server_streaming() && rest.with_metadata {
            return Err(self.fail("a stream cannot have with_metadata"));
        }
        if rest.created_field.is_empty() {
            return Ok(());
        }
        let field = self.field(&self.method.output(), &rest.created_field)?;
        let own = *field.parent_message() == self.method.output() && !field.supports_presence() && !field.is_list();
        if !own || field.kind() != Kind::Bool {
            let name = &rest.created_field;
            return Err(self.fail(format!("created_field names {name}, which is not a plain bool")));
        }
        Ok(())
    }

    /// Checks how a request is read.
    fn inputs(&self, rest: &Rest, bindings: &[Binding]) -> Result<(), Error> {
        let input = self.method.input();
        for key in &rest.lenient_query {
            if !matches!(self.field(&input, key)?.kind(), Kind::Bool) {
                return Err(self.fail(format!("{key} is read leniently, but is not a bool")));
            }
        }
        let with_body = bindings.iter().any(|binding| !binding.http.body.is_empty());
        if rest.body_or_query && !with_body {
            return Err(self.fail("body_or_query is set, but no path takes a body"));
        }
        if rest.body_required && !with_body {
            return Err(self.fail("body_required is set, but no path takes a body"));
        }
        if rest.body_required && rest.body_or_query {
            return Err(self.fail("body_required contradicts body_or_query"));
        }
        Ok(())
    }

    /// The mask that is filled with the members of the body: the field with that option, or the only mask of a PATCH
    /// whose body is one message of the request (AIP-134).
    fn mask(&self, http: &Http) -> Result<Option<String>, Error> {
        let input = self.method.input();
        let is_mask = |field: &FieldDescriptor| {
            let mask = |kind: &MessageDescriptor| kind.full_name() == "google.protobuf.FieldMask";
            !field.is_list()
                && !field.is_map()
                && oneof_of(field).is_none()
                && field.kind().as_message().is_some_and(mask)
        };
        if let Some(field) = input.fields().find(|field| self.options.is_mask_of_body(field)) {
            return match is_mask(&field) {
                true => Ok(Some(field.name().to_owned()).filter(|_| !http.body.is_empty())),
                false => {
                    let why = "is filled with the body's members, but is not a single FieldMask";
                    Err(self.fail(format!("{} {why}", field.name())))
                }
            };
        }
        let body = input.get_field_by_name(&http.body).filter(|body| http.method == "PATCH" && !is_mask(body));
        let changes = body.is_some_and(|body| !body.is_list() && !body.is_map() && body.kind().as_message().is_some());
        let mut masks = input.fields().filter(is_mask);
        Ok(match (masks.next(), masks.next()) {
            (Some(mask), None) if changes => Some(mask.name().to_owned()),
            _ => None,
        })
    }

    /// Checks the fields of entity tags.
    fn etag(&self, rest: &Rest, bindings: &[Binding]) -> Result<(), Error> {
        let Some(etag) = &rest.etag else { return Ok(()) };
        if self.method.is_server_streaming() {
            return Err(self.fail("a stream cannot have an entity tag"));
        }
        if etag.response.is_empty() && (rest.empty_body || matches!(rest.success_status, 204 | 304)) {
            return Err(self.fail("the entity tag is the digest of a response that has no body"));
        }
        self.word_field(&self.method.output(), &etag.response, false)?;
        let input = self.method.input();
        self.word_field(&input, &etag.request, false)?;
        self.texts_field(&input, &etag.known)?;
        let field = super::steps(&input, &etag.request).and_then(|mut steps| steps.pop());
        if field.is_some_and(|field| is_integer(&field.kind()) && !field.supports_presence()) {
            let why = "takes the tag of If-Match, but 0 is not a tag; make it optional";
            return Err(self.fail(format!("{} {why}", etag.request)));
        }
        let number = |message: &MessageDescriptor, path: &str| {
            super::steps(message, path).and_then(|mut steps| steps.pop()).is_some_and(|field| is_integer(&field.kind()))
        };
        if etag.quoted && (number(&self.method.output(), &etag.response) || number(&input, &etag.request)) {
            return Err(self.fail("an entity tag with quotes cannot be an integer"));
        }
        let changes = |binding: &&Binding| matches!(&*binding.http.method, "PUT" | "PATCH" | "DELETE");
        match bindings.iter().find(changes) {
            Some(binding) if etag.request.is_empty() => {
                let http = &binding.http.method;
                Err(self.fail(format!("etag must name the request field that takes the If-Match of {http}")))
            }
            _ => Ok(()),
        }
    }

    /// Checks the fields of events.
    fn event(&self, rest: &Rest) -> Result<(), Error> {
        let event = &rest.event;
        let (output, input) = (self.method.output(), self.method.input());
        let named = [&event.id, &event.kind, &event.resume].iter().any(|path| !path.is_empty());
        if named && !self.method.is_server_streaming() {
            return Err(self.fail("only a stream can have events"));
        }
        self.word_field(&output, &event.id, false)?;
        self.word_field(&output, &event.kind, true)?;
        self.word_field(&input, &event.resume, false)
    }

    /// Checks the paged list: it is the response, or a member of it.
    fn paged(&self, rest: &Rest, bindings: &[Binding]) -> Result<(), Error> {
        let name = &rest.paged_list;
        if name.is_empty() {
            return Ok(());
        }
        let output = self.method.output();
        if rest.with_metadata {
            return Err(self.fail("a paged list cannot have with_metadata"));
        }
        if name.contains('.') {
            return Err(self.fail("paged_list must name a field of the response itself"));
        }
        if self.method.is_server_streaming() || output.full_name() == HTTP_BODY {
            return Err(self.fail("paged_list is set, but the response is a stream or raw bytes"));
        }
        if rest.empty_body || matches!(rest.success_status, 204 | 304) {
            return Err(self.fail("paged_list is set, but the response has no body"));
        }
        if !self.field(&output, name)?.is_list() {
            return Err(self.fail(format!("paged_list names {name}, which is not a list")));
        }
        let other = |binding: &&Binding| !binding.http.response_body.is_empty() && binding.http.response_body != *name;
        match bindings.iter().find(other) {
            Some(binding) => {
                Err(self
                    .fail(format!("paged_list names {name}, which is not in the response of {}", binding.http.path)))
            }
            None => Ok(()),
        }
    }

    /// Checks a field that is a list of strings. An empty path is none.
    fn texts_field(&self, message: &MessageDescriptor, path: &str) -> Result<(), Error> {
        if path.is_empty() {
            return Ok(());
        }
        let field = self.field(message, path)?;
        if field.is_list() && field.kind() == Kind::String {
            Ok(())
        } else {
            Err(self.fail(format!("{path} must be a list of strings")))
        }
    }

    /// Checks a field with a text value: a string or an integer, or, with `names`, also an enum. An empty path is none.
    fn word_field(&self, message: &MessageDescriptor, path: &str, names: bool) -> Result<(), Error> {
        if path.is_empty() {
            return Ok(());
        }
        let field = self.field(message, path)?;
        let single = super::is_single(message, path);
        let word = match field.kind() {
            Kind::String => true,
            Kind::Enum(_) => names,
            kind => !names && is_integer(&kind),
        };
        if single && word {
            Ok(())
        } else {
            Err(self.fail(format!("{path} must be a single {}", if names { "name" } else { "string or integer" })))
        }
    }
}
