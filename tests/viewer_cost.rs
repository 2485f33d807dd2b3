//! What a picture costs the hub for each viewer, in instructions of its own: a figure that does not depend on the machine, nor on
//! what else that does. It finds a copy or a message a viewer that was not there before; how fast the hub is the benchmarks tell.

mod support;

use support::SOON;
use support::camera::Camera;
use support::hub::Hub;
use support::viewer::{Viewer, Way};

const PATH: &str = "/live/counted";
const VIEWERS: usize = 40;
/// 25 of them a second are 2 Mbit/s.
const PICTURE_BYTES: usize = 10_000;
/// Twice what it was when this was written, in the profile of the tests. A message to each viewer's actor would exceed it. One
/// fortieth of what the hub does once for a picture, however many watch it, is in it.
const AT_MOST: f64 = 3_200.0;

/// Instructions of a whole run in which each viewer got that many pictures, and how many pictures they got in all.
fn run(way: Way, pictures: usize) -> (u64, usize) {
    let hub = Hub::counted();
    let camera = Camera::publish(&hub, PATH, PICTURE_BYTES);
    hub.wait_live(PATH);
    let viewers: Vec<_> = (0..VIEWERS).map(|_| Viewer::watch(&hub, way, &format!("{PATH}.flv"))).collect();
    for viewer in &viewers {
        viewer.wait_pictures(SOON, pictures);
    }
    drop(camera);
    let got = viewers.into_iter().map(|viewer| viewer.finish().tags.iter().filter(|tag| tag.is_picture()).count());
    let got = got.sum();
    (hub.instructions(), got)
}

#[test]
fn a_viewer_costs_a_few_thousand_instructions_a_picture() {
    for way in [Way::WebSocket, Way::Http] {
        let (short, long) = (run(way, 50), run(way, 250));
        let cost = (long.0 as f64 - short.0 as f64) / (long.1 as f64 - short.1 as f64);
        println!("{way:?}: {cost:.0} instructions a picture and viewer ({short:?}, {long:?})");
        assert!(cost < AT_MOST, "{way:?}: {cost:.0} instructions a picture and viewer; {short:?}, {long:?}");
    }
}
