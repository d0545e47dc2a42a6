//! Lists: the items of each page and the link to the next one.

use std::collections::HashSet;

use serde_json::Value;

/// Collects the pages of one list.
#[derive(Default)]
pub struct Pages {
    items: Vec<Value>,
    visited: HashSet<String>,
    bytes: usize,
}

/// The maximum number of pages of a list.
const MOST_PAGES: usize = 5_000;
/// The maximum total size of all pages of a list, in bytes.
const MOST_BYTES: usize = 128 * 1024 * 1024;

impl Pages {
    /// Adds a page of `size` bytes from `url`, and returns the URL of the next page if there is one.
    ///
    /// A page is `{"value": […], "nextLink": "…"}` or an array. The error says what is wrong with the page, or which limit
    /// the list exceeds.
    pub fn add(&mut self, url: &str, page: Value, size: usize) -> Result<Option<String>, String> {
        self.visited.insert(url.to_owned());
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > MOST_BYTES {
            return Err(format!(
                "the list is longer than {} MB, so it is not read further",
                MOST_BYTES >> 20
            ));
        }
        let mut page = match page {
            Value::Array(items) => {
                self.items.extend(items);
                return Ok(None);
            }
            Value::Object(page) => page,
            other => return Err(format!("the answer is {}, not a list", kind(&other))),
        };
        match page.remove("value") {
            Some(Value::Array(items)) => self.items.extend(items),
            Some(other) => {
                return Err(format!("the list's \"value\" is {}, not an array", kind(&other)));
            }
            None => return Err("the answer is an object without \"value\", not a list".to_owned()),
        }
        match page.remove("nextLink") {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(next)) if next.trim().is_empty() => Ok(None),
            Some(Value::String(next)) if self.visited.contains(&next) => {
                Err("the list's \"nextLink\" leads back to a page that was read already".to_owned())
            }
            Some(Value::String(_)) if self.visited.len() >= MOST_PAGES => {
                Err(format!("the list has more than {MOST_PAGES} pages, so it is not read further"))
            }
            Some(Value::String(next)) => Ok(Some(next)),
            Some(other) => Err(format!("the list's \"nextLink\" is {}, not a URL", kind(&other))),
        }
    }

    /// The items that were added since the last call.
    pub fn take_items(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.items)
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn collects_items_and_follows_links() {
        let mut pages = Pages::default();
        assert_eq!(
            pages.add("u1", json!({"value": [1], "nextLink": "u2"}), 0).unwrap().as_deref(),
            Some("u2")
        );
        assert_eq!(
            pages.add("u2", json!({"value": [], "nextLink": "u3"}), 0).unwrap().as_deref(),
            Some("u3")
        );
        assert_eq!(pages.add("u3", json!({"value": [2], "nextLink": ""}), 0).unwrap(), None);
        assert_eq!(pages.take_items(), [json!(1), json!(2)]);
        let mut bare = Pages::default();
        assert_eq!(bare.add("u", json!([1, 2]), 0).unwrap(), None);
        assert_eq!(bare.take_items().len(), 2);
    }

    #[test]
    fn rejects_malformed_pages() {
        for (page, why) in [
            (json!({"value": [], "nextLink": "u"}), "read already"),
            (json!({"value": {}}), "\"value\" is an object"),
            (json!({}), "without \"value\""),
            (json!({"value": [], "nextLink": 3}), "\"nextLink\" is a number"),
            (Value::Null, "the answer is null"),
        ] {
            let error = Pages::default().add("u", page.clone(), 0).unwrap_err();
            assert!(error.contains(why), "{page}: {error}");
        }
    }

    #[test]
    fn limits_the_pages_and_bytes_of_a_list() {
        let page = |next: usize| json!({"value": [], "nextLink": format!("u{next}")});
        let mut endless = Pages::default();
        let error = (0..).find_map(|n| endless.add(&format!("u{n}"), page(n + 1), 10).err()).unwrap();
        assert!(error.contains("5000 pages"), "{error}");
        let mut huge = Pages::default();
        let error = (0..).find_map(|n| huge.add(&format!("u{n}"), page(n + 1), 1 << 20).err()).unwrap();
        assert!(error.contains("128 MB"), "{error}");
        assert_eq!(huge.visited.len(), 129);
    }
}
