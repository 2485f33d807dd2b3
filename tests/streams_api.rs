//! REST of streams and the figures of the hub: fields and their order as in the original, paging, errors, ending streams and
//! consumers, CORS, and counters that are exact under churn.
//!
//! Where this hub's answers differ from the original's on purpose:
//!
//! | what | original | here |
//! |---|---|---|
//! | content type of JSON | `text/plain` | `application/json` |
//! | a list without entries | left out | `[]` |
//! | `cs` with `c=1` and no consumer | left out | `[]` |
//! | `next_page_token` on the last page | its last path | `""` |
//! | `page_size` that is no number from 1 to 1000 | passed over | 400 |
//! | `cid` that is no number | 500 | 400 |
//! | an unknown method of a known path | 404 | 405 |
//! | errors | text | `{"error": "..."}` |
//! | preflight | 404 | 204 |
//! | `extra=1` | figures of Go's runtime | figures of this hub |

mod support;

use std::time::{Duration, Instant};

use support::camera::Camera;
use support::ffmpeg::Media;
use support::http;
use support::hub::Hub;
use support::json::Json;
use support::viewer::{End, Viewer, Way};
use support::{SOON, wait_for, wait_until};

const CLOCK: &str = "/demo/clock";
const CAM: &str = "/live/cam";
const SERVER: &str = "{vendor,name,version,os,arch,start_on,duration}";
const RUNTIME: &str = "on,proc{cpu,priv,virt,uptime},streams{sources,consumers},\
                       rtsp{total,active},flv{total,active},wsp{total,active},\
                       ts{total,active},hls{total,active},\
                       fmp4{total,active}";
const VIDEO: &str = "video{codec,width,height,fixedframerate,framerate,datarate,clockrate}";
const AUDIO: &str = "audio{codec,samplerate,samplesize,channels,datarate}";
/// Both carry all.
const OUTPUTS: &str = "outputs{flv{carries[],leaves_out[]},hls{carries[],leaves_out[]},ts{carries[],leaves_out[]},\
                       fmp4{carries[],leaves_out[]}}";
const RECEPTION: &str = "reception{received,lost,ignored,jitter_ms}";
const CONSUMER: &str = "{id,start_on,packet_type,extra,flow{inbytes,outbytes}}";

fn demo() -> Hub {
    let hub = Hub::start(&[], &["--demo"]);
    hub.wait_live(CLOCK);
    hub
}

/// RFC 3339 with nanoseconds: `2026-11-23T17:12:12.210722898Z`.
fn check_time(text: &str) {
    let (date, time) = text.split_once('T').unwrap_or_else(|| panic!("{text} is no RFC 3339 time"));
    assert!(date.len() == 10 && date.split('-').count() == 3 && time.split(':').count() >= 3, "{text}");
    assert!(time.ends_with('Z') || time.contains(['+', '-']), "{text} has no offset");
}

#[test]
fn server_and_runtime() {
    let hub = Hub::start(&[], &[]);
    let server = hub.json("/api/v1/server");
    assert_eq!(server.shape(), SERVER);
    assert_eq!((server.text("vendor"), server.text("name")), ("CAOHONGJU", "ipchub"));
    assert_eq!((server.text("version"), server.text("os")), (env!("CARGO_PKG_VERSION"), "Linux"));
    check_time(server.text("start_on"));
    assert!(server.text("duration").ends_with('s'));

    let runtime = hub.json("/api/v1/runtime");
    assert_eq!(runtime.shape(), format!("{{{RUNTIME}}}"));
    check_time(runtime.text("on"));
    assert!(runtime.number("proc/priv") > 1000.0 && runtime.number("proc/virt") > runtime.number("proc/priv"));
    let extra = hub.json("/api/v1/runtime?extra=1");
    assert!(extra.shape().starts_with(&format!("{{{RUNTIME},extra{{")), "{}", extra.shape());
    assert!(extra.number("extra/threads") >= 1.0 && extra.number("extra/open_files") >= 3.0);
    assert_eq!(hub.json("/api/v1/runtime?extra=0").shape(), format!("{{{RUNTIME}}}"));

    for path in ["/api/v1/server", "/api/v1/runtime", "/api/v1/streams"] {
        let response = http::get(hub.address(), path);
        assert_eq!(response.header("content-type"), Some("application/json"), "{path}");
    }
}

