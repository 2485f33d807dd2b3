//! The only place that turns errors into HTTP answers: `{"error": "<what and why>"}`.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, ResponseError, Route, web};
use ipchub_actors::messages::OpenError;
use serde::Serialize;

/// What went wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiError {
    /// A parameter is missing or wrong: its name, and what is expected.
    Parameter(&'static str, String),
    /// Nothing of that name.
    NotFound(String),
    /// The hub cannot do it now.
    Unavailable(String),
    /// The camera that it would be pulled from refuses.
    Upstream(String),
    /// The camera that it would be pulled from says nothing.
    UpstreamTimeout(String),
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Parameter(name, problem) => write!(f, "parameter {name}: {problem}"),
            Self::NotFound(what) | Self::Unavailable(what) | Self::Upstream(what) | Self::UpstreamTimeout(what) => {
                f.write_str(what)
            }
        }
    }
}

#[derive(Serialize)]
struct Body<'a> {
    error: &'a str,
}

/// An error answer.
pub fn answer(status: StatusCode, error: &str) -> HttpResponse {
    HttpResponse::build(status).json(Body { error })
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Parameter(..) => StatusCode::BAD_REQUEST,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Upstream(_) => StatusCode::BAD_GATEWAY,
            Self::UpstreamTimeout(_) => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    fn error_response(&self) -> HttpResponse {
        answer(self.status_code(), &self.to_string())
    }
}

impl From<OpenError> for ApiError {
    fn from(error: OpenError) -> Self {
        let text = error.to_string();
        match error {
            OpenError::NotLive(_) => Self::NotFound(text),
            OpenError::Failed(_) => Self::Upstream(text),
            OpenError::TimedOut(_) => Self::UpstreamTimeout(text),
            OpenError::Full(_) | OpenError::Closing | OpenError::Again => Self::Unavailable(text),
        }
    }
}

impl From<actix::MailboxError> for ApiError {
    fn from(_: actix::MailboxError) -> Self {
        Self::Unavailable("the hub is shutting down".into())
    }
}

/// For paths that lead nowhere.
pub async fn not_found(request: HttpRequest) -> HttpResponse {
    answer(StatusCode::NOT_FOUND, &format!("nothing at {}", request.path()))
}

/// For methods that a path does not have.
pub fn method() -> Route {
    web::to(async |request: HttpRequest| {
        let error = format!("{} has no method {}", request.path(), request.method());
        answer(StatusCode::METHOD_NOT_ALLOWED, &error)
    })
}
