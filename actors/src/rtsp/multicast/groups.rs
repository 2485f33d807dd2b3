//! Which source has which group.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use actix::Addr;
use ipchub_media::rtsp::session::Group;

use super::GroupSender;

/// The groups and ports that sources may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The first group.
    pub first: Ipv4Addr,
    /// How many there are.
    pub count: u32,
    /// First, which is even, and last port.
    pub ports: (u16, u16),
    /// Hops.
    pub ttl: u8,
    /// Address of the interface to send from; `None`: as the system's routes say.
    pub interface: Option<Ipv4Addr>,
}

/// Leases groups. No two sources have one in common, nor a port: some players listen on a port for every group.
#[derive(Debug)]
pub struct Groups {
    range: Range,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    groups: BTreeSet<u32>,
    /// First port -> how many.
    ports: BTreeMap<u16, u16>,
    leases: HashMap<Key, Weak<Lease>>,
    /// Where the search begins: a group that was just given up rests as long as others are free, since members that have not
    /// noticed yet would get the next source.
    next: u32,
}

/// A source: its path, and the SSRC of its first track, which another source at the same path has not.
type Key = (String, u32);

/// A source's group, for as long as somebody holds it.
#[derive(Debug)]
pub(crate) struct Lease {
    groups: Arc<Groups>,
    key: Key,
    index: u32,
    pub(super) group: Group,
    sender: Mutex<Option<Addr<GroupSender>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Groups {
    /// All of the range is free.
    pub fn new(range: Range) -> Self {
        Self { range, taken: Mutex::default() }
    }

    /// The group of a source, or the status and the words to refuse with.
    pub(crate) fn lease(self: &Arc<Self>, path: &str, ssrc: u32, tracks: usize) -> Result<Arc<Lease>, (u16, String)> {
        let key = (path.to_owned(), ssrc);
        let mut taken = lock(&self.taken);
        if let Some(lease) = taken.leases.get(&key).and_then(Weak::upgrade) {
            return Ok(lease);
        }
        let Range { first, count, .. } = self.range;
        let index = (0..count).map(|n| (taken.next.wrapping_add(n)) % count).find(|n| !taken.groups.contains(n));
        let index = index.ok_or_else(|| (453, format!("All {count} multicast groups are in use.")))?;
        let address = Ipv4Addr::from(u32::from(first).wrapping_add(index));
        let ports = (tracks.clamp(1, 64) * 2) as u16;
        let first_port = taken
            .free_ports(self.range.ports, ports)
            .ok_or_else(|| (453, "All multicast ports are in use.".to_owned()))?;
        let source = self.source(address).map_err(|error| {
            (503, format!("No interface leads to {address} ({error}); rtsp.multicast_interface can name one."))
        })?;
        taken.next = index.wrapping_add(1);
        taken.groups.insert(index);
        taken.ports.insert(first_port, ports);
        let group = Group { address, source, first_port, ttl: self.range.ttl };
        let groups = Arc::clone(self);
        let lease = Arc::new(Lease { groups, key: key.clone(), index, group, sender: Mutex::default() });
        taken.leases.insert(key, Arc::downgrade(&lease));
        Ok(lease)
    }

    /// The address that packets to a group will have.
    fn source(&self, group: Ipv4Addr) -> io::Result<Ipv4Addr> {
        if let Some(interface) = self.range.interface {
            return Ok(interface);
        }
        // Connecting sends nothing; it asks the routes.
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect((group, self.range.ports.0))?;
        match socket.local_addr()? {
            SocketAddr::V4(address) => Ok(*address.ip()),
            SocketAddr::V6(_) => Err(io::ErrorKind::AddrNotAvailable.into()),
        }
    }
}

impl Taken {
    /// The first gap that is wide enough.
    fn free_ports(&self, (first, last): (u16, u16), count: u16) -> Option<u16> {
        let mut from = first;
        for (taken, length) in &self.ports {
            if taken.checked_sub(from).is_some_and(|gap| gap >= count) {
                break;
            }
            from = taken.checked_add(*length)?;
        }
        (from.checked_add(count - 1)? <= last).then_some(from)
    }
}

impl Lease {
    /// The group's sender, made by `start` if there is none.
    pub(super) fn sender(
        &self,
        start: impl FnOnce() -> io::Result<Addr<GroupSender>>,
    ) -> io::Result<Addr<GroupSender>> {
        let mut sender = lock(&self.sender);
        if let Some(running) = sender.as_ref().filter(|sender| sender.connected()) {
            return Ok(running.clone());
        }
        let started = start()?;
        *sender = Some(started.clone());
        Ok(started)
    }

