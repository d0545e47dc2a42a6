//! Requests outside ARM: cloud metadata, OpenID configuration, tokens, and prices.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::super::call::{Answer, Outcome};
use super::super::clock::{self, Ticks};
use super::super::errors::ArmError;
use super::super::json::Json;
use super::super::store::guid;
use super::prices;

/// The default tenant of requests.
pub const TENANT: &str = "11111111-1111-1111-1111-111111111111";
/// The caller of requests without a token issued by the emulator.
pub const OBJECT: &str = "22222222-2222-2222-2222-222222222222";
/// The client that signs in without an ID.
pub const CLIENT: &str = "33333333-3333-3333-3333-333333333333";
/// The lifetime of a token, in seconds.
const LIFETIME: i64 = 3_600;

/// A request outside ARM: path segments in lower case and as sent, query, body, base URL, system time.
pub struct NonArmRequest<'a> {
    /// Lower-case segments.
    pub segments: &'a [String],
    /// Query pairs.
    pub query: &'a [(String, String)],
    /// Raw body.
    pub body: &'a [u8],
    /// `https://host`.
    pub base: &'a str,
    /// The system time without the emulator's offset: clients check expiry by their own clock.
    pub now: Ticks,
}

/// Responds to a request outside ARM; `None` for an ARM request.
pub fn respond(request: &NonArmRequest<'_>) -> Option<Outcome> {
    let segments: Vec<&str> = request.segments.iter().map(String::as_str).collect();
    let base = request.base;
    Some(Ok(match segments.as_slice() {
        ["metadata", "endpoints"] => metadata(request),
        ["common", "discovery", "instance"] => discovery(base),
        [tenant, "oauth2", "v2.0", "token"] => return Some(token(request, tenant, true)),
        [tenant, "oauth2", "token"] => return Some(token(request, tenant, false)),
        [tenant, "v2.0", ".well-known", "openid-configuration"]
        | [tenant, ".well-known", "openid-configuration"] => openid(base, tenant),
        [_, "discovery", ..] => Answer::compact(200, Json::object().with("keys", Vec::new())),
        ["api", "retail", "prices"] => return Some(prices::list(request.query, base)),
        ["_emulator", "aliases.json"] => aliases(),
        _ => return None,
    }))
}

fn metadata(request: &NonArmRequest<'_>) -> Answer {
    let api = request
        .query
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("api-version"))
        .map_or("", |(_, value)| value.as_str());
    let base = request.base;
    let audiences = vec![format!("{base}/").into(), Json::from(base)];
    let old_login = Json::object().with("loginEndpoint", base).with("audiences", audiences);
    if api < "2019-01-01" {
        return Answer::compact(
            200,
            Json::object()
                .with("galleryEndpoint", format!("{base}/"))
                .with("graphEndpoint", format!("{base}/"))
                .with("portalEndpoint", format!("{base}/"))
                .with("authentication", old_login),
        );
    }
    let cloud = environment(base);
    // One object since 2022-09-01, an array of clouds before that.
    Answer::compact(200, if api >= "2022-01-01" { cloud } else { Json::Array(vec![cloud]) })
}

/// The endpoints of the cloud, as its metadata and the template function `environment()` show them.
pub fn environment(base: &str) -> Json {
    Json::object()
        .with("portal", format!("{base}/"))
        .with(
            "authentication",
            Json::object()
                .with("loginEndpoint", base)
                .with("audiences", vec![format!("{base}/").into(), Json::from(base)])
                .with("tenant", "common")
                .with("identityProvider", "AAD"),
        )
        .with("media", base)
        .with("graphAudience", format!("{base}/"))
        .with("graph", format!("{base}/"))
        .with("name", "AzureEmulator")
        .with("suffixes", suffixes())
        .with("batch", format!("{base}/"))
        .with("resourceManager", format!("{base}/"))
        .with("vmImageAliasDoc", format!("{base}/_emulator/aliases.json"))
        .with("activeDirectoryDataLake", format!("{base}/"))
        .with("sqlManagement", format!("{base}/"))
        .with("microsoftGraphResourceId", format!("{base}/"))
        .with("appInsightsResourceId", base)
        .with("appInsightsTelemetryChannelResourceId", base)
        .with("attestationResourceId", base)
        .with("synapseAnalyticsResourceId", base)
        .with("logAnalyticsResourceId", base)
        .with("ossrDbmsResourceId", base)
        .with("gallery", format!("{base}/"))
}

