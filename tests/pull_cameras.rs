//! What cameras do that a pull must cope with: how they ask for passwords, keep silent, and read the RFCs in their own way.

#[path = "support/fake_camera/mod.rs"]
mod camera;
mod support;

use std::time::{Duration, Instant};

use camera::routes::{hub, route, watch};
use camera::tls::Front;
use camera::{Camera, Challenge, Fault, Login, Script};
use support::hub::Hub;
use support::rtsp::Rtsp;
use support::viewer::{Viewer, Way};
use support::{SOON, flv, http, wait_until};

/// Odd enough to need encoding in a URL; `%`, `:`, `@`, `/` and a space.
const PASSWORD: &str = "p@ss:w/o rd%41#";
const ENCODED: &str = "p%40ss%3Aw%2Fo%20rd%2541%23";

/// Nothing that the hub says or shows may hold a password, but for the routes that administrators see.
fn check_secrecy(hub: &Hub) {
    let routes = http::anonymous(hub.address(), "GET", "/api/v1/routes", &[], "");
    assert_eq!(routes.status, 401);
    let shown = [routes.text(), http::get(hub.address(), "/api/v1/streams").text()];
    for text in hub.log().iter().chain(&shown) {
        assert!(!text.contains(PASSWORD) && !text.contains(ENCODED), "the password is in {text:?}");
    }
}

#[test]
fn logins_of_every_kind() {
    for (n, challenge) in [
        Challenge::Basic,
        Challenge::Md5,
        Challenge::Md5Qop,
        Challenge::Sha256Qop,
        Challenge::BasicAndMd5,
        Challenge::Md5AndSha256,
    ]
    .into_iter()
    .enumerate()
    {
        let login = Login { user: "ad min", password: PASSWORD, challenge };
        let camera = Camera::start(Script { login: Some(login), ..Script::default() });
        let url = camera.url(&format!("ad%20min:{ENCODED}@"), "/live");
        let hub = hub(&format!("login{n}"), &[("/door", url, false)], &[("IPCHUB_LOG", "debug")]);
        let viewer = Viewer::open(&hub, Way::Http, "/door.flv", false);
        let viewer = viewer.unwrap_or_else(|error| panic!("{challenge:?}: {error}, {:?}", route(&hub, "/door")));
        viewer.wait_pictures(SOON, 2);
        assert_eq!((camera.connections(), camera.refused()), (1, 0), "{challenge:?}");
        let stream = hub.stream("/door").expect("it is live");
        assert_eq!(stream.text("addr"), &camera.url("", "")["rtsp://".len()..]);
        check_secrecy(&hub);
    }
}

#[test]
fn a_nonce_may_run_out_between_requests() {
    let login = Login { user: "admin", password: PASSWORD, challenge: Challenge::Md5Qop };
    let camera = Camera::start(Script { login: Some(login), stale_nonce: true, ..Script::default() });
    let hub = hub("nonce", &[("/door", camera.url(&format!("admin:{ENCODED}@"), "/live"), false)], &[]);
    watch(&hub, "/door.flv", 2);
    assert_eq!((camera.connections(), camera.plays(), camera.refused()), (1, 1, 1));
}

#[test]
fn a_silent_camera_is_given_up() {
    for method in ["DESCRIBE", "SETUP", "PLAY"] {
        let camera = Camera::start(Script { silent_after: Some(method), ..Script::default() });
        let url = camera.url("", "/live");
        let hub = hub(&format!("silent_{method}"), &[("/door", url, false)], &[("IPCHUB_PULL_TIMEOUT", "1")]);
        let begin = Instant::now();
        let answer = http::get(hub.address(), "/streams/door.flv");
        assert_eq!(answer.status, 504, "{}", answer.text());
        assert!(answer.text().contains("within 1 s"), "{}", answer.text());
        assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    }
}

/// A camera that shows one of the troubles that people had.
struct Quirk {
    /// What it shows: see the table.
    name: &'static str,
    script: Script,
    /// Behind the camera's path.
    query: &'static str,
    /// Until it plays.
    connections: usize,
}

