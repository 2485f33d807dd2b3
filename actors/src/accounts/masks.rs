//! Which paths a user may push to or watch.

use std::fmt;

/// Masks, separated by `;`. In a mask `+` stands for exactly one segment and a `*` at its end for zero or more; `*` elsewhere
/// is an ordinary character. Case and a `/` at either end do not matter. Without a mask nothing is allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Masks {
    text: String,
    masks: Vec<Mask>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Mask {
    /// `+` as it is; lower case.
    segments: Vec<String>,
    /// It ends in `*`.
    open: bool,
}

impl Masks {
    /// Reads masks; every text is some.
    pub fn new(text: &str) -> Self {
        let text = text.trim().to_owned();
        let masks = text.split(';').map(str::trim).filter(|mask| !mask.is_empty()).map(Mask::new).collect();
        Self { text, masks }
    }

    /// Every path.
    pub fn all() -> Self {
        Self::new("*")
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether nothing is allowed.
    pub fn is_empty(&self) -> bool {
        self.masks.is_empty()
    }

    /// Whether a canonical path is allowed.
    pub fn allow(&self, path: &str) -> bool {
        self.masks.iter().any(|mask| mask.matches(path))
    }
}

impl fmt::Display for Masks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

impl Mask {
    fn new(text: &str) -> Self {
        let mut segments: Vec<_> = segments(text).map(str::to_lowercase).collect();
        let open = segments.pop_if(|last| last == "*").is_some();
        Self { segments, open }
    }

    fn matches(&self, path: &str) -> bool {
        let mut path = segments(path);
        let begins = self.segments.iter().all(|mask| {
            let segment = path.next();
            segment.is_some_and(|segment| mask == "+" || mask == segment)
        });
        begins && (self.open || path.next().is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_allow_what_they_say() {
        for (masks, allowed, refused) in [
            ("*", &["/", "/a", "/a/b/c"][..], &[][..]),
            ("", &[], &["/", "/a"]),
            (" ; ;", &[], &["/", "/a"]),
            ("/a", &["/a", "/a/"], &["/", "/ab", "/a/b", "/b"]),
            ("a", &["/a"], &["/a/b"]),
            ("/A/B/", &["/a/b"], &["/a", "/a/b/c"]),
            ("/a/*", &["/a", "/a/b", "/a/b/c"], &["/", "/ab", "/b/a"]),
            ("/a/+", &["/a/b"], &["/a", "/a/b/c"]),
            ("+", &["/a"], &["/", "/a/b"]),
            ("/a/+/c/*", &["/a/b/c", "/a/b/c/d", "/a/b/c/d/e"], &["/a/c", "/a/c/d", "/a/b/d"]),
            ("/+/+", &["/a/b"], &["/a", "/a/b/c"]),
            ("/+/*", &["/a", "/a/b"], &["/"]),
            ("/a/*/c", &["/a/*/c"], &["/a/b/c", "/a/c"]),
            ("/a*", &["/a*"], &["/a", "/ab", "/a/b"]),
            ("/a+", &["/a+"], &["/ab"]),
            ("/a ; /B/* ;;", &["/a", "/b", "/b/c"], &["/c", "/a/b"]),
            ("/Büro/+", &["/büro/tür"], &["/buero/tür"]),
            ("/", &["/"], &["/a"]),
        ] {
            let masks = Masks::new(masks);
            for path in allowed {
                assert!(masks.allow(path), "{masks} allows {path}");
            }
            for path in refused {
                assert!(!masks.allow(path), "{masks} does not allow {path}");
            }
        }
    }

    #[test]
    fn the_text_stays() {
        assert_eq!(Masks::new(" /Live/*;/test/+/cam ").text(), "/Live/*;/test/+/cam");
        assert!(Masks::new(";").is_empty() && !Masks::all().is_empty());
    }
}
