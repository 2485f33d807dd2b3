//! The routes: which paths are pulled from where. They are read once, from `routetable.json` in the data folder:
//! `[{"pattern": "/hr/", "url": "rtsp://user:password@host/path", "keepalive": true}]`, as the original wrote it.
//!
//! A pattern is a path, or ends in `/` and stands for every path below it; `/` is for all that nothing else matches.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use ipchub_media::path::canonical;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::pull::target::{Target, UrlError};

mod actor;

pub use actor::RouteTable;

/// Its name in the data folder.
pub const FILE: &str = "routetable.json";
/// Bytes of the file at most: a route takes about a hundred, and there are at most some thousands.
const MAX_FILE: u64 = 16 << 20;

/// Why the routes cannot be read.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum RouteTableError {
    #[error("{}: {source}", file.display())]
    Io { file: PathBuf, source: io::Error },
    /// With line and column.
    #[error("{}: {source}", file.display())]
    Json { file: PathBuf, source: serde_json::Error },
    #[error("{}: {len} bytes, expected at most {MAX_FILE}", file.display())]
    TooLarge { file: PathBuf, len: u64 },
    #[error("{}: the pattern {pattern} is there twice", file.display())]
    Twice { file: PathBuf, pattern: String },
}

/// One route.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(try_from = "Entry")]
pub struct Route {
    /// Canonical; a directory's ends in `/`.
    pub pattern: String,
    /// As it stands in the file, with its password.
    url: String,
    /// Connected from the hub's start on, and always again.
    pub keepalive: bool,
    /// What the file says besides; kept when it is written.
    pub other: Map<String, Value>,
    target: Target,
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route")
            .field("pattern", &self.pattern)
            .field("url", &self.shown_url())
            .field("keepalive", &self.keepalive)
            .finish_non_exhaustive()
    }
}

/// A route as the file has it.
#[derive(Deserialize)]
struct Entry {
    pattern: String,
    url: String,
    #[serde(default)]
    keepalive: bool,
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// Why an entry is no route.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum RouteError {
    #[error("a route without a pattern")]
    NoPattern,
    #[error("the URL of the route {pattern}: {source}")]
    Url { pattern: String, source: UrlError },
}

impl TryFrom<Entry> for Route {
    type Error = RouteError;

    fn try_from(entry: Entry) -> Result<Self, RouteError> {
        let Entry { pattern, url, keepalive, other } = entry;
        if pattern.trim().is_empty() {
            return Err(RouteError::NoPattern);
        }
        let pattern = canonical(&pattern);
        let target = Target::parse(&url).map_err(|source| RouteError::Url { pattern: pattern.clone(), source })?;
        Ok(Self { pattern, url, keepalive, other, target })
    }
}

impl Route {
    /// Whether it stands for all paths below its pattern.
    pub fn is_directory(&self) -> bool {
        self.pattern.ends_with('/')
    }

    /// The URL for people: `***` instead of a password.
    pub fn shown_url(&self) -> String {
        self.target.masked(&self.url)
    }

    /// What to pull for a path in the case that was asked for.
    fn target(&self, path: &str) -> Target {
        if !self.is_directory() {
            return self.target.clone();
        }
        // "/a/" is two segments, the first of them empty: as many of the path are the pattern's.
        let skip = self.pattern.split('/').count() - 1;
        self.target.below(path.split('/').skip(skip))
    }
}

/// What is pulled for a path.
#[derive(Debug, Clone)]
pub struct Match<'a> {
    /// The route.
    pub route: &'a Route,
    /// Where it leads for this path.
    pub target: Target,
}

/// All routes.
#[derive(Debug, Clone, Default)]
pub struct Routes {
    routes: BTreeMap<String, Route>,
}

impl Routes {
    /// Reads the file in that folder. Without one there are no routes.
    pub fn read(folder: &Path) -> Result<Self, RouteTableError> {
        let file = folder.join(FILE);
        let io = |source| RouteTableError::Io { file: file.clone(), source };
        match std::fs::metadata(&file) {
            Ok(data) if data.len() > MAX_FILE => return Err(RouteTableError::TooLarge { file, len: data.len() }),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(io(error)),
        }
        let text = std::fs::read_to_string(&file).map_err(io)?;
        Self::parse(&text, &file)
    }

    /// Reads the text of a file of that name.
    pub fn parse(text: &str, file: &Path) -> Result<Self, RouteTableError> {
        let text = text.trim_start_matches('\u{feff}');
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let list: Vec<Route> =
            serde_json::from_str(text).map_err(|source| RouteTableError::Json { file: file.to_owned(), source })?;
        let mut routes = BTreeMap::new();
        for route in list {
            let pattern = route.pattern.clone();
            if routes.insert(pattern.clone(), route).is_some() {
                return Err(RouteTableError::Twice { file: file.to_owned(), pattern });
            }
        }
        Ok(Self { routes })
    }

    /// The route for a canonical path: the exact one, else the longest directory. A path that ends in `/` has none. `cased`
    /// is the same path in the case that was asked for.
    pub fn find(&self, path: &str, cased: &str) -> Option<Match<'_>> {
        if path.ends_with('/') {
            return None;
        }
        let directories = path.rmatch_indices('/').map(|(at, _)| &path[..=at]);
        let route = std::iter::once(path).chain(directories).find_map(|pattern| self.routes.get(pattern))?;
        Some(Match { route, target: route.target(cased) })
    }

    /// The route of a canonical pattern; a trailing `/` matters.
    pub fn route(&self, pattern: &str) -> Option<&Route> {
        self.routes.get(pattern)
    }

    /// Routes after a pattern, in order.
    pub fn after(&self, pattern: &str) -> impl Iterator<Item = &Route> {
        self.routes.range::<str, _>((Bound::Excluded(pattern), Bound::Unbounded)).map(|(_, route)| route)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }
}

#[cfg(test)]
mod tests;