fn quirk(name: &'static str, script: Script) -> Quirk {
    Quirk { name, script, query: "", connections: 1 }
}

/// Files of replies, faults of the media, and what each shows:
///
/// | name | shows |
/// |---|---|
/// | `hikvision` | no parameter sets in the description, absolute controls, an announced SSRC that is not the stream's |
/// | `honeywell` | no `a=fmtp` at all, no Content-Base |
/// | `sets_only_in_sdp`, `sets_change` | parameter sets never in the stream, or other ones after a while |
/// | `annex_b` | start codes within packets and within `sprop-parameter-sets` |
/// | `anjvision`, `doubled` | Content-Base without scheme, or with two |
/// | `appended`, `joined` | SETUP found only where control is appended, or only where it is joined as the RFC says |
/// | `escam` | other channels than asked for, `RTP/AVP` over TCP |
/// | `nameless` | no Session, no Transport, no CSeq |
/// | `openipc` | no `server_port` over UDP |
/// | `old`, `silent`, `closes` | OPTIONS refused, never answered, or taken for an offence |
/// | `marker` | the marker bit on SPS, PPS and SEI: TP-Link TC70, Reolink Duo 2 |
/// | `reolink` | packets of earlier sessions before the login and between ours |
/// | `early` | media before the answer to PLAY |
/// | `ssrc` | a new SSRC within a session |
/// | `generic` | no `o=`, two `s=`, a broken `c=`, a broken clock rate with a space behind it |
/// | `uniview`, `configless` | sound without a name, AAC without its configuration |
/// | `cvlc` | UDP only: 461 |
/// | `reordered` | packets by UDP in another order |
fn quirks() -> Vec<Quirk> {
    let plain = Script::default;
    let of = |maker| Script { maker: Some(maker), ..plain() };
    let with = |faults| Script { faults, ..plain() };
    vec![
        quirk("hikvision", of("hikvision")),
        quirk("honeywell", of("honeywell")),
        quirk("sets_only_in_sdp", with(&[Fault::NoSetsInStream])),
        quirk("sets_only_in_stream", Script { sprop: false, ..plain() }),
        quirk("sets_change", with(&[Fault::SetsChange])),
        quirk("annex_b", with(&[Fault::AnnexB])),
        quirk("anjvision", Script { set_up_at: &["/stream0/track1"], ..of("anjvision") }),
        quirk("doubled", Script { set_up_at: &["/stream0/track1"], ..of("doubled") }),
        Quirk {
            query: "?x=1",
            ..quirk("appended", Script { set_up_at: &["/live?x=1/track1", "/live?x=1/track2"], ..plain() })
        },
        quirk("joined", Script { set_up_at: &["/other/track1"], ..of("joined") }),
        quirk("escam", of("escam")),
        quirk("nameless", of("nameless")),
        Quirk { query: "?transport=udp", ..quirk("openipc", of("openipc")) },
        quirk("old", of("old")),
        quirk("silent", of("silent")),
        Quirk { connections: 2, ..quirk("closes", with(&[Fault::ClosesOnOptions])) },
        quirk("marker", with(&[Fault::MarkerOnSets])),
        quirk("reolink", Script { strangers: true, faults: &[Fault::StrangersFromTheStart], ..of("reolink") }),
        quirk("early", with(&[Fault::EarlyMedia])),
        quirk("generic", of("generic")),
        quirk("uniview", of("uniview")),
        quirk("configless", of("configless")),
        quirk("cvlc", Script { refuses_tcp: true, ..plain() }),
        Quirk { query: "?transport=udp", ..quirk("reordered", with(&[Fault::Reordered])) },
    ]
}

#[test]
fn odd_cameras() {
    let mut quirks = quirks();
    while !quirks.is_empty() {
        // A few at a time: each plays for two seconds.
        let some: Vec<_> = quirks.drain(..quirks.len().min(4)).collect();
        std::thread::scope(|scope| some.into_iter().for_each(|quirk| drop(scope.spawn(|| check(quirk)))));
    }
}

