//! A hub that has routes.

use crate::support::hub::Hub;
use crate::support::json::Json;
use crate::support::viewer::{Recording, Viewer, Way};
use crate::support::{SOON, flv, temporary, wait_for};

/// A hub with routes: pattern, URL, keepalive.
pub fn hub(name: &str, routes: &[(&str, String, bool)], environment: &[(&str, &str)]) -> Hub {
    let folder = temporary(&format!("pull_{name}"));
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    let entry = |(pattern, url, keepalive): &(&str, String, bool)| {
        let keepalive = if *keepalive { ", \"keepalive\": true" } else { "" };
        format!("\t{{\"pattern\": \"{pattern}\", \"url\": \"{url}\"{keepalive}}}")
    };
    let entries: Vec<_> = routes.iter().map(entry).collect();
    let text = format!("\u{feff}[\n{}\n]\n", entries.join(",\n"));
    std::fs::write(folder.join("routetable.json"), text).expect("a file can be written");
    Hub::start(environment, &["--data-dir", folder.to_str().expect("a name of our own")])
}

/// A route as REST shows it.
pub fn route(hub: &Hub, pattern: &str) -> Json {
    hub.json(&format!("/api/v1/routes{pattern}"))
}

/// Waits until a route is in that state.
pub fn wait_state(hub: &Hub, pattern: &str, state: &str) -> Json {
    wait_for(SOON, &format!("{pattern} is {state}"), || {
        let route = route(hub, pattern);
        (route.text("status/state") == state).then_some(route)
    })
}

/// Watches until that many pictures have come.
pub fn watch(hub: &Hub, path: &str, pictures: usize) -> Recording {
    let viewer = Viewer::record(hub, Way::Http, path);
    viewer.wait_pictures(SOON, pictures);
    let seen = viewer.finish();
    flv::check(&seen.tags);
    seen
}
