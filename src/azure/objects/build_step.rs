//! The steps of an image template, which are its customizers and validators: schema, request JSON and responses.

use serde_json::{Value as Json, json};

use super::filled;
use crate::azure::attributes::{check_filled, check_uri, eq_ignore_case};
use crate::azure::body;
use crate::framework::timeouts::parse_duration;
use crate::model;
use crate::schema::spec::{block, optional, optional_computed, required};
use crate::schema::{Attribute, Diagnostics, Path, Set, Value};

model! {
    /// A step that changes the image. Steps run in the order in which they are written. Set exactly one of `shell`,
    /// `powershell`, `file`, `windows_update` and `windows_restart`.
    pub struct Customizer {
        /// The name of the step in the log of a build.
        pub name: Option<String> = optional().or_empty(),
        /// Runs a shell script (Linux).
        pub shell: Option<Shell> = block().check(check_script),
        /// Runs a PowerShell script (Windows).
        pub powershell: Option<PowerShell> = block().check(check_script),
        /// Copies a file to the image.
        pub file: Option<File> = block(),
        /// Installs Windows updates.
        pub windows_update: Option<WindowsUpdate> = block(),
        /// Restarts Windows.
        pub windows_restart: Option<WindowsRestart> = block(),
    }
}

model! {
    /// A shell script. Set exactly one of `inline` and `script_uri`.
    pub struct Shell {
        /// The commands. Anybody who can read the template can read them, so they must contain no secrets.
        pub inline: Option<Vec<String>> = inline(),
        /// The URI of the script. It is read once, when the template is created.
        pub script_uri: Option<String> = script_uri(),
        /// The SHA-256 checksum of the script. Defaults to that of the script when the template is created.
        pub sha256: Option<String> = sha256(),
    }
}

model! {
    /// A PowerShell script. Set exactly one of `inline` and `script_uri`.
    pub struct PowerShell {
        /// The commands. Anybody who can read the template can read them, so they must contain no secrets.
        pub inline: Option<Vec<String>> = inline(),
        /// The URI of the script. It is read once, when the template is created.
        pub script_uri: Option<String> = script_uri(),
        /// The SHA-256 checksum of the script. Defaults to that of the script when the template is created.
        pub sha256: Option<String> = sha256(),
        /// Whether the script runs with elevated rights.
        pub run_elevated: Option<bool> = optional().default(false),
        /// Whether the script runs as the local system user. Requires `run_elevated`.
        pub run_as_system: Option<bool> = optional().default(false),
        /// The exit codes that count as success. Defaults to `[0]`.
        pub valid_exit_codes: Option<Set<i64>> = optional().or_empty(),
    }
}

model! {
    /// A file of at most 20 MB to copy.
    pub struct File {
        /// The URI of the file. It is read once, when the template is created.
        pub source_uri: String = required().check_text(check_uri),
        /// The path of the file in the image. Its folder must exist.
        pub destination: String = required().check_text(check_filled),
        /// The SHA-256 checksum of the file. Defaults to that of the file when the template is created.
        pub sha256: Option<String> = sha256(),
    }
}

model! {
    /// Windows updates to install.
    pub struct WindowsUpdate {
        /// The search for updates. Defaults to the service's, which finds all that are not installed.
        pub search_criteria: Option<String> = optional().or_empty(),
        /// The filters that include or exclude updates, in order.
        pub filters: Option<Vec<String>> = optional().or_empty(),
        /// The largest number of updates to install at a time. Defaults to the service's, 1000.
        pub update_limit: Option<i64> = optional().between(1, 1000),
    }
}

model! {
    /// A restart of Windows.
    pub struct WindowsRestart {
        /// The command that restarts Windows. Defaults to the service's.
        pub restart_command: Option<String> = optional().or_empty(),
        /// The command that succeeds once Windows has restarted. Defaults to the service's.
        pub restart_check_command: Option<String> = optional().or_empty(),
        /// How long the restart may take, such as `10m`. Defaults to the service's, five minutes.
        pub restart_timeout: Option<String> = optional().or_empty().check_text(check_duration),
    }
}

