//! Style and script that draw galleries and image versions in a browser, shared by the emulator's page and by `report`.

/// The style sheet: light and dark, print, and narrow screens.
pub const STYLE: &str = include_str!("page.css");

/// The script: `drawGalleries(element, model)`, where the model has the shape of a report in JSON.
pub const SCRIPT: &str = include_str!("galleries.js");

/// Text for an HTML element or attribute.
pub fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, c| {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            c => escaped.push(c),
        }
        escaped
    })
}

/// JSON for a `<script>` element: no text in it can end the element.
pub fn json_in_script(json: &str) -> String {
    json.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_its_element() {
        assert_eq!(escape("<a href=\"x\">'&'</a>"), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
        assert_eq!(json_in_script(r#"{"a":"</script><!--"}"#), r#"{"a":"\u003c/script>\u003c!--"}"#);
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere() {
        for text in [STYLE, SCRIPT] {
            for part in ["http:", "https:", "url(", "@import", "</script", "</style"] {
                assert!(!text.contains(part), "{part}");
            }
        }
    }
}
