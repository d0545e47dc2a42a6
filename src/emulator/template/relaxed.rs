//! The relaxed JSON of templates: comments, unquoted keys, single quotes, trailing commas, and multi-line strings.

use super::super::json::Json;

/// The maximum nesting depth.
const MAXIMUM_DEPTH: usize = 120;

/// Parses a document. The error names the line.
pub fn parse(text: &str) -> Result<Json, String> {
    let mut reader = Reader { rest: text, whole: text };
    let value = reader.value(0)?;
    reader.skip_whitespace()?;
    if reader.rest.is_empty() {
        Ok(value)
    } else {
        Err(reader.fault("there is text after the end of the document"))
    }
}

struct Reader<'a> {
    rest: &'a str,
    whole: &'a str,
}

impl<'a> Reader<'a> {
    fn fault(&self, what: &str) -> String {
        let read = &self.whole[..self.whole.len() - self.rest.len()];
        format!("{what} at line {}", read.matches('\n').count() + 1)
    }

    fn skip_whitespace(&mut self) -> Result<(), String> {
        loop {
            self.rest = self.rest.trim_start();
            if let Some(comment) = self.rest.strip_prefix("//") {
                self.rest = comment.find('\n').map_or("", |end| &comment[end..]);
            } else if let Some(comment) = self.rest.strip_prefix("/*") {
                let end = comment.find("*/").ok_or_else(|| self.fault("a comment has no end"))?;
                self.rest = &comment[end + 2..];
            } else {
                return Ok(());
            }
        }
    }

    /// Consumes `token` if it comes next.
    fn take(&mut self, token: char) -> Result<bool, String> {
        self.skip_whitespace()?;
        let after = self.rest.strip_prefix(token);
        self.rest = after.unwrap_or(self.rest);
        Ok(after.is_some())
    }

    fn value(&mut self, depth: usize) -> Result<Json, String> {
        if depth > MAXIMUM_DEPTH {
            return Err(self.fault("the document is nested too deeply"));
        }
        if self.take('{')? {
            let mut object = Json::object();
            while !self.take('}')? {
                let key = self.key()?;
                if !self.take(':')? {
                    return Err(self.fault("a colon is missing"));
                }
                object.set(&key, self.value(depth + 1)?);
                if !self.take(',')? && !self.rest.starts_with('}') {
                    return Err(self.fault("a comma or '}' is missing"));
                }
            }
            return Ok(object);
        }
        if self.take('[')? {
            let mut items = Vec::new();
            while !self.take(']')? {
                items.push(self.value(depth + 1)?);
                if !self.take(',')? && !self.rest.starts_with(']') {
                    return Err(self.fault("a comma or ']' is missing"));
                }
            }
            return Ok(Json::Array(items));
        }
        if self.rest.starts_with(['"', '\'']) {
            return self.string().map(Json::String);
        }
        match self.word() {
            "true" => Ok(Json::Bool(true)),
            "false" => Ok(Json::Bool(false)),
            "null" => Ok(Json::Null),
            number => Json::parse(number.as_bytes())
                .ok()
                .filter(|value| matches!(value, Json::Number(_)))
                .ok_or_else(|| self.fault(&format!("'{number}' is not a value"))),
        }
    }

    fn key(&mut self) -> Result<String, String> {
        if self.rest.starts_with(['"', '\'']) {
            return self.string();
        }
        match self.word() {
            "" => Err(self.fault("a key is missing")),
            word => Ok(word.to_owned()),
        }
    }

    fn word(&mut self) -> &'a str {
        let end =
            self.rest.find(|c: char| !c.is_alphanumeric() && !"_$.+-".contains(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn string(&mut self) -> Result<String, String> {
        let mut characters = self.rest.char_indices();
        let quote = characters.next().map(|(_, quote)| quote);
        let mut text = String::new();
        while let Some((at, character)) = characters.next() {
            if Some(character) == quote {
                self.rest = &self.rest[at + 1..];
                return Ok(text);
            }
            if character != '\\' {
                text.push(character);
                continue;
            }
            let Some((at, escape)) = characters.next() else { break };
            text.push(match escape {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'b' => '\u{8}',
                'f' => '\u{c}',
                '"' | '\'' | '\\' | '/' => escape,
                'u' => {
                    let (unit, next) = self.unit(at + 1)?;
                    // A character outside the basic plane is a surrogate pair.
                    let pair = (0xd800..0xdc00).contains(&unit)
                        && self.rest.get(next..next + 2).is_some_and(|start| start == "\\u");
                    let (code, next) = if pair {
                        let (low, next) = self.unit(next + 2)?;
                        let low = low.checked_sub(0xdc00).filter(|low| *low < 0x400);
                        (low.map_or(unit, |low| 0x10000 + ((unit - 0xd800) << 10) + low), next)
                    } else {
                        (unit, next)
                    };
                    while characters.as_str().len() > self.rest.len() - next {
                        characters.next();
                    }
                    char::from_u32(code).ok_or_else(|| self.fault("a \\u escape is not a character"))?
                }
                _ => return Err(self.fault(&format!("'\\{escape}' is not an escape"))),
            });
        }
        Err(self.fault("a string has no end"))
    }

    /// The four hexadecimal digits at `at`, and the position after them.
    fn unit(&self, at: usize) -> Result<(u32, usize), String> {
        self.rest
            .get(at..at + 4)
            .filter(|digits| digits.chars().all(|c| c.is_ascii_hexdigit()))
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
            .map(|unit| (unit, at + 4))
            .ok_or_else(|| self.fault("a \\u escape needs four hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_relaxed_json() {
        for (text, wanted) in [
            (r#"{"a": [1, -2.5, true, null], "b": {}}"#, r#"{"a":[1,-2.5,true,null],"b":{}}"#),
            ("{a: 'it', $b: \"x\", /* c */ 'c': [1,], // d\n}", r#"{"a":"it","$b":"x","c":[1]}"#),
            ("// first\n{\"a\":\n\"one\n two\"}", r#"{"a":"one\n two"}"#),
            (r#""\u00e9\ud83d\ude00\n\"\/""#, "\"é😀\\n\\\"/\""),
            (r#""[concat('//', 'x')]""#, r#""[concat('//', 'x')]""#),
        ] {
            assert_eq!(parse(text).unwrap().compact(), wanted, "{text}");
        }
        for text in [
            "",
            "{",
            "[1",
            "{a}",
            "{a:1 b:2}",
            "\"a",
            "{} x",
            "/* ",
            "nope",
            "[1 2]",
            "\"\\u12\"",
            "\"\\x\"",
            "\"\\ud800\"",
            "\"\\ud800\\u0041\"",
            "{:1}",
            "\u{e9}",
            "--1",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse(&"[".repeat(100_000)).is_err());
        assert!(parse("{\n\n a: ?}").unwrap_err().contains("line 3"));
    }
}
