use std::fs;

use super::*;

#[derive(Debug, Clone, PartialEq)]
struct Names(Vec<String>);

impl Document for Names {
    fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map(Self).map_err(|error| error.to_string())
    }

    fn absent() -> Self {
        Self(Vec::new())
    }

    fn text(&self) -> String {
        json(&self.0)
    }
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("ipchub-store-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    folder
}

fn add(name: &'static str) -> impl FnOnce(&mut Names) -> Result<usize, StoreError> + Send {
    move |names| {
        names.0.push(name.to_owned());
        Ok(names.0.len())
    }
}

#[actix_rt::test]
async fn what_is_changed_is_in_the_file_and_nobody_else_may_read_it() {
    let folder = folder("changed");
    let file = folder.join("names.json");
    let kept = Kept::<Names>::open(Provider::Json.store(file.clone())).expect("no file");
    assert!(!folder.exists(), "nothing is made before there is something to keep");
    assert_eq!(kept.change(add("a")).await.expect("it can be written"), 1);
    assert_eq!(fs::read_to_string(&file).expect("there"), "[\n\t\"a\"\n]\n");
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file).expect("there").permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(kept.current().0, ["a"]);
    assert!(!kept.look().await.expect("readable"), "our own change is none of others");
    fs::remove_dir_all(folder).expect("it is ours");
}

#[actix_rt::test]
async fn a_change_by_hand_is_taken_over_or_refused() {
    let folder = folder("hand");
    fs::create_dir_all(&folder).expect("it can be made");
    let file = folder.join("names.json");
    fs::write(&file, "\u{feff}[\"a\"]").expect("it can be written");
    let kept = Kept::<Names>::open(Provider::Json.store(file.clone())).expect("valid");
    fs::write(&file, "[\"a\", \"hand\"]").expect("it can be written");
    assert!(kept.look().await.expect("readable"));
    assert_eq!(kept.current().0, ["a", "hand"]);

    fs::write(&file, "[\"a\",\n oops]").expect("it can be written");
    let error = kept.look().await.expect_err("no JSON").to_string();
    assert!(error.contains("names.json") && error.contains("line 2 column 2"), "{error}");
    assert_eq!(kept.current().0, ["a", "hand"], "the old state stays");
    kept.change(add("b")).await.expect_err("it would overwrite what was written by hand");
    assert_eq!(fs::read_to_string(&file).expect("there"), "[\"a\",\n oops]");

    fs::write(&file, "[\"mended\"]").expect("it can be written");
    assert_eq!(kept.change(add("b")).await.expect("valid again"), 2);
    assert_eq!(kept.current().0, ["mended", "b"]);

    fs::remove_file(&file).expect("there");
    assert!(matches!(kept.look().await, Err(StoreError::Gone { .. })));
    assert_eq!(kept.change(add("c")).await.expect("nothing is lost by it"), 3);
    assert!(file.exists());
    fs::remove_dir_all(folder).expect("it is ours");
}

#[actix_rt::test]
async fn changes_come_one_after_the_other() {
    let kept = Kept::<Names>::open(Provider::Memory.store("names.json".into())).expect("empty");
    let changes: Vec<_> = (0..50).map(|_| actix_rt::spawn(kept.change(add("x")))).collect();
    let mut seen = Vec::new();
    for change in changes {
        seen.push(change.await.expect("no panic").expect("memory takes all"));
    }
    seen.sort_unstable();
    assert_eq!(seen, (1..=50).collect::<Vec<_>>());
}

#[test]
fn a_table_that_is_too_large_is_not_read() {
    let folder = folder("large");
    fs::create_dir_all(&folder).expect("it can be made");
    let file = folder.join("names.json");
    fs::File::create(&file).and_then(|file| file.set_len(MAX_BYTES + 1)).expect("it can be made");
    let error = Kept::<Names>::open(Provider::Json.store(file)).expect_err("too large");
    assert!(matches!(error, StoreError::TooLarge { .. }), "{error}");
    fs::remove_dir_all(folder).expect("it is ours");
}
