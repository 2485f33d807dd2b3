//! Lists come in pages.

use crate::error::ApiError;

/// Entries of a page if the caller does not say.
const PAGE: usize = 20;
/// Entries of a page at most.
const MAX_PAGE: usize = 1000;

/// The value of `page_size`.
pub(super) fn size(text: Option<&str>) -> Result<usize, ApiError> {
    let Some(text) = text else { return Ok(PAGE) };
    let problem = || ApiError::Parameter("page_size", format!("{text:?} is no number from 1 to {MAX_PAGE}"));
    text.parse().ok().filter(|n| (1..=MAX_PAGE).contains(n)).ok_or_else(problem)
}
