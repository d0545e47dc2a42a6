//! The endpoints of a cloud: built in, configured or discovered.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::Value;
use url::{Host, Url};

use super::error::{self, Error, Kind};
use super::host_request;
use super::transport::{Method, Request, Transport};

/// The endpoints of one cloud.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cloud {
    /// The service's own name, such as `AzureCloud`.
    pub name: String,
    /// Resource Manager, without a trailing slash: `https://management.azure.com`.
    pub resource_manager: String,
    /// The login service, without a trailing slash: `https://login.microsoftonline.com`.
    pub authority: String,
    /// The audience of tokens; with `/.default` it is the scope.
    pub audience: String,
    /// Suffix of storage hosts: `core.windows.net`.
    pub storage_suffix: String,
}

impl Cloud {
    /// The public cloud.
    pub fn public() -> Self {
        Self::known("AzureCloud", "management.azure.com", "login.microsoftonline.com", "core.windows.net")
    }

    /// The cloud of the US government.
    pub fn us_government() -> Self {
        Self::known(
            "AzureUSGovernment",
            "management.usgovcloudapi.net",
            "login.microsoftonline.us",
            "core.usgovcloudapi.net",
        )
    }

    /// The cloud in China.
    pub fn china() -> Self {
        Self::known(
            "AzureChinaCloud",
            "management.chinacloudapi.cn",
            "login.chinacloudapi.cn",
            "core.chinacloudapi.cn",
        )
    }

    /// The cloud called `environment` in a provider block: `public`, `usgovernment` or `china`.
    pub fn named(environment: &str) -> Option<Self> {
        match environment.to_ascii_lowercase().as_str() {
            "public" | "global" | "azurecloud" | "azurepubliccloud" => Some(Self::public()),
            "usgovernment"
            | "usgovernmentl4"
            | "usgovernmentl5"
            | "dod"
            | "azureusgovernment"
            | "azureusgovernmentcloud" => Some(Self::us_government()),
            "china" | "azurechinacloud" => Some(Self::china()),
            _ => None,
        }
    }

    /// The OAuth scope of tokens for Resource Manager.
    pub fn scope(&self) -> String {
        format!("{}/.default", self.audience.trim_end_matches('/'))
    }

    /// True when `url` is on exactly the host and port of this cloud's Resource Manager.
    pub fn owns(&self, url: &str) -> bool {
        // URL parsers skip these.
        if url.contains(char::is_control) || url.starts_with(char::is_whitespace) {
            return false;
        }
        match (Url::parse(url), Url::parse(&self.resource_manager)) {
            (Ok(url), Ok(own)) => {
                url.origin() == own.origin() && url.username().is_empty() && url.password().is_none()
            }
            _ => false,
        }
    }

    fn known(name: &str, resource_manager: &str, authority: &str, storage_suffix: &str) -> Self {
        Self {
            name: name.to_owned(),
            resource_manager: format!("https://{resource_manager}"),
            authority: format!("https://{authority}"),
            audience: format!("https://{resource_manager}"),
            storage_suffix: storage_suffix.to_owned(),
        }
    }
}

/// Where the endpoints of the cloud come from.
#[derive(Clone, Debug)]
pub enum CloudSource {
    /// A built-in cloud.
    Known(Cloud),
    /// Requests the endpoints from this host, `HOST` or `HOST:PORT`; `http://` only on loopback.
    Discover {
        /// The host.
        metadata_host: String,
    },
    /// A built-in cloud with some endpoints replaced.
    Endpoint {
        /// The cloud with the other endpoints.
        base: Cloud,
        /// Resource Manager's URL.
        resource_manager: Option<String>,
        /// The login service's URL.
        authority: Option<String>,
        /// The audience of tokens. It defaults to a replaced Resource Manager URL, so that a token for the public cloud is
        /// never sent elsewhere.
        audience: Option<String>,
    },
}