fn suffixes() -> Json {
    [
        ("acrLoginServer", "azurecr.io"),
        ("sqlServerHostname", "database.windows.net"),
        ("keyVaultDns", "vault.azure.net"),
        ("storage", "core.windows.net"),
        ("azureDataLakeStoreFileSystem", "azuredatalakestore.net"),
        ("azureDataLakeAnalyticsCatalogAndJob", "azuredatalakeanalytics.net"),
        ("mhsmDns", "managedhsm.azure.net"),
        ("mysqlServerEndpoint", "mysql.database.azure.com"),
        ("postgresqlServerEndpoint", "postgres.database.azure.com"),
        ("mariadbServerEndpoint", "mariadb.database.azure.com"),
        ("azureFrontDoorEndpointSuffix", "azurefd.net"),
        ("storageSyncEndpointSuffix", "afs.azure.net"),
        ("synapseAnalytics", "dev.azuresynapse.net"),
        ("attestationEndpoint", "attest.azure.net"),
    ]
    .into_iter()
    .fold(Json::object(), |all, (key, value)| all.with(key, value))
}

fn host(base: &str) -> &str {
    base.split_once("://").map_or(base, |(_, host)| host)
}

fn discovery(base: &str) -> Answer {
    let host = host(base);
    Answer::compact(
        200,
        Json::object()
            .with("tenant_discovery_endpoint", format!("{base}/common/v2.0/.well-known/openid-configuration"))
            .with("api-version", "1.1")
            .with(
                "metadata",
                vec![
                    Json::object()
                        .with("preferred_network", host)
                        .with("preferred_cache", host)
                        .with("aliases", vec![Json::from(host)]),
                ],
            ),
    )
}

fn openid(base: &str, tenant: &str) -> Answer {
    let strings = |items: &[&str]| items.iter().map(|item| Json::from(*item)).collect::<Vec<_>>();
    Answer::compact(
        200,
        Json::object()
            .with("token_endpoint", format!("{base}/{tenant}/oauth2/v2.0/token"))
            .with(
                "token_endpoint_auth_methods_supported",
                strings(&["client_secret_post", "private_key_jwt", "client_secret_basic"]),
            )
            .with("jwks_uri", format!("{base}/{tenant}/discovery/v2.0/keys"))
            .with("response_modes_supported", strings(&["query", "fragment", "form_post"]))
            .with("subject_types_supported", strings(&["pairwise"]))
            .with("id_token_signing_alg_values_supported", strings(&["RS256"]))
            .with(
                "response_types_supported",
                strings(&["code", "id_token", "code id_token", "id_token token"]),
            )
            .with("scopes_supported", strings(&["openid", "profile", "email", "offline_access"]))
            .with("issuer", format!("{base}/{tenant}/v2.0"))
            .with("authorization_endpoint", format!("{base}/{tenant}/oauth2/v2.0/authorize"))
            .with("device_authorization_endpoint", format!("{base}/{tenant}/oauth2/v2.0/devicecode"))
            .with("end_session_endpoint", format!("{base}/{tenant}/oauth2/v2.0/logout"))
            .with("tenant_region_scope", "EU")
            .with("cloud_instance_name", host(base))
            .with("cloud_graph_host_name", host(base))
            .with("msgraph_host", host(base)),
    )
}

fn token(request: &NonArmRequest<'_>, tenant: &str, second: bool) -> Outcome {
    let form: Vec<(String, String)> = url::form_urlencoded::parse(request.body).into_owned().collect();
    let field = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let Some(grant) = field("grant_type") else {
        return Err(ArmError::new(
            400,
            "invalid_request",
            "AADSTS900144: The request body must contain the following parameter: 'grant_type'.",
        ));
    };
    let client = field("client_id").unwrap_or(CLIENT).to_owned();
    let scope = field("scope").unwrap_or_default().to_owned();
    let audience = field("resource").map_or_else(
        || scope.split_whitespace().next().unwrap_or(request.base).trim_end_matches("/.default").to_owned(),
        str::to_owned,
    );
    let seconds = request.now / clock::SECOND;
    let tenant = if tenant.len() == 36 { tenant } else { TENANT };
    let object = object_of(&client);
    let claims = Json::object()
        .with("aud", audience.as_str())
        .with("iss", format!("{}/{tenant}/", request.base))
        .with("iat", seconds)
        .with("nbf", seconds)
        .with("exp", seconds + LIFETIME)
        .with("appid", client.as_str())
        .with("appidacr", "1")
        .with("idp", format!("{}/{tenant}/", request.base))
        .with("idtyp", "app")
        .with("oid", object.as_str())
        .with("sub", object.as_str())
        .with("tid", tenant)
        .with("uti", "emulator")
        .with("ver", "1.0")
        .with("xms_tcdt", seconds);
    let header = Json::object().with("typ", "JWT").with("alg", "RS256").with("kid", "emulator");
    let encode = |json: &Json| URL_SAFE_NO_PAD.encode(json.compact());
    let token = format!(
        "{}.{}.{}",
        encode(&header),
        encode(&claims),
        URL_SAFE_NO_PAD.encode("an emulator signs nothing")
    );
    let mut answer = Json::object().with("token_type", "Bearer");
    if second {
        answer = answer.with("expires_in", LIFETIME).with("ext_expires_in", LIFETIME);
    } else {
        answer = answer
            .with("expires_in", LIFETIME.to_string())
            .with("ext_expires_in", LIFETIME.to_string())
            .with("expires_on", (seconds + LIFETIME).to_string())
            .with("not_before", seconds.to_string())
            .with("resource", audience);
    }
    answer.set("access_token", token);
    if grant != "client_credentials" {
        answer.set("refresh_token", "emulator");
        answer.set("scope", scope);
    }
    Ok(Answer::compact(200, answer).header("Cache-Control", "no-store, no-cache"))
}

