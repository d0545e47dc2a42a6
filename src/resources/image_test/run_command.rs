//! Running a script in a machine through Run Command, and what the service says of how it ended.
//!
//! The second version of Run Command reports the exit code. The first does not, so there the script is wrapped in another
//! one that prints it; without that line nothing is known, however well the command ended.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};

use crate::azure::body;

/// How a script ended.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// With this exit code.
    Exit(i64),
    /// It ran longer than it may.
    TimedOut,
    /// It was not run, or nothing is known of its end, and why.
    Unknown(String),
}

/// The end of a script and the last part of what it printed.
#[derive(Clone, Debug, PartialEq)]
pub struct Ran {
    /// How it ended.
    pub end: End,
    /// Standard output.
    pub output: String,
    /// Standard error.
    pub error: String,
}

/// The body of a command of the second version.
pub fn command(location: &str, script: &str, seconds: u64) -> Json {
    json!({
        "location": location,
        "properties": {
            "source": {"script": script},
            "timeoutInSeconds": seconds,
            "asyncExecution": false,
            // Otherwise a failure is an operation's error, and the output is lost.
            "treatFailureAsDeploymentFailure": false,
        },
    })
}

/// What a command that was read with `$expand=instanceView` says; `None` while it runs.
pub fn result(command: &Json) -> Option<Ran> {
    let view = body::at(command, "properties.instanceView")?;
    let text = |name: &str| body::text(view, name).unwrap_or_default();
    let state = text("executionState");
    let end = match (state.to_ascii_lowercase().as_str(), body::int(view, "exitCode")) {
        ("" | "unknown" | "pending" | "running", _) => return None,
        ("timedout", _) => End::TimedOut,
        ("succeeded", code) => End::Exit(code.unwrap_or(0)),
        ("failed", Some(code)) if code >= 0 => End::Exit(code),
        _ => End::Unknown(format!("the command is {state}: {}", text("executionMessage"))),
    };
    Some(Ran { end, output: text("output"), error: text("error") })
}

/// The line of a wrapped script that tells the exit code.
const MARKER: &str = "azimage-exit-code=";

/// The body of a command of the first version: the script in another one that tells its exit code and always succeeds.
pub fn action(is_windows: bool, script: &str) -> Json {
    let encoded = STANDARD.encode(script);
    let (command, lines) = match is_windows {
        true => (
            "RunPowerShellScript",
            vec![
                format!(
                    "$script = [Text.Encoding]::UTF8.GetString([Convert]::FromBase64String('{encoded}'))"
                ),
                "$file = Join-Path $env:TEMP 'azimage-check.ps1'".to_owned(),
                "[IO.File]::WriteAllText($file, $script)".to_owned(),
                "powershell.exe -NoProfile -ExecutionPolicy Bypass -File $file".to_owned(),
                format!("\"{MARKER}$LASTEXITCODE\""),
                "Remove-Item $file".to_owned(),
            ],
        ),
        false => (
            "RunShellScript",
            vec![
                "file=$(mktemp)".to_owned(),
                format!("echo '{encoded}' | base64 -d >\"$file\""),
                format!("{} \"$file\"", interpreter(script)),
                format!("echo \"{MARKER}$?\""),
                "rm -f \"$file\"".to_owned(),
            ],
        ),
    };
    json!({"commandId": command, "script": lines})
}

/// The program that runs a script: that of its first line, or the shell.
fn interpreter(script: &str) -> &str {
    let first = script.lines().next().unwrap_or_default();
    first.strip_prefix("#!").map(str::trim).filter(|program| !program.is_empty()).unwrap_or("/bin/sh")
}

