//! What REST offers, as OpenAPI 3.1. It is made of what stands beside the handlers and the types that they send and read.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use serde_json::Value;
use utoipa::openapi::path::{PathItem, PathsBuilder};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    Components, ComponentsBuilder, Content, Info, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref, RefOr,
    Response, ResponseBuilder, Schema, Server, schema,
};
use utoipa::{IntoResponses, PartialSchema, ToSchema};

use super::calls::calls;
use crate::error;

#[cfg(test)]
mod tests;

const ABOUT: &str = "What a script can ask a hub and tell it. A token comes from `POST /login`; send it as `?token=` or as \
                     `Authorization: Bearer`. Errors are `{\"error\": \"<what and why>\"}`, also those of unknown paths \
                     (404) and methods (405). Times are RFC 3339 with the hub's offset. Fields may be added.";

const TAGS: [(&str, &str); 5] = [
    ("server", "The hub itself. Open to anyone."),
    ("login", "Tokens. Open to anyone."),
    ("streams", "What is live, and who watches. Any user may read; the rest is for administrators."),
    ("routes", "What is pulled, and from where. For administrators."),
    ("users", "Who may do what. For administrators."),
];

/// This description
#[utoipa::path(get, path = "/openapi.json", tag = "server", operation_id = "openapi", security(()),
    responses((status = 200, description = "OpenAPI 3.1.", content_type = "application/json", body = Object,
        example = json!({"openapi": "3.1.0"}))))]
pub async fn description() -> HttpResponse {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(|| openapi().to_json().expect("a description has no map with odd keys"));
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-cache")).content_type("application/json").body(text.as_str())
}

/// The error answer of that status.
pub(super) struct Failure<const STATUS: u16>;

impl<const STATUS: u16> IntoResponses for Failure<STATUS> {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let (description, example) = match STATUS {
            400 => (
                "A parameter or the body is wrong; it says which and why.",
                "parameter page_size: \"0\" is no number from 1 to 1000",
            ),
            401 => {
                ("No token, or one that is worth nothing; or a wrong login.", "the token is missing, wrong or expired")
            }
            403 => ("The user may not do that.", "the user alice is no administrator"),
            404 => ("Nothing of that name.", "/room/door is not live"),
            408 => ("The body did not come in time.", "the body did not come in time"),
            409 => ("It would break something else.", "admin is the last administrator"),
            413 => ("The body is too long.", "the body has more than 65536 bytes"),
            415 => ("The body is no JSON.", "the body is no JSON object (its content type is text/xml)"),
            429 => ("Too many failed logins; `Retry-After` says when to try again.", "too many failed logins"),
            500 => ("It could not be kept on disk.", "users.json could not be written"),
            503 => ("The hub is ending, or has too much to do.", "the hub is shutting down"),
            _ => unreachable!("every status that is described stands here"),
        };
        let content = Content::builder()
            .schema(Some(Ref::from_schema_name(error::Body::name())))
            .example(Some(serde_json::json!({ "error": example })))
            .build();
        let response = ResponseBuilder::new().description(description).content("application/json", content).build();
        BTreeMap::from([(STATUS.to_string(), response.into())])
    }
}

/// The whole description.
fn openapi() -> OpenApi {
    let (mut paths, mut components) = (PathsBuilder::new(), components());
    let calls = calls();
    for call in &calls {
        components.schemas.extend(call.schemas.iter().cloned());
    }
    for mut call in calls {
        for response in call.operation.responses.responses.values_mut() {
            if let RefOr::T(response) = response {
                response.content.values_mut().for_each(|content| show(content, &components));
            }
        }
        if let Some(RefOr::T(body)) = &mut call.operation.request_body {
            body.content.values_mut().for_each(|content| show(content, &components));
        }
        paths = paths.path(call.path, PathItem::new(call.method, call.operation));
    }
    let tags = TAGS.map(|(name, about)| TagBuilder::new().name(name).description(Some(about)).build());
    let either = ["token", "bearer"].map(|name| SecurityRequirement::new::<_, [&str; 0], _>(name, []));
    OpenApiBuilder::new()
        .info(info())
        .servers(Some([Server::new("/api/v1")]))
        .paths(paths)
        .components(Some(components))
        .security(Some(either))
        .tags(Some(tags))
        .build()
}

fn info() -> Info {
    let license = LicenseBuilder::new().name("MIT").identifier(Some("MIT")).build();
    InfoBuilder::new()
        .title("ipchub")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(license))
        .build()
}

fn components() -> Components {
    let query = ApiKeyValue::with_description("token", "The access token of `POST /login`, in the URL.");
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some("The access token of `POST /login`, in `Authorization`."))
        .build();
    ComponentsBuilder::new()
        .security_scheme("token", SecurityScheme::ApiKey(ApiKey::Query(query)))
        .security_scheme("bearer", SecurityScheme::Http(bearer))
        .schema(error::Body::name(), error::Body::schema())
        .build()
}

/// Gives a body its example, put together from those of its fields.
fn show(content: &mut RefOr<Content>, components: &Components) {
    if let RefOr::T(content) = content
        && let (None, Some(schema)) = (&content.example, &content.schema)
    {
        content.example = Some(example(schema, components));
    }
}

fn example(schema: &RefOr<Schema>, components: &Components) -> Value {
    let schema = match schema {
        RefOr::T(schema) => schema,
        RefOr::Ref(to) => {
            let name = to.ref_location.rsplit('/').next().unwrap_or_default();
            return components.schemas.get(name).map_or(Value::Null, |schema| example(schema, components));
        }
    };
    match schema {
        Schema::Object(object) if !object.properties.is_empty() => {
            object.properties.iter().map(|(name, field)| (name.clone(), example(field, components))).collect()
        }
        Schema::Object(object) => object.example.clone().unwrap_or_default(),
        Schema::Array(array) if array.example.is_some() => array.example.clone().unwrap_or_default(),
        Schema::Array(array) => match &array.items {
            schema::ArrayItems::RefOrSchema(item) => Value::Array(vec![example(item, components)]),
            schema::ArrayItems::False => Value::Array(Vec::new()),
        },
        // A field with a text of its own beside the type that it refers to.
        Schema::AllOf(all) => {
            all.items.iter().map(|one| example(one, components)).find(|one| !one.is_null()).unwrap_or_default()
        }
        Schema::OneOf(one) => {
            one.items.iter().map(|one| example(one, components)).find(|one| !one.is_null()).unwrap_or_default()
        }
        _ => Value::Null,
    }
}
