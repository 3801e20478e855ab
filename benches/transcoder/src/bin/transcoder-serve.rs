//! Serves one side of the benchmark on one thread, for a load generator in another process:
//! `transcoder-serve transcoder|rest_over_grpc|axum ADDRESS`.

use std::{convert::Infallible, io};

use axum::body::Body;
use http::{Request, Response};
use tower::Service;
use transcoder_bench::sides;

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(side), Some(address)) = (arguments.next(), arguments.next()) else {
        return Err(usage());
    };
    match side.as_str() {
        "transcoder" => serve(&address, sides::bare(sides::ours())),
        "rest_over_grpc" => serve(&address, sides::bare(sides::peer())),
        "axum" => serve(&address, sides::bare(sides::twin())),
        _ => Err(usage()),
    }
}

fn usage() -> io::Error {
    io::Error::other("usage: transcoder-serve transcoder|rest_over_grpc|axum ADDRESS")
}

fn serve<S>(address: &str, service: S) -> io::Result<()>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(address).await?;
        axum::serve(listener, tower::make::Shared::new(service)).await
    })
}
