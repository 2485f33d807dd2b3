//! REST describes itself: `/api/v1/openapi.json`, and `/api/` for people. Real answers of a hub at work have no field, no
//! type and no status that the description does not know.

mod support;

use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;
use support::camera::Camera;
use support::hub::Hub;
use support::viewer::{Viewer, Way};
use support::{SOON, http, temporary};

const JSON: (&str, &str) = ("Content-Type", "application/json");

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

/// The description of a hub.
struct Api(Value);

impl Api {
    fn of(hub: &Hub) -> Self {
        let answer = http::anonymous(hub.address(), "GET", "/api/v1/openapi.json", &[], "");
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some("application/json")),
            "{}",
            answer.text()
        );
        Self(json(&answer.text()))
    }

    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let inner = schema.get("oneOf").or(schema.get("allOf")).and_then(Value::as_array);
        if let Some(inner) = inner.and_then(|inner| inner.iter().find(|one| one["type"] != "null")) {
            return self.resolve(inner);
        }
        let Some(to) = schema.get("$ref").and_then(Value::as_str) else { return schema };
        let found = self.0.pointer(to.trim_start_matches('#'));
        self.resolve(found.unwrap_or_else(|| panic!("{to} is not described")))
    }

    /// What of a value the schema does not know, and what it misses, by field.
    fn differences(&self, schema: &Value, value: &Value, place: &str, found: &mut Vec<String>) {
        let schema = self.resolve(schema);
        let expected = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let said = |name: &str| {
            schema["type"] == name || schema["type"].as_array().is_some_and(|all| all.contains(&name.into()))
        };
        if !(said(expected) || expected == "integer" && said("number")) {
            found.push(format!("{place} is {expected}, described as {}", schema["type"]));
            return;
        }
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match schema["properties"].get(name) {
                        Some(field) => self.differences(field, value, &format!("{place}/{name}"), found),
                        None => found.push(format!("{place}/{name} is not described")),
                    }
                }
                let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
                found.extend(
                    required
                        .filter(|name| !fields.contains_key(*name))
                        .map(|name| format!("{place}/{name} is missing")),
                );
            }
            Value::Array(items) => {
                for (n, item) in items.iter().enumerate() {
                    self.differences(&schema["items"], item, &format!("{place}/{n}"), found);
                }
            }
            _ => {}
        }
    }

    /// Asks, and compares the answer with what is said of `described`.
    fn check(&self, hub: &Hub, method: &str, call: &str, described: &str, body: &str) -> Value {
        let answer = http::send(hub.address(), method, &format!("/api/v1{call}"), &[JSON], body);
        let operation = &self.0["paths"][described][method.to_lowercase()];
        let place = format!("{method} {call}");
        let response = operation["responses"].get(answer.status.to_string());
        let response =
            response.unwrap_or_else(|| panic!("{place}: {} is not described: {}", answer.status, answer.text()));
        let Some(content) = response.get("content") else {
            assert_eq!(answer.text(), "", "{place}: no body is described");
            return Value::Null;
        };
        assert_eq!(answer.header("content-type"), Some("application/json"), "{place}");
        let value = json(&answer.text());
        let mut found = Vec::new();
        self.differences(&content["application/json"]["schema"], &value, &place, &mut found);
        assert!(found.is_empty(), "{found:#?} in {value:#}");
        value
    }
}

