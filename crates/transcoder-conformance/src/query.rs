//! The service of the table of queries: it echoes the bound message.

use std::sync::Arc;

use tonic::{Request, Response, Status};
use transcoder::{Dialects, Rest, RestBuilder};

use crate::{
    Open,
    proto::conformance::query::v1::{self as proto, query_rest, query_server::Query},
};

struct Echo;

#[tonic::async_trait]
impl Query for Echo {
    async fn echo(&self, request: Request<proto::Request>) -> Result<Response<proto::Request>, Status> {
        Ok(Response::new(request.into_inner()))
    }
}

/// The service over REST.
pub fn rest() -> Rest {
    let guard = Arc::new(Open);
    let service = query_rest::Guarded::new(Echo, guard.clone());
    RestBuilder::new(Dialects::new([])).routes(query_rest::routes(&service)).build(guard)
}
