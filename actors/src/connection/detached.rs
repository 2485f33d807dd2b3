//! Reads of a connection that nobody waits for: a publisher that rests is asked again when its rest ends. To wait for it each time,
//! and to leave the poll set again, cost a publisher that nobody watches a seventh of all its time.

use std::cell::RefCell;
use std::io::{self, Read};
use std::net::TcpStream;

use tokio::io::ReadBuf;

/// What one read takes at most: twice what a rest lets gather, and as large as a publisher's read buffer.
pub(crate) const AT_ONCE: usize = 64 << 10;

thread_local! {
    /// Without `unsafe` the standard library reads only into memory that has been written before. One place that stays in the
    /// processor's cache, and a copy from there, is cheaper than to write each buffer twice.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; AT_ONCE].into());
}

/// Adds up to `room` bytes of what the kernel has; `None` if it has nothing now. 0 bytes: the peer has closed.
pub(super) fn read(mut tcp: &TcpStream, buf: &mut ReadBuf<'_>, room: usize) -> io::Result<Option<usize>> {
    SCRATCH.with_borrow_mut(|scratch| match tcp.read(&mut scratch[..room]) {
        Ok(read) => {
            buf.put_slice(&scratch[..read]);
            Ok(Some(read))
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::BytesMut;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    use super::AT_ONCE;
    use crate::connection::{Io, Socket};
    use crate::meter::Stats;

    const DEADLINE: Duration = Duration::from_secs(20);

    async fn pair() -> (TcpStream, Socket) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let peer = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("a connection");
        let (accepted, _) = listener.accept().await.expect("accepted");
        let slot = Stats::default().rtsp.enter();
        (peer, Socket::new(accepted, DEADLINE, slot).expect("a socket"))
    }

    async fn read(socket: &mut Socket) -> Vec<u8> {
        let mut buffer = BytesMut::with_capacity(2 * AT_ONCE);
        timeout(DEADLINE, socket.read_buf(&mut buffer)).await.expect("in time").expect("no error");
        buffer.to_vec()
    }

    #[actix_rt::test]
    async fn what_has_come_is_read_without_waiting_for_it() {
        let (mut peer, mut socket) = pair().await;
        socket.detach().expect("detached");
        peer.write_all(b"first").await.expect("written");
        // It may be on its way still.
        let mut seen = Vec::new();
        while seen.len() < 5 {
            seen.extend(read(&mut socket).await);
        }
        assert_eq!(seen, b"first");
        assert_eq!(socket.link().meter.bytes_in(), 5);
    }

    #[actix_rt::test]
    async fn who_finds_nothing_waits() {
        let (mut peer, mut socket) = pair().await;
        for word in [b"one", b"two"] {
            socket.detach().expect("detached");
            let (seen, ()) = tokio::join!(read(&mut socket), async { peer.write_all(word).await.expect("written") });
            assert_eq!(seen, word);
            assert!(matches!(socket.io, Io::Plain(_)), "it had to wait");
        }
        socket.detach().expect("detached");
        drop(peer);
        assert_eq!(read(&mut socket).await, b"", "the end is seen");
    }

    #[actix_rt::test]
    async fn a_connection_that_is_read_and_detached_again_stays_so() {
        let (mut peer, mut socket) = pair().await;
        let sent = vec![7; 3 * AT_ONCE];
        let send = async { peer.write_all(&sent).await.expect("written") };
        let take = async {
            let mut seen = Vec::new();
            while seen.len() < sent.len() {
                socket.detach().expect("detached");
                let more = read(&mut socket).await;
                assert!(more.len() <= 2 * AT_ONCE);
                seen.extend(more);
            }
            seen
        };
        let ((), seen) = tokio::join!(send, take);
        assert!(seen == sent, "every byte once and in order");
        socket.detach().expect("detached");
        assert!(matches!(socket.io, Io::Detached(Some(_))));
    }
}