#[test]
fn real_answers_are_as_described() {
    let hub = Hub::start(&[], &["--demo"]);
    let api = Api::of(&hub);
    let _camera = Camera::publish(&hub, "/room/door", 10_000);
    hub.wait_live("/demo/clock");
    hub.wait_live("/room/door");
    let viewer = Viewer::watch(&hub, Way::WebSocket, "/demo/clock.flv");
    viewer.wait_pictures(SOON, 5);

    let user = r#"{"name": "alice", "password": "secret", "push": "/hr/*", "pull": "*"}"#;
    let route = r#"{"pattern": "/lobby/", "url": "rtsp://viewer:secret@192.0.2.7/main"}"#;
    let streams = api.check(&hub, "GET", "/streams?c=1", "/streams", "");
    assert_eq!(streams["total"], 2);
    let clock = api.check(&hub, "GET", "/streams/demo/clock?c=1", "/streams/{path}", "");
    let cid = clock["cs"][0]["id"].as_u64().expect("a viewer's number");
    let door = api.check(&hub, "GET", "/streams/room/door", "/streams/{path}", "");
    assert!(door["reception"]["received"].is_u64(), "{door:#}");
    api.check(&hub, "POST", "/users", "/users", user);
    assert_eq!(api.check(&hub, "GET", "/users", "/users", "")["total"], 2);
    api.check(&hub, "GET", "/users/alice", "/users/{name}", "");
    api.check(&hub, "POST", "/routes", "/routes", route);
    assert_eq!(api.check(&hub, "GET", "/routes", "/routes", "")["routes"][0]["status"]["state"], "idle");
    api.check(&hub, "GET", "/routes/lobby/", "/routes/{pattern}", "");
    api.check(&hub, "GET", "/server", "/server", "");
    api.check(&hub, "GET", "/runtime", "/runtime", "");
    assert!(api.check(&hub, "GET", "/runtime?extra=1", "/runtime", "")["extra"].is_object());
    let tokens = api.check(&hub, "POST", "/login", "/login", r#"{"username": "alice", "password": "secret"}"#);
    let refresh = tokens["refresh_token"].as_str().expect("a token");
    api.check(&hub, "GET", &format!("/refreshtoken?token={refresh}"), "/refreshtoken", "");

    for (method, call, described, body, status) in [
        ("POST", "/login", "/login", "{}", 400),
        ("GET", "/refreshtoken?token=x", "/refreshtoken", "", 401),
        ("GET", "/streams?page_size=0", "/streams", "", 400),
        ("GET", "/streams/nobody", "/streams/{path}", "", 404),
        ("GET", "/users/nobody", "/users/{name}", "", 404),
        ("POST", "/users", "/users", "{\"name\": 5}", 400),
        ("DELETE", "/users/admin", "/users/{name}", "", 409),
        ("POST", "/routes", "/routes", r#"{"pattern": "/a", "url": "ftp://x"}"#, 400),
        ("GET", "/routes/nothing", "/routes/{pattern}", "", 404),
        ("DELETE", "/streams/demo/clock:consumer?cid=x", "/streams/{path}:consumer", "", 400),
    ] {
        let error = api.check(&hub, method, call, described, body);
        let answer = http::send(hub.address(), method, &format!("/api/v1{call}"), &[JSON], body);
        assert_eq!(answer.status, status, "{method} {call}: {error}");
        assert!(error["error"].as_str().is_some_and(|error| !error.is_empty()), "{method} {call}: {error}");
    }

    api.check(&hub, "DELETE", &format!("/streams/demo/clock:consumer?cid={cid}"), "/streams/{path}:consumer", "");
    viewer.wait_end(SOON);
    api.check(&hub, "DELETE", "/streams/room/door", "/streams/{path}", "");
    api.check(&hub, "DELETE", "/routes/lobby/", "/routes/{pattern}", "");
    api.check(&hub, "DELETE", "/users/alice", "/users/{name}", "");
}

#[test]
fn a_field_that_is_not_described_is_found() {
    let hub = Hub::start(&[], &[]);
    let api = Api::of(&hub);
    let schema = &api.0["paths"]["/server"]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
    let mut found = Vec::new();
    let mut value = json(&http::get(hub.address(), "/api/v1/server").text());
    value["new"] = 1.into();
    value["os"] = 5.into();
    value.as_object_mut().expect("an object").remove("arch");
    api.differences(schema, &value, "", &mut found);
    found.sort_unstable();
    assert_eq!(found, ["/arch is missing", "/new is not described", "/os is integer, described as \"string\""]);
}

#[test]
fn pages_and_methods() {
    let hub = Hub::start(&[], &[]);
    let page = http::get(hub.address(), "/api/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.header("content-security-policy").is_some() && page.text().contains("reference.js"));
    for file in ["/reference.js", "/reference.css", "/style.css", "/favicon.svg"] {
        assert_eq!(http::get(hub.address(), file).status, 200, "{file}");
    }
    let moved = http::get(hub.address(), "/api");
    assert_eq!((moved.status, moved.header("location")), (301, Some("/api/")));
    assert_eq!(http::request(hub.address(), "POST", "/api/", &[]).status, 405);
    let wrong = http::request(hub.address(), "PUT", "/api/v1/users/a", &[]);
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("GET, DELETE")), "{}", wrong.text());
}

/// Made-up requests, right and wrong ones, by schemathesis: no 5xx, every answer as described, unknown methods refused.
#[test]
fn schemathesis_finds_nothing() {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/schemathesis/venv/bin/schemathesis");
    if !std::path::Path::new(program).exists() {
        println!("not tested: there is no {program}; tests/setup.sh installs it");
        return;
    }
    let hub = Hub::start(&[], &["--demo"]);
    hub.wait_live("/demo/clock");
    let token = http::login(hub.address(), "admin", "admin");
    // Cameras of the examples are on this machine, where there are none.
    let description = http::get(hub.address(), "/api/v1/openapi.json").text().replace("192.0.2.7", "127.0.0.1:9");
    let file = temporary("openapi.json");
    std::fs::write(&file, description).expect("a file can be written");
    let begin = Instant::now();
    let mut command = Command::new("timeout");
    command.args(["110", program, "--config-file"]);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/schemathesis/schemathesis.toml"));
    command.arg("run").arg(&file).args(["--url", &hub.url("http", "/api/v1")]);
    command.args(["--header", &format!("Authorization: Bearer {token}")]);
    command.current_dir(env!("CARGO_TARGET_TMPDIR")).stdin(Stdio::null());
    let output = command.output().expect("it is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    println!("{text}\n{:.1} s", begin.elapsed().as_secs_f64());
    assert!(!hub.log().iter().any(|line| line.contains("panicked")), "{:?}", hub.log());
}