model! {
    /// Checks of the image after its customizers have run. The files are copied first; then the shell scripts and the
    /// PowerShell scripts run, in the order in which they are written.
    pub struct Validate {
        /// Whether the images are distributed even if a check fails.
        pub continue_distribute_on_failure: Option<bool> = optional().default(false),
        /// Whether to check the source without customizing it.
        pub source_validation_only: Option<bool> = optional().default(false),
        /// Copies a file for a check.
        pub file: Vec<FileValidator> = block(),
        /// Runs a shell script (Linux), which must succeed.
        pub shell: Vec<ShellValidator> = block().check(check_script),
        /// Runs a PowerShell script (Windows), which must succeed.
        pub powershell: Vec<PowerShellValidator> = block().check(check_script),
    }
}

model! {
    /// A shell script that checks the image. Set exactly one of `inline` and `script_uri`.
    pub struct ShellValidator {
        /// The name of the check in the log of a build.
        pub name: Option<String> = optional().or_empty(),
        /// The commands. Anybody who can read the template can read them, so they must contain no secrets.
        pub inline: Option<Vec<String>> = inline(),
        /// The URI of the script. It is read once, when the template is created.
        pub script_uri: Option<String> = script_uri(),
        /// The SHA-256 checksum of the script. Defaults to that of the script when the template is created.
        pub sha256: Option<String> = sha256(),
    }
}

model! {
    /// A PowerShell script that checks the image. Set exactly one of `inline` and `script_uri`.
    pub struct PowerShellValidator {
        /// The name of the check in the log of a build.
        pub name: Option<String> = optional().or_empty(),
        /// The commands. Anybody who can read the template can read them, so they must contain no secrets.
        pub inline: Option<Vec<String>> = inline(),
        /// The URI of the script. It is read once, when the template is created.
        pub script_uri: Option<String> = script_uri(),
        /// The SHA-256 checksum of the script. Defaults to that of the script when the template is created.
        pub sha256: Option<String> = sha256(),
        /// Whether the script runs with elevated rights.
        pub run_elevated: Option<bool> = optional().default(false),
        /// Whether the script runs as the local system user. Requires `run_elevated`.
        pub run_as_system: Option<bool> = optional().default(false),
        /// The exit codes that count as success. Defaults to `[0]`.
        pub valid_exit_codes: Option<Set<i64>> = optional().or_empty(),
    }
}

model! {
    /// A file of at most 20 MB to copy for a check.
    pub struct FileValidator {
        /// The name of the step in the log of a build.
        pub name: Option<String> = optional().or_empty(),
        /// The URI of the file. It is read once, when the template is created.
        pub source_uri: String = required().check_text(check_uri),
        /// The path of the file in the image. Its folder must exist.
        pub destination: String = required().check_text(check_filled),
        /// The SHA-256 checksum of the file. Defaults to that of the file when the template is created.
        pub sha256: Option<String> = sha256(),
    }
}

fn inline() -> Attribute {
    optional().or_empty()
}

fn script_uri() -> Attribute {
    optional().or_empty().check_text(check_uri)
}

fn sha256() -> Attribute {
    optional_computed().equivalent_if(eq_ignore_case).check_text(check_sha256)
}

fn check_sha256(text: &str) -> Result<(), String> {
    if text.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit()) {
        Ok(())
    } else {
        Err("must be a SHA-256 checksum: 64 hexadecimal digits".to_owned())
    }
}

fn check_duration(text: &str) -> Result<(), String> {
    match parse_duration(text) {
        Some(duration) if !duration.is_zero() => Ok(()),
        _ => Err("is not a valid duration; use 45s, 10m or 1h".to_owned()),
    }
}

// an unknown value may turn out to be null, so it counts as either
fn check_script(script: &Value, path: &Path, found: &mut Diagnostics) {
    let set = |name: &str| script.get(name).is_known() && !script.get(name).is_unset();
    let open = |name: &str| script.get(name).is_unknown();
    if set("inline") == set("script_uri") && !open("inline") && !open("script_uri") {
        let why = if set("inline") { "Both are set." } else { "Neither is set." };
        found.error(
            path.clone(),
            "A script needs exactly one source",
            format!("Set exactly one of inline and script_uri. {why}"),
        );
    }
    if script.get("run_as_system").as_bool() == Some(true)
        && !script.get("run_elevated").is_unknown()
        && script.get("run_elevated").as_bool() != Some(true)
    {
        found.error(
            path.then("run_elevated"),
            "run_elevated is missing",
            "A script that runs as the system user runs elevated. Set run_elevated = true.",
        );
    }
}