#[test]
fn a_stream_and_its_consumers() {
    let hub = Hub::start(&[], &[]);
    // A camera that declares a fixed frame rate; "fixedframerate": false is left out, as in the original.
    let video = "-c:v libx264 -preset ultrafast -x264-params force-cfr=1 -g 25 -pix_fmt yuv420p";
    let push = Media { video: Some(video), ..Media::default() }.push(&hub, CAM);
    hub.wait_live(CAM);
    let measured = |stream: &Json| {
        let rates = ["video/datarate", "audio/datarate"].iter().all(|rate| stream.at(rate).is_some());
        rates && stream.number("video/framerate") == 25.0
    };
    let stream = wait_for(SOON, "measured rates", || hub.stream(CAM).filter(measured));
    assert_eq!(stream.shape(), format!("{{start_on,path,addr,size,{VIDEO},{AUDIO},cc,cs[],{OUTPUTS},{RECEPTION}}}"));
    check_time(stream.text("start_on"));
    assert!(stream.text("addr").starts_with("127.0.0.1:"));
    assert_eq!((stream.text("path"), stream.text("video/codec"), stream.text("audio/codec")), (CAM, "H264", "AAC"));
    assert_eq!((stream.number("video/width"), stream.number("video/height")), (640.0, 360.0));
    assert_eq!((stream.number("video/framerate"), stream.number("video/clockrate")), (25.0, 90_000.0));
    assert_eq!((stream.number("cc"), stream.list("cs").len()), (0.0, 0));
    let without = hub.json("/api/v1/streams/live/cam");
    assert_eq!(without.shape(), format!("{{start_on,path,addr,size,{VIDEO},{AUDIO},cc,{OUTPUTS},{RECEPTION}}}"));

    let viewers =
        [Viewer::watch(&hub, Way::Http, "/live/cam.flv"), Viewer::watch(&hub, Way::WebSocket, "/Live/CAM.flv")];
    viewers.iter().for_each(|viewer| viewer.wait_pictures(SOON, 30));
    let stream = hub.stream(CAM).expect("it is live");
    assert_eq!(
        stream.shape(),
        format!("{{start_on,path,addr,size,{VIDEO},{AUDIO},cc,cs[{CONSUMER}],{OUTPUTS},{RECEPTION}}}")
    );
    assert_eq!(stream.number("cc"), 2.0);
    for (n, (viewer, net)) in viewers.iter().zip(["http-flv", "websocket-flv"]).enumerate() {
        let extra = format!("net={net},{}", viewer.local_address());
        let consumers = stream.list("cs");
        let consumer = consumers.iter().find(|consumer| consumer.text("extra") == extra);
        let consumer = consumer.unwrap_or_else(|| panic!("{extra} is not in {consumers:?}"));
        assert_eq!(consumer.text("packet_type"), "FLV");
        assert_eq!(consumer.number("id"), f64::from(1_u32 << 30 | (n as u32 + 1)), "the kind and a number from 1");
        check_time(consumer.text("start_on"));
        let (offered, taken) = (consumer.number("flow/inbytes"), consumer.number("flow/outbytes"));
        assert!(offered > 10.0 && (offered - taken).abs() < 100.0, "offered {offered} KiB, took {taken} KiB");
    }
    let list = hub.json("/api/v1/streams?c=1");
    assert_eq!(list.list("streams/0/cs").len(), 2);
    let runtime = hub.json("/api/v1/runtime");
    assert_eq!((runtime.number("streams/sources"), runtime.number("streams/consumers")), (1.0, 2.0));
    assert_eq!((runtime.number("flv/total"), runtime.number("flv/active")), (2.0, 2.0));
    drop(push);
}

#[test]
fn paths_are_cleaned_and_decoded() {
    let hub = demo();
    let _camera = Camera::publish(&hub, "/Caf%C3%A9/Door 1", 100);
    hub.wait_live("/caf%C3%A9/door%201");
    for path in ["/demo/clock", "/DEMO/Clock", "/demo/%63lock", "//demo/./x/../clock", "/demo/clock/"] {
        assert_eq!(hub.stream(path).map(|stream| stream.text("path").to_owned()).as_deref(), Some(CLOCK), "{path}");
    }
    let stream = hub.stream("/CAF%C3%A9/door%201").expect("it is live");
    assert_eq!(stream.text("path"), "/café/door 1");
    let viewer = Viewer::watch(&hub, Way::WebSocket, "/caf%c3%a9/DOOR%201.flv");
    viewer.wait_pictures(SOON, 5);
}

