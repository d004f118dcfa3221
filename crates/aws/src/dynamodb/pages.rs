//! Answers that come in pages: whole, or an error.

use super::item::Item;
use crate::error::failed;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::operation::scan::builders::ScanFluentBuilder;
use domain::ports::PortError;

/// A bound on one listing. A page holds 1 MB, some thousand rows; a cell has a few thousand channels.
const PAGES_MAX: usize = 200;

/// All items of a scan.
pub(super) async fn scan(scan: ScanFluentBuilder, doing: &str) -> Result<Vec<Item>, PortError> {
    let mut pages = Pages::default();
    loop {
        let page = scan.clone().set_exclusive_start_key(pages.next.take());
        let page = page.send().await.map_err(|error| failed(error, doing))?;
        if pages.are_complete(page.items, page.last_evaluated_key, doing)? {
            return Ok(pages.items);
        }
    }
}

/// All items of a query.
pub(super) async fn query(query: QueryFluentBuilder, doing: &str) -> Result<Vec<Item>, PortError> {
    let mut pages = Pages::default();
    loop {
        let page = query.clone().set_exclusive_start_key(pages.next.take());
        let page = page.send().await.map_err(|error| failed(error, doing))?;
        if pages.are_complete(page.items, page.last_evaluated_key, doing)? {
            return Ok(pages.items);
        }
    }
}

#[derive(Default)]
struct Pages {
    items: Vec<Item>,
    read: usize,
    /// Where the last page ended.
    last: Option<Item>,
    /// The same, for the next request.
    next: Option<Item>,
}

impl Pages {
    /// Takes a page. An empty one with another behind it is common: a page is cut before it is filtered.
    fn are_complete(
        &mut self,
        items: Option<Vec<Item>>,
        end: Option<Item>,
        doing: &str,
    ) -> Result<bool, PortError> {
        self.items.extend(items.unwrap_or_default());
        self.read += 1;
        let Some(end) = end.filter(|end| !end.is_empty()) else {
            return Ok(true);
        };
        if self.last.as_ref() == Some(&end) {
            return Err(PortError::unknown(doing, "two pages end at the same row"));
        }
        if self.read == PAGES_MAX {
            return Err(PortError::refused(doing, format!("more than {PAGES_MAX} pages")));
        }
        self.last = Some(end.clone());
        self.next = Some(end);
        Ok(false)
    }
}