/// Checks that a customizer is of exactly one kind.
pub fn check_customizer(customizer: &Value, path: &Path, found: &mut Diagnostics) {
    const KINDS: [&str; 5] = ["shell", "powershell", "file", "windows_update", "windows_restart"];
    if customizer.is_unknown() || KINDS.iter().any(|kind| customizer.get(kind).is_unknown()) {
        return;
    }
    let set: Vec<&str> = KINDS.into_iter().filter(|kind| customizer.get(kind).is_known()).collect();
    if set.len() != 1 {
        let why = if set.is_empty() {
            "None is there.".to_owned()
        } else {
            format!("It has {}.", set.join(" and "))
        };
        found.error(
            path.clone(),
            "A customizer must be of exactly one kind",
            format!("A customize block contains exactly one of {}. {why}", KINDS.join(", ")),
        );
    }
}

/// The `customize` member of a template.
pub fn expand_customizers(customizers: &[Customizer]) -> Json {
    customizers.iter().map(expand_customizer).collect()
}

fn expand_customizer(step: &Customizer) -> Json {
    let mut json = if let Some(it) = &step.shell {
        script("Shell", &it.inline, &it.script_uri, &it.sha256)
    } else if let Some(it) = &step.powershell {
        let json = script("PowerShell", &it.inline, &it.script_uri, &it.sha256);
        rights(json, it.run_elevated, it.run_as_system, &it.valid_exit_codes)
    } else if let Some(it) = &step.file {
        file(&it.source_uri, &it.destination, &it.sha256)
    } else if let Some(it) = &step.windows_update {
        json!({
            "type": "WindowsUpdate", "searchCriteria": it.search_criteria, "filters": it.filters,
            "updateLimit": it.update_limit,
        })
    } else {
        let it = step.windows_restart.clone().unwrap_or_default();
        json!({
            "type": "WindowsRestart", "restartCommand": it.restart_command,
            "restartCheckCommand": it.restart_check_command, "restartTimeout": it.restart_timeout,
        })
    };
    json["name"] = json!(step.name);
    sent(json)
}

fn script(kind: &str, inline: &Option<Vec<String>>, uri: &Option<String>, sha256: &Option<String>) -> Json {
    json!({"type": kind, "inline": inline, "scriptUri": uri, "sha256Checksum": sha256})
}

fn rights(mut json: Json, elevated: Option<bool>, system: Option<bool>, codes: &Option<Set<i64>>) -> Json {
    json["runElevated"] = json!(elevated.filter(|elevated| *elevated));
    json["runAsSystem"] = json!(system.filter(|system| *system));
    json["validExitCodes"] = json!(codes.as_ref().map(|codes| codes.to_vec()));
    json
}

fn file(source: &str, destination: &str, sha256: &Option<String>) -> Json {
    json!({"type": "File", "sourceUri": source, "destination": destination, "sha256Checksum": sha256})
}

// Empty values are not sent.
fn sent(json: Json) -> Json {
    let is_unset = |value: &Json| value.as_str() == Some("") || value.as_array().is_some_and(Vec::is_empty);
    match body::without_nulls(json) {
        Json::Object(members) => members.into_iter().filter(|(_, value)| !is_unset(value)).collect(),
        other => other,
    }
}

/// The `validate` member of a template.
pub fn expand_validate(validate: &Validate) -> Json {
    let named = |mut json: Json, name: &Option<String>| {
        json["name"] = json!(name);
        sent(json)
    };
    let files =
        validate.file.iter().map(|it| named(file(&it.source_uri, &it.destination, &it.sha256), &it.name));
    let shells = validate
        .shell
        .iter()
        .map(|it| named(script("Shell", &it.inline, &it.script_uri, &it.sha256), &it.name));
    let powershells = validate.powershell.iter().map(|it| {
        let json = script("PowerShell", &it.inline, &it.script_uri, &it.sha256);
        named(rights(json, it.run_elevated, it.run_as_system, &it.valid_exit_codes), &it.name)
    });
    json!({
        "continueDistributeOnFailure": validate.continue_distribute_on_failure == Some(true),
        "sourceValidationOnly": validate.source_validation_only == Some(true),
        "inVMValidations": files.chain(shells).chain(powershells).collect::<Vec<_>>(),
    })
}

/// Reads the customizers of a template. `known` contains values that the service fills in.
pub fn read_customizers(template: &Json, known: &[Customizer]) -> Vec<Customizer> {
    let steps = body::items(template, "properties.customize").iter().enumerate();
    steps.map(|(index, step)| read_customizer(step, known.get(index))).collect()
}

