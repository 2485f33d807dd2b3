//! The rules of the source tree: which crate may know which, how long a file may be, no unsafe code, and documents that name
//! what exists.

use std::path::{Path, PathBuf};
use std::process::Command;

const MAX_LINES: usize = 500;
const CRATES: [&str; 4] = ["media", "actors", "web", "benches/load"];
/// No file of ours is in these.
const FOREIGN: [&str; 6] = ["target", "node_modules", "venv", ".git", "data", "out"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All crates that one depends on, over any number of steps.
fn dependencies(package: &str) -> Vec<String> {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(root()).args(["tree", "--offline", "--locked", "-p", package]);
    command.args(["--edges", "normal,build", "--prefix", "none", "--format", "{p}"]);
    let output = command.output().expect("cargo runs its own tests");
    assert!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let mut names: Vec<_> = text.lines().skip(1).filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn files(folder: &Path, extensions: &[&str], found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())).flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            if !FOREIGN.contains(&name.as_str()) {
                files(&path, extensions, found);
            }
        } else if path.extension().is_some_and(|extension| extensions.iter().any(|one| extension == *one)) {
            found.push(path);
        }
    }
}

/// `src -> web -> actors -> media`, never back; `media` is bytes and time only, `actors` knows no HTTP.
#[test]
fn crates_depend_in_one_direction() {
    let forbidden: [(&str, &[&str]); 3] = [
        (
            "ipchub-media",
            &["ipchub", "ipchub-web", "ipchub-actors", "tokio", "actix", "actix-rt", "mio", "socket2", "futures-util"],
        ),
        ("ipchub-actors", &["ipchub", "ipchub-web", "actix-web", "actix-http", "actix-server", "http", "hyper", "h2"]),
        ("ipchub-web", &["ipchub"]),
    ];
    for (package, forbidden) in forbidden {
        let found = dependencies(package);
        let wrong: Vec<_> = found.iter().filter(|name| forbidden.contains(&name.as_str())).collect();
        assert!(wrong.is_empty(), "{package} must not depend on {wrong:?}");
    }
    for (package, needed) in
        [("ipchub", "ipchub-web"), ("ipchub-web", "ipchub-actors"), ("ipchub-actors", "ipchub-media")]
    {
        assert!(dependencies(package).iter().any(|name| name == needed), "{package} stands on {needed}");
    }
}

#[test]
fn files_are_short() {
    let mut found = Vec::new();
    files(root(), &["rs", "js", "css", "html", "mjs"], &mut found);
    assert!(found.len() > 50, "the tree was not found");
    let mut long = Vec::new();
    for path in found {
        let lines = std::fs::read_to_string(&path).expect("sources are text").lines().count();
        if lines > MAX_LINES {
            long.push(format!("{}: {lines}", path.strip_prefix(root()).unwrap_or(&path).display()));
        }
    }
    assert!(long.is_empty(), "files of more than {MAX_LINES} lines: {long:?}");
}

#[test]
fn unsafe_code_is_forbidden_everywhere() {
    let manifest = |folder: &str| -> toml::Table {
        let path = root().join(folder).join("Cargo.toml");
        std::fs::read_to_string(path).expect("it is there").parse().expect("cargo reads it as well")
    };
    let workspace = manifest("");
    let level = |name: &str| workspace["workspace"]["lints"]["rust"][name].as_str();
    assert_eq!(level("unsafe_code"), Some("forbid"));
    let members: Vec<_> =
        workspace["workspace"]["members"].as_array().expect("a list").iter().filter_map(|m| m.as_str()).collect();
    assert_eq!(members, CRATES, "a new crate is checked here as well");
    for folder in CRATES.iter().copied().chain([""]) {
        let manifest = manifest(folder);
        let inherited = manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool);
        assert_eq!(inherited, Some(true), "{folder}/Cargo.toml: [lints] workspace = true");
    }
}

/// In backticks and with a slash: a path of this repository, if its first folder is one.
#[test]
fn documents_name_what_exists() {
    for document in ["ARCHITECTURE.md", "README.md", "CONTRIBUTING.md"] {
        let Ok(text) = std::fs::read_to_string(root().join(document)) else {
            println!("not tested: there is no {document}");
            continue;
        };
        let quoted = text.split('`').skip(1).step_by(2);
        for path in quoted.filter(|path| path.contains('/') && !path.contains([' ', ':', '<', '*', '{', '?', '='])) {
            let first = path.split('/').next().unwrap_or_default();
            if !first.is_empty() && root().join(first).is_dir() {
                let ours = FOREIGN.contains(&first) || root().join(path).exists();
                assert!(ours, "{document} names {path}, which does not exist");
            }
        }
    }
}
