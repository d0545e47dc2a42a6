//! Looks up environment variables for the provider block. An empty variable counts as unset.

use crate::schema::{Diagnostic, Diagnostics};

/// Looks up an environment variable.
pub type Env<'e> = &'e dyn Fn(&str) -> Option<String>;

/// The value of the first of `names` that is set.
pub fn first(env: Env<'_>, names: &[&str]) -> Option<String> {
    names.iter().filter_map(|name| env(name)).find(|value| !value.is_empty())
}

/// The boolean in the variable `name`; any other text is an error.
pub fn boolean(env: Env<'_>, name: &str, found: &mut Diagnostics) -> Option<bool> {
    let text = first(env, &[name])?;
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "1" | "yes" => Some(true),
        "false" | "f" | "0" | "no" => Some(false),
        _ => {
            found.push(Diagnostic::error(
                format!("Invalid value for {name}"),
                format!("The environment variable {name} is {text:?}. Set it to true or false, or unset it."),
            ));
            None
        }
    }
}
