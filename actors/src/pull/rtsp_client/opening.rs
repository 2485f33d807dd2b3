//! From a URL to a camera that plays: redirects, second tries, and what went wrong in words.

use std::time::Duration;

use ipchub_media::rtp::receiver::Order;
use ipchub_media::rtsp::client::{Client, Config, Credentials, Error, Path, Wanted};

use super::{Camera, Failure};
use crate::pull::feed::{Fed, Feed, Opened, PullError};
use crate::pull::target::{Target, Transport};

/// Some cameras refuse clients without a name.
const USER_AGENT: &str = concat!("ipchub/", env!("CARGO_PKG_VERSION"));
/// Characters of an error that a log line and an answer need.
const MAX_REASON: usize = 300;
/// More is a loop, whatever it is meant to be.
const MAX_REDIRECTS: usize = 5;

/// Connects and plays; done when the first packet is there. All of it takes `limit` at most.
pub(in crate::pull) async fn open(target: Target, limit: Duration) -> Result<Opened, PullError> {
    let mut camera = None;
    let result = tokio::time::timeout(limit, follow(target, &mut camera)).await;
    let Ok(Ok(notes)) = result else {
        let step = camera.as_ref().map_or("connection", |camera| camera.client.step());
        // A session that was begun is ended, or a camera that allows few of them is soon full.
        if let Some(camera) = camera {
            actix_rt::spawn(camera.close());
        }
        return Err(result.map_or(PullError::TimedOut { step, limit }, |told| told.err().unwrap_or_else(unreachable)));
    };
    let camera = camera.ok_or_else(unreachable)?;
    let order = |path| if path == Path::Udp { Order::Mixed } else { Order::Kept };
    let tracks = camera.client.tracks().iter();
    let tracks = tracks.map(|c| Fed { track: c.track.clone(), order: order(c.path), ssrc: c.ssrc }).collect();
    Ok(Opened { feed: Feed::Camera(Box::new(camera)), tracks, notes })
}

fn unreachable() -> PullError {
    PullError::Failed("the connection ended".into())
}

/// Tries where the target leads, and on from there. What is begun stays in `slot`.
async fn follow(mut target: Target, slot: &mut Option<Camera>) -> Result<Vec<String>, PullError> {
    let mut notes = Vec::new();
    for _ in 0..=MAX_REDIRECTS {
        let told = |failure: Failure| told(&failure, &target);
        match attempt(&target, slot).await {
            Ok(()) => {
                notes.extend(slot.as_mut().map(|camera| camera.client.take_notes()).unwrap_or_default());
                return Ok(notes);
            }
            Err(Failure::Redirected(to)) => {
                let next = target.redirected(&to);
                let next = next.map_err(|error| PullError::Failed(format!("the camera redirects: {error}")))?;
                notes.push(format!("redirected from {} to {}", target.address(), next.address()));
                target = next;
            }
            Err(failure) => return Err(told(failure)),
        }
    }
    Err(PullError::Failed(format!("more than {MAX_REDIRECTS} redirects, the last to {}", target.address())))
}

fn told(failure: &Failure, target: &Target) -> PullError {
    let text = reason(failure, target);
    match failure {
        Failure::Session(Error::Login { .. }) => PullError::Login(text),
        _ => PullError::Failed(text),
    }
}

/// Short, and without the password.
pub(super) fn reason(failure: &Failure, target: &Target) -> String {
    target.cleaned(&failure.to_string()).chars().take(MAX_REASON).collect()
}

/// One try, and one more where the first connection ended in a way that a second can mend.
async fn attempt(target: &Target, slot: &mut Option<Camera>) -> Result<(), Failure> {
    let mut client = Some(Client::new(config(target)));
    while let Some(next) = client.take() {
        let camera = slot.insert(Camera::connect(target, next).await?);
        match std::future::poll_fn(|task| camera.poll_first(task)).await {
            Err(Failure::Lost(reason)) => {
                client = slot.take().and_then(|camera| camera.client.again());
                if client.is_none() {
                    return Err(Failure::Lost(reason));
                }
            }
            result => return result,
        }
    }
    Err(Failure::Closed)
}

fn config(target: &Target) -> Config {
    let credentials =
        target.login().map(|login| Credentials { user: login.user.clone(), password: login.password.clone() });
    Config {
        url: target.url().to_string(),
        user_agent: USER_AGENT.into(),
        credentials,
        wanted: match target.transport() {
            Transport::Any => Wanted::Any,
            Transport::Tcp => Wanted::Tcp,
            Transport::Udp => Wanted::Udp,
        },
        options: true,
    }
}