fn read_customizer(step: &Json, known: Option<&Customizer>) -> Customizer {
    let mut read = Customizer { name: filled(step, "name"), ..Customizer::default() };
    match body::text(step, "type").unwrap_or_default().as_str() {
        "PowerShell" => {
            read.powershell = Some(PowerShell {
                inline: lines(step, "inline"),
                script_uri: filled(step, "scriptUri"),
                sha256: read_sha256(step),
                run_elevated: Some(body::bool(step, "runElevated") == Some(true)),
                run_as_system: Some(body::bool(step, "runAsSystem") == Some(true)),
                valid_exit_codes: exit_codes(step),
            });
        }
        "File" => {
            read.file = Some(File {
                source_uri: body::text(step, "sourceUri").unwrap_or_default(),
                destination: body::text(step, "destination").unwrap_or_default(),
                sha256: read_sha256(step),
            });
        }
        "WindowsUpdate" => {
            let known = known.and_then(|known| known.windows_update.as_ref());
            let limit = body::int(step, "updateLimit").filter(|limit| *limit > 0);
            let is_default = limit == Some(1000) && known.is_none_or(|known| known.update_limit.is_none());
            read.windows_update = Some(WindowsUpdate {
                search_criteria: filled(step, "searchCriteria"),
                filters: lines(step, "filters"),
                update_limit: limit.filter(|_| !is_default),
            });
        }
        "WindowsRestart" => {
            let known = known.and_then(|known| known.windows_restart.as_ref());
            let timeout = filled(step, "restartTimeout");
            let is_default =
                timeout.as_deref() == Some("5m") && known.is_none_or(|known| known.restart_timeout.is_none());
            read.windows_restart = Some(WindowsRestart {
                restart_command: filled(step, "restartCommand"),
                restart_check_command: filled(step, "restartCheckCommand"),
                restart_timeout: timeout.filter(|_| !is_default),
            });
        }
        _ => {
            read.shell = Some(Shell {
                inline: lines(step, "inline"),
                script_uri: filled(step, "scriptUri"),
                sha256: read_sha256(step),
            });
        }
    }
    read
}

/// Reads the validators of a template; `None` if it has no validators and no settings.
pub fn read_validate(template: &Json) -> Option<Validate> {
    let validate = body::at(template, "properties.validate")?;
    let mut read = Validate {
        continue_distribute_on_failure: Some(
            body::bool(validate, "continueDistributeOnFailure") == Some(true),
        ),
        source_validation_only: Some(body::bool(validate, "sourceValidationOnly") == Some(true)),
        ..Validate::default()
    };
    for step in body::items(validate, "inVMValidations") {
        let Customizer { name, shell, powershell, file, .. } = read_customizer(step, None);
        if let Some(it) = shell {
            let (inline, script_uri, sha256) = (it.inline, it.script_uri, it.sha256);
            read.shell.push(ShellValidator { name, inline, script_uri, sha256 });
        } else if let Some(it) = powershell {
            read.powershell.push(PowerShellValidator {
                name,
                inline: it.inline,
                script_uri: it.script_uri,
                sha256: it.sha256,
                run_elevated: it.run_elevated,
                run_as_system: it.run_as_system,
                valid_exit_codes: it.valid_exit_codes,
            });
        } else if let Some(it) = file {
            let (source_uri, destination, sha256) = (it.source_uri, it.destination, it.sha256);
            read.file.push(FileValidator { name, source_uri, destination, sha256 });
        }
    }
    Some(read)
}

// null rather than unknown, so that a later plan keeps an empty text
fn read_sha256(step: &Json) -> Option<String> {
    Some(body::text(step, "sha256Checksum").unwrap_or_default())
}

fn lines(step: &Json, name: &str) -> Option<Vec<String>> {
    body::texts(step, name).filter(|lines| !lines.is_empty())
}

