//! Finds a real terraform and configures it to use the binary under test.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use tempfile::TempDir;

use crate::external;
use crate::release::Release;

/// A terraform with a private CLI configuration.
pub struct Terraform {
    program: PathBuf,
    version: String,
    settings: TempDir,
}

impl Terraform {
    /// Uses the newest release of `.ci/terraform --matrix`, which supports every feature. If that is not available,
    /// or if `AZIMAGE_TERRAFORM` is set, uses the terraform that `.ci/terraform` finds. The test is skipped if there
    /// is none.
    pub fn find() -> Terraform {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let ask = |arguments: &[&str]| Command::new(root.join(".ci/terraform")).args(arguments).output();
        let matrix = ask(&["--matrix"]).map(|output| output.stdout).unwrap_or_default();
        let matrix = String::from_utf8_lossy(&matrix).into_owned();
        let newest =
            matrix.split_whitespace().last().filter(|_| std::env::var_os("AZIMAGE_TERRAFORM").is_none());
        let newest = newest.map(|version| ask(&[version]));
        let found = match newest {
            Some(Ok(output)) if output.status.success() => Ok(output),
            _ => ask(&[]),
        };
        let program = match found {
            Ok(output) if output.status.success() => {
                String::from_utf8_lossy(&output.stdout).trim().to_owned()
            }
            Ok(output) => external::skip("terraform", String::from_utf8_lossy(&output.stderr).trim()),
            Err(error) => external::skip("terraform", format!(".ci/terraform does not run here: {error}")),
        };
        let settings = tempfile::tempdir().expect("a folder");
        let built = Path::new(env!("CARGO_BIN_EXE_terraform-provider-azimage"));
        // a separate folder, because terraform considers every file with this name prefix
        let plugins = settings.path().join("plugins");
        std::fs::create_dir(&plugins).expect("a folder");
        let name = built.file_name().expect("a name");
        #[cfg(unix)]
        std::os::unix::fs::symlink(built, plugins.join(name)).expect("a link");
        #[cfg(not(unix))]
        std::fs::copy(built, plugins.join(name)).expect("a copy");
        let text = format!(
            "provider_installation {{\n  dev_overrides {{\n    \"azimage/azimage\" = {:?}\n  }}\n  direct {{}}\n}}\n",
            plugins.display().to_string()
        );
        std::fs::write(settings.path().join("cli.tfrc"), text).expect("written");
        let mut terraform = Terraform { program: PathBuf::from(program), version: String::new(), settings };
        let (_, output) = terraform.run(Path::new("."), &["version"]);
        terraform.version = output.lines().next().unwrap_or_default().to_owned();
        terraform
    }

    /// Its name and version, as it prints them.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The reason why it is too old to read `text`, if it is.
    pub fn too_old_for(&self, text: &str) -> Option<&'static str> {
        let release = Release::of(&self.version);
        if text.contains("provider::azimage::") && !release.has_functions() {
            Some("provider functions")
        } else if text.contains("identity = {") && !release.has_identities() {
            Some("imports by identity")
        } else if text.contains("\nlist \"") || text.starts_with("list \"") {
            (!release.has_queries()).then_some("queries")
        } else if text.contains("\naction \"") || text.starts_with("action \"") {
            (!release.has_actions()).then_some("actions")
        } else {
            None
        }
    }

    /// Returns whether the command succeeded, and its output. If the configuration names no cloud, the emulator's is used.
    pub fn run(&self, folder: &Path, arguments: &[&str]) -> (bool, String) {
        let mut command = Command::new(&self.program);
        command.current_dir(folder).args(arguments).env_clear();
        // other settings in the environment for terraform and Azure must not interfere
        for name in ["PATH", "HOME", "TMPDIR", "SystemRoot", "LD_LIBRARY_PATH"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .env("TF_CLI_CONFIG_FILE", self.settings.path().join("cli.tfrc"))
            .env("ARM_ENVIRONMENT", "emulator")
            .env("CHECKPOINT_DISABLE", "1")
            .env("TF_IN_AUTOMATION", "1");
        match command.output() {
            Ok(output) => {
                let text =
                    [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
                (output.status.success(), text.concat())
            }
            Err(error) => (false, format!("{} does not start: {error}", self.program.display())),
        }
    }
}

/// Runs `work` for all items, two at a time, and collects the results.
pub fn two_at_a_time<T: Send, F: Send>(all: Vec<T>, work: impl Fn(T) -> Option<F> + Sync) -> Vec<F> {
    let left = Mutex::new(all);
    let found = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let next = left.lock().expect("no panic while it was held").pop();
                    let Some(next) = next else { break };
                    if let Some(result) = work(next) {
                        found.lock().expect("no panic while it was held").push(result);
                    }
                }
            });
        }
    });
    found.into_inner().expect("no panic while it was held")
}