fn check(Quirk { name, script, query, connections }: Quirk) {
    let camera = Camera::start(script);
    let hub = hub(&format!("odd_{name}"), &[("/door", camera.url("", &format!("/live{query}")), false)], &[]);
    let seen = watch(&hub, "/door.flv", 60);
    flv::check_no_gap(&seen.tags, 40);
    assert_eq!(flv::metadata_size(&seen.tags), Some((640.0, 360.0)), "{name}");
    assert_eq!((camera.connections(), camera.plays()), (connections, 1), "{name}: {:?}", camera.requests());
    let headers = seen.tags.iter().filter(|tag| tag.is_video_header()).count();
    assert_eq!(headers, if name == "sets_change" { 2 } else { 1 }, "{name}: sequence headers");
    assert!(camera.headers().iter().all(|headers| headers.get("user-agent").is_some()), "{name}");
    // Players of the hub are told what the camera did not tell.
    let sdp = Rtsp::connect(&hub, "/door").request("DESCRIBE", None, &[], "").body;
    assert!(sdp.contains("sprop-parameter-sets=Z") && !sdp.contains("192."), "{name}: {sdp}");
}

#[test]
fn a_new_ssrc_within_a_session_is_followed() {
    let camera = Camera::start(Script { faults: &[Fault::NewSsrc], ..Script::default() });
    let hub = hub("ssrc", &[("/door", camera.url("", "/live"), false)], &[]);
    watch(&hub, "/door.flv", 90);
    assert_eq!((camera.connections(), camera.plays()), (1, 1));
}

#[test]
fn sound_only_at_first_is_connected_anew() {
    let camera = Camera::start(Script { faults: &[Fault::SoundOnlyFirst], ..Script::default() });
    let hub = hub("sound", &[("/door", camera.url("", "/live"), false)], &[("IPCHUB_PULL_STALL", "1.5")]);
    watch(&hub, "/door.flv", 10);
    assert_eq!(camera.plays(), 2);
    hub.wait_log(&["/door", "sent no video for 1.5 s"]);
}

#[test]
fn keep_alives_of_every_kind() {
    for (maker, method) in [("old", "OPTIONS"), ("deaf", "GET_PARAMETER")] {
        let camera = Camera::start(Script { maker: Some(maker), timeout: 2, ..Script::default() });
        let hub = hub(&format!("alive_{maker}"), &[("/door", camera.url("", "/live"), true)], &[]);
        // One at the start of each session is not for this.
        let alive = || camera.urls(method).len() >= if method == "OPTIONS" { 4 } else { 3 };
        assert!(wait_until(SOON, alive), "{:?}", camera.requests());
        assert_eq!((camera.connections(), route(&hub, "/door").text("status/state")), (1, "live"), "{maker}");
    }
}

#[test]
fn receiver_reports_are_sent() {
    for query in ["", "?transport=udp"] {
        let camera = Camera::start(Script::default());
        let _hub =
            hub(&format!("rr{}", query.len()), &[("/door", camera.url("", &format!("/live{query}")), true)], &[]);
        // By UDP four packets open the way before.
        let enough = if query.is_empty() { 2 } else { 6 };
        assert!(wait_until(SOON, || camera.reports() >= enough), "{query}: {}", camera.reports());
    }
}

#[test]
fn dahua_asks_for_sha256_or_md5() {
    let login = Login { user: "admin", password: PASSWORD, challenge: Challenge::Md5AndSha256 };
    let camera = Camera::start(Script { login: Some(login), maker: Some("dahua"), ..Script::default() });
    let url = camera.url(&format!("admin:{ENCODED}@"), "/cam/realmonitor?channel=1&subtype=0");
    let hub = hub("dahua", &[("/door", url, false)], &[]);
    watch(&hub, "/door.flv", 10);
    assert_eq!((camera.connections(), camera.refused()), (1, 0));
    let ends = |end: &str| camera.url("", &format!("/cam/realmonitor?channel=1&subtype=0/{end}"));
    assert_eq!(camera.urls("SETUP"), [ends("trackID=0"), ends("trackID=1")]);
    assert!(camera.headers().iter().filter_map(|h| h.get("authorization")).all(|a| a.contains("algorithm=SHA-256")));
    check_secrecy(&hub);
}

