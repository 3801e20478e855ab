//! A shop with one order. [`Shop`] is an ordinary tonic service; [`app`] serves it over gRPC and REST.

use std::{pin::Pin, sync::Mutex};

use tokio_stream::Stream;
use tonic::{Request, Response, Status, service::Routes};
use transcoder::RestBuilder;

/// Generated from `proto/`.
#[allow(missing_docs, clippy::all)]
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/transcoder.rs"));
}

use proto::shop::v1::{
    GetOrderRequest, Order, State, UpdateOrderRequest, order_service_rest,
    order_service_server::{OrderService, OrderServiceServer},
};

/// gRPC and REST on the same service.
pub fn app(shop: Shop) -> axum::Router {
    let shop = order_service_rest::Guarded::open(shop);
    let rest = RestBuilder::default().routes(order_service_rest::routes(&shop)).open();
    Routes::new(OrderServiceServer::new(shop)).into_axum_router().fallback_service(rest)
}

/// Keeps one order.
#[derive(Debug)]
pub struct Shop(Mutex<Order>);

impl Default for Shop {
    fn default() -> Self {
        let items = vec!["tea".to_owned(), "cups".to_owned()];
        let order = Order { name: "orders/7".to_owned(), state: State::Open.into(), items, total_cents: 2350 };
        Self(Mutex::new(order))
    }
}

impl Shop {
    /// Runs `act` on an order.
    fn with<T>(&self, name: &str, act: impl FnOnce(&mut Order) -> T) -> Result<Response<T>, Status> {
        let mut order = self.0.lock().map_err(|_| Status::internal("the shop is closed"))?;
        if order.name == name { Ok(Response::new(act(&mut order))) } else { Err(Status::not_found("no such order")) }
    }
}

#[tonic::async_trait]
impl OrderService for Shop {
    type WatchOrderStream = Pin<Box<dyn Stream<Item = Result<Order, Status>> + Send>>;

    async fn get_order(&self, request: Request<GetOrderRequest>) -> Result<Response<Order>, Status> {
        self.with(&request.get_ref().name, |order| order.clone())
    }

    async fn update_order(&self, request: Request<UpdateOrderRequest>) -> Result<Response<Order>, Status> {
        let UpdateOrderRequest { order, update_mask } = request.into_inner();
        let given = order.unwrap_or_default();
        self.with(&given.name.clone(), |order| {
            for path in update_mask.unwrap_or_default().paths {
                match path.as_str() {
                    "items" => order.items.clone_from(&given.items),
                    "total_cents" => order.total_cents = given.total_cents,
                    _ => {}
                }
            }
            order.clone()
        })
    }

    async fn cancel_order(&self, request: Request<GetOrderRequest>) -> Result<Response<()>, Status> {
        self.with(&request.get_ref().name, |order| order.state = State::Cancelled.into())
    }

    async fn watch_order(&self, request: Request<GetOrderRequest>) -> Result<Response<Self::WatchOrderStream>, Status> {
        // A real shop would send more messages, one for each change.
        let order = self.with(&request.get_ref().name, |order| order.clone())?.into_inner();
        Ok(Response::new(Box::pin(tokio_stream::once(Ok(order)))))
    }
}
