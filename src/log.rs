//! Log lines: UTC time, level, message. To standard error, so that standard output stays free.

use anyhow::{Context, Result};
use env_logger::{Builder, TimestampPrecision};

/// Starts logging with a level such as `info` or a filter such as `warn,ipchub=info,ipchub_actors=debug`.
pub fn init(filter: &str) -> Result<()> {
    // A plain level is about the hub; the libraries below it tell only what is wrong. The RTSP client warns of every packet
    // that it dislikes, in several lines; the hub counts those itself.
    let filter =
        if filter.contains(['=', ',']) { filter.to_owned() } else { format!("warn,retina=error,ipchub={filter}") };
    Builder::new()
        .parse_filters(&filter)
        .format_timestamp(Some(TimestampPrecision::Millis))
        .format_target(false)
        .try_init()
        .context("logging was started before")
}

/// Whether that is a filter.
pub(crate) fn is_filter(filter: &str) -> bool {
    filter.split(',').all(|part| {
        let level = part.rsplit('=').next().unwrap_or_default().trim();
        level.parse::<log::LevelFilter>().is_ok()
    })
}
