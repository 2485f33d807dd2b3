//! A publisher that nobody watches is read seldom: viewers, requests and the end of it are served all the same.

mod support;

use std::time::Duration;

use support::camera::{self, Camera};
use support::http;
use support::hub::Hub;
use support::viewer::{Viewer, Way};
use support::{SOON, wait_for, wait_until};

const PATH: &str = "/live/alone";
/// 25 of them a second are 2 Mbit/s.
const PICTURE_BYTES: usize = 10_000;
/// Pictures of four seconds: after three the hub knows a publisher well enough to leave it alone.
const ALONE: u32 = 100;

fn wait_alone(camera: &Camera) {
    let until = camera.sent() + ALONE;
    assert!(wait_until(SOON, || camera.sent() >= until), "the camera sends");
}

/// A picture that is not older than that has come.
fn wait_current(viewer: &Viewer, camera: &Camera) {
    wait_for(SOON, "the newest picture", || {
        let last = viewer.with(|seen| camera::numbers(&seen.tags).last().copied())?;
        (camera.sent() <= last + 2).then_some(())
    });
}

#[test]
fn who_comes_to_a_stream_that_nobody_watched_sees_it_live_and_whole() {
    let hub = Hub::start(&[], &[]);
    let camera = Camera::publish(&hub, PATH, PICTURE_BYTES);
    hub.wait_live(PATH);
    for way in [Way::WebSocket, Way::Http] {
        // Longer than the hub takes to see that the last viewer is gone.
        wait_alone(&camera);
        let viewer = Viewer::record(&hub, way, "/live/alone.flv");
        viewer.wait_pictures(SOON, 1);
        wait_current(&viewer, &camera);
        let first = viewer.with(|seen| camera::numbers(&seen.tags)[0]);
        assert!(first.is_multiple_of(25) && camera.sent() - first < 60, "it begins with the last key frame: {first}");
        viewer.wait_pictures(SOON, 75);
        wait_current(&viewer, &camera);
        let seen = viewer.finish();
        camera::check_complete(&seen.tags);
    }
    let stream = hub.stream(PATH).expect("it is live");
    assert_eq!((stream.number("reception/lost"), stream.number("reception/ignored")), (0.0, 0.0));
}

#[test]
fn requests_and_ends_of_a_publisher_that_nobody_watches_are_heard() {
    let hub = Hub::start(&[], &[]);
    for how in ["TEARDOWN", "close", "DELETE"] {
        let camera = Camera::publish(&hub, PATH, PICTURE_BYTES);
        hub.wait_live(PATH);
        wait_alone(&camera);
        let mut connection = camera.pause();
        assert_eq!(connection.request("GET_PARAMETER", None, &[], "").status, 200);
        match how {
            "TEARDOWN" => assert_eq!(connection.request("TEARDOWN", None, &[], "").status, 200),
            "close" => drop(connection),
            _ => {
                assert_eq!(http::delete(hub.address(), &format!("/api/v1/streams{PATH}")).status, 200);
                let stream = connection.stream();
                stream.set_read_timeout(Some(SOON)).expect("a timeout can be set");
                assert!(connection.rest().is_ok(), "the hub closes the connection");
            }
        }
        assert!(wait_until(SOON, || hub.stream(PATH).is_none()), "{how}: the stream ends");
    }
}

#[test]
fn a_hub_that_ends_ends_a_publisher_that_nobody_watches() {
    let mut hub = Hub::start(&[], &[]);
    let camera = Camera::publish(&hub, PATH, PICTURE_BYTES);
    hub.wait_live(PATH);
    wait_alone(&camera);
    let (code, took) = hub.terminate(SOON);
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(camera.pause().rest().is_ok());
}
