//! Serves the shop on 127.0.0.1:8081.

use transcoder_example::{Shop, app};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8081").await?;
    println!("try: curl http://{}/v1/orders/7", listener.local_addr()?);
    axum::serve(listener, app(Shop::default())).await
}
