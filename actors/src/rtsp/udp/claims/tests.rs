use super::*;
use actix::prelude::*;

struct Nobody;

impl Actor for Nobody {
    type Context = Context<Self>;
}

impl Handler<Datagrams> for Nobody {
    type Result = ();

    fn handle(&mut self, _: Datagrams, _: &mut Self::Context) {}
}

const PUNCH: &[u8] = &[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

fn at(address: &str) -> SocketAddr {
    address.parse().expect("an address")
}

fn player(session: u64, track: usize, port: u16) -> Wanted {
    Wanted { session, track, ports: (port, port + 1), known_by: KnownBy::Ssrc(session as u32 * 10 + track as u32) }
}

/// A table of claims of 192.0.2.7 and what of them a packet finds.
struct Table(Claims, Vec<Arc<Claim>>);

impl Table {
    fn new(wanted: &[Wanted]) -> Self {
        let to = Nobody.start().recipient();
        let mut claims = Claims::default();
        let all = wanted.iter().map(|w| claims.insert(at("192.0.2.7:0").ip(), w.clone(), to.clone())).collect();
        Self(claims, all)
    }

    fn find(&mut self, from: &str, rtcp: bool, bytes: &[u8]) -> Option<(u64, usize)> {
        self.0.find(at(from), rtcp, bytes).map(|claim| (claim.wanted.session, claim.track()))
    }
}

#[actix::test]
async fn the_first_packet_moves_a_track_and_no_later_one() {
    let mut table = Table::new(&[player(1, 0, 5000), player(1, 1, 5002)]);
    assert_eq!(table.find("192.0.2.8:40000", false, PUNCH), None, "another address");
    assert_eq!(table.find("192.0.2.7:40000", false, PUNCH), Some((1, 0)));
    assert_eq!(table.1[0].address(false), at("192.0.2.7:40000"));
    assert_eq!(table.find("192.0.2.7:40001", true, PUNCH), Some((1, 0)), "the port beside");
    assert_eq!(table.find("192.0.2.7:40007", false, PUNCH), Some((1, 1)));
    assert_eq!(table.find("192.0.2.7:40009", false, PUNCH), None, "both have come");
    assert_eq!(table.find("192.0.2.7:5000", false, PUNCH), None, "it has moved");
    let report = rtcp::ReportBlock {
        ssrc: 11,
        fraction_lost: 0,
        lost: 0,
        highest_sequence: 0,
        jitter: 0,
        last_report: 0,
        delay: 0,
    };
    let report = rtcp::receiver_report(7, &report, "x");
    assert_eq!(table.find("192.0.2.7:41000", true, &report), Some((1, 1)), "the report names it");
    let all = std::mem::take(&mut table.1);
    all.iter().for_each(|claim| table.0.remove(claim));
    assert!(table.0.by_address.iter().all(HashMap::is_empty) && table.0.open.is_empty());
}

#[actix::test]
async fn a_packet_from_the_announced_port_settles_it() {
    let mut table = Table::new(&[player(1, 0, 5000)]);
    assert_eq!(table.find("192.0.2.7:5001", true, PUNCH), Some((1, 0)));
    assert_eq!(table.find("192.0.2.7:40000", false, PUNCH), None);
    let claim = Arc::clone(&table.1[0]);
    table.0.reopen(&claim);
    assert_eq!(table.find("192.0.2.7:40000", false, PUNCH), None);
    assert_eq!(table.find("192.0.2.7:5000", false, PUNCH), Some((1, 0)));
}

#[actix::test]
async fn two_open_sessions_of_one_address_are_not_guessed_at() {
    let mut table = Table::new(&[player(1, 0, 5000), player(2, 0, 6000)]);
    assert_eq!(table.find("192.0.2.7:40000", false, PUNCH), None);
    assert_eq!(table.find("192.0.2.7:5000", false, PUNCH), Some((1, 0)));
    assert_eq!(table.find("192.0.2.7:40000", false, PUNCH), Some((2, 0)), "only one is open now");
    assert_eq!(table.1[0].address(false), at("192.0.2.7:5000"));
}

#[actix::test]
async fn a_publishers_packets_say_their_track() {
    let publisher = |track, payload| Wanted {
        known_by: KnownBy::PayloadType(payload),
        ..player(3, track, 7000 + 2 * track as u16)
    };
    let mut table = Table::new(&[publisher(0, 96), publisher(1, 97)]);
    let mut packet = PUNCH.to_vec();
    packet[1] = 0x80 | 97;
    assert_eq!(table.find("192.0.2.7:50000", true, &[0x80, 200, 0, 0]), None, "a report that could be of either");
    assert_eq!(table.find("192.0.2.7:50002", false, &packet), Some((3, 1)));
    assert_eq!(table.find("192.0.2.7:50003", true, &[0x80, 200, 0, 0]), Some((3, 1)));
    assert_eq!(table.find("192.0.2.7:50000", false, PUNCH), None, "no packet of its track");
    packet[1] = 96;
    let mut both = Table::new(&[publisher(0, 96), player(4, 0, 9000)]);
    assert_eq!(both.find("192.0.2.7:50000", false, &packet), None, "of either");
    assert_eq!(both.find("192.0.2.7:50002", false, PUNCH), Some((4, 0)), "of the player");
    assert_eq!(both.find("192.0.2.7:50000", false, &packet), Some((3, 0)), "of the publisher");
}

#[actix::test]
async fn nothing_moves_when_the_time_is_over() {
    let mut table = Table::new(&[player(1, 0, 5000)]);
    table.1[0].open.iter().for_each(|open| open.store(1, Relaxed));
    std::thread::sleep(Duration::from_millis(5));
    assert_eq!(table.find("192.0.2.7:40000", false, PUNCH), None);
    let claim = Arc::clone(&table.1[0]);
    table.0.reopen(&claim);
    assert_eq!(table.find("192.0.2.7:40000", false, PUNCH), Some((1, 0)));
}
