use ipchub_media::path::with_case;

use super::*;

fn routes(text: &str) -> Result<Routes, String> {
    Routes::parse(text)
}

fn find<'a>(table: &'a Routes, asked: &str) -> Option<Match<'a>> {
    table.find(&canonical(asked), &with_case(asked))
}

fn one(pattern: &str, url: &str) -> Routes {
    routes(&serde_json::json!([{ "pattern": pattern, "url": url }]).to_string()).expect("valid")
}

#[test]
fn the_longest_match_wins() {
    let table = routes(
        "[\
         {\"pattern\":\"/\",\"url\":\"rtsp://all/\"},\
         {\"pattern\":\"/HR/\",\"url\":\"rtsp://hr/base\"},\
         {\"pattern\":\"/hr/door/\",\"url\":\"rtsp://door/base/?x=1\"},\
         {\"pattern\":\"/hr/Door/Front\",\"url\":\"rtsp://front/Exact\",\"keepalive\":true,\"note\":[1]}]",
    )
    .expect("valid");
    for (path, pattern, url) in [
        ("/hr/door/front", "/hr/door/front", "rtsp://front/Exact"),
        ("/HR/DOOR/FRONT", "/hr/door/front", "rtsp://front/Exact"),
        ("/hr/door/Front2", "/hr/door/", "rtsp://door/base/Front2?x=1"),
        ("/hr/door/A/b", "/hr/door/", "rtsp://door/base/A/b?x=1"),
        ("/hr/Door", "/hr/", "rtsp://hr/base/Door"),
        ("/HR//x/../Ch01", "/hr/", "rtsp://hr/base/Ch01"),
        ("/hr", "/", "rtsp://all/hr"),
        ("/Cam%201/%3F%23", "/", "rtsp://all/Cam%201/%3F%23"),
        ("/100%25", "/", "rtsp://all/100%25"),
        ("/a;b=c&d", "/", "rtsp://all/a;b=c&d"),
    ] {
        let found = find(&table, path).unwrap_or_else(|| panic!("{path}: no match"));
        assert_eq!((found.route.pattern.as_str(), found.target.url().as_str()), (pattern, url), "{path}");
    }
    for path in ["/", "/hr/", "/hr/door/front/", ""] {
        assert!(find(&table, path).is_none(), "{path}");
    }
    let exact = table.route("/hr/door/front").expect("there");
    assert!(exact.keepalive);
    assert_eq!(exact.other.get("note"), Some(&serde_json::json!([1])), "unknown fields are kept");
    assert!(!table.route("/hr/").expect("there").keepalive, "omitted when false");
    assert!(table.route("/hr").is_none(), "a trailing slash matters");
    let patterns: Vec<_> = table.after("/hr/").map(|route| route.pattern.as_str()).collect();
    assert_eq!(patterns, ["/hr/door/", "/hr/door/front"]);
}

#[test]
fn without_a_catch_all_there_may_be_no_match() {
    let table = one("/a/", "rtsp://h/x");
    assert!(find(&table, "/b").is_none() && find(&table, "/a").is_none() && find(&table, "/ab").is_none());
    assert!(routes("[ ]").expect("nothing").is_empty() && find(&routes("[]").expect("nothing"), "/a").is_none());
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    for (text, parts) in [
        ("[\n {\"pattern\": 5, \"url\": \"rtsp://h/\"}]", &["line 2 column 14", "string"][..]),
        ("[\n\n {\"pattern\": \"/a\"}]", &["line 3", "url"]),
        ("[{\"pattern\":\"/a\",\"url\":\"rtsp://h/\",\"keepalive\":\"yes\"}]", &["line 1", "boolean"]),
        ("{\"routes\": []}", &["line 1", "sequence"]),
        ("[\n{\"pattern\":\"/a\",\"url\":\"rtsp://h/\"\n", &["line 3"]),
        ("[\n {\"pattern\":\"/a\",\"url\":\"http://h/\"}]", &["line 2", "/a", "http"]),
        ("[{\"pattern\":\"/a\",\"url\":\"rtsp:///x\"}]", &["/a", "host"]),
        ("[{\"pattern\":\" \",\"url\":\"rtsp://h/x\"}]", &["line 1", "pattern"]),
        ("[{\"pattern\":\"/a\",\"url\":\"rtsp://h/1\"},{\"pattern\":\"/A\",\"url\":\"rtsp://h/2\"}]", &["/a", "twice"]),
    ] {
        let error = routes(text).expect_err(text);
        assert!(parts.iter().all(|part| error.contains(part)), "{text}: {error}");
    }
    let error = routes("[{\"pattern\":\"/a\",\"url\":\"http://u:secret@h/\"}]").expect_err("no RTSP");
    assert!(!error.contains("secret"), "{error}");
}

#[test]
fn routes_are_written_as_the_original_wrote_them() {
    let mut table = routes("[{\"pattern\":\"/A\",\"url\":\"rtsp://u:p@h/X\",\"note\":[1]}]").expect("valid");
    table.put(Route::new("/a".into(), "rtsp://h/Y".into(), true).expect("valid"));
    table.put(Route::new("B/".into(), "rtsp://u:p@h/".into(), false).expect("valid"));
    let text = "[\n\t{\n\t\t\"pattern\": \"/a\",\n\t\t\"url\": \"rtsp://h/Y\",\n\t\t\"keepalive\": true,\n\
                \t\t\"note\": [\n\t\t\t1\n\t\t]\n\t},\n\
                \t{\n\t\t\"pattern\": \"/b/\",\n\t\t\"url\": \"rtsp://u:p@h/\"\n\t}\n]\n";
    assert_eq!(table.text(), text);
    assert_eq!(routes(text).expect("our own form").text(), text);
    assert!(table.remove("/b/").is_some() && table.remove("/b").is_none() && table.len() == 1);
}

#[test]
fn passwords_are_masked() {
    for (url, shown) in [
        ("rtsp://h/x", "rtsp://h/x"),
        ("rtsp://u@h/x", "rtsp://u@h/x"),
        ("rtsp://u:p%40ss@h:8554/x?y=1", "rtsp://u:***@h:8554/x?y=1"),
        ("rtsp://h/x?user=a&password=b&c=d", "rtsp://h/x?user=a&password=***&c=d"),
        // Xiongmai
        ("rtsp://h/user=admin_password=secret_channel=1", "rtsp://h/user=admin_password=***_channel=1"),
    ] {
        let table = one("/a", url);
        let route = table.route("/a").expect("there");
        assert_eq!(route.shown_url(), shown);
        assert!(!format!("{route:?}").contains("p%40ss"));
    }
}