fn exit_codes(step: &Json) -> Option<Set<i64>> {
    let codes: Set<i64> = body::items(step, "validExitCodes").iter().filter_map(Json::as_i64).collect();
    (!codes.is_empty()).then_some(codes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Slot;

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn steps() -> Vec<Customizer> {
        let shell =
            Shell { inline: Some(vec!["a".into(), "b".into()]), sha256: text(""), ..Shell::default() };
        let powershell = PowerShell {
            script_uri: text("https://x.example/s.ps1"),
            sha256: text(&"ab".repeat(32)),
            run_elevated: Some(true),
            run_as_system: Some(false),
            valid_exit_codes: Some(Set(vec![0, 3010])),
            ..PowerShell::default()
        };
        let file = File {
            source_uri: "https://x.example/f".into(),
            destination: "/etc/f".into(),
            sha256: text(&"cd".repeat(32)),
        };
        let update = WindowsUpdate {
            search_criteria: text("IsInstalled=0"),
            filters: Some(vec!["include:$true".into()]),
            update_limit: Some(20),
        };
        let restart = WindowsRestart { restart_timeout: text("10m"), ..WindowsRestart::default() };
        vec![
            Customizer { name: text("first"), shell: Some(shell), ..Customizer::default() },
            Customizer { powershell: Some(powershell), ..Customizer::default() },
            Customizer { file: Some(file), ..Customizer::default() },
            Customizer { windows_update: Some(update), ..Customizer::default() },
            Customizer { windows_restart: Some(restart), ..Customizer::default() },
        ]
    }

    #[test]
    fn expand_and_flatten_round_trip() {
        let template = json!({"properties": {"customize": expand_customizers(&steps())}});
        assert_eq!(read_customizers(&template, &[]), steps());
        let validate = Validate {
            continue_distribute_on_failure: Some(true),
            source_validation_only: Some(false),
            shell: vec![ShellValidator {
                inline: Some(vec!["test".into()]),
                sha256: text(""),
                ..Default::default()
            }],
            file: vec![FileValidator {
                name: text("f"),
                source_uri: "https://x.example/f".into(),
                destination: "/f".into(),
                sha256: text(""),
            }],
            powershell: Vec::new(),
        };
        let template = json!({"properties": {"validate": expand_validate(&validate)}});
        assert_eq!(
            template["properties"]["validate"]["inVMValidations"][0]["type"], "File",
            "files come first"
        );
        assert_eq!(read_validate(&template), Some(validate));
        assert_eq!(read_validate(&json!({"properties": {}})), None);
    }

    #[test]
    fn defaults_of_the_service_are_not_a_difference() {
        let answer = json!({"properties": {"customize": [
            {"type": "WindowsRestart", "restartCommand": "", "restartTimeout": "5m"},
            {"type": "WindowsUpdate", "updateLimit": 1000},
            {"type": "WindowsUpdate", "updateLimit": 0},
        ]}});
        let read = read_customizers(&answer, &[]);
        assert_eq!(read[0].windows_restart, Some(WindowsRestart::default()));
        assert_eq!(read[1].windows_update, Some(WindowsUpdate::default()));
        assert_eq!(read[2].windows_update, Some(WindowsUpdate::default()));
        let restart = WindowsRestart { restart_timeout: text("5m"), ..WindowsRestart::default() };
        let known = Customizer { windows_restart: Some(restart), ..Customizer::default() };
        assert_eq!(
            read_customizers(&answer, std::slice::from_ref(&known))[0],
            known,
            "the user may say the same"
        );
    }

    #[test]
    fn a_step_has_one_kind_and_a_script_one_source() {
        let check = |check: fn(&Value, &Path, &mut Diagnostics), value: &Value| {
            let mut found = Diagnostics::new();
            check(value, &Path::root(), &mut found);
            found.into_iter().map(|diagnostic| diagnostic.summary).collect::<Vec<_>>()
        };
        let [shell, restart] = [steps()[0].clone(), steps()[4].clone()];
        let both = Customizer { windows_restart: restart.windows_restart, ..shell.clone() };
        for (step, errors) in [(shell.clone(), 0), (both, 1), (Customizer::default(), 1)] {
            assert_eq!(check(check_customizer, &step.encode()).len(), errors, "{step:?}");
        }
        let script = |fields: [(&'static str, Value); 2]| Value::object(fields);
        let commands = Value::List(vec!["a".into()]);
        for (inline, uri, errors) in [
            (commands.clone(), Value::Null, 0),
            (Value::List(vec![]), "https://x".into(), 0),
            (commands, "https://x".into(), 1),
            (Value::List(vec![]), "".into(), 1),
            (Value::Unknown, "https://x".into(), 0),
        ] {
            let script = script([("inline", inline), ("script_uri", uri)]);
            assert_eq!(check(check_script, &script).len(), errors, "{script:?}");
        }
    }
}
