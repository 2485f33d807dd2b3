//! Tokens: what is expired, forged, of the wrong kind or over is 401 and nothing more is said; a refresh token is good once.

mod support;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use support::hub::Hub;
use support::json::Json;
use support::{SOON, http, temporary};

const SECRET: &str = "a secret that the test knows";

fn start(name: &str) -> Hub {
    let folder = temporary(&format!("tokens_{name}"));
    let folder = folder.to_str().expect("a name of our own");
    Hub::start(&[("IPCHUB_AUTH_SECRET", SECRET)], &["--data-dir", folder])
}

fn fresh(name: &str) -> Hub {
    let _ = std::fs::remove_dir_all(temporary(&format!("tokens_{name}")));
    start(name)
}

fn streams(hub: &Hub, token: &str) -> u16 {
    let answer = http::anonymous(hub.address(), "GET", &format!("/api/v1/streams?token={token}"), &[], "");
    if answer.status != 200 {
        assert_eq!((answer.status, answer.text().as_str()), (401, r#"{"error":"Token is not valid"}"#));
    }
    answer.status
}

/// A new pair, or the status.
fn refresh(hub: &Hub, token: &str) -> Result<(String, String), u16> {
    let answer = http::anonymous(hub.address(), "GET", &format!("/api/v1/refreshtoken?token={token}"), &[], "");
    if answer.status != 200 {
        assert_eq!(answer.text(), r#"{"error":"Token is not valid"}"#);
        return Err(answer.status);
    }
    let json = Json::parse(&answer.text());
    assert_eq!(json.shape(), "{access_token,refresh_token}");
    Ok((json.text("access_token").to_owned(), json.text("refresh_token").to_owned()))
}

/// The same token with another header and payload, signed with a key.
fn forge(token: &str, key: &str, header: &str, change: impl Fn(String) -> String) -> String {
    let payload = BASE64.decode(token.split('.').nth(1).expect("three parts")).expect("base64");
    let payload = change(String::from_utf8(payload).expect("JSON"));
    let text = format!("{}.{}", BASE64.encode(header), BASE64.encode(payload));
    let mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("any key").chain_update(&text);
    format!("{text}.{}", BASE64.encode(mac.finalize().into_bytes()))
}

#[test]
fn only_our_own_tokens_of_the_right_kind_count() {
    let hub = fresh("forged");
    let (access, other) = http::tokens(hub.address(), "admin", "admin").expect("the default user");
    let header = r#"{"typ":"JWT","alg":"HS256"}"#;
    let same = |payload| payload;
    assert_eq!(streams(&hub, &forge(&access, SECRET, header, same)), 200, "the test can forge");
    let expired = |payload: String| payload.replacen("\"exp\":", "\"exp\":1000,\"was\":", 1);
    let none = format!("{}.{}.", BASE64.encode(r#"{"alg":"none"}"#), access.split('.').nth(1).expect("three parts"));
    let nobody = |payload: String| payload.replace("\"sub\":\"admin\"", "\"sub\":\"nobody\"");
    for token in [
        forge(&access, SECRET, header, expired),
        forge(&access, "another secret of that hub", header, same),
        forge(&access, SECRET, r#"{"alg":"none"}"#, same),
        forge(&access, SECRET, r#"{"alg":"HS512"}"#, same),
        forge(&access, SECRET, header, nobody),
        none,
        other.clone(),
        access[..access.len() - 1].to_owned(),
        access[..access.len() / 2].to_owned(),
        "x".into(),
        String::new(),
    ] {
        assert_eq!(streams(&hub, &token), 401, "{token}");
    }
    assert_eq!(refresh(&hub, &access), Err(401), "an access token refreshes nothing");
    let bearer = format!("bearer {access}");
    let answer = http::anonymous(hub.address(), "GET", "/api/v1/users", &[("Authorization", &bearer)], "");
    assert_eq!(answer.status, 200);
    assert!(hub.log().iter().all(|line| !line.contains(&access[..40]) && !line.contains(&other[..40])));
}

#[test]
fn a_refresh_token_is_good_once_and_its_reuse_ends_the_login() {
    let mut hub = fresh("refresh");
    let (access, first) = http::tokens(hub.address(), "admin", "admin").expect("the default user");
    let (elsewhere, _) = http::tokens(hub.address(), "admin", "admin").expect("the default user");
    let (newer, second) = refresh(&hub, &first).expect("its first use");
    assert_eq!((streams(&hub, &access), streams(&hub, &newer)), (401, 200), "refreshing ends the old pair");
    hub.terminate(SOON);
    let hub = start("refresh");
    assert_eq!((streams(&hub, &access), streams(&hub, &newer)), (401, 200), "after a restart, too");
    assert_eq!(refresh(&hub, &first), Err(401), "used before");
    assert_eq!(streams(&hub, &newer), 401, "so the whole login is over");
    assert_eq!(refresh(&hub, &second), Err(401));
    assert_eq!(streams(&hub, &elsewhere), 200, "other logins go on");
    hub.wait_log(&["admin", "used twice"]);
}

#[test]
fn a_secret_is_made_once_and_kept_for_its_owner() {
    let folder = temporary("tokens_made");
    let _ = std::fs::remove_dir_all(&folder);
    let name = folder.to_str().expect("a name of our own");
    let mut hub = Hub::start(&[], &["--data-dir", name]);
    let token = http::login(hub.address(), "admin", "admin");
    hub.terminate(SOON);
    let mode = std::fs::metadata(folder.join("secret.key")).expect("it is made").permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600);
    let hub = Hub::start(&[], &["--data-dir", name]);
    assert_eq!(streams(&hub, &token), 200, "good across a restart");
    // Another hub, another secret.
    assert_eq!(streams(&Hub::start(&[], &[]), &token), 401);
}
