//! What scripts do in machines that are not there: what a control call has said beforehand, or what a few words say to every shell.

use super::super::call::Call;
use super::super::json::Json;

/// The record of the scripted results.
pub const KEY: &str = "s|scripts";
/// The service keeps the end of what a script printed.
const KEPT: usize = 4_096;

/// What a script did.
#[derive(Clone, Debug, PartialEq)]
pub struct Ran {
    /// Its exit code.
    pub exit: i64,
    /// The end of what it printed.
    pub output: String,
    /// The end of what it printed to standard error.
    pub error: String,
    /// How long it took; `None` for one that never ends.
    pub seconds: Option<f64>,
}

/// Checks the body of a control call: `{"scripts": [{"contains", "machine", "exit_code", "output", "error", "seconds",
/// "stuck"}]}`.
pub fn check(rules: &[Json]) -> Result<(), String> {
    const KNOWN: &[&str] = &["contains", "machine", "exit_code", "output", "error", "seconds", "stuck"];
    for rule in rules {
        if let Some((name, _)) = rule.pairs().iter().find(|(name, _)| !KNOWN.contains(&name.as_str())) {
            return Err(format!(
                "'{name}' is not a member of a scripted result; there are {}",
                KNOWN.join(", ")
            ));
        }
    }
    Ok(())
}

/// Runs a script in a machine, or in the build of a template of that name.
pub fn run(call: &Call<'_, '_>, machine: &str, script: &str) -> Ran {
    let mut ran = scripted(call, machine, script).unwrap_or_else(|| plain(script));
    for text in [&mut ran.output, &mut ran.error] {
        let over = text.len().saturating_sub(KEPT);
        let cut = (over..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.replace_range(..cut, "");
    }
    ran
}

/// The first scripted result whose `contains` is in the script and whose `machine` is the machine's name; what is left out
/// matches everything.
fn scripted(call: &Call<'_, '_>, machine: &str, script: &str) -> Option<Ran> {
    let rules = call.record(KEY)?;
    let rule = rules.list("scripts").iter().find(|rule| {
        rule.text("contains").is_none_or(|part| script.contains(part))
            && rule.text("machine").is_none_or(|name| name.eq_ignore_ascii_case(machine))
    })?;
    let seconds = match rule.get("seconds") {
        Some(Json::Number(number)) => number.as_f64(),
        _ => Some(1.0),
    };
    Some(Ran {
        exit: rule.int("exit_code").unwrap_or(0),
        output: rule.text("output").unwrap_or_default().to_owned(),
        error: rule.text("error").unwrap_or_default().to_owned(),
        seconds: if rule.flag("stuck") == Some(true) { None } else { seconds },
    })
}

/// Lines that are nothing but `echo TEXT` print it, `exit N` ends the script. Anything else succeeds and prints nothing.
fn plain(script: &str) -> Ran {
    let mut ran = Ran { exit: 0, output: String::new(), error: String::new(), seconds: Some(1.0) };
    for line in script.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("echo ") {
            ran.output.push_str(text.trim().trim_matches(['"', '\'']));
            ran.output.push('\n');
        } else if let Some(code) = line.strip_prefix("exit ").and_then(|code| code.trim().parse().ok()) {
            ran.exit = code;
            break;
        }
    }
    ran
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scripts_echo_and_exit() {
        for (script, exit, output) in
            [("echo hello\nexit 3\necho never", 3, "hello\n"), ("echo 'a b'\ntrue", 0, "a b\n"), ("", 0, "")]
        {
            let ran = plain(script);
            assert_eq!((ran.exit, ran.output.as_str()), (exit, output), "{script}");
        }
    }
}
