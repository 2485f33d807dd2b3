//! Which file a route's URL names, and which files below its folder may be asked for.

use std::path::PathBuf;

use url::Url;

use crate::clip::{ClipError, Medium};

/// A file, or a folder and what was asked for below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileTarget {
    /// As the URL names it.
    root: PathBuf,
    /// What a viewer's path adds: names, not yet looked at.
    below: Vec<String>,
}

impl FileTarget {
    /// The path of a `file:` URL.
    ///
    /// # Errors
    /// Why it is not the URL of a file of this machine, in words.
    pub(crate) fn of_url(url: &Url) -> Result<Self, &'static str> {
        if url.host_str().is_some_and(|host| !host.is_empty()) {
            return Err("it names a host: write file:///folder/name");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("'?' and '#' in a file's name are written %3F and %23");
        }
        let root = url.to_file_path().map_err(|()| "it is no absolute path")?;
        Ok(Self { root, below: Vec::new() })
    }

    /// The file of these names below this one.
    pub(crate) fn extend<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        self.below.extend(names.map(str::to_owned));
    }

    /// What viewers may know: the name without its folder, or the path below the route's folder.
    pub(crate) fn name(&self) -> String {
        if !self.below.is_empty() {
            return self.below.join("/");
        }
        self.root.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// Opens it. What a viewer asks for must lie below the route's folder, also after all symbolic links.
    pub(crate) fn open(&self) -> Result<Medium, ClipError> {
        if self.below.is_empty() {
            return Medium::file(&self.root);
        }
        if let Some(name) = self.below.iter().find(|name| !is_plain(name)) {
            return Err(ClipError::Name(name.clone()));
        }
        let root = self.root.canonicalize()?;
        let path = self.below.iter().fold(root.clone(), |path, name| path.join(name)).canonicalize()?;
        // By components: "/srv/clips2" does not lie in "/srv/clips".
        if !path.starts_with(&root) || path == root {
            return Err(ClipError::Outside);
        }
        Medium::file(&path)
    }
}

/// One name of a visible file: nothing that any system takes for a way to somewhere else.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str, below: &[&str]) -> FileTarget {
        let mut target = FileTarget::of_url(&Url::parse(url).expect(url)).expect(url);
        target.extend(below.iter().copied());
        target
    }

    #[test]
    fn urls_name_files() {
        assert_eq!(target("file:///srv/a%20b.mp4", &[]).root, PathBuf::from("/srv/a b.mp4"));
        assert_eq!(target("file://localhost/srv/a.mp4", &[]).root, PathBuf::from("/srv/a.mp4"));
        assert_eq!(target("file:///srv/", &["x", "a.mp4"]).name(), "x/a.mp4");
        assert_eq!(target("file:///srv/x.flv", &[]).name(), "x.flv");
        for url in ["file://server/a.mp4", "file:///a.mp4?x", "file:///a.mp4#x"] {
            assert!(FileTarget::of_url(&Url::parse(url).expect(url)).is_err(), "{url}");
        }
    }

    #[test]
    fn nothing_outside_of_the_folder_is_opened() {
        let base = std::env::temp_dir().join(format!("ipchub_file_target_{}", std::process::id()));
        let folder = base.join("clips");
        std::fs::create_dir_all(folder.join("sub")).expect("a folder can be made");
        std::fs::create_dir_all(base.join("clips2")).expect("a folder can be made");
        let files =
            [base.join("secret"), base.join("clips2/x"), folder.join("a"), folder.join("sub/b"), folder.join(".h")];
        files.iter().for_each(|file| std::fs::write(file, "content").expect("a file can be written"));
        let link =
            |to: &str, name: &str| std::os::unix::fs::symlink(to, folder.join(name)).expect("a link can be made");
        [("../secret", "out"), ("..", "up"), ("../clips2", "near"), ("sub/b", "in"), ("loop", "loop"), (".", "self")]
            .iter()
            .for_each(|(to, name)| link(to, name));
        let open = |below: &[&str]| target(&format!("file://{}", folder.display()), below).open();
        for below in [&["a"][..], &["sub", "b"], &["in"], &["self", "a"]] {
            assert!(open(below).is_ok(), "{below:?}");
        }
        for (below, words) in [
            (&["out"][..], "outside"),
            (&["up", "secret"], "outside"),
            (&["near", "x"], "outside"),
            (&["self"], "outside"),
            (&["up"], "outside"),
            (&["..", "secret"], "not allowed"),
            (&["../secret"], "not allowed"),
            (&["sub", "..", "a"], "not allowed"),
            (&["..\\secret"], "not allowed"),
            (&[".h"], "not allowed"),
            (&["."], "not allowed"),
            (&["", "etc", "passwd"], "not allowed"),
            (&["/etc/passwd"], "not allowed"),
            (&["a\0"], "not allowed"),
            (&["sub"], "folder"),
            (&["loop"], "links"),
            (&["nothing"], "No such file"),
        ] {
            let error = open(below).expect_err("refused").to_string();
            assert!(error.contains(words), "{below:?}: {error}");
        }
        std::fs::remove_dir_all(&base).expect("it is ours");
    }
}
