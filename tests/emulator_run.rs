//! `emulator run -- COMMAND`: the command's environment, exit codes, signals, and cleanup.

#![cfg(all(feature = "emulator", unix))]
#![allow(clippy::print_stdout, clippy::unwrap_used)]

#[path = "support/external.rs"]
#[macro_use]
mod external;
#[path = "support/cli.rs"]
mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::{BINARY, HEAD, Ran, Workspace, ran, terraform};

fn run(command: &[&str]) -> Ran {
    ran(&emulator(command).output().unwrap())
}

fn emulator(command: &[&str]) -> Command {
    let mut emulator = Command::new(BINARY);
    emulator.args(["emulator", "run", "--"]).args(command);
    emulator
}

fn returns_the_commands_exit_code() {
    assert_eq!(run(&["true"]).code, 0);
    assert_eq!(run(&["sh", "-c", "exit 7"]).code, 7);
    assert_eq!(run(&["sh", "-c", "kill -9 $$"]).code, 128 + 9);
    let none = run(&["there-is-no-such-command"]);
    assert_eq!(none.code, 127);
    none.assert_contains("starting there-is-no-such-command");
    assert_eq!(run(&["/"]).code, 126);
    assert_eq!(run(&[]).assert_contains("run needs COMMAND").code, 2);
}

fn command_finds_the_emulator_and_trusts_the_system_certificates() {
    let script = r#"
        set -e
        test "$ARM_RESOURCE_MANAGER_ENDPOINT" = "$AZIMAGE_EMULATOR"
        test "https://$ARM_METADATA_HOSTNAME" = "$AZIMAGE_EMULATOR"
        test "$AZURE_AUTHORITY_HOST" = "$AZIMAGE_EMULATOR/"
        test "$ARM_TENANT_ID" = "$AZURE_TENANT_ID" && test "$ARM_CLIENT_ID" = "$AZURE_CLIENT_ID"
        test -n "$ARM_CLIENT_SECRET" && test -n "$ARM_SUBSCRIPTION_ID"
        test -z "$ARM_USE_OIDC$ARM_ENVIRONMENT$ARM_CLIENT_CERTIFICATE_PATH"
        test "$SSL_CERT_FILE" = "$REQUESTS_CA_BUNDLE" && test "$SSL_CERT_FILE" = "$CURL_CA_BUNDLE"
        case "$NO_PROXY" in example.com,*127.0.0.1*) ;; *) exit 9;; esac
        grep -c BEGIN "$SSL_CERT_FILE"
        grep -c BEGIN "$NODE_EXTRA_CA_CERTS"
    "#;
    let output = ran(&emulator(&["sh", "-c", script])
        .env("ARM_USE_OIDC", "true")
        .env("ARM_ENVIRONMENT", "china")
        .env("ARM_CLIENT_CERTIFICATE_PATH", "/c.pfx")
        .env("NO_PROXY", "example.com")
        .output()
        .unwrap());
    assert_eq!(output.code, 0, "{}", output.text);
    let counts: Vec<usize> = output.text.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(counts[1], 1);
    if Path::new("/etc/ssl/certs/ca-certificates.crt").exists() {
        assert!(counts[0] > 1, "the system's certificates are not in the bundle");
    }
}

fn alive(id: &str) -> bool {
    // A zombie process does not count as alive.
    std::fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn becomes_false(what: impl Fn() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(5);
    while Instant::now() < end {
        if !what() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

/// Starts a command that prints its process ID and its emulator's address, sends `signals`, and returns the exit code.
fn signalled(script: &str, signals: &[&str]) -> i32 {
    let mut child = emulator(&["sh", "-c", script])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let (id, address) = line.trim().split_once(' ').unwrap();
    let port = address.rsplit_once(':').unwrap().1;
    assert!(alive(id), "{line}");
    for signal in signals {
        let sent = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status();
        assert!(sent.unwrap().success());
        std::thread::sleep(Duration::from_millis(300));
    }
    let code = child.wait().unwrap().code().unwrap();
    assert!(becomes_false(|| alive(id)), "the command is still running");
    assert!(
        std::net::TcpStream::connect(format!("127.0.0.1:{port}")).is_err(),
        "the emulator was left behind"
    );
    code
}

fn signals_end_the_command_before_the_emulator() {
    const PLAIN: &str = "echo $$ $AZIMAGE_EMULATOR; exec sleep 60";
    assert_eq!(signalled(PLAIN, &["TERM"]), 128 + 15);
    assert_eq!(signalled(PLAIN, &["INT"]), 128 + 2);
    // a command that cleans up and exits with its own code
    const TIDY: &str = "trap 'exit 5' TERM; echo $$ $AZIMAGE_EMULATOR; while :; do sleep 0.05; done";
    assert_eq!(signalled(TIDY, &["TERM"]), 5);
    // a command that ignores the first signal is killed by the second
    const DEAF: &str = "trap '' TERM; echo $$ $AZIMAGE_EMULATOR; while :; do sleep 0.05; done";
    assert_eq!(signalled(DEAF, &["TERM", "TERM"]), 128 + 9);
}

const GALLERY: &str = r#"
provider "azimage" {}
variable "name" { default = "ran" }
resource "azimage_gallery" "g" {
  name                = var.name
  resource_group_name = "my-rg"
  location            = "eastus"
}
"#;

fn terraform_applies_and_tests_on_the_emulator() {
    let terraform = terraform("");
    let workspace = Workspace::new(&terraform);
    workspace.write("main.tf", &(HEAD.to_owned() + GALLERY));
    std::fs::create_dir(workspace.path().join("tests")).unwrap();
    workspace.write(
        "tests/gallery.tftest.hcl",
        "variables {\n  name = \"tested\"\n}\nrun \"it_is_there\" {\n  assert {\n    condition     = azimage_gallery.g.provisioning_state == \"Succeeded\"\n    error_message = \"no\"\n  }\n}\n",
    );
    for arguments in [
        &["apply", "-auto-approve", "-no-color"][..],
        &["test", "-no-color"],
        &["apply", "-auto-approve", "-no-color"],
    ] {
        // The same environment as without the emulator, but run through it, with one state for all commands.
        let plain = workspace.command(arguments);
        let mut command = Command::new(BINARY);
        command.args(["emulator", "run", "--state"]).arg(workspace.path().join("azure.json")).arg("--");
        command.arg(plain.get_program()).args(plain.get_args()).current_dir(workspace.path());
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let output = ran(&command.output().unwrap());
        assert_eq!(output.code, 0, "{arguments:?}:\n{}", output.text);
        if arguments[0] == "test" {
            output.assert_contains("0 failed");
        }
    }
    assert!(std::fs::read_to_string(workspace.path().join("azure.json")).unwrap().contains("galleries/ran"));
}

tests!(
    returns_the_commands_exit_code,
    command_finds_the_emulator_and_trusts_the_system_certificates,
    signals_end_the_command_before_the_emulator,
    terraform_applies_and_tests_on_the_emulator,
);