/// What the document of an ended operation of the first version says.
pub fn action_result(document: &Json) -> Ran {
    let found = ["properties.output.value", "value"].map(|path| body::items(document, path));
    let values = found.into_iter().find(|values| !values.is_empty()).unwrap_or_default();
    let of = |kind: &str| {
        let value = values.iter().find(|value| {
            body::text(value, "code").is_some_and(|code| code.to_ascii_lowercase().contains(kind))
        });
        value.and_then(|value| body::text(value, "message"))
    };
    let (output, error) = match (of("stdout"), of("stderr")) {
        (None, None) => {
            let message = values.first().and_then(|value| body::text(value, "message")).unwrap_or_default();
            let inside = message.split_once("[stdout]\n").map_or("", |(_, rest)| rest);
            let (output, error) = inside.rsplit_once("\n[stderr]\n").unwrap_or((inside, ""));
            (output.to_owned(), error.to_owned())
        }
        (output, error) => (output.unwrap_or_default(), error.unwrap_or_default()),
    };
    // The script's last line may lack its end, so the marker need not begin a line.
    let (shown, code) = match output.rsplit_once(MARKER) {
        Some((shown, rest)) => (shown, rest.split_whitespace().next().and_then(|code| code.parse().ok())),
        None => (output.as_str(), None),
    };
    Ran {
        end: code
            .map_or_else(|| End::Unknown("the output does not tell the exit code".to_owned()), End::Exit),
        output: shown.trim_end().to_owned(),
        error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_comes_from_the_instance_view() {
        let view =
            |view: Json| json!({"properties": {"provisioningState": "Succeeded", "instanceView": view}});
        for (view, end) in [
            (view(json!({"executionState": "Running"})), None),
            (view(json!({"executionState": "Pending"})), None),
            (json!({"properties": {"provisioningState": "Succeeded"}}), None),
            (view(json!({"executionState": "Succeeded", "exitCode": 0})), Some(End::Exit(0))),
            (view(json!({"executionState": "Failed", "exitCode": 3})), Some(End::Exit(3))),
            (view(json!({"executionState": "TimedOut", "exitCode": -1})), Some(End::TimedOut)),
            (
                view(json!({"executionState": "Canceled", "executionMessage": "by hand"})),
                Some(End::Unknown("the command is Canceled: by hand".to_owned())),
            ),
        ] {
            assert_eq!(result(&view).map(|ran| ran.end), end, "{view}");
        }
    }

    #[test]
    fn an_action_without_the_marker_is_never_a_success() {
        let linux = |output: &str, error: &str| {
            let message = format!("Enable succeeded: \n[stdout]\n{output}\n[stderr]\n{error}");
            json!({"status": "Succeeded", "properties": {"output": {"value": [
                {"code": "ProvisioningState/succeeded", "message": message},
            ]}}})
        };
        let windows = json!({"value": [
            {"code": "ComponentStatus/StdOut/succeeded", "message": "hello\r\nazimage-exit-code=7\r\n"},
            {"code": "ComponentStatus/StdErr/succeeded", "message": "oops"},
        ]});
        for (document, code, output, error) in [
            (linux("a\nazimage-exit-code=0\n", "warned"), Some(0), "a", "warned"),
            (linux("half a lineazimage-exit-code=3\n", ""), Some(3), "half a line", ""),
            (linux("This is a sample script", ""), None, "This is a sample script", ""),
            (windows, Some(7), "hello", "oops"),
            (json!({}), None, "", ""),
        ] {
            let ran = action_result(&document);
            let found = match ran.end {
                End::Exit(code) => Some(code),
                _ => None,
            };
            assert_eq!((found, ran.output.as_str(), ran.error.as_str()), (code, output, error));
        }
    }

    #[test]
    fn wrapped_scripts_keep_their_interpreter() {
        for (script, program) in [
            ("exit 3", "/bin/sh"),
            ("#!/usr/bin/env python3\nexit(3)", "/usr/bin/env python3"),
            ("#!\n", "/bin/sh"),
        ] {
            let lines = action(false, script)["script"].to_string();
            assert!(lines.contains(&format!("{program} \\\"$file\\\"")), "{lines}");
        }
        let lines = action(true, "exit 3")["script"].to_string();
        assert!(lines.contains(&STANDARD.encode("exit 3")) && lines.contains("$LASTEXITCODE"), "{lines}");
    }
}
