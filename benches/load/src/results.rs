//! The table of the standard set: each figure with its target, the median of the rounds and their spread, then every run.

use std::fmt::Write as _;
use std::process::Command;

use crate::outcome::{Outcome, Server, shown};
use crate::procfs::machine;
use crate::standard::Outcomes;
use crate::stats::median;

type Value = fn(&Outcome) -> Option<f64>;

/// How a figure is made of one round's runs.
#[derive(Debug, Clone, Copy)]
enum Figure {
    /// The first run's value by the second's.
    Ratio(&'static str, &'static str, Value),
    /// The first run's value less the second's.
    Difference(&'static str, &'static str, Value),
    Of(&'static str, Value),
}

struct Row {
    title: &'static str,
    at_most: f64,
    unit: &'static str,
    figure: Figure,
}

fn net(outcome: &Outcome) -> Option<f64> {
    outcome.server.as_ref().map(|server| server.net_ms_per_gb)
}

fn p99(outcome: &Outcome) -> Option<f64> {
    outcome.latency_ms.p99
}

fn memory(outcome: &Outcome) -> Option<f64> {
    outcome.server.as_ref().map(|server| server.pss_kib_per_viewer)
}

const fn row(title: &'static str, at_most: f64, unit: &'static str, figure: Figure) -> Row {
    Row { title, at_most, unit, figure }
}

const ROWS: [Row; 15] = [
    row("CPU a GB, ws-flv, by the limit's", 1.25, "", Figure::Ratio("ws-flv 200", "limit flv 200", net)),
    row("CPU a GB, http-flv, by the limit's", 1.25, "", Figure::Ratio("http-flv 200", "limit flv 200", net)),
    row("CPU a GB, RTSP-TCP, by the limit's", 1.25, "", Figure::Ratio("rtsp-tcp 200", "limit rtsp-tcp 200", net)),
    row("CPU a GB, RTSP-UDP, by the limit's", 1.3, "", Figure::Ratio("rtsp-udp 200", "limit rtsp-udp 200", net)),
    row(
        "p99 latency above the limit's, 200 viewers",
        1.0,
        " ms",
        Figure::Difference("ws-flv 200", "limit flv 200", p99),
    ),
    row(
        "p99 latency above the limit's, 2000 viewers",
        5.0,
        " ms",
        Figure::Difference("ws-flv 2000", "limit flv 2000", p99),
    ),
    row("memory of a ws-flv viewer, 200 viewers", 8.0, " KiB", Figure::Of("ws-flv 200", memory)),
    row("memory of a ws-flv viewer, 1000 viewers", 8.0, " KiB", Figure::Of("ws-flv 1x1000", memory)),
    row(
        "time to the first key frame, p99, 200 joins/s",
        30.0,
        " ms",
        Figure::Of("ws-flv joins", |outcome| outcome.first_key_ms.p99),
    ),
    row(
        "CPU a GB received, 200 streams, by the limit's",
        2.0,
        "",
        Figure::Ratio("ingest 200", "limit ingest 200", net),
    ),
    row("CPU a GB, 4000 viewers by 100", 1.1, "", Figure::Ratio("ws-flv 4000 at 5 fps", "ws-flv 100 at 5 fps", net)),
    row(
        "CPU a GB, 20 sources of 50 viewers by 1 of 1000",
        1.15,
        "",
        Figure::Ratio("ws-flv 20x50", "ws-flv 1x1000", net),
    ),
    row(
        "p99 latency beside GET /runtime, above that without",
        1.0,
        " ms",
        Figure::Difference("1000 sources, GET /runtime", "1000 sources", p99),
    ),
    row(
        "p99 latency beside GET /streams, above that without",
        1.0,
        " ms",
        Figure::Difference("1000 sources, GET /streams", "1000 sources", p99),
    ),
    row(
        "p99 latency beside GET /streams of all in a page, above that without",
        1.0,
        " ms",
        Figure::Difference("1000 sources, GET /streams, all", "1000 sources", p99),
    ),
];

/// The runs that the rows are made of.
#[cfg(test)]
pub(crate) fn names() -> Vec<&'static str> {
    ROWS.iter()
        .flat_map(|row| match row.figure {
            Figure::Ratio(one, other, _) | Figure::Difference(one, other, _) => vec![one, other],
            Figure::Of(one, _) => vec![one],
        })
        .collect()
}

/// One value a round, of rounds in which all that is needed was measured.
fn values(figure: Figure, outcomes: &Outcomes) -> Vec<f64> {
    let of = |name: &str, value: Value| -> Vec<Option<f64>> {
        outcomes.get(name).map(|rounds| rounds.iter().map(value).collect()).unwrap_or_default()
    };
    let both = |one, other, value, with: fn(f64, f64) -> f64| {
        let pairs = of(one, value).into_iter().zip(of(other, value));
        pairs.filter_map(|(one, other)| Some(with(one?, other?))).collect()
    };
    match figure {
        Figure::Ratio(one, other, value) => both(one, other, value, |one, other| one / other),
        Figure::Difference(one, other, value) => both(one, other, value, |one, other| one - other),
        Figure::Of(one, value) => of(one, value).into_iter().flatten().collect(),
    }
}

