//! Every call of a record of the original's REST, made to this hub: the answers have the same status, headers and fields, but for
//! the differences that one table (`transcript/differences.rs`) lists with their reasons.

#[path = "support/transcript/differences.rs"]
mod differences;
mod support;

use std::collections::BTreeMap;

use differences::{DIFFERENCES, Difference};
use support::ffmpeg::{AAC, Media};
use support::hub::Hub;
use support::json::Json;
use support::process::Process;
use support::rtsp::Rtsp;
use support::viewer::{Viewer, Way};
use support::{SOON, http, wait_for, wait_until};

const RECORD: &str = include_str!("support/transcript/original.txt");

/// As the publishers of the record declare it.
const CONSTANT_RATE: &str = "-c:v libx264 -preset ultrafast -g 25 -pix_fmt yuv420p -x264-params force-cfr=1";

/// One call of the record.
#[derive(Debug, Default)]
struct Call {
    /// Section and title.
    name: &'static str,
    method: &'static str,
    target: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    body: &'static str,
    /// What the original answered: `status`, `body/total`, ...
    facts: Vec<(&'static str, &'static str)>,
}

fn calls() -> Vec<Call> {
    let blocks = RECORD.split("\n\n").skip(1);
    let calls: Vec<_> = blocks.map(|block| parse(block.trim())).collect();
    assert!(calls.len() > 130, "the record has {} calls", calls.len());
    calls
}

fn parse(block: &'static str) -> Call {
    let mut lines = block.lines();
    let name = lines.next().and_then(|line| line.strip_prefix("# ")).expect("a call begins with its name");
    let (method, target) = lines.next().and_then(|line| line.split_once(' ')).expect("a request follows");
    let mut call = Call { name, method, target, ..Call::default() };
    for line in lines {
        if let Some(header) = line.strip_prefix("header ") {
            call.headers.push(header.split_once(": ").expect("a name and a value"));
        } else if let Some(body) = line.strip_prefix("body ") {
            call.body = body;
        } else {
            call.facts.push(line.split_once(" = ").expect("a fact"));
        }
    }
    call
}

/// The hub, and what the record's placeholders stand for in this run.
struct Run {
    hub: Hub,
    values: BTreeMap<&'static str, String>,
    publishers: Vec<Process>,
    viewers: Vec<Viewer>,
    player: Option<Rtsp>,
    /// Its answers, by the call's name.
    answers: BTreeMap<&'static str, Json>,
}

#[test]
fn the_original_s_scripts_get_the_same_answers() {
    let mut run = Run {
        hub: Hub::start(&[], &[]),
        values: BTreeMap::new(),
        publishers: Vec::new(),
        viewers: Vec::new(),
        player: None,
        answers: BTreeMap::new(),
    };
    run.log_in("$admin", None, "admin", "admin");
    let mut wrong = Vec::new();
    let mut used = vec![false; DIFFERENCES.len()];
    for call in calls() {
        run.before(&call);
        let ours = run.make(&call);
        compare(&call, &ours, &mut used, &mut wrong);
    }
    let stale: Vec<_> = DIFFERENCES.iter().zip(used).filter(|(_, used)| !used).map(|(row, _)| row).collect();
    assert!(wrong.is_empty(), "{} differences that the table does not have:\n{}", wrong.len(), wrong.join("\n"));
    assert!(stale.is_empty(), "differences that are none any more: {stale:#?}");
}

impl Run {
    fn log_in(&mut self, access: &'static str, refresh: Option<&'static str>, user: &str, password: &str) {
        let tokens = http::tokens(self.hub.address(), user, password);
        let (access_token, refresh_token) = tokens.unwrap_or_else(|answer| panic!("login as {user}: {answer:?}"));
        self.values.insert(access, access_token);
        if let Some(refresh) = refresh {
            self.values.insert(refresh, refresh_token);
        }
    }

    /// Brings about what the record has happen before a call.
    fn before(&mut self, call: &Call) {
        match call.name {
            "refreshtoken: no token" => self.log_in("$access", Some("$refresh"), "admin", "admin"),
            "users: non-admin: list streams" => self.log_in("$bob", None, "bob", "pw2"),
            name if name.starts_with("streams: list c=0") => {
                for (path, audio) in [("/live/test", None), ("/Live/AV", Some(AAC))] {
                    let media = Media { video: Some(CONSTANT_RATE), audio, ..Media::default() };
                    self.publishers.push(media.push(&self.hub, path));
                    self.hub.wait_live(&path.to_lowercase());
                    let known = || {
                        let stream = self.hub.stream(&path.to_lowercase())?;
                        let rates = if audio.is_some() { "audio/datarate" } else { "video/datarate" };
                        stream.at("video/width").and(stream.at(rates)).map(drop)
                    };
                    wait_for(SOON, "its size and rates", known);
                }
            }
            name if name.starts_with("streams: get live/test c=0") => self.watch(),
            "streams: consumer: stop the http-flv one" => {
                let stream = &self.answers["streams: get live/test c=1"];
                let id = |net: &str| {
                    let of = |c: &&Json| c.text("extra").starts_with(net);
                    stream.list("cs").iter().find(of).map(|c| c.number("id").to_string()).expect("it is listed")
                };
                let (flv, rtsp) = (id("net=http-flv"), id("net=rtsp-tcp"));
                self.values.extend([("$http_flv", flv), ("$rtsp", rtsp)]);
            }
            "streams: get live/test c=1 afterwards" => {
                self.wait("one viewer is left", |run| run.viewers_of_test() == 1.0)
            }
            "streams: list right after DELETE" => {
                self.wait("it has ended", |run| run.hub.stream("/live/test").is_none());
            }
            "streams: list after the other publisher ends" => {
                self.publishers.clear();
                self.wait("it has ended", |run| run.hub.stream("/live/av").is_none());
            }
            _ => {}
        }
    }