#[test]
fn pages() {
    let hub = Hub::start(&[], &[]);
    let empty = http::get(hub.address(), "/api/v1/streams");
    assert_eq!(empty.text(), r#"{"total":0,"next_page_token":"","streams":[]}"#);
    let cameras: Vec<_> = ["/p/c", "/p/a", "/p/b"].map(|path| Camera::publish(&hub, path, 100)).into();
    for path in ["/p/a", "/p/b", "/p/c"] {
        hub.wait_live(path);
    }
    for (query, token, paths) in [
        ("", "", &["/p/a", "/p/b", "/p/c"][..]),
        ("?page_size=3", "", &["/p/a", "/p/b", "/p/c"]),
        ("?page_size=1000", "", &["/p/a", "/p/b", "/p/c"]),
        ("?page_size=2", "/p/b", &["/p/a", "/p/b"]),
        ("?page_size=2&page_token=/p/b", "", &["/p/c"]),
        ("?page_size=1&page_token=%2Fp%2Fa", "/p/b", &["/p/b"]),
        ("?page_token=/zzz", "", &[]),
    ] {
        let page = hub.json(&format!("/api/v1/streams{query}"));
        assert_eq!(page.shape().split('[').next(), Some("{total,next_page_token,streams"), "{query}");
        assert_eq!((page.number("total"), page.text("next_page_token")), (3.0, token), "{query}");
        let listed: Vec<_> = page.list("streams").iter().map(|stream| stream.text("path")).collect();
        assert_eq!(listed, paths, "{query}");
        assert!(page.list("streams").iter().all(|stream| stream.at("cs").is_none()), "{query}");
    }
    drop(cameras);
}

#[test]
fn errors_say_what_is_wrong() {
    let hub = demo();
    for (method, path, status, words) in [
        ("GET", "/api/v1/streams?page_size=0", 400, "page_size"),
        ("GET", "/api/v1/streams?page_size=1001", 400, "page_size"),
        ("GET", "/api/v1/streams?page_size=-1", 400, "page_size"),
        ("GET", "/api/v1/streams?page_size=ten", 400, "page_size"),
        ("GET", "/api/v1/streams?page_size=", 400, "page_size"),
        ("GET", "/api/v1/streams/live/none", 404, "/live/none is not live"),
        ("DELETE", "/api/v1/streams/demo/clock:consumer", 400, "cid"),
        ("DELETE", "/api/v1/streams/demo/clock:consumer?cid=abc", 400, "cid"),
        ("DELETE", "/api/v1/streams/demo/clock:consumer?cid=99999999999", 400, "cid"),
        ("POST", "/api/v1/streams", 405, "POST"),
        ("POST", "/api/v1/server", 405, "POST"),
        ("DELETE", "/api/v1/runtime", 405, "DELETE"),
        ("PUT", "/api/v1/streams/demo/clock", 405, "PUT"),
        ("GET", "/api/v1/SERVER", 404, "/api/v1/SERVER"),
        ("GET", "/api/v2/server", 404, "/api/v2/server"),
        ("GET", "/nothing/here", 404, "/nothing/here"),
        ("GET", "/streams/live/none.flv", 404, "/live/none is not live"),
        ("GET", "/streams/demo/clock", 404, "/streams/demo/clock"),
        ("GET", "/streams/demo/clock.mp3", 404, "clock.mp3"),
        ("GET", "/streams/demo/clock.flv?hevc=new", 400, "hevc"),
        ("GET", "/streams/demo/clock.flv?audio=some", 400, "audio"),
    ] {
        let response = http::request(hub.address(), method, path, &[]);
        assert_eq!(response.status, status, "{method} {path}: {}", response.text());
        assert_eq!(response.header("content-type"), Some("application/json"), "{method} {path}");
        assert_eq!(response.header("access-control-allow-origin"), Some("*"), "{method} {path}");
        let body = Json::parse(&response.text());
        assert_eq!(body.shape(), "{error}", "{method} {path}");
        assert!(body.text("error").contains(words), "{method} {path}: {body:?} does not say {words:?}");
    }
    let upgrade = Viewer::open(&hub, Way::WebSocket, "/live/none.flv", false).map(|_| ());
    assert_eq!(upgrade.map_err(|error| error.to_string()), Err("status 404".into()), "before the upgrade");
}

#[test]
fn any_origin_may_ask() {
    let hub = demo();
    let origin = ("Origin", "http://page.example");
    for path in ["/api/v1/server", "/api/v1/streams", "/streams/demo/crossdomain.xml", "/api/crossdomain.xml", "/"] {
        let response = http::request(hub.address(), "GET", path, &[origin]);
        assert_eq!((response.status, response.header("access-control-allow-origin")), (200, Some("*")), "{path}");
    }
    for path in ["/api/v1/streams/demo/clock", "/streams/demo/clock.flv", "/streams/none.flv"] {
        let preflight =
            [origin, ("Access-Control-Request-Method", "DELETE"), ("Access-Control-Request-Headers", "range")];
        let response = http::request(hub.address(), "OPTIONS", path, &preflight);
        assert!(matches!(response.status, 200 | 204), "{path}: {}", response.status);
        assert_eq!(response.header("access-control-allow-origin"), Some("*"), "{path}");
        assert!(response.header("access-control-allow-methods").is_some_and(|methods| methods.contains("DELETE")));
        assert!(response.header("access-control-allow-headers").is_some_and(|headers| headers.contains("range")));
    }
    let policy = http::get(hub.address(), "/streams/demo/crossdomain.xml");
    assert_eq!(policy.header("content-type"), Some("application/xml"));
    assert!(policy.text().contains("<allow-access-from domain=\"*\" />"), "{}", policy.text());
    let answer = http::request(hub.address(), "HEAD", "/streams/demo/clock.flv", &[origin]);
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, Some("*")));
}

