//! Rights of players of HLS: what they are let in by, and for how long.

mod support;

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use support::hls::Session;
use support::hub::Hub;
use support::{SOON, http, wait_until};

const SECRET: &str = "a secret of these tests";
/// The token is good for this long.
const LIFE: u64 = 4;

/// The same token, but good for a few seconds only.
fn shortened(token: &str) -> String {
    let claims = token.split('.').nth(1).expect("three parts");
    let claims = String::from_utf8(URL_SAFE_NO_PAD.decode(claims).expect("base64")).expect("text");
    let (before, rest) = claims.split_once("\"exp\":").expect("it expires");
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
    let parts = [r#"{"typ":"JWT","alg":"HS256"}"#, &format!("{before}\"exp\":{}{rest}", now + LIFE)];
    let signed = parts.map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any length is one").chain_update(&signed);
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

#[test]
fn who_plays_goes_on_when_the_token_expires() {
    let hub = Hub::start(&[("IPCHUB_AUTH_SECRET", SECRET)], &["--auth", "--demo"]);
    for name in ["bob", "ann"] {
        let user = format!(r#"{{"name":"{name}","password":"w@tch it","pull":"/demo/clock"}}"#);
        assert_eq!(http::send(hub.address(), "POST", "/api/v1/users", &[], &user).status, 200);
    }
    let url = "/streams/demo/clock.m3u8";
    let [bob, ann] = ["bob", "ann"].map(|name| shortened(&http::login(hub.address(), name, "w@tch it")));
    let sessions =
        ["", "&type=ts"].map(|kind| Session::begin_with(&hub, "/demo/clock", &format!("?token={bob}{kind}")));
    // Playing, and not only told of.
    sessions.iter().for_each(|session| drop(session.text("")));
    let expired = || http::get(hub.address(), &format!("{url}?token={bob}")).status == 401;
    let late = wait_until(SOON, || {
        // It must be played, or it would be idle.
        assert!(sessions.iter().all(|session| session.ask("").status == 200));
        expired()
    });
    assert!(late, "a token of {LIFE} s goes on to be good for a beginner");
    for session in &sessions {
        let text = session.text("");
        let newest = text.lines().rfind(|line| !line.starts_with('#')).expect("a segment");
        assert_eq!(session.fetch(newest).status, 200, "its media too");
        // The session of somebody else is nothing to an expired token, nor is an expired token to a new one.
        let other = session.playlist.replace(&bob, &ann);
        assert_eq!(http::get(hub.address(), &other).status, 401);
        let id = session.playlist.split_once("session=").expect("an id").1;
        let id = id.split('&').next().expect("an id");
        assert_eq!(http::get(hub.address(), &session.playlist.replace(id, "0123456789abcdef")).status, 401);
        let bare = session.playlist.split("&token").next().expect("a playlist");
        assert_eq!(http::get(hub.address(), bare).status, 401, "no token at all");
    }
    // The right is asked each time.
    let user = r#"{"name":"bob","pull":"/else"}"#;
    assert_eq!(http::send(hub.address(), "POST", "/api/v1/users", &[], user).status, 200);
    assert_eq!(sessions[0].ask("").status, 403);
    assert_eq!(http::delete(hub.address(), "/api/v1/users/bob").status, 200);
    assert_eq!(sessions[0].ask("").status, 401);
    assert!(hub.log().iter().all(|line| !line.contains(&bob)), "tokens are no business of the log");
}
