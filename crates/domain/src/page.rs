//! Keyset pagination: a page starts after the last item of the one before it, newest first.

use crate::time::Timestamp;
use uuid::Uuid;

/// Where a page starts: after the item with this creation time and id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageKey {
    /// When the last item seen was created.
    pub at: Timestamp,
    /// Its id, which breaks ties.
    pub id: Uuid,
}

/// Which page is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageRequest {
    limit: u32,
    /// Start after this item, or at the newest.
    pub after: Option<PageKey>,
}

impl PageRequest {
    /// Items on a page unless the caller says otherwise.
    pub const DEFAULT_LIMIT: u32 = 50;
    /// Most items on a page.
    pub const MAX_LIMIT: u32 = 200;

    /// A page of at most `limit` items; `None` where `limit` is 0 or above [`Self::MAX_LIMIT`].
    #[must_use]
    pub fn new(limit: u32, after: Option<PageKey>) -> Option<Self> {
        (1..=Self::MAX_LIMIT).contains(&limit).then_some(Self { limit, after })
    }

    /// Most items to return.
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

/// One page of a list, in its order.
#[derive(Clone, PartialEq, Debug)]
pub struct Page<T> {
    /// Items, newest first.
    pub items: Vec<T>,
    /// Where the next page starts; `None` on the last one.
    pub next: Option<PageKey>,
}

impl<T> Page<T> {
    /// Makes a page of rows fetched with one more than the limit: the surplus row says that there is a next page.
    #[must_use]
    pub fn from_rows(mut rows: Vec<T>, request: &PageRequest, key: impl Fn(&T) -> PageKey) -> Self {
        let limit = request.limit as usize;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = if more { rows.last().map(key) } else { None };
        Self { items: rows, next }
    }
}
