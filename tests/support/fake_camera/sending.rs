//! The camera's media, in real time, with the faults of its script.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::clip::{AUDIO, START_CODE, VIDEO};
use super::{Fault, Script, Shared, lock};

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

/// What makes the numbers of a session its own.
fn seed(count: usize) -> u32 {
    count as u32 + 7
}

/// The synchronization source of a track in the session after `count` others.
pub(super) fn ssrc(count: usize, track: usize) -> u32 {
    seed(count) * 2 + 1 + track as u32
}

fn run(shared: &Shared, count: usize, outputs: &HashMap<usize, Output>) -> io::Result<()> {
    let script = &shared.script;
    let first = |limit: Option<usize>| limit.filter(|_| count == 0);
    let mut player = shared.clip.play(seed(count));
    let start = Instant::now();
    let (mut pictures, mut late) = (0, None);
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
            let silent = script.has(Fault::SoundOnlyFirst) && count == 0;
            if silent || first(script.video_stalls_after).is_some_and(|limit| pictures > limit) {
                continue;
            }
        }
        let Some(output) = outputs.get(&track) else { continue };
        debug_assert!(track == VIDEO || track == AUDIO);
        for mut packet in packets {
            if track == VIDEO {
                spoil(script, pictures, &mut packet);
            }
            if script.strangers && pictures % 10 == 3 {
                let mut strange = packet.clone();
                strange[8..12].copy_from_slice(&[0xde, 0xad, 0xbe, 0xef]);
                output.send(&strange)?;
            }
            if script.has(Fault::NewSsrc) && pictures > 30 {
                renumber(&mut packet);
            }
            if script.has(Fault::Reordered) && track == VIDEO {
                match late.take() {
                    None if pictures > 1 => late = Some(packet),
                    before => {
                        output.send(&packet)?;
                        before.map_or(Ok(()), |before: Vec<u8>| output.send(&before))?;
                    }
                }
                continue;
            }
            output.send(&packet)?;
        }
    }
    Ok(())
}

/// Gives a packet of video the faults of the script.
fn spoil(script: &Script, pictures: usize, packet: &mut Vec<u8>) {
    let kind = packet[12] & 0x1f;
    let is_set = matches!(kind, 7 | 8);
    if is_set && script.has(Fault::NoSetsInStream) {
        // In its place something that decoders pass over, or a packet would be missing.
        packet.truncate(12);
        packet.extend([0x0c, 0xff, 0x80]);
    }
    if kind == 7 && script.has(Fault::SetsChange) && pictures > 30 {
        // A reserved bit of the constraint flags: decoders do not mind.
        packet[14] ^= 0x04;
    }
    if (is_set || kind == 6) && script.has(Fault::MarkerOnSets) {
        packet[1] |= 0x80;
    }
    if (1..=23).contains(&kind) && script.has(Fault::AnnexB) {
        packet.splice(12..12, START_CODE);
    }
}

/// As if the encoder had started anew.
fn renumber(packet: &mut [u8]) {
    let sequence = u16::from_be_bytes([packet[2], packet[3]]).wrapping_add(31_000);
    packet[2..4].copy_from_slice(&sequence.to_be_bytes());
    let time = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]).wrapping_sub(900_000_000);
    packet[4..8].copy_from_slice(&time.to_be_bytes());
    packet[8] ^= 0x55;
}

/// Sends packets of a session that nobody plays any more, on the channels that everybody asks for.
pub(super) fn strangers(output: &Arc<Mutex<TcpStream>>, gone: &Arc<AtomicBool>) {
    let (output, gone) = (Arc::clone(output), Arc::clone(gone));
    std::thread::spawn(move || {
        for number in 0_u16.. {
            let sequence = number.to_be_bytes();
            let packet =
                [0x80, 0xe0, sequence[0], sequence[1], 0, 0, 0, number as u8, 0xba, 0xd5, 0x5a, 0xc0, 0x65, 0x88];
            if gone.load(SeqCst) || Output::Tcp(Arc::clone(&output), 0).send(&packet).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    });
}
