//! The services, a guard that logs its calls, and a custom error dialect.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
};

use serde_json::json;
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use transcoder::{Claim, Dialect, Dialects, Failure, Guard, Matched, MethodInfo, Rendered, Rest, RestBuilder};
use transcoder_conformance::rules::{
    conformance::rules::v1::{
        ActOnThingRequest, DeleteThingRequest, GetThingRequest, Keys, ListThingsResponse, Note, Owner, PutThingRequest,
        PutThingResponse, SearchThingsRequest, Thing, UpdateThingRequest, loose_rest, loose_server::Loose, snake_rest,
        snake_server::Snake, terse_rest, terse_server::Terse, things_rest, things_server::Things,
    },
    google::api::HttpBody,
};

/// The events in order.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub fn write(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    /// The events since the last call.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// The guard's entry in the extensions of a request.
#[derive(Clone, Debug)]
pub struct Caller(pub &'static str);

/// A guard that logs its calls, and refuses at one step.
#[derive(Debug, Default)]
pub struct Recorder {
    pub log: Log,
    pub refuse: Option<(&'static str, Code)>,
}

impl Recorder {
    fn decide(&self, step: &str) -> Result<(), Status> {
        match self.refuse {
            Some((at, code)) if at == step => {
                let details = ErrorDetails::with_error_info("NOT_YOU", "conformance", [] as [(String, String); 0]);
                Err(Status::with_error_details(code, format!("refused at {step}"), details))
            }
            _ => Ok(()),
        }
    }
}

impl Guard for Recorder {
    fn admit(&self, method: &'static MethodInfo, extensions: &mut http::Extensions) -> Result<(), Status> {
        self.log.write(format!("admit {}", method.name));
        extensions.insert(Caller("somebody"));
        self.decide("admit")
    }

    fn enter<'a>(
        &'a self,
        method: &'static MethodInfo,
        claim: Claim<'a>,
        extensions: &'a mut http::Extensions,
    ) -> Pin<Box<dyn Future<Output = Result<(), Status>> + Send + 'a>> {
        let caller = extensions.get::<Caller>().map_or("nobody", |caller| caller.0);
        let Claim { tenant, action, target } = claim;
        let audited = action.map(|_| format!(", audited {}", method.audited(&claim).unwrap_or_default()));
        let audited = audited.unwrap_or_default();
        self.log.write(format!("enter {} by {caller}: {tenant:?} {action:?} {target:?}{audited}", method.name));
        Box::pin(std::future::ready(self.decide("enter")))
    }
}

/// An unusual error dialect.
struct Loud;

impl Dialect for Loud {
    fn render(&self, failure: &Failure) -> Rendered {
        let body = json!({
            "oops": failure.reason,
            "from": format!("{:?}", failure.origin),
            "text": failure.message,
            "kind": failure.decode_error.as_ref().map(|error| format!("{:?}", error.kind)),
            "path": failure.decode_error.as_ref().map(|error| error.path()),
            "id": failure.request_id,
        });
        Rendered::json(failure, &body)
    }
}

/// The service of all surfaces. It echoes requests.
#[derive(Clone, Debug, Default)]
pub struct Shop {
    pub log: Log,
}

#[tonic::async_trait]
impl Things for Shop {
    async fn get_thing(&self, request: Request<GetThingRequest>) -> Result<Response<Thing>, Status> {
        let template = request.extensions().get::<Matched>().map_or("gRPC", |matched| matched.template);
        self.log.write(format!("get by {template}"));
        let GetThingRequest { name, owner } = request.into_inner();
        match name.as_str() {
            "missing" => Err(Status::not_found("no such thing")),
            // A time in the year 10000 cannot be written.
            "unprintable" => {
                let made_at = prost_types::Timestamp { seconds: 253_402_300_800, nanos: 0 };
                Ok(Response::new(Thing { made_at: Some(made_at), ..Thing::default() }))
            }
            _ => {
                let mut response = Response::new(Thing { name, owner, ..Thing::default() });
                response.metadata_mut().insert("x-shelf", "4".parse().unwrap());
                Ok(response)
            }
        }
    }

    async fn list_things(&self, _: Request<()>) -> Result<Response<ListThingsResponse>, Status> {
        let thing = |name: &str| Thing { name: name.to_owned(), byte_size: 1 << 40, ..Thing::default() };
        let counts = [("a".to_owned(), 1)].into();
        Ok(Response::new(ListThingsResponse {
            things: vec![thing("a"), thing("b")],
            total: 1 << 53,
            first: None,
            counts,
        }))
    }