#[test]
fn redirects_are_followed_within_a_bound() {
    let last = Camera::start(Script::default());
    let middle = Camera::start(Script { maker: Some("away"), elsewhere: last.url("", "/there"), ..Script::default() });
    let first = Camera::start(Script { maker: Some("away"), elsewhere: middle.url("", "/on"), ..Script::default() });
    let round = Camera::start(Script { maker: Some("loop"), ..Script::default() });
    let routes = [("/door", first.url("", "/live"), false), ("/loop", round.url("", "/live"), false)];
    let hub = hub("redirect", &routes, &[]);
    watch(&hub, "/door.flv", 5);
    assert_eq!((last.urls("DESCRIBE"), last.plays()), (vec![last.url("", "/there")], 1));
    let answer = http::get(hub.address(), "/streams/loop.flv");
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("more than 5 redirects"), "{}", answer.text());
    assert_eq!(round.connections(), 6);
}

#[test]
fn a_camera_behind_tls() {
    let login = Login { user: "admin", password: PASSWORD, challenge: Challenge::Basic };
    let camera = Camera::start(Script { login: Some(login), ..Script::default() });
    let front = Front::start(camera.address());
    let url = |query: &str| front.url(&format!("admin:{ENCODED}@"), &format!("/live{query}"));
    let routes = [
        ("/own", url(""), false),
        ("/other", url(&format!("?fingerprint={}", "ab".repeat(32))), false),
        ("/pinned", url(&format!("?fingerprint={}&x=1", front.fingerprint)), false),
        ("/any", url("?fingerprint=any"), false),
    ];
    let hub = hub("tls", &routes, &[]);
    for path in ["/streams/own.flv", "/streams/other.flv"] {
        let answer = http::get(hub.address(), path);
        assert_eq!(answer.status, 502, "{}", answer.text());
        let words = ["not trusted", &format!("fingerprint={}", front.fingerprint)];
        assert!(words.iter().all(|word| answer.text().contains(word)), "{}", answer.text());
    }
    assert_eq!(camera.connections(), 0, "nothing is said to a stranger");
    watch(&hub, "/pinned.flv", 30);
    watch(&hub, "/any.flv", 5);
    assert_eq!(camera.urls("DESCRIBE")[0], front.url("", "/live?x=1"));
    // From TLS to plain is no way.
    let away = Camera::start(Script { maker: Some("away"), elsewhere: camera.url("", "/live"), ..Script::default() });
    let front = Front::start(away.address());
    let hub = self::hub("downgrade", &[("/door", front.url("", "/live?fingerprint=any"), false)], &[]);
    let answer = http::get(hub.address(), "/streams/door.flv");
    assert!(answer.status == 502 && answer.text().contains("from rtsps to rtsp"), "{}", answer.text());
    check_secrecy(&hub);
}

#[test]
fn a_camera_with_an_ipv6_address() {
    for query in ["", "?transport=udp"] {
        let camera = Camera::start_on("[::1]:0", Script::default());
        let hub =
            hub(&format!("ipv6_{}", query.len()), &[("/door", camera.url("", &format!("/live{query}")), false)], &[]);
        watch(&hub, "/door.flv", 10);
    }
}

#[test]
fn udp_where_the_route_says_so() {
    let camera = Camera::start(Script::default());
    let hub = hub("udp", &[("/door", camera.url("", "/live?transport=udp&x=1"), false)], &[]);
    watch(&hub, "/door.flv", 30);
    let requests = camera.requests();
    assert_eq!(camera.urls("DESCRIBE"), [camera.url("", "/live?x=1")]);
    assert!(requests.iter().all(|request| !request.contains("transport")), "{requests:?}");
}
