//! The only place that turns errors into HTTP answers: `{"error": "<what and why>"}`.

use actix_web::http::header::{ALLOW, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::http::{ConnectionType, Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, ResponseError, Route, web};
use ipchub_actors::accounts::{Refusal, UserChangeError};
use ipchub_actors::hls::HlsError;
use ipchub_actors::messages::OpenError;
use ipchub_actors::store::StoreError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::body;

/// What went wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiError {
    /// A parameter is missing or wrong: its name, and what is expected.
    Parameter(&'static str, String),
    /// The body is not what it should be.
    Body(String),
    /// No token, or one that is worth nothing.
    Unauthorized(String),
    /// The user may not do that.
    Forbidden(String),
    /// Nothing of that name.
    NotFound(String),
    /// It was there, and will not be again.
    Gone(String),
    /// The body did not come in time.
    Slow,
    /// It would break something else.
    Conflict(String),
    /// The body is too long.
    TooLarge(usize),
    /// The body is of another kind.
    MediaType(String),
    /// Too often; again after so many seconds.
    TooMany(String, u64),
    /// The hub cannot keep what it is told.
    Store(String),
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
            Self::Slow => f.write_str("the body did not come in time"),
            Self::TooLarge(limit) => write!(f, "the body has more than {limit} bytes"),
            Self::Body(what)
            | Self::Unauthorized(what)
            | Self::Forbidden(what)
            | Self::NotFound(what)
            | Self::Gone(what)
            | Self::Conflict(what)
            | Self::MediaType(what)
            | Self::TooMany(what, _)
            | Self::Store(what)
            | Self::Unavailable(what)
            | Self::Upstream(what)
            | Self::UpstreamTimeout(what) => f.write_str(what),
        }
    }
}

/// What every error is.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
pub(crate) struct Body {
    /// What and why, in words.
    #[schema(example = "/room/door is not live")]
    error: String,
}

/// An error answer.
pub fn answer(status: StatusCode, error: &str) -> HttpResponse {
    HttpResponse::build(status).json(Body { error: error.to_owned() })
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Parameter(..) | Self::Body(_) => StatusCode::BAD_REQUEST,
            Self::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::MediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooMany(..) => StatusCode::TOO_MANY_REQUESTS,
            Self::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Gone(_) => StatusCode::GONE,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Upstream(_) => StatusCode::BAD_GATEWAY,
            Self::UpstreamTimeout(_) => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = answer(self.status_code(), &self.to_string());
        match self {
            Self::Unauthorized(_) => {
                let value = HeaderValue::from_static("Bearer realm=\"ipchub\"");
                response.headers_mut().insert(WWW_AUTHENTICATE, value);
            }
            Self::TooMany(_, seconds) => {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(*seconds));
            }
            // What is left of the body would be taken for the next request.
            Self::Slow | Self::TooLarge(_) => response.head_mut().set_connection_type(ConnectionType::Close),
            _ => {}
        }
        response
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

impl From<HlsError> for ApiError {
    fn from(error: HlsError) -> Self {
        let text = error.to_string();
        match error {
            HlsError::Ended | HlsError::Missing => Self::NotFound(text),
            HlsError::Kicked => Self::Gone(text),
            HlsError::Waiting => Self::TooMany(text, 1),
            HlsError::TooFar { .. } => Self::Parameter("_HLS_msn", text),
            HlsError::Full | HlsError::TimedOut(..) => Self::Unavailable(text),
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let text = refusal.to_string();
        match refusal {
            Refusal::Token | Refusal::Login | Refusal::Stale => Self::Unauthorized(text),
            Refusal::TooMany { wait } => Self::TooMany(text, wait.as_secs().max(1)),
            Refusal::Right { .. } => Self::Forbidden(text),
            Refusal::Unavailable(_) => Self::Unavailable(text),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Closing => Self::Unavailable(error.to_string()),
            // Somebody must mend the file by hand.
            StoreError::Parse { .. } => Self::Conflict(error.to_string()),
            _ => Self::Store(error.to_string()),
        }
    }
}

impl From<UserChangeError> for ApiError {
    fn from(error: UserChangeError) -> Self {
        match error {
            UserChangeError::Name(problem) => Self::Parameter("name", problem.to_string()),
            UserChangeError::Field(name, problem) => Self::Parameter(name, problem),
            UserChangeError::LastAdmin(_) => Self::Conflict(error.to_string()),
            UserChangeError::Store(error) => error.into(),
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
pub fn method(allowed: &[Method]) -> Route {
    let allowed = allowed.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
    web::to(move |request: HttpRequest, payload: web::Payload| {
        let error = format!("{} has no method {}", request.path(), request.method());
        let mut response = answer(StatusCode::METHOD_NOT_ALLOWED, &error);
        if let Ok(value) = HeaderValue::from_str(&allowed) {
            response.headers_mut().insert(ALLOW, value);
        }
        async move {
            body::skip(payload).await;
            response
        }
    })
}

/// For queries that cannot be read: a name that comes twice, percent-encoding that is no text.
pub(crate) fn query(error: actix_web::error::QueryPayloadError, _: &HttpRequest) -> actix_web::Error {
    ApiError::Body(format!("the query cannot be read: {error}")).into()
}
