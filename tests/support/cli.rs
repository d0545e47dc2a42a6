//! The real command line in a temporary folder, and a served emulator for it.

#![allow(dead_code)] // each test file uses its part

#[path = "release.rs"]
pub mod release;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use libtest_mimic::Trial;
use tempfile::TempDir;

use crate::external;
use release::Release;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The provider under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_terraform-provider-azimage");

/// The subscription of tests against a served emulator.
pub const SUBSCRIPTION: &str = "5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f10";

/// The first lines of every configuration.
pub const HEAD: &str = r#"
terraform {
  required_providers {
    azimage = { source = "azimage/azimage" }
  }
}
"#;

/// The provider block for the built-in emulator, which follows [`HEAD`].
pub const EMULATOR: &str = r#"
provider "azimage" {
  environment = "emulator"
}
"#;

/// The smallest resource: a gallery.
pub const GALLERY: &str = r#"
resource "azimage_gallery" "g" {
  name                = "gal"
  resource_group_name = "rg"
  location            = "eastus"
}
"#;

/// The image definition `def` at the address `azimage_image_definition.NAME`, in the gallery at `azimage_gallery.GALLERY`.
/// `more` are further arguments.
pub fn definition(name: &str, gallery: &str, more: &str) -> String {
    format!(
        r#"
resource "azimage_image_definition" "{name}" {{
  name               = "def"
  gallery_id         = azimage_gallery.{gallery}.id
  os_type            = "Linux"
  hyper_v_generation = "V2"
  {more}
  identifier {{
    publisher = "p"
    offer     = "o"
    sku       = "s"
  }}
}}
"#
    )
}

/// The Terraform releases to test: those listed in `AZIMAGE_TERRAFORM_VERSIONS`; else the one named by `AZIMAGE_TERRAFORM`;
/// else those of the matrix, and the `tofu` on the path.
pub fn versions() -> Vec<String> {
    if let Ok(list) = std::env::var("AZIMAGE_TERRAFORM_VERSIONS") {
        return list.split_whitespace().map(str::to_owned).collect();
    }
    if std::env::var_os("AZIMAGE_TERRAFORM").is_some() {
        return vec![String::new()];
    }
    let matrix = Command::new(Path::new(ROOT).join(".ci/terraform")).arg("--matrix").output().unwrap();
    let matrix = String::from_utf8(matrix.stdout).unwrap();
    matrix.split_whitespace().chain(["tofu"]).map(str::to_owned).collect()
}

/// One test for each of [`versions`]: `work` gets the path of the command and its release.
pub fn for_each_terraform(name: &str, work: fn(&str, Release)) -> Vec<Trial> {
    let test = |version: String| {
        let name = format!("{name} with {}", if version.is_empty() { "AZIMAGE_TERRAFORM" } else { &version });
        external::trial(name, move || {
            let terraform = terraform(&version);
            let output = Workspace::new(&terraform).command(&["version"]).output().unwrap();
            work(&terraform, Release::of(&String::from_utf8_lossy(&output.stdout)));
        })
    };
    versions().into_iter().map(test).collect()
}

/// The folders of the self-contained example stories.
pub fn stories() -> Vec<PathBuf> {
    let folder = Path::new(ROOT).join("examples/stories");
    let mut stories: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("run").exists())
        .collect();
    stories.sort();
    assert!(!stories.is_empty());
    stories
}

/// The path of a terraform with that version (any version if empty). The test is skipped if there is none.
pub fn terraform(version: &str) -> String {
    if version == "tofu" {
        let found = Command::new("tofu").arg("version").output().is_ok_and(|output| output.status.success());
        return if found { version.to_owned() } else { external::skip("tofu", "tofu is not on PATH") };
    }
    let mut command = Command::new(Path::new(ROOT).join(".ci/terraform"));
    if !version.is_empty() {
        command.arg(version);
    }
    let output = command.output().unwrap();
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        external::skip("terraform", format!("no terraform is available: {why}"));
    }
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The result of a terraform run.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    /// Standard output and standard error together, without line wrapping and message frames.
    pub text: String,
}

impl Ran {
    #[track_caller]
    pub fn ok(self) -> Ran {
        assert_eq!(self.code, 0, "{}", self.text);
        self
    }

