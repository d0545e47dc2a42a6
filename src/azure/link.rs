//! Links to blobs, which are equal if they differ only in their SAS token.

use crate::azure::attributes::check_uri;
use crate::schema::Attribute;

/// A link to a blob. It may contain a SAS token, so it is sensitive, and links that differ only in the token are
/// equal.
pub fn link(attribute: Attribute) -> Attribute {
    attribute.sensitive().equivalent_if(is_same_blob).check_text(check_uri)
}

/// Whether two links refer to the same blob: scheme and host are compared without case, and the query is ignored.
pub fn is_same_blob(a: &str, b: &str) -> bool {
    let blob = |link: &str| {
        url::Url::parse(link).ok().map(|mut url| {
            url.set_query(None);
            url.set_fragment(None);
            url
        })
    };
    match (blob(a), blob(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::spec::{Body, required};
    use crate::schema::{Diagnostics, Path, Value};

    #[test]
    fn links_that_differ_in_the_token_are_equal() {
        for (a, b, same) in [
            (
                "https://a.blob.core.windows.net/c/x.zip?sig=1",
                "https://a.blob.core.windows.net/c/x.zip",
                true,
            ),
            (
                "https://a.blob.core.windows.net/c/x.zip?sig=1",
                "https://A.blob.core.windows.net/c/x.zip?sig=2",
                true,
            ),
            ("https://a.blob.core.windows.net/c/x.zip", "https://a.blob.core.windows.net/c/X.zip", false),
            ("https://a.blob.core.windows.net/c/x.zip", "http://a.blob.core.windows.net/c/x.zip", false),
            ("x", "x", true),
            ("x?a", "x?b", false),
        ] {
            assert_eq!(is_same_blob(a, b), same, "{a} {b}");
        }
    }

    #[test]
    fn errors_do_not_contain_an_invalid_link() {
        let mut body = Body::default();
        let mut attribute = link(required());
        attribute.name = "media_link";
        body.attributes.push(attribute);
        let mut found = Diagnostics::new();
        let value = Value::object([("media_link", Value::from("ftp://a/x?sig=secret"))]);
        body.validate(&value, &Path::root(), &mut found);
        assert_eq!(found.0.len(), 1);
        assert!(!format!("{:?}", found.0).contains("secret"), "{:?}", found.0);
    }
}
