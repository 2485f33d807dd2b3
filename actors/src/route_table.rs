//! The routes: which paths are pulled from where. They are kept in `routetable.json` in the data folder:
//! `[{"pattern": "/hr/", "url": "rtsp://user:password@host/path", "keepalive": true}]`, as the original wrote it.
//!
//! A pattern is a path, or ends in `/` and stands for every path below it; `/` is for all that nothing else matches.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;

use ipchub_media::path::canonical;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::pull::target::{Target, UrlError};
use crate::store::{self, Document};

mod actor;

pub use actor::RouteTable;

/// Its name in the data folder.
pub const FILE: &str = "routetable.json";
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
#[derive(Serialize, Deserialize)]
struct Entry {
    pattern: String,
    url: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
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
    /// A route as somebody asks for it.
    pub fn new(pattern: String, url: String, keepalive: bool) -> Result<Self, RouteError> {
        Entry { pattern, url, keepalive, other: Map::new() }.try_into()
    }

    /// As it stands in the file, with its password: for administrators.
    pub fn url(&self) -> &str {
        &self.url
    }

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
    /// Adds a route, or puts it in the place of the one of its pattern, whose unknown fields it keeps.
    pub fn put(&mut self, mut route: Route) {
        if let Some(old) = self.routes.get(&route.pattern) {
            route.other.clone_from(&old.other);
        }
        self.routes.insert(route.pattern.clone(), route);
    }

    /// Takes the route of a pattern out.
    pub fn remove(&mut self, pattern: &str) -> Option<Route> {
        self.routes.remove(pattern)
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

impl Document for Routes {
    fn parse(text: &str) -> Result<Self, String> {
        let list: Vec<Route> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let mut routes = BTreeMap::new();
        for route in list {
            let pattern = route.pattern.clone();
            if routes.insert(pattern.clone(), route).is_some() {
                return Err(format!("the pattern {pattern} is there twice"));
            }
        }
        Ok(Self { routes })
    }

    fn absent() -> Self {
        Self::default()
    }

    fn text(&self) -> String {
        let entries: Vec<_> = self.routes.values().map(Entry::from).collect();
        store::json(&entries)
    }
}

impl From<&Route> for Entry {
    fn from(route: &Route) -> Self {
        Self {
            pattern: route.pattern.clone(),
            url: route.url.clone(),
            keepalive: route.keepalive,
            other: route.other.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
