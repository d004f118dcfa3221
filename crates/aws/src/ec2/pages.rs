//! Lists in pages: whole, or an error.

use domain::ports::PortError;

/// A bound on one list: a hundred pages are far beyond what a stack has.
const PAGES_MAX: usize = 100;

/// One page, and what the next is asked for by.
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) next: Option<String>,
}

/// All pages; never a part of them.
pub(super) async fn all<T, F>(
    doing: &str,
    mut page: impl FnMut(Option<String>) -> F,
) -> Result<Vec<T>, PortError>
where
    F: Future<Output = Result<Page<T>, PortError>>,
{
    let (mut items, mut next) = (Vec::new(), None);
    for _ in 0..PAGES_MAX {
        let page = page(next).await?;
        items.extend(page.items);
        next = page.next.filter(|token| !token.is_empty());
        if next.is_none() {
            return Ok(items);
        }
    }
    let why = format!("it has no end after {PAGES_MAX} pages");
    Err(PortError::unknown(doing, why))
}