    #[track_caller]
    pub fn assert_contains(self, what: &str) -> Ran {
        let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat(&self.text).contains(&flat(what)), "{what:?} is not in:\n{}", self.text);
        self
    }
}

/// A folder with a configuration and a terraform that uses the provider under test.
pub struct Workspace {
    pub dir: TempDir,
    terraform: String,
    env: Vec<(String, String)>,
}

impl Workspace {
    pub fn new(terraform: &str) -> Workspace {
        let dir = TempDir::new().unwrap();
        let bin = Path::new(BINARY).parent().unwrap();
        // dev_overrides require a folder that contains the provider: that of the build
        let rc = format!(
            "provider_installation {{\n  dev_overrides {{\n    \"azimage/azimage\" = {:?}\n  }}\n  direct {{}}\n}}\n",
            bin.display().to_string()
        );
        std::fs::write(dir.path().join("cli.tfrc"), rc).unwrap();
        Workspace { dir, terraform: terraform.to_owned(), env: Vec::new() }
    }

    pub fn env(&mut self, name: &str, value: impl Into<String>) {
        self.env.push((name.to_owned(), value.into()));
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.terraform);
        command.args(arguments).current_dir(self.path());
        for (name, _) in std::env::vars().filter(|(name, _)| {
            name.starts_with("ARM_") || name.starts_with("TF_") || name.starts_with("AZURE_")
        }) {
            command.env_remove(name);
        }
        command
            .env("TF_CLI_CONFIG_FILE", self.path().join("cli.tfrc"))
            .env("CHECKPOINT_DISABLE", "1")
            .env("TF_IN_AUTOMATION", "1");
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        let mut arguments = arguments.to_vec();
        arguments.push("-no-color");
        ran(&self.command(&arguments).output().unwrap())
    }

    pub fn apply(&self) -> Ran {
        self.run(&["apply", "-auto-approve"])
    }

    pub fn destroy(&self) -> Ran {
        self.run(&["destroy", "-auto-approve"])
    }

    /// Plans, and fails unless the plan is empty.
    #[track_caller]
    pub fn assert_no_changes(&self) {
        let ran = self.run(&["plan", "-detailed-exitcode"]);
        assert_eq!(ran.code, 0, "{}", ran.text);
    }

    /// Plans, and fails if the plan is empty.
    #[track_caller]
    pub fn plan_changes(&self) -> Ran {
        let ran = self.run(&["plan", "-detailed-exitcode"]);
        assert_eq!(ran.code, 2, "{}", ran.text);
        ran
    }
}

pub fn ran(output: &Output) -> Ran {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8_lossy(&text).replace(['│', '╷', '╵'], " ");
    Ran { code: output.status.code().unwrap_or(-1), text }
}

/// A served emulator in its own process, like any other implementation of Resource Manager.
pub struct Served {
    child: Child,
    pub url: String,
    pub dir: TempDir,
}

impl Served {
    pub fn start() -> Served {
        let dir = TempDir::new().unwrap();
        let mut child = Command::new(BINARY)
            .args(["emulator", "--listen", "127.0.0.1:0", "--state"])
            .arg(dir.path().join("state.json"))
            .arg("--tls-dir")
            .arg(dir.path().join("tls"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url =
            line.trim().strip_prefix("listening on ").expect("the server prints its address").to_owned();
        Served { child, url, dir }
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state.json")
    }

    /// Configures a workspace for it: metadata host, service principal, private CA.
    pub fn point(&self, workspace: &mut Workspace) {
        workspace.env("ARM_METADATA_HOSTNAME", self.url.trim_start_matches("https://"));
        workspace.env("SSL_CERT_FILE", self.dir.path().join("tls/ca.pem").display().to_string());
        workspace.env("ARM_SUBSCRIPTION_ID", SUBSCRIPTION);
        workspace.env("ARM_TENANT_ID", "11111111-1111-1111-1111-111111111111");
        workspace.env("ARM_CLIENT_ID", "22222222-2222-2222-2222-222222222222");
        workspace.env("ARM_CLIENT_SECRET", "hunter2-hunter2");
    }

    /// Changes an object as another client.
    pub fn by_hand(&self, arguments: &[&str]) -> String {
        let output = Command::new(BINARY)
            .args(["emulator", "--state"])
            .arg(self.state())
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
