//! What a call is aimed at: a path under the Resource Manager endpoint, an API version and query options.

/// The path, API version and query of one call, before it is joined to a cloud's endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    path: String,
    api_version: &'static str,
    older: &'static [&'static str],
    query: Vec<(String, String)>,
}

impl Target {
    /// `path` begins with a slash, such as `/subscriptions/…/galleries/g`, and is not yet percent-encoded.
    pub fn new(path: impl Into<String>, api_version: &'static str) -> Self {
        let mut path: String = path.into();
        if !path.starts_with('/') {
            path.insert(0, '/');
        }
        Self { path, api_version, older: &[], query: Vec::new() }
    }

    /// Adds a query option, such as `("$expand", "ReplicationStatus")`.
    #[must_use]
    pub fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    /// Older API versions that will do where the cloud does not have the one given to [`Target::new`] yet.
    #[must_use]
    pub fn older(mut self, versions: &'static [&'static str]) -> Self {
        self.older = versions;
        self
    }

    /// The versions given to [`Target::older`].
    pub fn older_versions(&self) -> &'static [&'static str] {
        self.older
    }

    /// The path as given.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The API version as given.
    pub fn api_version(&self) -> &'static str {
        self.api_version
    }

    /// The absolute URL under `endpoint` with `api_version`, encoded; an error says which segment cannot be sent.
    pub fn url(&self, endpoint: &str, api_version: &str) -> Result<String, String> {
        let mut url = endpoint.trim_end_matches('/').to_owned();
        for segment in self.path.split('/').skip(1) {
            // URL libraries resolve these, encoded or not, and the call would hit something else.
            if matches!(segment, "." | "..") {
                return Err(format!(
                    "the path {:?} has a segment {segment:?}, which no resource can have",
                    self.path
                ));
            }
            url.push('/');
            encode(segment, b"-._~!$&'()*+,;=:@", &mut url);
        }
        url.push_str("?api-version=");
        encode(api_version, b"-._~", &mut url);
        for (name, value) in &self.query {
            url.push('&');
            encode(name, b"-._~$", &mut url);
            url.push('=');
            encode(value, b"-._~$,:/()", &mut url);
        }
        Ok(url)
    }
}

/// Appends `text`, percent-encoding every byte that is neither alphanumeric nor in `allowed`.
fn encode(text: &str, allowed: &[u8], out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || allowed.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let endpoint = "https://management.azure.com/";
        for (target, url) in [
            (Target::new("/a/b", "2026-03-03"), "/a/b?api-version=2026-03-03"),
            (Target::new("a", "1"), "/a?api-version=1"),
            (Target::new("/rg (1)/x?y#z", "1"), "/rg%20(1)/x%3Fy%23z?api-version=1"),
            (Target::new("/50%/ü", "1"), "/50%25/%C3%BC?api-version=1"),
            (
                Target::new("/v", "1").query("$expand", "ReplicationStatus").query("$filter", "a eq 'b&c'"),
                "/v?api-version=1&$expand=ReplicationStatus&$filter=a%20eq%20%27b%26c%27",
            ),
        ] {
            assert_eq!(
                target.url(endpoint, target.api_version).unwrap(),
                format!("https://management.azure.com{url}")
            );
        }
    }

    #[test]
    fn dot_segments_are_refused() {
        for path in ["/a/../b", "/./a", "/a/.."] {
            assert!(Target::new(path, "1").url("https://h", "1").is_err(), "{path}");
        }
        assert!(Target::new("/a/..b/c.", "1").url("https://h", "1").is_ok());
    }
}
