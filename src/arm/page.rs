//! Lists: one page's items and where the next page is.

use std::collections::HashSet;

use serde_json::Value;

/// Collects the pages of one list.
#[derive(Default)]
pub struct Pages {
    items: Vec<Value>,
    visited: HashSet<String>,
}

impl Pages {
    /// Takes in the page that was read from `url`; returns the next page's URL when there is one.
    ///
    /// Both forms that the service uses are understood: `{"value": […], "nextLink": "…"}`, and a bare
    /// array. An error says what is wrong with the page.
    pub fn add(&mut self, url: &str, page: Value) -> Result<Option<String>, String> {
        self.visited.insert(url.to_owned());
        let mut page = match page {
            Value::Array(items) => {
                self.items.extend(items);
                return Ok(None);
            }
            Value::Object(page) => page,
            other => return Err(format!("a list was expected, and {} came", kind(&other))),
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
                Err("the list's next page is one that was read already, so it would never end".to_owned())
            }
            Some(Value::String(next)) => Ok(Some(next)),
            Some(other) => Err(format!("the list's \"nextLink\" is {}, not a URL", kind(&other))),
        }
    }

    /// What was collected since the last time.
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
    fn pages() {
        let mut pages = Pages::default();
        assert_eq!(pages.add("u1", json!({"value": [1], "nextLink": "u2"})).unwrap().as_deref(), Some("u2"));
        assert_eq!(pages.add("u2", json!({"value": [], "nextLink": "u3"})).unwrap().as_deref(), Some("u3"));
        assert_eq!(pages.add("u3", json!({"value": [2], "nextLink": ""})).unwrap(), None);
        assert_eq!(pages.take_items(), [json!(1), json!(2)]);
        let mut bare = Pages::default();
        assert_eq!(bare.add("u", json!([1, 2])).unwrap(), None);
        assert_eq!(bare.take_items().len(), 2);
    }

    #[test]
    fn bad_pages() {
        for (page, why) in [
            (json!({"value": [], "nextLink": "u"}), "never end"),
            (json!({"value": {}}), "\"value\" is an object"),
            (json!({}), "without \"value\""),
            (json!({"value": [], "nextLink": 3}), "\"nextLink\" is a number"),
            (Value::Null, "null came"),
        ] {
            let error = Pages::default().add("u", page.clone()).unwrap_err();
            assert!(error.contains(why), "{page}: {error}");
        }
    }
}
