use std::cell::RefCell;
use std::collections::BTreeSet;

use actix_web::App;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::test::{TestRequest, call_service, init_service};
use serde_json::Value;

use super::{TAGS, openapi};
use crate::api::calls::pattern;

thread_local! {
    static ROUTER: RefCell<String> = const { RefCell::new(String::new()) };
}

async fn look(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> actix_web::Result<ServiceResponse<impl MessageBody>> {
    ROUTER.set(format!("{:?}", request.request().resource_map()));
    next.call(request).await
}

/// Every pattern that the application's router knows.
async fn registered() -> BTreeSet<String> {
    let app = init_service(App::new().configure(crate::configure).wrap(from_fn(look))).await;
    call_service(&app, TestRequest::get().uri("/favicon.svg").to_request()).await;
    let map = ROUTER.take();
    let patterns = map.split("patterns: Single(\"").skip(1);
    patterns.map(|rest| rest.split('"').next().unwrap_or_default().replace("\\\\", "\\")).collect()
}

/// What is served beside REST: pages, outputs of streams, and the scopes themselves.
const BESIDE: [&str; 8] =
    ["", "/", "/api", "/v1", "/{any:(.*/)?crossdomain.xml}", "/demos", "/streams/{path:.*}", "/api/v1"];

#[actix_web::test]
async fn every_route_is_described() {
    let registered = registered().await;
    assert!(registered.len() > 10, "the router shows itself: {registered:?}");
    let described: BTreeSet<_> = openapi().paths.paths.keys().map(|path| pattern(path)).collect();
    let missing: Vec<_> =
        registered.iter().filter(|path| !described.contains(*path) && !BESIDE.contains(&&***path)).collect();
    assert!(missing.is_empty(), "served and not described: {missing:?}");
    let invented: Vec<_> = described.difference(&registered).collect();
    assert!(invented.is_empty(), "described and not served: {invented:?}");
}

#[test]
fn everything_has_an_example() {
    let api = serde_json::to_value(openapi()).expect("JSON");
    let mut bare = Vec::new();
    for (path, item) in api["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let place = format!("{method} {path}");
            let tags = operation["tags"].as_array().expect("tags");
            assert!(tags.len() == 1 && TAGS.iter().any(|(name, _)| tags[0] == *name), "{place}: {tags:?}");
            assert!(operation["summary"].is_string() && operation["operationId"].is_string(), "{place}");
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                if parameter.get("example").is_none() || parameter["description"].as_str().is_none_or(str::is_empty) {
                    bare.push(format!("{place}: parameter {}", parameter["name"]));
                }
            }
            let bodies = [("body", &operation["requestBody"])];
            let answers = operation["responses"].as_object().expect("answers");
            for (name, body) in answers.iter().map(|(status, answer)| (status.as_str(), answer)).chain(bodies) {
                for content in body["content"].as_object().into_iter().flat_map(serde_json::Map::values) {
                    if content.get("example").is_none_or(has_hole) {
                        bare.push(format!("{place}: {name}: {}", content["example"]));
                    }
                }
            }
        }
    }
    assert!(bare.is_empty(), "without an example: {bare:#?}");
}

fn has_hole(example: &Value) -> bool {
    match example {
        Value::Null => true,
        Value::Array(items) => items.iter().any(has_hole),
        Value::Object(fields) => fields.values().any(has_hole),
        _ => false,
    }
}

#[test]
fn who_may_is_told() {
    let api = serde_json::to_value(openapi()).expect("JSON");
    assert_eq!(api["openapi"], "3.1.0");
    for (path, item) in api["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let open = ["/server", "/runtime", "/openapi.json", "/login", "/refreshtoken"].contains(&path.as_str());
            assert_eq!(operation.get("security").is_some(), open, "{method} {path}");
            assert!(open || operation["responses"].get("401").is_some(), "{method} {path}: 401");
            let reads_streams = method == "get" && path.starts_with("/streams");
            let for_admins = operation["responses"].get("403").is_some();
            assert_eq!(for_admins, !open && !reads_streams, "{method} {path}: 403");
        }
    }
}
