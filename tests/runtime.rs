//! `GET /runtime?extra=1`: figures that move as they should, and go back.

mod support;

use support::camera::Camera;
use support::hub::Hub;
use support::json::Json;
use support::viewer::{Viewer, Way};
use support::{SOON, http, wait_for, wait_until};

const CLOCK: &str = "/demo/clock";

fn figures(hub: &Hub) -> Json {
    hub.json("/api/v1/runtime?extra=1")
}

/// The figures once `field` is `value`.
fn when(hub: &Hub, field: &str, value: f64) -> Json {
    wait_for(SOON, &format!("{field} = {value}"), || Some(figures(hub)).filter(|now| now.number(field) == value))
}

#[test]
fn viewers_come_and_go() {
    let hub = Hub::start(&[], &["--demo"]);
    hub.wait_live(CLOCK);
    let before = wait_for(SOON, "one connection: the one that asks", || {
        Some(figures(&hub)).filter(|now| now.number("extra/connections/active") == 1.0)
    });
    assert_eq!((before.number("extra/actors/sources"), before.number("extra/actors/viewers")), (1.0, 0.0));
    assert_eq!(before.number("extra/bytes/flv/out"), 0.0);
    for way in [Way::Http, Way::WebSocket] {
        let past = figures(&hub);
        let viewer = Viewer::record(&hub, way, "/demo/clock.flv");
        viewer.wait_pictures(SOON, 10);
        let seen = viewer.with(|recording| recording.bytes.len());
        let during = when(&hub, "extra/actors/viewers", 1.0);
        // Whatever else opened a file meanwhile is closed again.
        assert!(
            wait_until(SOON, || figures(&hub).number("extra/open_files") == before.number("extra/open_files") + 1.0)
        );
        let sent = during.number("extra/bytes/flv/out") - past.number("extra/bytes/flv/out");
        assert!(seen > 1_000 && sent >= seen as f64, "sent {sent}, {seen} came");
        assert_eq!(during.number("flv/active"), 1.0);
        drop(viewer);
        let after = when(&hub, "extra/actors/viewers", 0.0);
        assert!(
            after.number("extra/bytes/flv/out") >= during.number("extra/bytes/flv/out"),
            "bytes stay when a viewer leaves"
        );
        assert!(wait_until(SOON, || figures(&hub).number("extra/open_files") == before.number("extra/open_files")));
    }
    let after = figures(&hub);
    assert_eq!(after.number("extra/actors/sources"), 1.0);
    assert_eq!(after.number("extra/arbiters"), before.number("extra/arbiters"));
}

#[test]
fn publishers_and_bytes() {
    let hub = Hub::start(&[], &[]);
    let before = figures(&hub);
    assert_eq!((before.number("extra/actors/sources"), before.number("extra/actors/rtsp_sessions")), (0.0, 0.0));
    let camera = Camera::publish(&hub, "/room/door", 10_000);
    hub.wait_live("/room/door");
    let during = figures(&hub);
    assert_eq!((during.number("extra/actors/sources"), during.number("extra/actors/rtsp_sessions")), (1.0, 1.0));
    assert!(wait_until(SOON, || figures(&hub).number("extra/bytes/rtsp/in") > 5_000.0), "{:?}", figures(&hub));
    assert_eq!(figures(&hub).number("extra/bytes/flv/out"), 0.0);
    drop(camera);
    when(&hub, "extra/actors/rtsp_sessions", 0.0);
    let after = when(&hub, "extra/actors/sources", 0.0);
    assert!(after.number("extra/bytes/rtsp/in") > 5_000.0, "{after:?}");

    // Asking is traffic as well: an answer is longer than 500 bytes.
    let asked = after.number("extra/bytes/http/out");
    (0..10).for_each(|_| drop(http::get(hub.address(), "/api/v1/runtime?extra=1")));
    let now = figures(&hub).number("extra/bytes/http/out");
    assert!((5_000.0..50_000.0).contains(&(now - asked)), "{asked} then {now}");
}

#[test]
fn memory_and_threads() {
    let hub = Hub::start(&[("IPCHUB_WORKERS", "3")], &[]);
    let now = figures(&hub);
    let memory = |name: &str| now.number(&format!("extra/memory/{name}"));
    let (resident, peak, anonymous) = (memory("resident"), memory("peak"), memory("anonymous"));
    assert!(1_000.0 < anonymous && anonymous < resident && resident <= peak, "{anonymous} {resident} {peak}");
    // The workers and the main thread; pulls start theirs when there are some.
    assert_eq!(now.number("extra/arbiters"), 4.0);
    assert!(now.number("extra/threads") >= 4.0);
    assert!(hub.json("/api/v1/runtime").at("extra").is_none());
}
