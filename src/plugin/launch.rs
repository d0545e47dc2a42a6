//! The host's environment variables, and the handshake line that answers them.

use super::{StartError, address::Address};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use std::{ffi::OsString, ops::RangeInclusive, path::PathBuf};

/// The plugin protocol that this process always announces, even if `PLUGIN_PROTOCOL_VERSIONS` does not offer it: it
/// supports no other, and a host without it reports that clearly.
pub const PROTOCOL: u32 = 5;

const COOKIE: (&str, &str) =
    ("TF_PLUGIN_MAGIC_COOKIE", "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2");

/// The host's settings for transport and encryption.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Launch {
    /// The certificate the host will present, in PEM; without one the transport is plain text.
    pub client_certificate: Option<String>,
    /// The directory for the socket, if the host names one.
    pub socket_dir: Option<PathBuf>,
    /// The group (name or number) that may use the socket.
    pub socket_group: Option<String>,
    /// The TCP ports to choose from where there are no unix sockets; `0..=0` is any free one.
    pub ports: Ports,
    /// Whether the host asks for multiplexing (one connection for both directions). This process does not support it.
    pub multiplexing_requested: bool,
}

/// TCP ports, tried in ascending order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ports(pub RangeInclusive<u16>);

impl Default for Ports {
    fn default() -> Self {
        Self(0..=0)
    }
}

impl Launch {
    /// Reads the variables of a process started by Terraform or OpenTofu.
    pub fn from_host(get: impl Fn(&str) -> Option<OsString>) -> Result<Self, StartError> {
        if get(COOKIE.0).is_none_or(|value| value != COOKIE.1) {
            return Err(StartError::NotByHost);
        }
        let text = |name: &str| {
            get(name).and_then(|value| value.into_string().ok()).filter(|value| !value.is_empty())
        };
        Ok(Self {
            client_certificate: text("PLUGIN_CLIENT_CERT"),
            multiplexing_requested: text("PLUGIN_MULTIPLEX_GRPC").is_some(),
            ..Self::for_debug(get)?
        })
    }

    /// Reads the variables of the listener, which apply in debug mode too.
    pub fn for_debug(get: impl Fn(&str) -> Option<OsString>) -> Result<Self, StartError> {
        let given = |name: &str| get(name).filter(|value| !value.is_empty());
        let port = |name: &'static str| match given(name) {
            None => Ok(None),
            Some(value) => match value.to_str().and_then(|text| text.parse::<u16>().ok()) {
                Some(port) => Ok(Some(port)),
                None => Err(StartError::Port { name, value: value.to_string_lossy().into_owned() }),
            },
        };
        let first = port("PLUGIN_MIN_PORT")?.unwrap_or(0);
        let last = port("PLUGIN_MAX_PORT")?.unwrap_or(first);
        Ok(Self {
            socket_dir: given("PLUGIN_UNIX_SOCKET_DIR").map(PathBuf::from),
            socket_group: given("PLUGIN_UNIX_SOCKET_GROUP").map(|value| value.to_string_lossy().into_owned()),
            ports: Ports(first..=last),
            ..Self::default()
        })
    }
}

/// The handshake: core protocol, plugin protocol, network, address, `grpc`, and, with TLS, the certificate (DER in
/// base64 without padding, which the host cannot read). It says whether multiplexing is supported only if the host
/// asks, because older hosts would read a seventh field as part of the sixth.
pub fn handshake_line(address: &Address, certificate: &[u8], multiplexing_requested: bool) -> String {
    let multiplexing = if multiplexing_requested { "|false" } else { "" };
    let certificate = STANDARD_NO_PAD.encode(certificate);
    format!("1|{PROTOCOL}|{}|{address}|grpc|{certificate}{multiplexing}\n", address.network())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(variables: &[(&str, &str)]) -> Result<Launch, StartError> {
        Launch::from_host(|name| {
            (name == COOKIE.0)
                .then(|| COOKIE.1.into())
                .or_else(|| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into()))
        })
    }

    #[test]
    fn requires_the_right_cookie() {
        for cookie in [None, Some(""), Some("wrong"), Some(&COOKIE.1[1..])] {
            let launch = Launch::from_host(|name| cookie.filter(|_| name == COOKIE.0).map(Into::into));
            assert!(matches!(launch, Err(StartError::NotByHost)), "{cookie:?}");
        }
        assert_eq!(launch(&[]).unwrap(), Launch::default());
    }

    #[test]
    fn reads_variables_and_ignores_empty_ones() {
        assert_eq!(
            launch(&[
                ("PLUGIN_CLIENT_CERT", "pem"),
                ("PLUGIN_UNIX_SOCKET_DIR", "/run"),
                ("PLUGIN_UNIX_SOCKET_GROUP", "users"),
                ("PLUGIN_MIN_PORT", "10000"),
                ("PLUGIN_MAX_PORT", "25000"),
                ("PLUGIN_MULTIPLEX_GRPC", "true"),
            ])
            .unwrap(),
            Launch {
                client_certificate: Some("pem".into()),
                socket_dir: Some("/run".into()),
                socket_group: Some("users".into()),
                ports: Ports(10000..=25000),
                multiplexing_requested: true,
            }
        );
        let empty =
            ["CLIENT_CERT", "UNIX_SOCKET_DIR", "UNIX_SOCKET_GROUP", "MIN_PORT", "MAX_PORT", "MULTIPLEX_GRPC"]
                .map(|name| format!("PLUGIN_{name}"));
        let empty: Vec<_> = empty.iter().map(|name| (name.as_str(), "")).collect();
        assert_eq!(launch(&empty).unwrap(), Launch::default());
    }

    #[test]
    fn error_names_the_variable_of_a_wrong_port() {
        for value in ["x", "-1", "65536"] {
            let error = launch(&[("PLUGIN_MAX_PORT", value)]).unwrap_err().to_string();
            assert!(error.contains("PLUGIN_MAX_PORT") && error.contains(value), "{error}");
        }
    }

    #[test]
    fn handshake_line_has_a_seventh_field_only_on_request() {
        let unix = Address::Unix("/tmp/a/s".into());
        let tcp = Address::Tcp(([127, 0, 0, 1], 10000).into());
        for (address, certificate, asked, line) in [
            (&unix, &b""[..], false, "1|5|unix|/tmp/a/s|grpc|\n"),
            (&unix, b"", true, "1|5|unix|/tmp/a/s|grpc||false\n"),
            // Four bytes would need two padding characters.
            (&tcp, b"\xfb\xff\xfe\x00", false, "1|5|tcp|127.0.0.1:10000|grpc|+//+AA\n"),
            (&tcp, b"abcd", true, "1|5|tcp|127.0.0.1:10000|grpc|YWJjZA|false\n"),
        ] {
            assert_eq!(handshake_line(address, certificate, asked), line);
        }
    }
}
