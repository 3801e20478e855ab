//! The services of flow.proto.

use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio_stream::{Stream, StreamExt as _};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_types::{ErrorDetails, StatusExt as _};
use transcoder::{Deadline, Dialects, Open, Rest, RestBuilder, etag_mismatch, pages};
use transcoder_conformance::rules::{
    conformance::rules::v1::{
        Beat, BeatKind, CountRequest, DeleteDocRequest, Doc, GetDocRequest, Numbers, PushRequest, PushResponse, Tick,
        UpdateDocRequest, Versioned, docs_rest, docs_server::Docs, flow_rest, flow_server::Flow, versioned,
    },
    google::api::HttpBody,
};

/// Counts, and has one document: its tag is `t1`, its version 7.
#[derive(Clone, Copy, Debug)]
pub struct Desk;

type Items<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The numbers of a request, and how the stream ends.
fn count(request: &CountRequest) -> Items<i64> {
    let CountRequest { to, after, fail_at, stay } = *request;
    let numbers = (after + 1..=to).map(move |n| if n == fail_at { Err(lost()) } else { Ok(n) });
    let numbers = tokio_stream::iter(numbers);
    if stay { Box::pin(numbers.chain(tokio_stream::pending())) } else { Box::pin(numbers) }
}

fn lost() -> Status {
    let details = ErrorDetails::with_error_info("COUNT_LOST", "conformance", [] as [(String, String); 0]);
    Status::with_error_details(Code::Unavailable, "lost count", details)
}

fn tick(seq: i64) -> Tick {
    let kind = if seq % 2 == 0 { BeatKind::Tick } else { BeatKind::Tock };
    Tick { seq, beat: Some(Beat { kind: kind.into() }), text: format!("number\n{seq}") }
}

#[tonic::async_trait]
impl Flow for Desk {
    type CountStream = Items<Tick>;
    type PullStream = Items<HttpBody>;
    type TalkStream = Items<Tick>;

    async fn count(&self, request: Request<CountRequest>) -> Result<Response<Items<Tick>>, Status> {
        let request = request.into_inner();
        if request.to < 0 {
            return Err(Status::invalid_argument("counts upwards"));
        }
        let mut response: Response<Items<Tick>> = Response::new(Box::pin(count(&request).map(|n| n.map(tick))));
        response.metadata_mut().insert("x-counter", "fast".parse().unwrap());
        Ok(response)
    }

    async fn pull(&self, request: Request<CountRequest>) -> Result<Response<Items<HttpBody>>, Status> {
        let piece = |n| HttpBody {
            content_type: if n == 1 { "text/x-numbers" } else { "" }.to_owned(),
            data: format!("{n}\n").into_bytes(),
            ..HttpBody::default()
        };
        Ok(Response::new(Box::pin(count(request.get_ref()).map(move |n| n.map(piece)))))
    }

    async fn push(&self, request: Request<PushRequest>) -> Result<Response<PushResponse>, Status> {
        let PushRequest { name, file, dry_run } = request.into_inner();
        let file = file.unwrap_or_default();
        let size = i32::try_from(file.data.len()).unwrap();
        Ok(Response::new(PushResponse { name, media_type: file.content_type, size, dry_run }))
    }

    async fn mirror(&self, request: Request<HttpBody>) -> Result<Response<PushRequest>, Status> {
        let mut response = Response::new(PushRequest { file: Some(request.into_inner()), ..PushRequest::default() });
        response.metadata_mut().insert("content-disposition", "attachment; filename=\"a\"".parse().unwrap());
        Ok(response)
    }

    async fn get_anything(&self, request: Request<GetDocRequest>) -> Result<Response<prost_types::Struct>, Status> {
        let name = prost_types::value::Kind::StringValue(request.into_inner().name);
        let fields = [("name".to_owned(), prost_types::Value { kind: Some(name) })].into();
        Ok(Response::new(prost_types::Struct { fields }))
    }

    async fn get_text(&self, request: Request<GetDocRequest>) -> Result<Response<String>, Status> {
        let left = request.extensions().get::<Deadline>().map(|at| at.0.saturating_duration_since(Instant::now()));
        match request.into_inner().name {
            name if name == "deadline" => Ok(Response::new(format!("{:?}", left.map(|left| left.as_secs())))),
            name => Ok(Response::new(name)),
        }
    }

    async fn sleep(&self, _: Request<GetDocRequest>) -> Result<Response<Doc>, Status> {
        std::future::pending().await
    }

