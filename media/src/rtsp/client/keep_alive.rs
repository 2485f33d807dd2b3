//! What keeps a session alive, and when.
//!
//! GET_PARAMETER, unless the server does not know it: OPTIONS does not count as a sign of life with some cameras
//! (go2rtc#2409). An answer is not needed: some cameras never give one, and media says more.

use std::time::Duration;

use crate::rtsp::message::{Headers, Method};

/// What a session has whose server names no other timeout (RFC 2326, section 12.37).
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest pause: routers forget a silent UDP or TCP flow after a minute or more.
const LONGEST: Duration = Duration::from_secs(30);
/// The shortest: no camera needs more, whatever it says.
const SHORTEST: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct KeepAlive {
    pause: Duration,
    last: Option<Duration>,
    /// `Public` of the server, if it named GET_PARAMETER, or anything.
    public: Option<bool>,
    refused: bool,
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self { pause: pause(DEFAULT_TIMEOUT), last: None, public: None, refused: false }
    }
}

/// Half of the timeout.
fn pause(timeout: Duration) -> Duration {
    (timeout / 2).clamp(SHORTEST, LONGEST)
}

impl KeepAlive {
    /// Some cameras say 0 and mean nothing by it.
    pub(super) fn set_timeout(&mut self, timeout: Option<Duration>) {
        if let Some(timeout) = timeout.filter(|timeout| !timeout.is_zero()) {
            self.pause = pause(timeout);
        }
    }

    /// What the server can do.
    pub(super) fn learn(&mut self, headers: &Headers) {
        let Some(public) = headers.get("Public") else { return };
        let mut methods = public.split([',', ' ']).map(str::trim);
        self.public = Some(methods.any(|method| method.eq_ignore_ascii_case("GET_PARAMETER")));
    }

    pub(super) fn method(&self) -> Method {
        match self.public {
            _ if self.refused => Method::Options,
            Some(false) => Method::Options,
            Some(true) | None => Method::GetParameter,
        }
    }

    pub(super) fn sent(&mut self, now: Duration) {
        self.last = Some(now);
    }

    /// One that does not know the method may know the other; any other refusal means nothing.
    pub(super) fn answered(&mut self, method: Option<Method>, status: u16) {
        if method == Some(Method::GetParameter) && matches!(status, 400 | 405 | 451 | 455 | 500 | 501 | 551) {
            self.refused = true;
        }
    }

    pub(super) fn due(&self) -> Option<Duration> {
        self.last.map(|last| last + self.pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses() {
        for (timeout, pause) in [(None, 30), (Some(0), 30), (Some(1), 1), (Some(5), 2), (Some(20), 10), (Some(999), 30)]
        {
            let mut keep_alive = KeepAlive::default();
            keep_alive.set_timeout(timeout.map(Duration::from_secs));
            assert_eq!((keep_alive.pause.as_secs(), keep_alive.due()), (pause, None), "{timeout:?}");
        }
    }

    #[test]
    fn methods() {
        for (public, status, method) in [
            (None, 200, Method::GetParameter),
            (None, 501, Method::Options),
            (Some("OPTIONS, DESCRIBE,PLAY"), 200, Method::Options),
            (Some("OPTIONS,GET_PARAMETER"), 454, Method::GetParameter),
            (Some("OPTIONS get_parameter"), 405, Method::Options),
        ] {
            let mut keep_alive = KeepAlive::default();
            let mut headers = Headers::new();
            public.into_iter().for_each(|public| headers.push("Public", public));
            keep_alive.learn(&headers);
            keep_alive.answered(Some(keep_alive.method()), status);
            assert_eq!(keep_alive.method(), method, "{public:?} {status}");
        }
    }
}
