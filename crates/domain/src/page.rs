//! Keyset pagination: each page starts after the last item of the previous one, newest first.

use crate::time::Timestamp;
use uuid::Uuid;

/// The position of an item in a list: its creation time and id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageKey {
    /// Creation time of the item.
    pub created_at: Timestamp,
    /// Id of the item; orders items with the same creation time.
    pub id: Uuid,
}

/// A request for one page of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageRequest {
    limit: u32,
    /// Start after this item; `None` starts with the newest one.
    pub after: Option<PageKey>,
}

impl PageRequest {
    /// Default number of items on a page.
    pub const DEFAULT_LIMIT: u32 = 50;
    /// Maximum number of items on a page.
    pub const MAX_LIMIT: u32 = 200;

    /// A page of at most `limit` items; `None` if `limit` is 0 or above [`Self::MAX_LIMIT`].
    #[must_use]
    pub fn new(limit: u32, after: Option<PageKey>) -> Option<Self> {
        (1..=Self::MAX_LIMIT).contains(&limit).then_some(Self { limit, after })
    }

    /// Maximum number of items to return.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.limit
    }
}

impl Default for PageRequest {
    fn default() -> Self {
        Self { limit: Self::DEFAULT_LIMIT, after: None }
    }
}

/// One page of a list, in the order of the list.
#[derive(Clone, PartialEq, Debug)]
pub struct Page<T> {
    /// Items, newest first.
    pub items: Vec<T>,
    /// Position after which the next page starts; `None` on the last page.
    pub next: Option<PageKey>,
}

impl<T> Page<T> {
    /// Builds a page from up to `limit + 1` fetched rows; an extra row means that there is a next page.
    #[must_use]
    pub fn from_rows(mut rows: Vec<T>, request: &PageRequest, key: impl Fn(&T) -> PageKey) -> Self {
        let limit = request.limit as usize;
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let next = if has_more { rows.last().map(key) } else { None };
        Self { items: rows, next }
    }
}