    pub(super) fn interface(&self) -> Option<Ipv4Addr> {
        self.groups.range.interface
    }

    /// The group.
    pub(crate) fn group(&self) -> Group {
        self.group
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut taken = lock(&self.groups.taken);
        taken.groups.remove(&self.index);
        taken.ports.remove(&self.group.first_port);
        // A new lease of the same source may have been made meanwhile.
        if taken.leases.get(&self.key).is_some_and(|lease| lease.strong_count() == 0) {
            taken.leases.remove(&self.key);
        }
    }
}

/// Whether an address can be a group's: no unicast, and none of the local network's own protocols (RFC 5771, section 4).
pub fn is_group(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_multicast() && address.octets()[..3] != [224, 0, 0],
        IpAddr::V6(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(count: u32, ports: (u16, u16)) -> Arc<Groups> {
        let first = Ipv4Addr::new(239, 200, 0, 0);
        Arc::new(Groups::new(Range { first, count, ports, ttl: 1, interface: Some(Ipv4Addr::LOCALHOST) }))
    }

    fn place(lease: &Result<Arc<Lease>, (u16, String)>) -> (u8, u16) {
        let group = lease.as_ref().expect("one is free").group;
        (group.address.octets()[3], group.first_port)
    }

    #[test]
    fn each_source_has_its_own_group_and_ports() {
        let groups = groups(3, (16_666, 16_681));
        let [a, b, again] = [("/a", 1), ("/b", 2), ("/a", 1)].map(|(path, ssrc)| groups.lease(path, ssrc, 2));
        assert_eq!((place(&a), place(&b), place(&again)), ((0, 16_666), (1, 16_670), (0, 16_666)));
        let next = groups.lease("/a", 9, 1);
        assert_eq!(place(&next), (2, 16_674), "another source at the same path");
        let full = groups.lease("/c", 3, 1).expect_err("all are taken");
        assert_eq!((full.0, full.1.contains("All 3 multicast groups")), (453, true));
        drop(a);
        assert!(groups.lease("/c", 3, 1).is_err(), "it is still held");
        drop(again);
        assert_eq!(place(&groups.lease("/c", 3, 1)), (0, 16_666));
        drop((b, next));
        let taken = lock(&groups.taken);
        assert!(taken.groups.is_empty() && taken.ports.is_empty() && taken.leases.is_empty());
    }

    #[test]
    fn a_group_rests_before_it_is_used_again_and_ports_run_out() {
        let groups = groups(3, (16_666, 16_669));
        assert_eq!(place(&groups.lease("/a", 1, 2)), (0, 16_666));
        let held = groups.lease("/a", 1, 1);
        assert_eq!(place(&held), (1, 16_666));
        assert!(groups.lease("/b", 2, 2).is_err_and(|(status, text)| status == 453 && text.contains("ports")));
        assert_eq!(place(&groups.lease("/b", 2, 1)), (2, 16_668));
    }

    #[test]
    fn the_end_of_the_ports_is_no_overflow() {
        let groups = groups(300, (65_530, 65_535));
        let all: Vec<_> = (0..5).map(|n| groups.lease("/a", n, 1)).collect();
        assert_eq!(all.iter().filter(|lease| lease.is_ok()).count(), 3);
    }
}
