//! The system's information about the TCP connection of a stream.

use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A stream over TCP.
pub(in crate::server) trait Wire {
    fn state(&self) -> State;
}

/// The state of a connection. Always the default on systems other than Linux.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::server) struct State {
    /// How many bytes the peer has acknowledged. It may read for minutes from the kernel's buffer before we can write
    /// again.
    pub taken: u64,
    /// The kernel holds data that the peer has not acknowledged.
    pub owing: bool,
    /// The maximum size of that data.
    pub owed: u64,
    /// The connection was reset, or the peer does not answer probes.
    pub gone: bool,
}

impl Wire for TcpStream {
    #[cfg(target_os = "linux")]
    fn state(&self) -> State {
        linux::state(self)
    }

    #[cfg(not(target_os = "linux"))]
    fn state(&self) -> State {
        State::default()
    }
}

impl Wire for TlsStream<TcpStream> {
    fn state(&self) -> State {
        self.get_ref().0.state()
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use nix::{
        libc,
        sys::socket::{getsockopt, sockopt::GetStruct},
    };

    use super::{State, TcpStream};

    /// The start of `struct tcp_info`, as far as it is needed here. The kernel only appends fields.
    #[derive(Clone, Copy)]
    #[repr(C)]
    struct Info {
        state: u8,
        _1: [u8; 15],
        snd_mss: u32,
        _rcv_mss: u32,
        unacked: u32,
        _2: [u8; 92],
        bytes_acked: u64,
        _3: [u8; 16],
        notsent_bytes: u32,
    }

    /// The option `TCP_INFO`.
    #[derive(Clone, Copy)]
    struct TcpInfo;

    nix::getsockopt_impl!(TcpInfo, libc::IPPROTO_TCP, libc::TCP_INFO, Info, GetStruct<Info>);

    /// `TCP_CLOSE` of the kernel.
    const CLOSED: u8 = 7;

    pub(super) fn state(stream: &TcpStream) -> State {
        let Ok(info) = getsockopt(stream, TcpInfo) else { return State::default() };
        // Unacknowledged data is counted in segments.
        let owed = u64::from(info.unacked) * u64::from(info.snd_mss) + u64::from(info.notsent_bytes);
        State { taken: info.bytes_acked, owing: owed > 0, owed, gone: info.state == CLOSED }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::time::Duration;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    #[tokio::test]
    async fn the_progress_and_end_of_the_peer_are_known() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        let known = async |stream: &TcpStream, known: fn(State) -> bool| {
            while !known(stream.state()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        stream.write_all(&[0; 1000]).await.unwrap();
        known(&stream, |state| state == State { taken: 1000, owing: false, owed: 0, gone: false }).await;
        // More than fits into the peer's buffer.
        while stream.try_write(&[0; 1 << 16]).is_ok() {}
        known(&stream, |state| state.taken > 1000 && state.owing).await;
        let taken = stream.state().taken;
        peer.read_exact(&mut vec![0; 1 << 20]).await.unwrap();
        while stream.state().taken == taken {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // Closing with unread bytes resets the connection.
        drop(peer);
        known(&stream, |state| state.gone).await;
    }
}
