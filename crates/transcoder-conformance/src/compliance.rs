//! The service of Google's REST compliance suite: it echoes requests.

use std::collections::HashMap;

use tonic::{Request, Response, Status};
use transcoder::{
    Matched,
    json::{DecodeError, JsonOptions, Msg, decode},
};

use crate::proto::compliance::v1::{
    ComplianceSuite, Continent, EnumRequest, EnumResponse, RepeatRequest, RepeatResponse, compliance_server::Compliance,
};

/// The number of a continent that the enum does not define.
pub const UNKNOWN_CONTINENT: i32 = -4242;

/// Reads a suite with the codec under test.
///
/// # Errors
/// The text is not a suite.
pub fn suite(text: &str) -> Result<ComplianceSuite, DecodeError> {
    decode::<Msg<ComplianceSuite>>(text.as_bytes(), &JsonOptions::PROTO3)
}

/// Echoes requests, and checks them against the suite if they ask for it.
#[derive(Clone, Debug)]
pub struct Echo {
    by_name: HashMap<String, RepeatRequest>,
}

impl Echo {
    /// An echo that knows the requests of a suite.
    pub fn new(suite: &ComplianceSuite) -> Self {
        let requests = suite.group.iter().flat_map(|group| &group.requests);
        Self { by_name: requests.map(|request| (request.name.clone(), request.clone())).collect() }
    }

    fn repeat(&self, request: Request<RepeatRequest>) -> Result<Response<RepeatResponse>, Status> {
        let template = request.extensions().get::<Matched>().map(|matched| matched.template).unwrap_or_default();
        let request = request.into_inner();
        if request.server_verify {
            self.verify(&request, template).map_err(Status::invalid_argument)?;
        }
        Ok(Response::new(RepeatResponse { request: Some(request), binding_uri: template.to_owned() }))
    }

    fn verify(&self, request: &RepeatRequest, template: &str) -> Result<(), &'static str> {
        let wanted = self.by_name.get(&request.name).ok_or("the suite has no request of this name")?;
        if wanted.intended_binding_uri.as_deref().is_some_and(|uri| uri != template) {
            return Err("another path template matched than was intended");
        }
        if wanted.intended_binding_uri() != request.intended_binding_uri() {
            return Err("the intended path template arrived changed");
        }
        if wanted.info == request.info { Ok(()) } else { Err("the request arrived changed") }
    }
}

fn continent(request: &EnumRequest) -> i32 {
    if request.unknown_enum { UNKNOWN_CONTINENT } else { Continent::Antartica.into() }
}

type Repeated = Result<Response<RepeatResponse>, Status>;

#[tonic::async_trait]
impl Compliance for Echo {
    async fn repeat_data_body(&self, request: Request<RepeatRequest>) -> Repeated {
        self.repeat(request)
    }

    async fn repeat_data_body_info(&self, request: Request<RepeatRequest>) -> Repeated {
        self.repeat(request)
    }

    async fn repeat_data_query(&self, request: Request<RepeatRequest>) -> Repeated {
        self.repeat(request)
    }

    async fn repeat_data_simple_path(&self, request: Request<RepeatRequest>) -> Repeated {
        self.repeat(request)
    }

    async fn repeat_data_path_resource(&self, request: Request<RepeatRequest>) -> Repeated {
        self.repeat(request)
    }

    async fn repeat_data_path_trailing_resource(&self, request: Request<RepeatRequest>) -> Repeated {
        self.repeat(request)
    }

    async fn repeat_data_body_put(&self, request: Request<RepeatRequest>) -> Repeated {
        self.repeat(request)
    }

    async fn repeat_data_body_patch(&self, request: Request<RepeatRequest>) -> Repeated {
        self.repeat(request)
    }

    async fn get_enum(&self, request: Request<EnumRequest>) -> Result<Response<EnumResponse>, Status> {
        let request = request.into_inner();
        Ok(Response::new(EnumResponse { continent: continent(&request), request: Some(request) }))
    }

    async fn verify_enum(&self, request: Request<EnumResponse>) -> Result<Response<EnumResponse>, Status> {
        let answer = request.into_inner();
        if answer.continent == continent(&answer.request.unwrap_or_default()) {
            Ok(Response::new(answer))
        } else {
            Err(Status::invalid_argument("not the continent that was answered"))
        }
    }
}
