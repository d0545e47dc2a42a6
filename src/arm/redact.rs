//! Keeps signatures, tokens and secrets out of logs and messages.

use serde_json::Value;

/// Query parameters whose values are signatures: SAS (`sig`), signed poll URLs (`t`, `c`, `s`, `h`), and
/// whatever else grants access by being known.
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

/// Where URLs are quoted in HTML or XML, `&` is `&amp;`.
fn is_signed(name: &str) -> bool {
    let bare = name.strip_prefix("amp;").unwrap_or(name);
    SIGNED.iter().any(|signed| bare.eq_ignore_ascii_case(signed))
}

/// `word` up to the first SAS signature, which may be part of a URL that is encoded as a whole.
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

/// Free text with every URL's signature and every bearer token replaced.
pub fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut bearer = false;
    for piece in
        text.split_inclusive(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '\\'))
    {
        let (word, end) = piece
            .char_indices()
            .next_back()
            .filter(|(_, c)| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '\\'))
            .map_or((piece, ""), |(at, _)| piece.split_at(at));
        if (bearer && !word.is_empty()) || is_jwt(word) {
            out.push_str("***");
        } else if word.contains("://") && word.contains('?') {
            out.push_str(&url(word));
        } else {
            out.push_str(&unsigned(word));
        }
        bearer = word.eq_ignore_ascii_case("bearer") || (bearer && word.is_empty());
        out.push_str(end);
    }
    out
}

/// Signed tokens are three runs of base64url whose first begins a JSON object. What is hidden already does not count.
fn is_jwt(word: &str) -> bool {
    word.contains("eyJ")
        && word.len() > 40 + 3 * word.matches("***").count()
        && word.matches('.').count() >= 2
}

/// A request or response body for the trace log: JSON with secret members masked, or only its size.
pub fn body(body: &[u8]) -> String {
    if body.is_empty() {
        return String::new();
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
        Value::String(string) if string.contains(['=', '%']) || is_jwt(string) => *string = text(string),
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
    fn urls() {
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
    fn texts() {
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
            ("x eyJhbGciOiJub25lIn0.eyJzdWIiOiIxMjM0NTYifQ.c2lnbmF0dXJl y", "x *** y"),
        ] {
            assert_eq!(text(given), shown);
            assert_eq!(text(shown), shown, "to hide twice is to hide once");
        }
    }

    #[test]
    fn bodies() {
        assert_eq!(
            body(br#"{"accessSAS":"https://x?sig=1","a":["v?sig=2"],"adminPassword":"p","n":null}"#),
            r#"{"a":["v?sig=***"],"accessSAS":"***","adminPassword":"***","n":null}"#
        );
        assert_eq!(body(br#"{"a":"https%3A%2F%2Fx%3Fsig%3D1"}"#), r#"{"a":"https%3A%2F%2Fx%3Fsig%3D***"}"#);
        assert_eq!(body(b"<html>"), "(6 bytes that are not JSON)");
        assert_eq!(body(b""), "");
    }
}