/// The object ID of the service principal of a client: the `oid` of its tokens.
pub fn object_of(client: &str) -> String {
    guid(super::super::operations::stable(client), 7, 7)
}

/// The document that `az vm image list` reads without `--all`.
fn aliases() -> Answer {
    let image = |publisher: &str, offer: &str, sku: &str| {
        Json::object()
            .with("publisher", publisher)
            .with("offer", offer)
            .with("sku", sku)
            .with("version", "latest")
            .with("architecture", "x64")
    };
    let value = Json::object()
        .with(
            "Linux",
            Json::object()
                .with("Ubuntu2204", image("Canonical", "0001-com-ubuntu-server-jammy", "22_04-lts-gen2"))
                .with("Ubuntu2404", image("Canonical", "ubuntu-24_04-lts", "server"))
                .with("Debian12", image("Debian", "debian-12", "12-gen2"))
                .with("RHELRaw9", image("RedHat", "RHEL", "9-lvm-gen2")),
        )
        .with(
            "Windows",
            Json::object().with(
                "Win2022Datacenter",
                image("MicrosoftWindowsServer", "WindowsServer", "2022-datacenter-g2"),
            ),
        );
    let outputs = Json::object().with(
        "outputs",
        Json::object().with("aliases", Json::object().with("type", "object").with("value", value)),
    );
    Answer::compact(200, outputs)
}

/// The caller named by a bearer token, and the token's expiry in Unix seconds.
pub struct Caller {
    /// Tenant.
    pub tenant: String,
    /// Object ID.
    pub object: String,
    /// Expiry, if the token has a readable one.
    pub expires: Option<i64>,
}

/// Reads a token's claims. Tokens that the emulator did not issue are accepted too; missing claims get defaults.
pub fn caller(token: &str) -> Caller {
    let claims = token
        .split('.')
        .nth(1)
        .and_then(|part| URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok())
        .and_then(|text| Json::parse(&text).ok())
        .unwrap_or_default();
    Caller {
        tenant: claims.text("tid").unwrap_or(TENANT).to_owned(),
        object: claims.text("oid").unwrap_or(OBJECT).to_owned(),
        expires: claims.int("exp"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::call::Body;
    use super::*;

    #[test]
    fn token_identifies_its_caller() {
        let segments = ["0b1f6471-1bf0-4dda-aec3-cb9272f09590", "oauth2", "v2.0", "token"].map(str::to_owned);
        let request = NonArmRequest {
            segments: &segments,
            query: &[],
            body:
                b"grant_type=client_credentials&client_id=me&client_secret=x&scope=https%3A%2F%2Fh%2F.default",
            base: "https://h",
            now: 1_000 * clock::SECOND,
        };
        let answer = respond(&request).unwrap().unwrap();
        let Body::Compact(body) = &answer.body else { panic!() };
        assert_eq!(body.int("expires_in"), Some(3_600));
        let caller = caller(body.text("access_token").unwrap());
        assert_eq!(caller.tenant, "0b1f6471-1bf0-4dda-aec3-cb9272f09590");
        assert_eq!(caller.expires, Some(4_600));
        let unknown = super::caller("rubbish");
        assert_eq!((unknown.tenant.as_str(), unknown.expires), (TENANT, None));
    }

    #[test]
    fn metadata_shape_depends_on_api_version() {
        let segments = ["metadata", "endpoints"].map(str::to_owned);
        let shape = |api: &str| {
            let query = [("api-version".to_owned(), api.to_owned())];
            let request =
                NonArmRequest { segments: &segments, query: &query, body: b"", base: "https://h", now: 0 };
            match respond(&request).unwrap().unwrap().body {
                Body::Compact(body) => body,
                _ => panic!(),
            }
        };
        assert_eq!(shape("2022-09-01").text("resourceManager"), Some("https://h/"));
        assert!(matches!(shape("2019-05-01"), Json::Array(_)));
        assert_eq!(shape("2015-01-01").text("authentication.loginEndpoint"), Some("https://h"));
    }
}