impl CloudSource {
    /// Determines the cloud. Sends a request only if necessary.
    pub async fn resolve(&self, transport: &dyn Transport) -> Result<Cloud, Error> {
        let unconfigured = |message: String| Error::new(Kind::Unconfigured, message);
        match self {
            Self::Known(cloud) => Ok(cloud.clone()),
            Self::Endpoint { base, resource_manager, authority, audience } => {
                let mut cloud = base.clone();
                if let Some(url) = resource_manager {
                    cloud.resource_manager = endpoint(url)
                        .map_err(|why| unconfigured(format!("resource_manager_endpoint {url:?}: {why}")))?;
                    cloud.audience.clone_from(&cloud.resource_manager);
                    cloud.name = "custom".to_owned();
                }
                if let Some(url) = authority {
                    cloud.authority = endpoint(url).map_err(|why| {
                        unconfigured(format!("active_directory_authority_host {url:?}: {why}"))
                    })?;
                }
                if let Some(audience) = audience {
                    audience.clone_into(&mut cloud.audience);
                }
                Ok(cloud)
            }
            Self::Discover { metadata_host } => discover(metadata_host, transport).await,
        }
    }
}

/// Checks that a token may be sent to `url`: HTTPS, or HTTP on loopback. Returns it without a trailing slash.
pub fn endpoint(url: &str) -> Result<String, String> {
    let text = if url.contains("://") { url.trim().to_owned() } else { format!("https://{}", url.trim()) };
    // URL parsers skip these, but code that appends a path to the text would not
    if text.contains(|c: char| c.is_control() || c.is_whitespace() || c == '\\') {
        return Err("not a URL of the form https://HOST".to_owned());
    }
    let parsed = Url::parse(&text).map_err(|error| format!("not a URL ({error})"))?;
    // the parser also accepts `https:/HOST`
    let is_spelt_out = text.to_ascii_lowercase().starts_with(&format!("{}://", parsed.scheme()));
    if !is_spelt_out
        || parsed.host().is_none()
        || !parsed.username().is_empty()
        || parsed.password().is_some()
    {
        return Err("not a URL of the form https://HOST".to_owned());
    }
    match parsed.scheme() {
        "https" => {}
        "http" if is_loopback(&parsed) => {}
        "http" => {
            return Err("plain http is only allowed to this machine (localhost, 127.0.0.1, ::1); use https"
                .to_owned());
        }
        other => return Err(format!("{other}:// cannot be used, only https://")),
    }
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err("an endpoint has no query".to_owned());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// True if `url` is on a loopback address.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.octets()[0] == Ipv4Addr::LOCALHOST.octets()[0],
        Some(Host::Ipv6(address)) => address == Ipv6Addr::LOCALHOST,
        None => false,
    }
}

const METADATA: &str = "/metadata/endpoints";

async fn discover(metadata_host: &str, transport: &dyn Transport) -> Result<Cloud, Error> {
    let fail = |kind: Kind, why: String| {
        let mut error =
            Error::new(kind, format!("requesting the endpoints of {metadata_host} (metadata_host): {why}"));
        error.path = METADATA.to_owned();
        error
    };
    let host = endpoint(metadata_host).map_err(|why| fail(Kind::Unconfigured, why))?;
    let request = Request {
        method: Method::Get,
        url: format!("{host}{METADATA}?api-version=2022-09-01"),
        headers: vec![("Accept".to_owned(), "application/json".to_owned())],
        body: None,
    };
    let name = host_request::host(&host);
    let discovery = host_request::send(transport, request, |response| {
        if response.status != 200 {
            let reason = "is this a Resource Manager host?".to_owned();
            return Err(host_request::refusal(&name, response, Some(reason)));
        }
        let document =
            error::json(&response.body).ok_or_else(|| host_request::refusal(&name, response, None))?;
        parse(&document, &host).map_err(|why| host_request::refusal(&name, response, Some(why)))
    });
    discovery.await.map_err(|failure| {
        let kind = if failure.transient { Kind::Transport { sent: false } } else { Kind::Service };
        fail(kind, failure.why)
    })
}