    async fn list_numbers(&self, request: Request<CountRequest>) -> Result<Response<Numbers>, Status> {
        let request = request.into_inner();
        let CountRequest { to, after, fail_at, stay } = request;
        let starts = (after..to.max(after + 1)).step_by(3);
        let mut pages = starts.map(move |start| {
            let numbers = start + 1..=to.min(start + 3);
            if numbers.contains(&fail_at) {
                return Err(lost());
            }
            let total = numbers.clone().last().map_or(0, |last| last - after);
            Ok(Numbers { name: "some".to_owned(), numbers: numbers.map(tick).collect(), total })
        });
        let first = Response::new(pages.next().unwrap()?);
        if stay {
            return Ok(pages::followed(first, tokio_stream::iter(pages).chain(tokio_stream::pending())));
        }
        Ok(if to - after > 3 { pages::followed(first, tokio_stream::iter(pages)) } else { first })
    }

    async fn talk(&self, request: Request<Streaming<Tick>>) -> Result<Response<Items<Tick>>, Status> {
        Ok(Response::new(Box::pin(request.into_inner())))
    }
}

/// The only document.
fn doc(name: String) -> Result<Doc, Status> {
    match name.as_str() {
        "gone" => {
            let mut details = ErrorDetails::new();
            details.set_resource_info("doc", name, "", "nobody has it").add_help_link("all there are", "https://a.b/c");
            let mut status = Status::with_error_details(Code::NotFound, "no such document", details);
            status.metadata_mut().insert("x-looked-in", "desk".parse().unwrap());
            Err(status)
        }
        "fine" => Err(Status::new(Code::Ok, "no failure at all")),
        _ => Ok(Doc { name, etag: Some("t1".to_owned()), note: "a note\n".repeat(300) }),
    }
}

#[tonic::async_trait]
impl Docs for Desk {
    async fn get_doc(&self, request: Request<GetDocRequest>) -> Result<Response<Doc>, Status> {
        let GetDocRequest { name, note } = request.into_inner();
        let found = doc(name)?;
        let mut response = Response::new(Doc { note: note.unwrap_or_else(|| found.note.clone()), ..found });
        response.metadata_mut().insert("cache-control", "no-cache".parse().unwrap());
        // Like a service that forwards the metadata of another one.
        for (name, value) in [("content-type", "application/grpc"), ("keep-alive", "timeout=5")] {
            response.metadata_mut().insert(name, value.parse().unwrap());
        }
        Ok(response)
    }

    async fn get_version(&self, _: Request<GetDocRequest>) -> Result<Response<Versioned>, Status> {
        Ok(Response::new(Versioned { inner: Some(versioned::Inner { version: 7 }) }))
    }

    async fn get_digest(&self, request: Request<GetDocRequest>) -> Result<Response<Doc>, Status> {
        doc(request.into_inner().name).map(Response::new)
    }

    async fn update_doc(&self, request: Request<UpdateDocRequest>) -> Result<Response<Doc>, Status> {
        let UpdateDocRequest { doc: given, update_mask } = request.into_inner();
        let given = given.unwrap_or_default();
        let held = doc(given.name.clone())?;
        match given.etag {
            Some(etag) if Some(&etag) != held.etag.as_ref() => Err(etag_mismatch("conformance")),
            _ if given.note == "busy" => Err(Status::aborted("somebody else writes")),
            _ => {
                let note = update_mask.map(|mask| mask.paths.join(",")).unwrap_or_default();
                Ok(Response::new(Doc { note, etag: Some("t2".to_owned()), ..held }))
            }
        }
    }

    async fn update_quoted(&self, request: Request<UpdateDocRequest>) -> Result<Response<Doc>, Status> {
        let given = request.into_inner().doc.unwrap_or_default();
        match given.etag.as_deref() {
            Some("\"t1\"") => Ok(Response::new(Doc { etag: Some("\"t2\"".to_owned()), ..Doc::default() })),
            _ => Err(etag_mismatch("conformance")),
        }
    }

    async fn delete_doc(&self, request: Request<DeleteDocRequest>) -> Result<Response<Doc>, Status> {
        let DeleteDocRequest { name, version } = request.into_inner();
        let held = doc(name)?;
        if version.is_some_and(|version| version != 7) {
            return Err(etag_mismatch("conformance"));
        }
        Ok(Response::new(held))
    }
}

/// The REST service, with a heartbeat of 20 ms.
pub fn rest() -> Rest {
    let guard = Arc::new(Open);
    RestBuilder::new(Dialects::default())
        .routes(flow_rest::routes(&flow_rest::Guarded::new(Desk, guard.clone())))
        .routes(docs_rest::routes(&docs_rest::Guarded::new(Desk, guard.clone())))
        .max_body(4096)
        .heartbeat(Duration::from_millis(20))
        .build(guard)
}
