//! Keeps signatures, tokens and secrets out of logs and messages.

use serde_json::Value;

/// Query parameters with secret values: SAS signatures (`sig`), signed poll URLs (`t`, `c`, `s`, `h`), tokens and keys.
const SIGNED: [&str; 12] = [
    "sig",
    "t",
    "c",
    "s",
    "h",
    "code",
    "access_token",
    "token",
    "skoid",
    "client_secret",
    "$skiptoken",
    "key",
];

/// Members of a JSON body whose values are secrets, in lower case.
const SECRET_MEMBERS: [&str; 14] = [
    "access_token",
    "accesstoken",
    "refresh_token",
    "id_token",
    "client_secret",
    "clientsecret",
    "client_assertion",
    "password",
    "adminpassword",
    "secret",
    "accesssas",
    "sas",
    "customdata",
    "oidctoken",
];

/// `url` with the values of signing query parameters replaced by `***`, and without user information.
pub fn url(url: &str) -> String {
    let Some((before, query)) = url.split_once('?') else {
        return without_user(url);
    };
    let (query, fragment) = query.split_once('#').map_or((query, None), |(q, f)| (q, Some(f)));
    let shown: Vec<String> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((name, _)) if is_signed(name) => format!("{name}=***"),
            _ => pair.to_owned(),
        })
        .collect();
    let fragment = if fragment.is_some() { "#…" } else { "" };
    unsigned(&format!("{}?{}{fragment}", without_user(before), shown.join("&")))
}

// In URLs that are quoted in HTML or XML, `&` is `&amp;`.
fn is_signed(name: &str) -> bool {
    let bare = name.strip_prefix("amp;").unwrap_or(name);
    SIGNED.iter().any(|signed| bare.eq_ignore_ascii_case(signed))
}

/// `word` up to the first SAS signature, which may be part of a percent-encoded URL.
fn unsigned(word: &str) -> String {
    let lower = word.to_ascii_lowercase();
    let end = ["sig=", "sig%3d", "sig%253d"]
        .iter()
        .flat_map(|mark| lower.match_indices(mark).map(|(at, mark)| at + mark.len()))
        .filter(|end| !matches!(lower[*end..].strip_prefix("***"), Some(rest) if rest.is_empty() || rest.starts_with(['&', '#'])))
        .min();
    end.map_or(word.to_owned(), |end| format!("{}***", &word[..end]))
}

fn without_user(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let end = rest.find('/').unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://***{}", &rest[at..]),
        None => url.to_owned(),
    }
}

/// Names, before `=` or of JSON members, whose values are secrets, in lower case. Longer names that end with one of them,
/// such as `adminPassword`, count too.
const SECRET_NAMES: [&str; 9] = [
    "password",
    "pwd",
    "client_secret",
    "clientsecret",
    "accountkey",
    "sharedaccesskey",
    "access_token",
    "refresh_token",
    "client_assertion",
];

/// What the current word is, according to the words before it.
#[derive(Clone, Copy, PartialEq)]
enum Expected {
    /// Ordinary text.
    Text,
    /// After the name of an `Authorization` header: its scheme or the credential itself.
    Scheme,
    /// After the name of a secret JSON member: the colon.
    Colon,
    /// A secret.
    Secret,
}

/// Replaces the secrets in free text by `***`: signatures, tokens, user information in URLs, credentials of `Authorization`
/// headers, and values of names such as `password=` and `AccountKey=`.
pub fn text(text: &str) -> String {
    let is_boundary = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '\\');
    let mut out = String::with_capacity(text.len());
    let mut expected = Expected::Text;
    for piece in text.split_inclusive(is_boundary) {
        let (word, end) = piece
            .char_indices()
            .next_back()
            .filter(|(_, c)| is_boundary(*c))
            .map_or((piece, ""), |(at, _)| piece.split_at(at));
        let separator = word.is_empty() || matches!(word, ":" | "=");
        let is_secret = expected == Expected::Secret || expected == Expected::Scheme && !is_scheme(word);
        if is_jwt(word) || !separator && is_secret {
            out.push_str("***");
        } else if word.contains("://") {
            out.push_str(&without_named_secrets(&url(word)));
        } else {
            out.push_str(&without_named_secrets(&unsigned(word)));
        }
        out.push_str(end);
        let name = word.trim_end_matches([':', '=']);
        let is_member = end == "\"";
        expected = match (expected, word) {
            (Expected::Colon, ":") => Expected::Secret,
            (_, "" | ":" | "=") => expected,
            (Expected::Scheme, _) if is_scheme(word) => Expected::Secret,
            _ if word.eq_ignore_ascii_case("bearer") => Expected::Secret,
            _ if ends_with_any(name, &["authorization"]) && (is_member || name != word) => Expected::Scheme,
            _ if word.ends_with('=') && ends_with_any(name, &SECRET_NAMES) => Expected::Secret,
            _ if is_member && ends_with_any(word, &SECRET_NAMES) => Expected::Colon,
            _ => Expected::Text,
        };
    }
    out
}

