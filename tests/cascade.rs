//! Hubs behind hubs: a directory route leads from one to the next.

#[path = "support/fake_camera/mod.rs"]
mod camera;
mod support;

use camera::routes::{hub, watch};
use support::SOON;
use support::hub::Hub;
use support::rtsp::Rtsp;
use support::wait_until;

#[test]
fn three_hubs_deep() {
    let first = Hub::start(&[], &["--demo"]);
    let second = hub("cascade_2", &[("/a/", first.url("rtsp", "/"), false)], &[]);
    let third = hub("cascade_3", &[("/b/", second.url("rtsp", "/a/"), false)], &[]);

    let seen = watch(&third, "/b/demo/clock.flv", 60);
    let times: Vec<_> = seen.tags.iter().filter(|tag| tag.is_picture()).map(|tag| tag.time).collect();
    // A hub's clock of the first pictures may differ from the camera's by what TCP held back; then they come as they were made.
    let steps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(steps.iter().all(|step| (35..=45).contains(step)), "{steps:?}");

    let (mut player, _) = Rtsp::play(&third, "/b/demo/clock");
    for _ in 0..20 {
        assert!(player.next_packet().expect("packets come").is_some());
    }
    // Each hub asks the one before it once, however many watch.
    for below in [&first, &second] {
        assert!(wait_until(SOON, || below.runtime().number("streams/consumers") == 1.0), "{:?}", below.runtime());
    }
    let reply = Rtsp::connect(&third, "/b/nobody").request("DESCRIBE", None, &[], "");
    assert_eq!(reply.status, 502, "{}", reply.body);
    assert!(reply.body.contains("the answer to DESCRIBE is 502"), "what the next hub said: {}", reply.body);
}
