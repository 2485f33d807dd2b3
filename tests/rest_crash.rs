//! `kill -9` while users and routes are written: each time both files parse and hold every write that was answered.

mod support;

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use support::hub::Hub;
use support::json::Json;
use support::{SOON, http, temporary, wait_until};

const ROUNDS: u32 = 200;
/// Of the same hub over all rounds, so that one token is good for all.
const SECRET: &str = "a secret of sixteen or more";

/// Writes one after the other until the hub is gone; gives the number of the last that was answered.
fn write(hub: &Hub, token: &str, path: &str, body: impl Fn(u32) -> String) -> u32 {
    let bearer = format!("Bearer {token}");
    for n in 1.. {
        match http::try_exchange(hub.address(), "POST", path, &[("Authorization", &bearer)], &body(n)) {
            Ok(answer) => assert_eq!(answer.status, 200, "{}", answer.text()),
            Err(_) => return n - 1,
        }
    }
    unreachable!("the hub is killed before that");
}

fn kept(folder: &Path, file: &str) -> Json {
    match std::fs::read_to_string(folder.join(file)) {
        Ok(text) => Json::parse(&text),
        // Killed before the first write.
        Err(_) => Json::List(Vec::new()),
    }
}

fn items(json: &Json) -> &[Json] {
    match json {
        Json::List(items) => items,
        other => panic!("{other:?} is no list"),
    }
}

#[test]
fn what_was_answered_survives_kill_9() {
    let folder = temporary("crash");
    let _ = std::fs::remove_dir_all(&folder);
    let name = folder.to_str().expect("a name of our own");
    let start = || Hub::start(&[("IPCHUB_AUTH_SECRET", SECRET)], &["--data-dir", name]);
    let token = http::login(start().address(), "admin", "admin");
    let (total, mut answered) = (AtomicU32::new(0), Vec::new());
    for round in 0..ROUNDS {
        let mut hub = start();
        // Rights only: hashing passwords would leave few writes.
        let user = |n| format!(r#"{{"name":"admin","admin":true,"push":"/{round}/{n}"}}"#);
        // The same hundred patterns again and again, so that the file stays small.
        let route = |n| format!(r#"{{"pattern":"/{}","url":"rtsp://127.0.0.1:1/{round}/{n}"}}"#, n % 100);
        let (users, routes) = std::thread::scope(|scope| {
            let users = scope.spawn(|| write(&hub, &token, "/api/v1/users", user));
            let routes = scope.spawn(|| write(&hub, &token, "/api/v1/routes", route));
            // Each time at another moment of the writes.
            std::thread::sleep(Duration::from_millis(u64::from(round * 7 % 50)));
            hub.signal("KILL");
            (users.join().expect("no panic"), routes.join().expect("no panic"))
        });
        assert!(wait_until(SOON, || !hub.is_running()));
        total.fetch_add(users + routes, Relaxed);
        let (kept_users, kept_routes) = (kept(&folder, "users.json"), kept(&folder, "routetable.json"));
        if users > 0 {
            let push = items(&kept_users)[0].text("push");
            let found = [users, users + 1].iter().any(|n| push == format!("/{round}/{n}"));
            assert!(found, "round {round}: {users} writes were answered, kept is {push}");
        }
        if routes > 0 {
            answered = (1..=routes).rev().take(100).map(|n| (n % 100, n)).collect();
        }
        for (pattern, n) in answered.drain(..) {
            let route = items(&kept_routes).iter().find(|route| route.text("pattern") == format!("/{pattern}"));
            let url = route.unwrap_or_else(|| panic!("round {round}: /{pattern} is not kept")).text("url");
            let next = routes + 1;
            let found = [n, next].iter().any(|n| url == format!("rtsp://127.0.0.1:1/{round}/{n}"));
            assert!(found, "round {round}: /{pattern} is {url}, {routes} writes were answered");
        }
    }
    println!("{} writes were answered in {ROUNDS} rounds", total.load(Relaxed));
    assert!(total.load(Relaxed) > ROUNDS, "there was something to lose");
}
