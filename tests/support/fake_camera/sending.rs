//! The camera's media, in real time, with the faults of its script.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::clip::{AUDIO, VIDEO};
use super::{Shared, lock};

/// Where a track goes.
pub(super) enum Output {
    Tcp(Arc<Mutex<TcpStream>>, u8),
    /// The session ends with its TCP connection: then the flag is set.
    Udp(UdpSocket, Arc<AtomicBool>, Arc<Mutex<TcpStream>>),
}

impl Output {
    fn send(&self, packet: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(stream, channel) => {
                let len = (packet.len() as u16).to_be_bytes();
                lock(stream).write_all(&[&[b'$', *channel, len[0], len[1]], packet].concat())
            }
            Self::Udp(socket, gone, _) => {
                if gone.load(SeqCst) {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                // A port that is not yet, or no longer, open is no fault of ours.
                let _ = socket.send(packet);
                Ok(())
            }
        }
    }

    fn close(&self) {
        let (Self::Tcp(stream, _) | Self::Udp(_, _, stream)) = self;
        let _ = lock(stream).shutdown(Shutdown::Both);
    }
}

/// Plays in a thread of its own until somebody closes the connection. `count`: sessions before this one.
pub(super) fn start(shared: Arc<Shared>, count: usize, outputs: HashMap<usize, Output>) {
    std::thread::spawn(move || {
        // An error is the end of the connection.
        let _ = run(&shared, count, &outputs);
    });
}

fn run(shared: &Shared, count: usize, outputs: &HashMap<usize, Output>) -> io::Result<()> {
    let script = &shared.script;
    let first = |limit: Option<usize>| limit.filter(|_| count == 0);
    let mut player = shared.clip.play(count as u32 + 7);
    let start = Instant::now();
    let mut pictures = 0;
    while shared.alive.load(SeqCst) {
        let (track, at, packets) = player.frame();
        std::thread::sleep((start + at).saturating_duration_since(Instant::now()));
        if first(script.stalls_after).is_some_and(|limit| pictures >= limit) {
            std::thread::sleep(Duration::from_millis(20));
            continue;
        }
        if track == VIDEO {
            pictures += 1;
            if script.dies_after.is_some_and(|limit| pictures > limit) {
                outputs.values().for_each(Output::close);
                return Ok(());
            }
            if first(script.video_stalls_after).is_some_and(|limit| pictures > limit) {
                continue;
            }
        }
        let Some(output) = outputs.get(&track) else { continue };
        debug_assert!(track == VIDEO || track == AUDIO);
        for packet in packets {
            if script.strangers && pictures % 10 == 3 {
                let mut strange = packet.clone();
                strange[8..12].copy_from_slice(&[0xde, 0xad, 0xbe, 0xef]);
                output.send(&strange)?;
            }
            output.send(&packet)?;
        }
    }
    Ok(())
}