/// Everything, as Markdown. `names`: the runs in their order.
pub(crate) fn markdown(names: &[&str], outcomes: &Outcomes, rounds: usize) -> String {
    let mut text = format!(
        "# What the hub costs\n\nWritten by `make bench` (`benches/load/README.md` says what each figure means): medians of \
         {rounds} rounds, in brackets the least and the most. The limit is a bare loop that writes the same bytes to the \
         same viewers, measured in the same round.\n\n{}. {}.\n\n",
        machine(),
        commit()
    );
    text += "| figure | at most | measured | |\n|---|---|---|---|\n";
    for row in ROWS {
        let values = values(row.figure, outcomes);
        let Some(middle) = median(&values) else { continue };
        let (least, most) = values.iter().fold((f64::MAX, f64::MIN), |(l, m), v| (l.min(*v), m.max(*v)));
        let verdict = if middle <= row.at_most { "reached" } else { "not reached" };
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "| {} | {}{unit} | {middle:.2}{unit} ({least:.2} to {most:.2}) | {verdict} |",
            row.title,
            row.at_most,
            unit = row.unit,
        );
    }
    text += "\n| run | CPU ms/GB | net | user / system ms | switches/s | latency p50 / p99 / max ms | first key p99 ms \
             | KiB a viewer | frames lost | cores used by others |\n|---|---|---|---|---|---|---|---|---|---|\n";
    for name in names {
        if let Some(rounds) = outcomes.get(name) {
            line(&mut text, name, rounds);
        }
    }
    let faults: Vec<_> = outcomes.iter().flat_map(|(name, rounds)| rounds.iter().map(move |one| (name, one))).collect();
    for (name, fault) in faults.iter().flat_map(|(name, one)| one.faults().into_iter().map(move |fault| (name, fault)))
    {
        let _ = writeln!(text, "\nFault in a round of {name}: {fault}.");
    }
    text
}

fn line(text: &mut String, name: &str, rounds: &[Outcome]) {
    let middle = |value: &dyn Fn(&Outcome) -> Option<f64>| median(&rounds.iter().filter_map(value).collect::<Vec<_>>());
    let server = |value: fn(&Server) -> f64| middle(&|one| one.server.as_ref().map(value));
    let whole = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.0}"));
    let lost: u64 = rounds.iter().map(|one| one.frames.lost).sum();
    let _ = writeln!(
        text,
        "| {name} | {} | {} | {} / {} | {} | {} / {} / {} | {} | {} | {lost} | {} |",
        whole(server(|server| server.cpu_ms_per_gb)),
        whole(server(|server| server.net_ms_per_gb)),
        whole(server(|server| server.user_ms)),
        whole(server(|server| server.system_ms)),
        whole(server(|server| server.switches_per_s)),
        shown(middle(&|one| one.latency_ms.p50)),
        shown(middle(&|one| one.latency_ms.p99)),
        shown(middle(&|one| one.latency_ms.max)),
        shown(middle(&|one| one.first_key_ms.p99)),
        shown(server(|server| server.pss_kib_per_viewer)),
        middle(&|one| Some(one.machine.other_cores)).map_or_else(|| "-".to_owned(), |cores| format!("{cores:.2}")),
    );
}

/// What is checked out, in words.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    match (git(&["rev-parse", "--short", "HEAD"]), git(&["status", "--porcelain", "--untracked-files=no"])) {
        (Some(commit), Some(changes)) if changes.is_empty() => format!("Commit {commit}"),
        (Some(commit), _) => format!("Commit {commit} with changes that are not committed"),
        _ => "No commit".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(net_ms_per_gb: f64) -> Outcome {
        Outcome { server: Some(Server { net_ms_per_gb, ..Server::default() }), ..Outcome::default() }
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        let outcomes = Outcomes::from([
            ("ws-flv 200", vec![outcome(1000.0), outcome(3000.0), outcome(1200.0)]),
            ("limit flv 200", vec![outcome(1000.0), outcome(2000.0), outcome(1000.0)]),
        ]);
        let text = markdown(&["limit flv 200", "ws-flv 200"], &outcomes, 3);
        let row = "| CPU a GB, ws-flv, by the limit's | 1.25 | 1.20 (1.00 to 1.50) | reached |";
        assert!(text.contains(row), "{text}");
        // What was not measured has no row.
        assert!(!text.contains("RTSP-UDP"), "{text}");
        assert!(text.contains("\n| ws-flv 200 | 0 | 1200 |"), "{text}");
    }
}
