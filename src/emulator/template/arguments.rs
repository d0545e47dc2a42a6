//! The arguments of a template function, and the names and text forms of values.

use super::super::json::Json;

/// The arguments of one call, by position and type.
pub struct Arguments<'a> {
    /// The function's name, for errors.
    pub name: &'a str,
    /// The values.
    pub values: &'a [Json],
}

impl Arguments<'_> {
    /// The error of this call.
    pub fn fault(&self, why: &str) -> String {
        format!("Unable to evaluate the template language function '{}': {why}", self.name)
    }

    /// Checks the number of arguments.
    pub fn count(&self, least: usize, most: usize) -> Result<(), String> {
        let count = self.values.len();
        if (least..=most).contains(&count) {
            return Ok(());
        }
        Err(self.fault(&match (least == most, most) {
            (true, _) => format!("it takes {least} argument(s), but {count} were given."),
            (_, usize::MAX) => format!("it takes at least {least} argument(s), but {count} were given."),
            _ => format!("it takes {least} to {most} arguments, but {count} were given."),
        }))
    }

    fn wrong(&self, at: usize, wanted: &str) -> String {
        let found = self.values.get(at).map_or("nothing", kind_of);
        self.fault(&format!("argument {} must be {wanted}, but is {found}.", at + 1))
    }

    /// The string at a position.
    pub fn text(&self, at: usize) -> Result<&str, String> {
        self.values.get(at).and_then(Json::as_str).ok_or_else(|| self.wrong(at, "a string"))
    }

    /// The integer at a position.
    pub fn int(&self, at: usize) -> Result<i64, String> {
        as_int(self.values.get(at)).ok_or_else(|| self.wrong(at, "an integer"))
    }

    /// The length or index at a position: an integer that is not negative.
    pub fn size(&self, at: usize) -> Result<usize, String> {
        usize::try_from(self.int(at)?).map_err(|_| self.wrong(at, "an integer that is not negative"))
    }

    /// The boolean at a position.
    pub fn flag(&self, at: usize) -> Result<bool, String> {
        match self.values.get(at) {
            Some(Json::Bool(value)) => Ok(*value),
            _ => Err(self.wrong(at, "a boolean")),
        }
    }

    /// The array at a position.
    pub fn array(&self, at: usize) -> Result<&[Json], String> {
        match self.values.get(at) {
            Some(Json::Array(items)) => Ok(items),
            _ => Err(self.wrong(at, "an array")),
        }
    }

    /// The object at a position.
    pub fn object(&self, at: usize) -> Result<&[(String, Json)], String> {
        match self.values.get(at) {
            Some(Json::Object(pairs)) => Ok(pairs),
            _ => Err(self.wrong(at, "an object")),
        }
    }
}

/// The whole number that a value is.
pub fn as_int(value: Option<&Json>) -> Option<i64> {
    match value {
        Some(Json::Number(number)) => number.as_i64(),
        _ => None,
    }
}

/// The type of a value, for errors.
pub fn kind_of(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(number) if number.is_i64() || number.is_u64() => "an integer",
        Json::Number(_) => "a number",
        Json::String(_) => "a string",
        Json::Array(_) => "an array",
        Json::Object(_) => "an object",
    }
}

/// A value as text, in the form of `string()`, `concat()` and `format()`.
pub fn text_of(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        Json::Bool(true) => "True".to_owned(),
        Json::Bool(false) => "False".to_owned(),
        other => other.compact(),
    }
}