    async fn put_thing(&self, request: Request<PutThingRequest>) -> Result<Response<PutThingResponse>, Status> {
        let thing = request.into_inner().thing;
        match thing.as_ref().map(|thing| thing.name.as_str()) {
            Some("locked") => {
                let mut details =
                    ErrorDetails::with_error_info("THING_LOCKED", "conformance", [] as [(String, String); 0]);
                details.add_bad_request_violation("thing.name", "is locked");
                Err(Status::with_error_details(Code::FailedPrecondition, "locked", details))
            }
            name => Ok(Response::new(PutThingResponse { created: name == Some("new"), thing })),
        }
    }

    async fn update_thing(&self, request: Request<UpdateThingRequest>) -> Result<Response<UpdateThingRequest>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn delete_thing(&self, request: Request<DeleteThingRequest>) -> Result<Response<()>, Status> {
        let DeleteThingRequest { name, force, dry_run } = request.into_inner();
        self.log.write(format!("delete {name} {force} {dry_run}"));
        Ok(Response::new(()))
    }

    async fn act_on_thing(&self, request: Request<ActOnThingRequest>) -> Result<Response<Thing>, Status> {
        Ok(Response::new(Thing { name: request.into_inner().name, ..Thing::default() }))
    }

    async fn search_things(
        &self,
        request: Request<SearchThingsRequest>,
    ) -> Result<Response<SearchThingsRequest>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn download_thing(&self, request: Request<GetThingRequest>) -> Result<Response<HttpBody>, Status> {
        let data = request.into_inner().name.into_bytes();
        let body = HttpBody { content_type: "text/x-thing".to_owned(), data, ..HttpBody::default() };
        let mut response = Response::new(body);
        response.metadata_mut().insert("content-disposition", "attachment".parse().unwrap());
        Ok(response)
    }
}

#[tonic::async_trait]
impl Snake for Shop {
    async fn get_snake(&self, request: Request<Thing>) -> Result<Response<Thing>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn put_snake(&self, request: Request<Thing>) -> Result<Response<Thing>, Status> {
        Ok(Response::new(request.into_inner()))
    }
}

#[tonic::async_trait]
impl Loose for Shop {
    async fn put_keys(&self, request: Request<Keys>) -> Result<Response<Keys>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn get_loose(&self, request: Request<Thing>) -> Result<Response<Thing>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn put_loose(&self, request: Request<Thing>) -> Result<Response<Thing>, Status> {
        Ok(Response::new(request.into_inner()))
    }
}

#[tonic::async_trait]
impl Terse for Shop {
    async fn put_terse(&self, request: Request<Note>) -> Result<Response<Note>, Status> {
        Ok(Response::new(request.into_inner()))
    }
}

/// A server and its log.
pub struct Fixture {
    pub rest: Rest,
    pub things: things_rest::Guarded<Shop>,
    pub guard: Arc<Recorder>,
    pub log: Log,
}

impl Fixture {
    pub fn new() -> Self {
        Self::refusing(None)
    }

    /// A server whose guard refuses at a step.
    pub fn refusing(refuse: Option<(&'static str, Code)>) -> Self {
        let log = Log::default();
        let shop = Shop { log: log.clone() };
        let guard = Arc::new(Recorder { log: log.clone(), refuse });
        let things = things_rest::Guarded::new(shop.clone(), guard.clone());
        let routes = things_rest::routes(&things)
            .into_iter()
            .chain(snake_rest::routes(&snake_rest::Guarded::new(shop.clone(), guard.clone())))
            .chain(loose_rest::routes(&loose_rest::Guarded::new(shop.clone(), guard.clone())))
            .chain(terse_rest::routes(&terse_rest::Guarded::new(shop, guard.clone())));
        let loud: Arc<dyn Dialect> = Arc::new(Loud);
        let dialects = Dialects::new([("loud", &["/strict"] as &[&str], loud)]);
        let rest = RestBuilder::new(dialects).routes(routes).max_body(4096).with_facts().build(guard.clone());
        Self { rest, things, guard, log }
    }
}

/// An owner of a tenant.
pub fn owner(tenant: &str) -> Option<Owner> {
    Some(Owner { tenant: tenant.to_owned(), place: None })
}
