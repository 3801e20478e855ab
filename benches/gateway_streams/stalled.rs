//! Readers that stop reading, among many that do not: their memory, and the p99 of the others with and without them.

use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use h2::{
    RecvStream, SendStream,
    client::{Builder, Connection},
};
use http::{Method, Request};
use prost::Message as _;
use tenantry_proto::edge::v1::Material;
use tokio::net::{TcpSocket, TcpStream};

use super::{
    World, median, milliseconds, missed_if,
    receivers::{FEW, METHOD, Plan, Receivers, Wanted, Who, credentials, subscribe},
};

/// Stalled readers. More than one, so that the memory of each can be told from that of the others.
const STALLED: usize = 100;
/// Publications that a stalled reader does not read before the measurement, so that it leaves nothing unfilled.
const UNREAD: usize = 40;
/// Measured publications of a round, and rounds of each side.
const MEASURED: usize = 3;
const ROUNDS: usize = 3;
/// The allowed memory of a stalled reader, in KiB.
const MEMORY: f64 = 64.0;
/// The allowed factor of the others' p99.
const RATIO: f64 = 1.2;
/// The window that it grants, as clients by tonic do. The socket is what fills.
const WINDOW: u32 = 2 << 20;
/// Its socket takes little.
const SOCKET: u32 = 4096;

/// A stream whose client stops reading after the head of the response.
struct Stalled {
    _connection: Connection<TcpStream, Bytes>,
    _requests: SendStream<Bytes>,
    _responses: RecvStream,
}

impl Stalled {
    async fn open(world: &World, number: usize) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(SOCKET).expect("a socket");
        let stream = socket.connect(world.program.address).await.expect("it listens");
        let mut builder = Builder::new();
        builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW);
        let (client, mut connection) = builder.handshake(stream).await.expect("a connection");
        let url = format!("http://{}", world.program.address);
        let enrolled = &world.enrolled[number % world.enrolled.len()];
        let (authorization, proof) = credentials(enrolled, &url);
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{url}{METHOD}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("authorization", authorization)
            .header("dpop", proof)
            .body(())
            .expect("a request");
        let opening = async {
            let mut client = client.ready().await.expect("a connection");
            let (response, mut requests) = client.send_request(request, false).expect("a stream");
            requests.send_data(frame(), false).expect("a stream");
            let responses = response.await.expect("a response").into_body();
            (requests, responses)
        };
        tokio::select! {
            ended = &mut connection => panic!("the connection ended: {ended:?}"),
            // From here on, nothing polls the connection.
            (requests, responses) = opening => Self { _connection: connection, _requests: requests, _responses: responses },
        }
    }
}

/// The first message, as gRPC frames it.
fn frame() -> Bytes {
    let message = subscribe(vec![Material::GatewayPolicy.into()], Vec::new()).encode_to_vec();
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(message.len() as u32);
    frame.put_slice(&message);
    frame.freeze()
}

pub async fn run(world: &World) {
    let connections = world.enrolled.len() - STALLED;
    let who = Who::Tokens(world.enrolled.clone());
    let (receivers, _) = Receivers::open(Plan {
        route: world.ours(),
        connections,
        each: 1,
        who,
        wanted: Wanted::Policies,
        at_once: FEW,
    })
    .await;
    let (mut without, mut with, mut memories) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for _ in 0..MEASURED {
            without.push(receivers.all_have(world.publish()).await.0);
        }
        // What acknowledgements and the publications themselves need is there before the first measurement, too.
        let before = memory(world).await;
        let mut stalled = Vec::new();
        for number in connections..connections + STALLED {
            stalled.push(Stalled::open(world, number).await);
        }
        for _ in 0..UNREAD {
            receivers.all_have(world.publish()).await;
        }
        for _ in 0..MEASURED {
            with.push(receivers.all_have(world.publish()).await.0);
        }
        memories.push((memory(world).await - before) * 1024.0 / STALLED as f64);
        drop(stalled);
        // Their connections are closed when the program writes to them.
        receivers.all_have(world.publish()).await;
    }
    println!(
        "{STALLED} of {} gateways stop reading, and leave {UNREAD} publications and more unread",
        world.enrolled.len()
    );
    memories.sort_by(f64::total_cmp);
    let each = memories[memories.len() / 2];
    println!("  {each:.1} KiB for each, its connection included (goal at most {MEMORY}{})", missed_if(each > MEMORY));
    let (without, with) = (median(without), median(with));
    println!("  p99 of the others {:.1} ms, without them {:.1} ms", milliseconds(with), milliseconds(without));
    let ratio = with.as_secs_f64() / without.as_secs_f64();
    println!("  {ratio:.2} times (goal at most {RATIO}{})", missed_if(ratio > RATIO));
}

/// The memory of the program when it has released what it does not need.
async fn memory(world: &World) -> f64 {
    tokio::time::sleep(Duration::from_secs(3)).await;
    world.program.own_memory()
}
