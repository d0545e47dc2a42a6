//! The results of scripts in emulated machines: those that a control call has set, or those of a few simple commands.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::call::Call;
use super::super::json::Json;
use super::super::resource::Resource;
use super::sources;

/// The record of the scripted results.
pub const KEY: &str = "s|scripts";
/// The service returns only the end of a script's output.
const KEPT: usize = 4_096;

/// The result of a script.
#[derive(Clone, Debug, PartialEq)]
pub struct Ran {
    /// Its exit code.
    pub exit: i64,
    /// The end of its standard output.
    pub output: String,
    /// The end of its standard error.
    pub error: String,
    /// Its duration; `None` if it never ends.
    pub seconds: Option<f64>,
}

/// Checks the body of a control call: `{"scripts": [{"contains", "machine", "exit_code", "output", "error", "seconds",
/// "stuck"}]}`.
pub fn check(rules: &[Json]) -> Result<(), String> {
    const KNOWN: &[&str] = &["contains", "machine", "exit_code", "output", "error", "seconds", "stuck"];
    for rule in rules {
        if let Some((name, _)) = rule.pairs().iter().find(|(name, _)| !KNOWN.contains(&name.as_str())) {
            return Err(format!("'{name}' is not a member of a scripted result; use {}", KNOWN.join(", ")));
        }
    }
    Ok(())
}

/// Runs a script in a machine. The machine has host keys and a machine ID from its image if that was captured from a machine
/// that was not deprovisioned.
pub fn run_in(call: &Call<'_, '_>, machine: &Resource, script: &str) -> Ran {
    let keeps_identity = sources::keeps_identity(machine);
    run_any(call, machine.name(), script, &|script| {
        if keeps_identity { identity_report(script) } else { None }
    })
}

/// Runs a script in the build of a template of that name.
pub fn run(call: &Call<'_, '_>, name: &str, script: &str) -> Ran {
    run_any(call, name, script, &|_| None)
}

fn run_any(call: &Call<'_, '_>, name: &str, script: &str, special: &dyn Fn(&str) -> Option<Ran>) -> Ran {
    let one = |script: &str| {
        scripted(call, name, script).or_else(|| special(script)).unwrap_or_else(|| plain(script))
    };
    let mut ran = match inner_script(script) {
        Some(inner) => with_exit_code(script, one(&inner)),
        None => one(script),
    };
    for text in [&mut ran.output, &mut ran.error] {
        let over = text.len().saturating_sub(KEPT);
        let cut = (over..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.replace_range(..cut, "");
    }
    ran
}

/// The first scripted result whose `contains` occurs in the script and whose `machine` is the machine's name. Absent members
/// match everything.
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

/// The script that a wrapper script contains in base64. Clients use such wrappers to get the exit code.
fn inner_script(script: &str) -> Option<String> {
    let quoted = |line: &str| line.split('\'').nth(1).map(str::to_owned);
    let line =
        script.lines().find(|line| line.contains("base64 -d") || line.contains("FromBase64String("))?;
    String::from_utf8(STANDARD.decode(quoted(line)?).ok()?).ok()
}

/// The end of a wrapper script: it prints the exit code of the inner script, and succeeds.
fn with_exit_code(script: &str, mut inner: Ran) -> Ran {
    for line in script.lines().map(str::trim) {
        let text = line.strip_prefix("echo ").unwrap_or(line);
        let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default();
        if let Some(start) = ["$?", "$LASTEXITCODE"].iter().find_map(|code| text.strip_suffix(code)) {
            inner.output.push_str(&format!("{start}{}\n", inner.exit));
        }
    }
    Ran { exit: 0, ..inner }
}

/// The output of a script that looks for host keys and the machine ID, or for the registry value of Sysprep. The script itself
/// contains the message, which ends in a variable.
fn identity_report(script: &str) -> Option<Ran> {
    let found: &[&str] = if script.contains("ssh_host_") && script.contains("machine-id") {
        &["SSH host key /etc/ssh/ssh_host_ed25519_key", "machine ID /etc/machine-id", "user azureuser"]
    } else if script.contains("CloneTag") {
        &["the computer identity"]
    } else {
        return None;
    };
    let words = ["echo \"", "Write-Output \""].iter().find_map(|print| {
        let (_, rest) = script.split_once(print)?;
        rest.split_once('$').map(|(words, _)| words)
    });
    let words = words.unwrap_or_default();
    let output = found.iter().map(|thing| format!("{words}{thing}\n")).collect();
    Some(Ran { exit: 1, output, error: String::new(), seconds: Some(1.0) })
}

/// A line `echo TEXT` prints the text, and `exit N` ends the script. Any other line succeeds and prints nothing.
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

    #[test]
    fn wrapper_script_runs_the_inner_script_and_prints_its_exit_code() {
        let encoded = STANDARD.encode("echo hello\nexit 3");
        let shell = format!(
            "f=$(mktemp)\necho '{encoded}' | base64 -d >\"$f\"\nsh \"$f\"\necho \"code=$?\"\nrm \"$f\""
        );
        let power = format!("$s = [Convert]::FromBase64String('{encoded}')\n\"code=$LASTEXITCODE\"");
        for script in [shell, power] {
            let ran = with_exit_code(&script, plain(&inner_script(&script).unwrap()));
            assert_eq!((ran.exit, ran.output.as_str()), (0, "hello\ncode=3\n"), "{script}");
        }
        assert_eq!(inner_script("echo hello"), None);
    }

    #[test]
    fn identity_is_reported_with_the_message_of_the_script() {
        let script = "kept() { echo \"kept: $1\"; }\nls /etc/ssh/ssh_host_*_key /etc/machine-id";
        let ran = identity_report(script).unwrap();
        assert_eq!(ran.exit, 1);
        assert!(ran.output.starts_with("kept: SSH host key"), "{}", ran.output);
        assert_eq!(identity_report("echo hello"), None);
    }
}