/// Sanitises a text of the service or a gateway for one line of a message: without secrets and control characters, and with
/// at most `longest` characters.
pub fn message(raw: &str, longest: usize) -> String {
    // A longer prefix than needed, so that a secret at its end is still recognised.
    let start: String = raw.chars().take(longest.saturating_mul(4)).collect();
    let hides = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let spaced: String = start
        .chars()
        .filter(|c| c.is_whitespace() || !hides(*c))
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .collect();
    let clean = text(&spaced.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "));
    let mut shown: String = clean.chars().take(longest).collect();
    if shown.len() < clean.len() || start.len() < raw.len() {
        shown.push('…');
    }
    shown
}

fn is_scheme(word: &str) -> bool {
    ["basic", "bearer", "digest", "negotiate", "ntlm", "sharedkey"]
        .iter()
        .any(|scheme| word.eq_ignore_ascii_case(scheme))
}

fn ends_with_any(word: &str, names: &[&str]) -> bool {
    let word = word.to_ascii_lowercase();
    names.iter().any(|name| word.ends_with(name))
}

/// `word` with the values of `password=…`, `AccountKey=…` and the like replaced, up to the next separator.
fn without_named_secrets(word: &str) -> String {
    let lower = word.to_ascii_lowercase();
    let mut out = String::with_capacity(word.len());
    let mut copied = 0;
    for (at, _) in lower.match_indices('=') {
        if at < copied || !SECRET_NAMES.iter().any(|name| lower[..at].ends_with(name)) {
            continue;
        }
        let value = at + 1;
        let end = word[value..].find([';', '&', ',', ')']).map_or(word.len(), |length| value + length);
        out.push_str(&word[copied..value]);
        if end > value {
            out.push_str("***");
        }
        copied = end;
    }
    out.push_str(&word[copied..]);
    out
}

/// Whether `word` is a signed token: three parts in base64url, the first of which begins a JSON object. Masked parts do not
/// count.
fn is_jwt(word: &str) -> bool {
    word.contains("eyJ")
        && word.len() > 40 + 3 * word.matches("***").count()
        && word.matches('.').count() >= 2
}

/// The maximum size of a logged body. Of larger ones, only the size is logged.
const LONGEST_LOGGED: usize = 1024 * 1024;

/// A request or response body for the trace log: JSON with masked secrets, or only its size.
pub fn body(body: &[u8]) -> String {
    if body.is_empty() {
        return String::new();
    }
    if body.len() > LONGEST_LOGGED {
        return format!("({} bytes)", body.len());
    }
    match serde_json::from_slice::<Value>(body) {
        Ok(mut value) => {
            mask(&mut value);
            value.to_string()
        }
        Err(_) => format!("({} bytes that are not JSON)", body.len()),
    }
}

fn mask(value: &mut Value) {
    match value {
        Value::String(string) if string.contains(['=', '%', '@', ' ']) || is_jwt(string) => {
            *string = text(string);
        }
        Value::Array(items) => items.iter_mut().for_each(mask),
        Value::Object(members) => {
            for (name, member) in members {
                let name = name.to_ascii_lowercase();
                if SECRET_MEMBERS.contains(&name.as_str()) && !member.is_null() {
                    *member = Value::String("***".to_owned());
                } else {
                    mask(member);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_urls() {
        for (given, shown) in [
            ("https://a/b", "https://a/b"),
            ("https://a/b?api-version=1&sig=AbC%2B", "https://a/b?api-version=1&sig=***"),
            (
                "https://a/b?api-version=1&t=1&c=MII&s=x&h=y",
                "https://a/b?api-version=1&t=***&c=***&s=***&h=***",
            ),
            ("https://user:pw@a/b@c", "https://***@a/b@c"),
            ("https://a/b?x", "https://a/b?x"),
            ("https://a/v.vhd?sv=1&amp;sig=zz&amp;sp=r", "https://a/v.vhd?sv=1&amp;sig=***&amp;sp=r"),
            ("https://a/b?t=1&amp;s=x&amp;h=y", "https://a/b?t=***&amp;s=***&amp;h=***"),
            ("https://a/b?to=https%3A%2F%2Fc%3Fsig%3Dzz", "https://a/b?to=https%3A%2F%2Fc%3Fsig%3D***"),
        ] {
            assert_eq!(url(given), shown);
        }
    }

    #[test]
    fn masks_texts() {
        for (given, shown) in [
            ("plain words, a = b", "plain words, a = b"),
            ("see \"https://s/v.vhd?sv=1&sig=zz\" now", "see \"https://s/v.vhd?sv=1&sig=***\" now"),
            ("Authorization: Bearer abc.def tail", "Authorization: Bearer *** tail"),
            ("v.vhd?sv=1&sig=zz", "v.vhd?sv=1&sig=***"),
            ("https://@a.example.org/?a=bcdefgh.eyJt", "https://***@a.example.org/?a=bcdefgh.eyJt"),
            ("v.vhd?sv=1&SIG=zz", "v.vhd?sv=1&SIG=***"),
            (
                "at https%3A%2F%2Fa%2Fv%3Fsv%3D1%26sig%3Dzz now",
                "at https%3A%2F%2Fa%2Fv%3Fsv%3D1%26sig%3D*** now",
            ),
            ("https%3a%2f%2fa%2fv%3fsig%3dzz", "https%3a%2f%2fa%2fv%3fsig%3d***"),
            ("see https://a/v?sig=zz&sp=r now", "see https://a/v?sig=***&sp=r now"),
            (
                "AccountName=a;AccountKey=Zm9v==;EndpointSuffix=x",
                "AccountName=a;AccountKey=***;EndpointSuffix=x",
            ),
            ("Authorization: Basic dXNlcjpwdw== tail", "Authorization: Basic *** tail"),
            ("{\"Authorization\":\"Basic dXNlcjpwdw==\"}", "{\"Authorization\":\"Basic ***\"}"),
            ("authorization: 0123456789 tail", "authorization: *** tail"),
            ("the Basic tier of a bearer", "the Basic tier of a bearer"),
            ("password=hunter2&x=1 adminPassword=p", "password=***&x=1 adminPassword=***"),
            ("client_secret=s3cret, next", "client_secret=***, next"),
            ("password=\"hunter2\" next", "password=\"***\" next"),
            ("{\"password\": \"hunter2\", \"a\": 1}", "{\"password\": \"***\", \"a\": 1}"),
            ("at https://user:pw@host/x now", "at https://***@host/x now"),
            ("the password is wrong", "the password is wrong"),
            ("its authorization failed", "its authorization failed"),
            ("\"Bearer abc.def\" in a body", "\"Bearer ***\" in a body"),
            ("x eyJhbGciOiJub25lIn0.eyJzdWIiOiIxMjM0NTYifQ.c2lnbmF0dXJl y", "x *** y"),
        ] {
            assert_eq!(text(given), shown);
            assert_eq!(text(shown), shown, "masking is idempotent");
        }
    }

    #[test]
    fn masks_bodies() {
        assert_eq!(
            body(br#"{"accessSAS":"https://x?sig=1","a":["v?sig=2"],"adminPassword":"p","n":null}"#),
            r#"{"a":["v?sig=***"],"accessSAS":"***","adminPassword":"***","n":null}"#
        );
        assert_eq!(body(br#"{"a":"https%3A%2F%2Fx%3Fsig%3D1"}"#), r#"{"a":"https%3A%2F%2Fx%3Fsig%3D***"}"#);
        assert_eq!(body(b"<html>"), "(6 bytes that are not JSON)");
        assert_eq!(body(b""), "");
    }

    #[test]
    fn messages_are_one_line_of_limited_length() {
        assert_eq!(message("a\r\n\u{1b}[31m b\u{202e}c", 100), "a [31m bc");
        assert_eq!(message("0123456789", 4), "0123…");
        assert_eq!(message(&"password=".repeat(100_000), 9), "password=…");
        assert_eq!(message("", 4), "");
    }
}
