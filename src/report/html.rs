//! The report as one self-contained HTML page.

use std::fmt::Write as _;

use super::model::Report;
use crate::page::{SCRIPT, STYLE, escape, json_in_script};

/// The page. It contains its style, script and data, and loads nothing else.
pub fn render(report: &Report) -> Result<String, serde_json::Error> {
    let data = json_in_script(&serde_json::to_string(report)?);
    let mut totals = String::new();
    for (number, what) in report.totals() {
        let _ = write!(totals, "<li><b>{}</b>{}</li>", escape(&number), escape(&what));
    }
    let notes = match report.notes.as_slice() {
        [] => String::new(),
        notes => {
            let items: String = notes.iter().map(|note| format!("<p>{}</p>", escape(note))).collect();
            format!("<div class=\"notes\" role=\"note\">{items}</div>\n")
        }
    };
    Ok(format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">
<title>Azure VM images</title>
<link rel="icon" href="data:,">
<style>
{STYLE}</style>
</head>
<body>
<header>
  <h1>Azure VM images</h1>
  <span class="dim">{generated}</span>
</header>
<ul class="totals">{totals}</ul>
{notes}<main id="galleries"></main>
<noscript><p class="notes">This page needs JavaScript. <code>report --format markdown</code> prints the same as text.</p></noscript>
<script>
{SCRIPT}
drawGalleries(document.getElementById("galleries"), {data});
</script>
</body>
</html>
"#,
        generated = escape(&minute(&report.generated_at)),
    ))
}

/// An RFC 3339 date in UTC, to the minute, as people write it.
fn minute(date: &str) -> String {
    match (date.get(..10), date.get(11..16)) {
        (Some(day), Some(time)) if date.ends_with('Z') => format!("{day} {time} UTC"),
        _ => date.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::sample;
    use super::*;

    #[test]
    fn dates_are_readable() {
        assert_eq!(minute("2026-11-28T21:10:00.084885047Z"), "2026-11-28 21:10 UTC");
        assert_eq!(minute("soon"), "soon");
    }

    #[test]
    fn is_self_contained_and_escapes_every_text() {
        let mut report = sample::report();
        report.notes = vec!["<b>note</b>".to_owned()];
        report.galleries[0].name = "</script><script>alert(1)".to_owned();
        let page = render(&report).unwrap();
        assert!(page.contains("<p>&lt;b&gt;note&lt;/b&gt;</p>"));
        assert_eq!(page.matches("</script>").count(), 1, "text cannot end the script");
        assert!(!page.contains("http://") && !page.contains("https://") && !page.contains(" src="));
        assert!(page.contains("<b>6.00</b>USD a month at most"));
    }
}
