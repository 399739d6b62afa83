//! Reads paginated lists.

use super::client::{Client, Query};
use crate::args::PageArgs;
use crate::error::CliError;
use serde_json::Value;

/// Entries per page if all pages are read.
const PAGE_SIZE: u32 = 200;

/// Reads one page of a list, or with `--all` every page, and calls `show` with each.
///
/// # Errors
/// If a page cannot be read, or `show` fails.
pub async fn show_pages(
    client: &Client,
    path: &str,
    mut query: Query,
    page: &PageArgs,
    mut show: impl FnMut(&Value) -> Result<(), CliError>,
) -> Result<(), CliError> {
    query.add("limit", page.limit.or(page.all.then_some(PAGE_SIZE)));
    let mut cursor = page.cursor.clone();
    loop {
        let mut query = query.clone();
        query.add("cursor", cursor);
        let body = client.get(path, &query).await?;
        show(&body)?;
        cursor = body["next_cursor"].as_str().map(str::to_owned);
        if !page.all || cursor.is_none() {
            return Ok(());
        }
    }
}
