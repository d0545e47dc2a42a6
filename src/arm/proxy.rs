//! Explains why a proxy refused a connection, which the HTTP library does not report.

use std::time::Duration;

use base64::Engine as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use url::Url;

use super::redact;
use super::transport::{PROXY_REFUSED, SOCKS};

/// The time limit of the proxy's response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Explains why connecting to `url` through a proxy failed with `message`; `None` if the proxy is not the cause.
pub async fn explain(url: &str, message: &str) -> Option<String> {
    let (variable, proxy) = from_environment(|name| std::env::var(name).ok())?;
    let target = Url::parse(url).ok()?;
    let target = format!("{}:{}", target.host_str()?, target.port_or_known_default()?);
    if proxy.scheme().starts_with("socks") {
        return Some(format!("{variable} names a {}:// {SOCKS}; use an http:// proxy", proxy.scheme()));
    }
    if !message.contains("tunnel error") {
        return None;
    }
    let status = match tokio::time::timeout(RESPONSE_TIMEOUT, connect_status(&proxy, &target)).await {
        Ok(Ok(status)) => status,
        // The proxy refused the connection, even if it does not respond now.
        _ => message.to_owned(),
    };
    let host = format!("{}:{}", proxy.host_str()?, proxy.port_or_known_default()?);
    let remedy = if status.starts_with("407") { "; give it a user and password in the variable" } else { "" };
    Some(format!("the proxy {host} of {variable} {PROXY_REFUSED} {target}: {status}{remedy}"))
}

/// The HTTPS proxy and its environment variable, determined like the HTTP library does.
fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Option<(&'static str, Url)> {
    let names = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    let (name, value) =
        names.into_iter().find_map(|name| Some((name, variable(name).filter(|value| !value.is_empty())?)))?;
    let value = if value.contains("://") { value } else { format!("http://{value}") };
    Some((name, Url::parse(&value).ok()?))
}

/// Sends the proxy another CONNECT to `target`, and returns the status and reason of its response.
async fn connect_status(proxy: &Url, target: &str) -> std::io::Result<String> {
    let unknown = || std::io::Error::other("no status");
    if proxy.scheme() != "http" {
        return Err(unknown());
    }
    let address = (proxy.host_str().unwrap_or_default(), proxy.port_or_known_default().unwrap_or(80));
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    if !proxy.username().is_empty() {
        let user = format!("{}:{}", proxy.username(), proxy.password().unwrap_or_default());
        let user = base64::engine::general_purpose::STANDARD.encode(percent_decoded(&user));
        request.push_str(&format!("Proxy-Authorization: Basic {user}\r\n"));
    }
    stream.write_all(format!("{request}\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.contains(&b'\n') && answer.len() < 1024 {
        if stream.read_buf(&mut answer).await? == 0 {
            break;
        }
    }
    let line = String::from_utf8_lossy(&answer);
    let line = line.lines().next().unwrap_or_default();
    let status = line.split_once(' ').filter(|(version, _)| version.starts_with("HTTP/"));
    status.map(|(_, status)| redact::message(status, 100)).ok_or_else(unknown)
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.filter(|_| *first == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(decoded) => {
                out.push(decoded);
                rest = &after[2..];
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_proxy_from_the_environment() {
        let find = |set: &'static [(&str, &str)]| {
            from_environment(|name| {
                set.iter().find(|(have, _)| *have == name).map(|(_, value)| (*value).to_owned())
            })
            .map(|(name, url)| format!("{name} {url}"))
        };
        assert_eq!(find(&[]), None);
        assert_eq!(find(&[("HTTPS_PROXY", "")]), None);
        assert_eq!(find(&[("https_proxy", "p:3128")]).as_deref(), Some("https_proxy http://p:3128/"));
        let both = find(&[("ALL_PROXY", "socks5://a:1"), ("HTTPS_PROXY", "http://b:2")]);
        assert_eq!(both.as_deref(), Some("HTTPS_PROXY http://b:2/"));
    }

    #[tokio::test]
    async fn reads_the_status_of_the_refusal() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = format!("http://us%40er:p%3Aw@{}", listener.local_addr().unwrap());
        let seen = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut seen = vec![0; 1024];
            let length = socket.read(&mut seen).await.unwrap();
            socket.write_all(b"HTTP/1.1 403 Not \x1b[31mallowed\r\n\r\n").await.unwrap();
            String::from_utf8_lossy(&seen[..length]).into_owned()
        });
        let status = connect_status(&Url::parse(&proxy).unwrap(), "management.azure.com:443").await.unwrap();
        assert_eq!(status, "403 Not [31mallowed");
        let seen = seen.await.unwrap();
        assert!(seen.starts_with("CONNECT management.azure.com:443 HTTP/1.1\r\n"), "{seen}");
        assert!(seen.contains("Proxy-Authorization: Basic dXNAZXI6cDp3\r\n"), "{seen}");
    }
}