    fn watch(&mut self) {
        let (player, _) = Rtsp::play(&self.hub, "/live/test");
        self.player = Some(player);
        self.wait("the first viewer", |run| run.viewers_of_test() == 1.0);
        for (n, way) in [Way::Http, Way::WebSocket].into_iter().enumerate() {
            self.viewers.push(Viewer::watch(&self.hub, way, "/live/test.flv"));
            self.wait("the next viewer", |run| run.viewers_of_test() == 2.0 + n as f64);
        }
    }

    fn viewers_of_test(&self) -> f64 {
        self.hub.stream("/live/test").map_or(0.0, |stream| stream.number("cc"))
    }

    fn wait(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        assert!(wait_until(SOON, || condition(self)), "{what}");
    }

    fn filled(&self, text: &str) -> String {
        self.values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    }

    /// Makes a call and says its facts as the record does.
    fn make(&mut self, call: &Call) -> Vec<(String, String)> {
        let headers: Vec<_> = call.headers.iter().map(|(name, value)| (*name, self.filled(value))).collect();
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let (target, body) = (self.filled(call.target), self.filled(call.body));
        let answer = http::anonymous(self.hub.address(), call.method, &target, &headers, &body);
        let mut facts = vec![("status".to_owned(), answer.status.to_string())];
        for (fact, header) in
            [("type", "Content-Type"), ("origin", "Access-Control-Allow-Origin"), ("location", "Location")]
        {
            if fact != "location" || answer.header(header).is_some() {
                facts.push((fact.to_owned(), quoted(answer.header(header).unwrap_or_default())));
            }
        }
        let json = answer.header("Content-Type").is_some_and(|kind| kind.starts_with("application/json"));
        if json {
            let json = Json::parse(&answer.text());
            flatten("body", &json, &mut facts);
            self.answers.insert(call.name, json);
        } else {
            facts.push(("text".to_owned(), quoted(&answer.text())));
        }
        facts
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\t"))
}

fn flatten(at: &str, json: &Json, facts: &mut Vec<(String, String)>) {
    match json {
        Json::Object(fields) => fields.iter().for_each(|(name, value)| flatten(&format!("{at}/{name}"), value, facts)),
        Json::List(items) if items.is_empty() => facts.push((at.to_owned(), "[]".to_owned())),
        Json::List(items) => {
            items.iter().enumerate().for_each(|(n, value)| flatten(&format!("{at}/{n}"), value, facts));
        }
        Json::Text(text) => facts.push((at.to_owned(), quoted(text))),
        Json::Number(number) => facts.push((at.to_owned(), number.to_string())),
        Json::Bool(bool) => facts.push((at.to_owned(), bool.to_string())),
        other => facts.push((at.to_owned(), format!("{other:?}").to_lowercase())),
    }
}

fn compare(call: &Call, ours: &[(String, String)], used: &mut [bool], wrong: &mut Vec<String>) {
    let find = |fact: &str| ours.iter().find(|(name, _)| name == fact).map(|(_, value)| value.as_str());
    let theirs = |fact: &str| call.facts.iter().find(|(name, _)| *name == fact).map(|(_, value)| *value);
    let mut names: Vec<&str> = call.facts.iter().map(|(name, _)| *name).collect();
    names.extend(ours.iter().map(|(name, _)| name.as_str()).filter(|name| theirs(name).is_none()));
    for fact in names {
        let (theirs, ours) = (theirs(fact), find(fact));
        if same(theirs, ours) {
            continue;
        }
        match DIFFERENCES.iter().position(|row| row.matches(call.name, fact, theirs, ours)) {
            Some(row) => used[row] = true,
            None => wrong.push(format!("{}: {fact} was {theirs:?}, is {ours:?}", call.name)),
        }
    }
    // The order of fields is the original's.
    let order: Vec<_> = ours.iter().map(|(name, _)| name.as_str()).filter(|name| theirs(name).is_some()).collect();
    let original: Vec<_> = call.facts.iter().map(|(name, _)| *name).filter(|name| find(name).is_some()).collect();
    if order != original {
        wrong.push(format!("{}: the order was {original:?}, is {order:?}", call.name));
    }
}

fn same(theirs: Option<&str>, ours: Option<&str>) -> bool {
    let (Some(theirs), Some(ours)) = (theirs, ours) else { return theirs == ours };
    let inner = ours.trim_matches('"');
    match theirs {
        "<number>" => ours.parse::<f64>().is_ok_and(|number| number >= 0.0),
        // RFC 3339, section 5.6.
        "<time>" => inner.len() > 19 && inner.as_bytes()[10] == b'T' && inner[..4].parse::<u32>().is_ok(),
        "<duration>" => inner.ends_with('s') && inner.starts_with(|first: char| first.is_ascii_digit()),
        "<token>" => inner.len() >= 32 && !inner.contains(' '),
        "<address>" => inner.parse::<std::net::SocketAddr>().is_ok(),
        _ => theirs == ours,
    }
}

impl Difference {
    fn matches(&self, call: &str, fact: &str, theirs: Option<&str>, ours: Option<&str>) -> bool {
        let fits = |pattern: &str, value: Option<&str>| match pattern {
            "*" => value.is_some(),
            "-" => value.is_none(),
            _ => value == Some(pattern),
        };
        glob(self.call, call) && glob(self.fact, fact) && fits(self.original, theirs) && fits(self.ours, ours)
    }
}

/// `*` stands for anything.
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => text
            .strip_prefix(before)
            .is_some_and(|rest| (0..=rest.len()).any(|n| rest.get(n..).is_some_and(|rest| glob(after, rest)))),
    }
}
