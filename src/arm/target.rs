//! Targets of calls: a path under the Resource Manager endpoint, an API version and query options.

use super::id::type_of_path;
use super::versions::{ApiVersion, spoken};

/// The path, API version and query of a call, without the cloud's endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    path: String,
    /// Empty if no version is known for the type.
    api_version: &'static str,
    requirement: Option<Requirement>,
    query: Vec<(String, String)>,
}

/// The oldest API version that supports a request.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    since: &'static str,
    what: String,
}

impl Target {
    /// A call to `path`, with the newest API version that this client supports for the path's type.
    ///
    /// `path` begins with a slash, such as `/subscriptions/…/galleries/g`, and is not percent-encoded. A call to a type that
    /// is not in [`versions`](super::versions) is refused before it is sent.
    pub fn at(path: impl Into<String>) -> Self {
        let mut target = Self::new(path, "");
        target.api_version = spoken(&target.resource_type()).first().copied().unwrap_or_default();
        target
    }

    /// A call with another API version. A cloud that lacks it is still called with an older one.
    pub fn new(path: impl Into<String>, api_version: &'static str) -> Self {
        let mut path: String = path.into();
        if !path.starts_with('/') {
            path.insert(0, '/');
        }
        Self { path, api_version, requirement: None, query: Vec::new() }
    }

    /// Requires API version `since` or newer, because the request contains `what`, such as an attribute. If the cloud has
    /// only older versions, the call fails with an error that names both.
    ///
    /// The newest of several requirements applies.
    #[must_use]
    pub fn needs(mut self, since: &'static str, what: impl Into<String>) -> Self {
        if self.requirement.as_ref().is_none_or(|requirement| requirement.since < since) {
            self.requirement = Some(Requirement { since, what: what.into() });
        }
        self
    }

    /// Adds a query option, such as `("$expand", "ReplicationStatus")`.
    #[must_use]
    pub fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    /// The path as given.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The API version that is tried first. [`Client::api_version_of`](super::Client::api_version_of) returns the one in use.
    pub fn api_version(&self) -> &'static str {
        self.api_version
    }

    /// The resource type of the path in lower case: the same for a resource and its list.
    pub fn resource_type(&self) -> String {
        type_of_path(&self.path)
    }

    /// Fails if `version` does not support the request.
    pub fn check_requirement(&self, version: ApiVersion, cloud: &str) -> Result<(), String> {
        match &self.requirement {
            Some(Requirement { since, what }) if !version.has(since) => Err(format!(
                "{what} needs API version {since} or newer of {}, and the newest that {cloud} has is {}; remove it from the configuration",
                self.resource_type(),
                version.version
            )),
            _ => Ok(()),
        }
    }

    /// The encoded URL under `endpoint` with `api_version`. The error names a segment that cannot be sent.
    pub fn url(&self, endpoint: &str, api_version: &str) -> Result<String, String> {
        if api_version.is_empty() {
            return Err(format!("no API version is known for the resource type {:?}", self.resource_type()));
        }
        let mut url = endpoint.trim_end_matches('/').to_owned();
        for segment in self.path.split('/').skip(1) {
            // URL libraries resolve dot segments, even encoded ones, so the call would go to another resource.
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
    fn builds_urls() {
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
    fn derives_the_api_version_from_the_path() {
        for (path, version) in [
            ("/subscriptions/s/resourceGroups/r/providers/Microsoft.Compute/galleries/g", "2026-03-03"),
            (
                "/subscriptions/s/resourceGroups/r/providers/microsoft.compute/Galleries/g/images",
                "2026-03-03",
            ),
            ("/subscriptions/s/resourceGroups/r/providers/Microsoft.Compute/galleries/g/share", "2026-03-03"),
            ("/subscriptions/s/providers/Microsoft.Compute/locations/x/communityGalleries/g", "2026-03-03"),
            ("/subscriptions/s/resourceGroups/r/providers/Microsoft.Compute/images/i", "2026-03-01"),
            ("/subscriptions/s/resourceGroups/r/providers/Microsoft.Compute/disks/d", "2026-03-02"),
            ("/subscriptions/s/locations", "2022-12-01"),
        ] {
            assert_eq!(Target::at(path).api_version(), version, "{path}");
        }
        let unknown = Target::at("/subscriptions/s/providers/Contoso.Own/things/t");
        let error = unknown.url("https://h", unknown.api_version()).unwrap_err();
        assert!(error.contains("contoso.own/things"), "{error}");
    }

    #[test]
    fn uses_the_newest_required_api_version() {
        let gallery = "/subscriptions/s/resourceGroups/r/providers/Microsoft.Compute/galleries/g";
        let target = Target::at(gallery).needs("2025-03-03", "identity").needs("2020-09-30", "sharing");
        let using = |version| ApiVersion { version, is_confirmed: true };
        assert!(target.check_requirement(using("2025-03-03"), "china").is_ok());
        let error = target.check_requirement(using("2022-03-03"), "china").unwrap_err();
        for part in ["identity", "2025-03-03", "microsoft.compute/galleries", "china", "2022-03-03"] {
            assert!(error.contains(part), "{part} in {error}");
        }
    }

    #[test]
    fn refuses_dot_segments() {
        for path in ["/a/../b", "/./a", "/a/.."] {
            assert!(Target::new(path, "1").url("https://h", "1").is_err(), "{path}");
        }
        assert!(Target::new("/a/..b/c.", "1").url("https://h", "1").is_ok());
    }
}
