//! Users over REST and in their file: paging, rights that are replaced, passwords that never come back, old files, changes by
//! hand, who may ask what, and logins that are slowed down and refused.

mod support;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use support::http::{self, Response, anonymous};
use support::hub::Hub;
use support::json::Json;
use support::{SOON, temporary, wait_until};

fn folder(name: &str) -> PathBuf {
    let folder = temporary(&format!("users_{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    folder
}

fn start(folder: &Path) -> Hub {
    Hub::start(&[], &["--data-dir", folder.to_str().expect("a name of our own")])
}

fn post(hub: &Hub, path: &str, body: &str) -> Response {
    http::send(hub.address(), "POST", path, &[("Content-Type", "application/json")], body)
}

fn put(hub: &Hub, body: &str) {
    let answer = post(hub, "/api/v1/users", body);
    assert_eq!((answer.status, answer.text().as_str()), (200, ""), "{body}");
}

#[test]
fn users_are_made_changed_listed_and_deleted() {
    let folder = folder("crud");
    let mut hub = start(&folder);
    hub.wait_log(&["admin", "from this machine only"]);
    put(&hub, r#"{"name":" Bob ","password":"pw1","push":"/live/*;/test/+/cam","pull":"*"}"#);
    put(&hub, r#"{"name":"carol","password":"c","admin":true}"#);
    put(&hub, r#"{"name":"dave","password":"d"}"#);
    let list = http::get(hub.address(), "/api/v1/users").text();
    assert_eq!(
        list,
        r#"{"total":4,"next_page_token":"","users":[{"name":"admin","admin":true,"push":"*","pull":"*"},"#.to_owned()
            + r#"{"name":"bob","admin":false,"push":"/live/*;/test/+/cam","pull":"*"},"#
            + r#"{"name":"carol","admin":true,"push":"*","pull":"*"},{"name":"dave","admin":false,"push":"","pull":""}]}"#
    );
    for (query, token, names) in [
        ("?page_size=2", "bob", &["admin", "bob"][..]),
        ("?page_size=2&page_token=bob", "", &["carol", "dave"]),
        ("?page_token=dave", "", &[]),
    ] {
        let page = hub.json(&format!("/api/v1/users{query}"));
        assert_eq!((page.number("total"), page.text("next_page_token")), (4.0, token), "{query}");
        let found: Vec<_> = page.list("users").iter().map(|user| user.text("name")).collect();
        assert_eq!(found, names, "{query}");
    }
    assert_eq!(hub.json("/api/v1/users/BOB").text("name"), "bob");

    // Masks are replaced; the password only with update_password.
    put(&hub, r#"{"name":"bob","password":"pw2","push":"/a/*","pull":"/b/*"}"#);
    assert_eq!(hub.json("/api/v1/users/bob").text("push"), "/a/*");
    assert!(http::tokens(hub.address(), "bob", "pw2").is_err());
    let old = http::login(hub.address(), "bob", "pw1");
    let streams =
        |token: &str| anonymous(hub.address(), "GET", &format!("/api/v1/streams?token={token}"), &[], "").status;
    assert_eq!(streams(&old), 200);
    assert_eq!(post(&hub, "/api/v1/users?update_password=1", r#"{"name":"bob","password":"pw2"}"#).status, 200);
    assert_eq!(streams(&old), 401, "a changed password ends its tokens");
    let new = http::login(hub.address(), "BOB", "pw2");
    assert_eq!(streams(&new), 200);

    let text = std::fs::read_to_string(folder.join("users.json")).expect("it is kept");
    assert!(text.starts_with("[\n\t{\n\t\t\"name\": \"admin\",\n"), "{text}");
    assert!(!text.contains("pw2") && text.contains("$argon2id$") && text.contains("ha1_sha256"), "{text}");
    for path in ["/api/v1/users/dave", "/api/v1/users/dave", "/api/v1/users/CAROL", "/api/v1/users/bob"] {
        let answer = http::delete(hub.address(), path);
        assert_eq!((answer.status, answer.text().as_str()), (200, ""), "{path}");
    }
    assert_eq!(streams(&new), 401, "a deleted user's tokens are refused at once");
    put(&hub, r#"{"name":"bob","password":"pw2"}"#);
    assert_eq!(streams(&new), 401, "also when there is another of that name and password");
    hub.terminate(SOON);
    let hub = start(&folder);
    let answer = anonymous(hub.address(), "GET", &format!("/api/v1/streams?token={new}"), &[], "");
    assert_eq!(answer.status, 401, "and after a restart");
    assert_eq!(hub.json("/api/v1/users").number("total"), 2.0);
}

#[test]
fn what_is_wrong_is_named() {
    let hub = Hub::start(&[], &[]);
    put(&hub, r#"{"name":"eve","password":"e","pull":"*"}"#);
    for (body, status, words) in [
        ("xx", 400, "expected value at line 1"),
        ("", 400, "empty"),
        ("{}", 400, "name"),
        (r#"{"name":1}"#, 400, "name: invalid type"),
        (r#"{"name":"a","admin":"yes"}"#, 400, "admin: invalid type"),
        (r#"{"name":"a"}"#, 400, "password: it is missing"),
        (r#"{"name":" ","password":"x"}"#, 400, "name"),
        (r#"{"name":"a/b","password":"x"}"#, 400, "name"),
        (r#"{"name":"a","password":"x","push":"\u0000"}"#, 400, "push"),
        (r#"{"name":"a","password":"x"} {}"#, 400, "trailing"),
        (r#"{"name":"admin","admin":false}"#, 409, "last administrator"),
    ] {
        let answer = post(&hub, "/api/v1/users", body);
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
        let json = Json::parse(&answer.text());
        assert_eq!(json.shape(), "{error}", "{body}");
        assert!(json.text("error").contains(words), "{body}: {json:?}");
    }
    let long = format!(r#"{{"name":"a","password":"x","push":"{}"}}"#, "x".repeat(70_000));
    assert_eq!(post(&hub, "/api/v1/users", &long).status, 413);
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let answer = http::send(hub.address(), "POST", "/api/v1/login", &form, "username=admin&password=admin");
    assert_eq!(answer.status, 415, "{}", answer.text());
    let answer =
        http::send(hub.address(), "POST", "/api/v1/login", &form, r#"{"username":"admin","password":"admin"}"#);
    assert_eq!(answer.status, 200, "curl's default is no hindrance");
    assert_eq!(http::delete(hub.address(), "/api/v1/users/admin").status, 409);
    assert_eq!(http::request(hub.address(), "PUT", "/api/v1/users", &[]).status, 405);
    assert_eq!(http::get(hub.address(), "/api/v1/users/ghost").status, 404);
    assert_eq!(http::get(hub.address(), "/api/v1/users?page_size=0").status, 400);

    hub.log_in_as("eve", "e");
    for (method, path, status) in [
        ("GET", "/api/v1/streams", 200),
        ("GET", "/api/v1/streams/none", 404),
        ("DELETE", "/api/v1/streams/none", 403),
        ("GET", "/api/v1/users", 403),
        ("DELETE", "/api/v1/users/admin", 403),
        ("GET", "/api/v1/routes", 403),
        ("POST", "/api/v1/routes", 403),
    ] {
        assert_eq!(http::request(hub.address(), method, path, &[]).status, status, "{method} {path}");
    }
    for path in ["/api/v1/users", "/api/v1/routes/x", "/api/v1/streams", "/api/v1/nothing"] {
        let answer = anonymous(hub.address(), "GET", path, &[], "");
        assert_eq!((answer.status, answer.text().as_str()), (401, r#"{"error":"Token is not valid"}"#), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{path}");
    }
    let log = hub.log().join("\n");
    assert!(log.contains("eve GET /api/v1/users 403") && !log.contains("token="), "{log}");
}

/// ffmpeg tries to watch what is not live.
fn digest(hub: &Hub, login: &str) {
    let url = format!("rtsp://{login}@{}/not/live", hub.address());
    let mut command = std::process::Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-rtsp_transport", "tcp", "-i", &url, "-f", "null", "-"]);
    let output = command.output().expect("ffmpeg is there");
    assert!(!output.status.success());
}

#[test]
fn an_old_file_is_read_and_rewritten_at_the_first_change() {
    let folder = folder("old");
    let file = folder.join("users.json");
    // "secret" as text and as MD5; the MD5 of "admin".
    let text = "\u{feff}[\r\n{\"name\":\"Admin\",\"password\":\"21232F297A57A5A743894A0E4A801FC3\",\"admin\":true},\r\n\
                {\"name\":\"bob\",\"password\":\"secret\",\"pull\":\"*\",\"mail\":\"bob@example.org\"},\
                {\"name\":\"eve\",\"password\":\"5ebe2294ecd0e0f08eab7690d2a6ee69\"}]";
    std::fs::write(&file, text).expect("a file can be written");
    let hub = Hub::start(&[], &["--auth", "--data-dir", folder.to_str().expect("a name of our own")]);
    for (user, password) in [("admin", "21232f297a57a5a743894a0e4a801fc3"), ("eve", "5ebe2294ecd0e0f08eab7690d2a6ee69")]
    {
        assert!(http::tokens(hub.address(), user, password).is_err(), "an MD5 string itself never logs in");
    }
    http::login(hub.address(), "bob", "secret");
    assert_eq!(std::fs::read_to_string(&file).expect("there"), text, "nothing is changed yet");
    digest(&hub, "eve:secret");
    let words = "eve cannot log in by Digest yet: only the MD5 of its password is known";
    assert!(wait_until(SOON, || hub.log().iter().any(|line| line.contains(words))), "{:?}", hub.log());
    put(&hub, r#"{"name":"new","password":"n"}"#);
    let text = std::fs::read_to_string(&file).expect("there");
    assert!(!text.contains("secret") && !text.contains("5ebe22") && text.contains("bob@example.org"), "{text}");
    for (user, password) in [("admin", "admin"), ("bob", "secret"), ("eve", "secret")] {
        http::login(hub.address(), user, password);
    }
    let text = std::fs::read_to_string(&file).expect("there");
    assert!(!text.contains("password_of_md5\": true,\n\t\t\"ha1") && text.matches("ha1_sha256").count() == 4, "{text}");
}

#[test]
fn a_change_by_hand_is_noticed_or_refused_with_its_place() {
    let folder = folder("hand");
    let file = folder.join("users.json");
    let good = r#"[{"name":"admin","password":"admin","admin":true},{"name":"bob","password":"b"}]"#;
    std::fs::write(&file, good).expect("a file can be written");
    let hub = start(&folder);
    assert_eq!(hub.json("/api/v1/users").number("total"), 2.0);
    std::fs::write(&file, good.replace("]", r#",{"name":"eve","password":"e"}]"#)).expect("a file can be written");
    assert!(wait_until(SOON, || hub.json("/api/v1/users").number("total") == 3.0));
    std::fs::write(&file, "[\n{\"name\": 5}]").expect("a file can be written");
    hub.wait_log(&["users.json", "line 2", "stay as they were"]);
    assert_eq!(hub.json("/api/v1/users").number("total"), 3.0);
    let answer = post(&hub, "/api/v1/users", r#"{"name":"new","password":"n"}"#);
    assert_eq!(answer.status, 409, "{}", answer.text());
    assert!(answer.text().contains("line 2"), "{}", answer.text());
    assert_eq!(std::fs::read_to_string(&file).expect("there"), "[\n{\"name\": 5}]", "never overwritten");
    std::fs::write(&file, good).expect("a file can be written");
    assert!(wait_until(SOON, || hub.json("/api/v1/users").number("total") == 2.0));
}

#[test]
fn a_file_that_does_not_parse_stops_the_start() {
    for (name, text, parts) in [
        ("type", "[\n{\"name\":\"a\",\"admin\":1}]", &["line 2", "boolean"][..]),
        ("twice", "[{\"name\":\"a\"},\n{\"name\":\"A\"}]", &["a is there twice"]),
        ("half", "[\n{\"name\":\"a\"},", &["line 2"]),
    ] {
        let folder = folder(&format!("broken_{name}"));
        std::fs::write(folder.join("users.json"), text).expect("a file can be written");
        for arguments in [&["--check", "--data-dir"][..], &["--data-dir"]] {
            let mut command = support::hub::command(&[], arguments);
            let output = command.arg(&folder).args(["--listen", "127.0.0.1:0"]).output().expect("it can be run");
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success() && error.contains("users.json"), "{error}");
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        }
        assert_eq!(std::fs::read_to_string(folder.join("users.json")).expect("there"), text);
    }
}

#[test]
fn failed_logins_are_slowed_down_and_refused() {
    let hub = Hub::start(&[], &[]);
    http::login(hub.address(), "admin", "admin");
    let fail = || http::tokens(hub.address(), "admin", "wrong").expect_err("wrong");
    assert_eq!(fail().text(), r#"{"error":"user name or password is wrong"}"#);
    std::thread::scope(|scope| {
        (0..9).for_each(|_| drop(scope.spawn(fail)));
    });
    let refused = http::tokens(hub.address(), "admin", "admin").expect_err("the address is refused");
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert!(refused.header("retry-after").is_some_and(|seconds| seconds.parse::<u64>().is_ok_and(|s| s <= 60)));
    hub.wait_log(&["a login as \"admin\" was refused"]);
}

/// `cargo test --release --test rest_users -- --ignored --nocapture`
#[test]
#[ignore = "prints figures"]
fn figures_of_wrong_names_and_wrong_passwords() {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..10 {
        // Fresh, since the third failure is slowed down.
        let hub = Hub::start(&[], &[]);
        http::login(hub.address(), "admin", "admin");
        for (user, times) in ["admin", "nobody"].iter().zip(&mut times) {
            let begin = Instant::now();
            assert!(http::tokens(hub.address(), user, "wrong").is_err());
            times.push(begin.elapsed());
        }
    }
    let mean = |times: &[Duration]| times.iter().sum::<Duration>() / times.len() as u32;
    println!("wrong password {:?}, wrong name {:?} (mean of 10)", mean(&times[0]), mean(&times[1]));
}
