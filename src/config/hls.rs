//! `[hls]`

use std::time::Duration;

use ipchub_actors::hls::Settings;
use serde::{Deserialize, Serialize};

use super::{Wrong, wrong};

/// HLS.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // see config.toml
pub struct Hls {
    pub part: f64,
    pub fragment: f64,
    pub window: usize,
    pub idle: f64,
    pub bytes: usize,
    pub path: String,
    pub path_bytes: u64,
}

impl Default for Hls {
    fn default() -> Self {
        let settings = Settings::default();
        Self {
            part: settings.part.as_secs_f64(),
            fragment: settings.fragment.as_secs_f64(),
            window: settings.window,
            idle: settings.idle.as_secs_f64(),
            bytes: settings.bytes,
            path: String::new(),
            path_bytes: settings.path_bytes,
        }
    }
}

impl Hls {
    pub(super) fn settings(&self) -> Result<Settings, Wrong> {
        let seconds = |key: &str, value: f64, (least, most): (f64, f64)| {
            let good = (least..=most).contains(&value);
            let problem = || format!("it must be {least} to {most} s");
            if good { Ok(Duration::from_secs_f64(value)) } else { Err(wrong(key, value, problem())) }
        };
        if !(3..=1000).contains(&self.window) {
            return Err(wrong(
                "hls.window",
                self.window,
                "it must be 3 to 1000: players begin three segments before the end",
            ));
        }
        if self.bytes < 1 << 20 {
            return Err(wrong(
                "hls.bytes",
                self.bytes,
                "it must be 1048576 or more: a key frame alone may have as many",
            ));
        }
        Ok(Settings {
            part: seconds("hls.part", self.part, (0.1, 1.0))?,
            // From 1 s on: the numbers of segments are taken from the seconds of the clock.
            fragment: seconds("hls.fragment", self.fragment, (1.0, 60.0))?,
            window: self.window,
            idle: seconds("hls.idle", self.idle, (1.0, 86_400.0))?,
            bytes: self.bytes,
            path: Some(self.path.trim()).filter(|path| !path.is_empty()).map(Into::into),
            path_bytes: self.path_bytes,
        })
    }
}