/// Parses a metadata document: one cloud, or an array from which the cloud of `host` is taken.
pub(super) fn parse(document: &Value, host: &str) -> Result<Cloud, String> {
    let same_origin = |url: &str| match (Url::parse(url), Url::parse(host)) {
        (Ok(a), Ok(b)) => a.origin() == b.origin(),
        _ => false,
    };
    let cloud = match document {
        Value::Array(clouds) => clouds
            .iter()
            .find(|cloud| cloud["resourceManager"].as_str().is_some_and(same_origin))
            .or(clouds.first())
            .ok_or("it lists no cloud")?,
        one => one,
    };
    let text =
        |pointer: &str| {
            cloud.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty()).ok_or_else(|| {
                format!("its answer has no {}", pointer.trim_start_matches('/').replace('/', "."))
            })
        };
    let checked = |pointer: &str| {
        let url = text(pointer)?;
        endpoint(url).map_err(|why| {
            format!("its {} {url:?}: {why}", pointer.trim_start_matches('/').replace('/', "."))
        })
    };
    // An emulator that serves all endpoints need not contain its own URL.
    let resource_manager = match text("/resourceManager") {
        Ok(_) => checked("/resourceManager")?,
        Err(_) => host.to_owned(),
    };
    let audiences: Vec<&str> = cloud
        .pointer("/authentication/audiences")
        .and_then(Value::as_array)
        .map(|audiences| audiences.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let audience = audiences
        .iter()
        .find(|audience| audience.trim_end_matches('/') == resource_manager)
        .or(audiences.first())
        .map_or(resource_manager.as_str(), |audience| audience.trim_end_matches('/'));
    Ok(Cloud {
        name: text("/name").unwrap_or("custom").to_owned(),
        authority: checked("/authentication/loginEndpoint")?,
        audience: audience.to_owned(),
        storage_suffix: text("/suffixes/storage").unwrap_or("core.windows.net").to_owned(),
        resource_manager,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arm::transport::{Response, TransportError};
    use serde_json::json;

    struct Fixed(u16, &'static str);

    #[async_trait::async_trait]
    impl Transport for Fixed {
        async fn send(&self, request: Request) -> Result<Response, TransportError> {
            assert!(request.url.ends_with("/metadata/endpoints?api-version=2022-09-01"), "{}", request.url);
            assert!(request.header("authorization").is_none());
            if self.0 == 0 {
                return Err(TransportError { sent: false, message: self.1.to_owned() });
            }
            Ok(Response { status: self.0, headers: vec![], body: self.1.as_bytes().to_vec() })
        }
    }

    async fn discover_at(host: &str, status: u16, body: &'static str) -> Result<Cloud, Error> {
        CloudSource::Discover { metadata_host: host.to_owned() }.resolve(&Fixed(status, body)).await
    }

    #[test]
    fn validates_endpoints() {
        for (given, expected) in [
            ("https://management.azure.com/", Some("https://management.azure.com")),
            ("arm.local:8443", Some("https://arm.local:8443")),
            ("http://127.0.0.1:80", Some("http://127.0.0.1:80")),
            ("http://127.9.9.9:1/", Some("http://127.9.9.9:1")),
            ("http://localhost:9", Some("http://localhost:9")),
            ("http://[::1]:9", Some("http://[::1]:9")),
            ("http://example.org", None),
            ("http://localhost.example.org", None),
            ("ftp://localhost", None),
            ("https://user@h", None),
            ("https://h\u{6}", None),
            ("https://h\t", Some("https://h")),
            ("https://a b", None),
            ("https:\\\\h", None),
            ("https:/h://", None),
            ("https://h\\x", None),
            ("https://h/?a=b", None),
            ("", None),
        ] {
            assert_eq!(endpoint(given).ok().as_deref(), expected, "{given}");
        }
    }

    #[tokio::test]
    async fn discovers_a_cloud() {
        let body = "\u{feff}{\"name\":\"Stack\",\"resourceManager\":\"https://arm.local:8443/\",\"authentication\":{\"loginEndpoint\":\"https://arm.local:8443/adfs\",\"audiences\":[\"https://x\",\"https://arm.local:8443/\"]},\"suffixes\":{\"storage\":\"s.local\"}}";
        let cloud = discover_at("arm.local:8443", 200, body).await.unwrap();
        assert_eq!(cloud.resource_manager, "https://arm.local:8443");
        assert_eq!(cloud.authority, "https://arm.local:8443/adfs");
        assert_eq!(cloud.scope(), "https://arm.local:8443/.default");
        assert_eq!((cloud.name.as_str(), cloud.storage_suffix.as_str()), ("Stack", "s.local"));
    }

    #[test]
    fn finds_the_cloud_in_an_array() {
        let cloud = |arm: &str| json!({"name": arm, "resourceManager": arm, "authentication": {"loginEndpoint": "https://l", "audiences": ["aud"]}});
        let list = json!([cloud("https://a"), cloud("https://b/")]);
        assert_eq!(parse(&list, "https://b").unwrap().name, "https://b/");
        assert_eq!(parse(&list, "https://c").unwrap().name, "https://a");
        assert_eq!(parse(&list, "https://c").unwrap().audience, "aud");
        assert!(parse(&json!([]), "https://c").is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn errors_explain_why_discovery_failed() {
        for (host, status, body, why) in [
            (
                "arm.local",
                0,
                "connection refused",
                "requesting the endpoints of arm.local (metadata_host): arm.local did not answer: connection refused",
            ),
            ("arm.local", 404, "", "arm.local answered 404"),
            ("arm.local", 503, "", "arm.local answered 503"),
            ("arm.local", 200, "<html><title>Sign in</title>", "HTML page"),
            ("arm.local", 200, "{}", "no authentication.loginEndpoint"),
            (
                "arm.local",
                200,
                r#"{"resourceManager":"http://evil.example","authentication":{"loginEndpoint":"https://l"}}"#,
                "plain http",
            ),
            ("http://arm.local", 200, "{}", "plain http"),
        ] {
            let error = discover_at(host, status, body).await.unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("arm.local"), "{error}");
        }
    }

    #[tokio::test]
    async fn replaced_endpoints_never_get_tokens_for_the_public_cloud() {
        let source = |resource_manager: Option<&str>, audience: Option<&str>| CloudSource::Endpoint {
            base: Cloud::public(),
            resource_manager: resource_manager.map(str::to_owned),
            authority: None,
            audience: audience.map(str::to_owned),
        };
        let none = Fixed(500, "");
        let cloud = source(Some("http://localhost:1/"), None).resolve(&none).await.unwrap();
        assert_eq!(
            (cloud.resource_manager.as_str(), cloud.audience.as_str()),
            ("http://localhost:1", "http://localhost:1")
        );
        let cloud = source(None, Some("https://aud/")).resolve(&none).await.unwrap();
        assert_eq!((cloud.name.as_str(), cloud.scope().as_str()), ("AzureCloud", "https://aud/.default"));
        assert!(source(Some("http://h"), None).resolve(&none).await.is_err());
    }

    #[test]
    fn owns_only_its_own_host() {
        let cloud = Cloud::public();
        for (url, own) in [
            ("https://management.azure.com/x?y", true),
            ("https://MANAGEMENT.azure.com:443/x", true),
            ("https://management.azure.com.evil.example/x", false),
            ("https://evil@management.azure.com/x", false),
            ("http://management.azure.com/x", false),
            ("https://management.azure.com:8443/x", false),
            ("/x", false),
            ("\u{1}https://management.azure.com/x", false),
            (" https://management.azure.com/x", false),
            ("https://management.azure.com/x?a=b c", true),
        ] {
            assert_eq!(cloud.owns(url), own, "{url}");
        }
    }
}