#[test]
fn delete_ends_a_stream_with_everyone() {
    let hub = Hub::start(&[], &[]);
    let mut push = Media::default().push(&hub, "/live/cam");
    hub.wait_live("/live/cam");
    let ws = Viewer::watch(&hub, Way::WebSocket, "/live/cam.flv");
    let http = Viewer::watch(&hub, Way::Http, "/live/cam.flv");
    ws.wait_pictures(SOON, 5);
    http.wait_pictures(SOON, 5);
    assert_eq!(http::delete(hub.address(), "/api/v1/streams/live/none").status, 200);
    let response = http::delete(hub.address(), "/api/v1/streams/Live/Cam");
    assert_eq!((response.status, response.text().as_str()), (200, ""));
    assert_eq!(http.wait_end(SOON), End::Complete);
    match ws.wait_end(SOON) {
        End::Close { code: 1000, reason } => assert!(reason.contains("administrator"), "{reason}"),
        other => panic!("{other:?}"),
    }
    push.wait(SOON);
    assert!(wait_until(SOON, || hub.stream("/live/cam").is_none()));
    assert_eq!(http::delete(hub.address(), "/api/v1/streams/live/cam").status, 200, "gone already");
}

#[test]
fn a_kick_ends_one_consumer() {
    let hub = demo();
    for way in [Way::Http, Way::WebSocket] {
        let stays = Viewer::watch(&hub, way, "/demo/clock.flv");
        let kicked = Viewer::watch(&hub, way, "/demo/clock.flv");
        kicked.wait_pictures(SOON, 5);
        let stream = hub.stream(CLOCK).expect("it is live");
        let address = kicked.local_address();
        let consumer = stream.list("cs").iter().find(|consumer| consumer.text("extra").ends_with(&address));
        let id = consumer.expect("it is listed").number("id");
        let unknown = http::delete(hub.address(), "/api/v1/streams/demo/clock:consumer?cid=7");
        assert_eq!(unknown.status, 200, "as the original: what is not there is gone already");
        let since = Instant::now();
        let response = http::delete(hub.address(), &format!("/api/v1/streams/DEMO/clock:consumer?cid={id}"));
        assert_eq!(response.status, 200);
        let end = kicked.wait_end(SOON);
        assert!(since.elapsed() < Duration::from_secs(1), "it took {:?}", since.elapsed());
        match (way, end) {
            (Way::Http, End::Complete) => {}
            (Way::WebSocket, End::Close { reason, .. }) => assert!(reason.contains("administrator"), "{reason}"),
            (_, other) => panic!("{way:?}: {other:?}"),
        }
        let count = stays.count();
        stays.wait(SOON, "more for the other", |seen| seen.tags.len() > count + 10);
    }
}

/// Two hundred viewers that come and go in parallel leave no trace but in the total.
#[test]
fn counters_are_exact_under_churn() {
    const ROUNDS: usize = 10;
    const AT_ONCE: usize = 20;
    let hub = demo();
    for round in 0..ROUNDS {
        std::thread::scope(|scope| {
            for n in 0..AT_ONCE {
                let hub = &hub;
                scope.spawn(move || {
                    let way = if n % 2 == 0 { Way::Http } else { Way::WebSocket };
                    let viewer = Viewer::watch(hub, way, "/demo/clock.flv");
                    // Some leave at once, some with pictures on their way.
                    viewer.wait(SOON, "tags", |seen| seen.tags.len() > (n + round) % 4);
                });
            }
        });
    }
    let gone = wait_until(SOON, || hub.runtime().number("flv/active") == 0.0);
    let runtime = hub.runtime();
    assert!(gone, "{runtime:?}");
    assert_eq!(runtime.number("flv/total"), (ROUNDS * AT_ONCE) as f64);
    assert_eq!(runtime.number("streams/consumers"), 0.0);
    assert_eq!(hub.stream(CLOCK).map(|stream| stream.number("cc")), Some(0.0));
    assert_eq!(runtime.number("extra/connections/active"), 1.0, "the one that asks");
    assert_eq!((runtime.number("rtsp/total"), runtime.number("wsp/total")), (0.0, 0.0));
}
