//! Reads the command line of the Terraform or OpenTofu that started this process.

use std::env;

/// Whether the host runs `terraform destroy`, or `plan` or `apply` with `-destroy`. The protocol does not say so:
/// before a destroy, Terraform plans the whole configuration as for an apply. False if the host's command line cannot
/// be read.
pub fn is_destroying() -> bool {
    let Some(command) = parent_command() else { return false };
    destroys(&command, |name| env::var(name).ok())
}

// Whether a command line destroys. Terraform also takes arguments from environment variables.
fn destroys(command: &[String], variable: impl Fn(&str) -> Option<String>) -> bool {
    let mut arguments = command.iter().skip(1).map(String::as_str);
    // if an interpreter runs the host, such as a Python wrapper, its path comes first
    let is_host = |argument: &str| argument.contains(['/', '\\']) || matches!(argument, "terraform" | "tofu");
    let subcommand = arguments.by_ref().find(|argument| !argument.starts_with('-') && !is_host(argument));
    let Some(subcommand) = subcommand else { return false };
    let is_flag = |argument: &str| {
        matches!(argument.trim_start_matches('-'), "destroy" | "destroy=true") && argument.starts_with('-')
    };
    let added = |name: &str| variable(name).is_some_and(|value| value.split_whitespace().any(is_flag));
    match subcommand {
        "destroy" => true,
        "plan" | "apply" => {
            arguments.any(is_flag) || added("TF_CLI_ARGS") || added(&format!("TF_CLI_ARGS_{subcommand}"))
        }
        _ => false,
    }
}

#[cfg(target_os = "linux")]
fn parent_command() -> Option<Vec<String>> {
    let path = format!("/proc/{}/cmdline", std::os::unix::process::parent_id());
    let text = std::fs::read(path).ok()?;
    let arguments = text.split(|byte| *byte == 0).filter(|argument| !argument.is_empty());
    Some(arguments.map(|argument| String::from_utf8_lossy(argument).into_owned()).collect())
}

#[cfg(all(unix, not(target_os = "linux")))]
fn parent_command() -> Option<Vec<String>> {
    let parent = std::os::unix::process::parent_id().to_string();
    let listed =
        std::process::Command::new("ps").args(["-ww", "-o", "args=", "-p", &parent]).output().ok()?;
    Some(String::from_utf8_lossy(&listed.stdout).split_whitespace().map(str::to_owned).collect())
}

#[cfg(not(unix))]
fn parent_command() -> Option<Vec<String>> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recognises_commands_that_destroy() {
        let set = |name: &str| (name == "TF_CLI_ARGS_plan").then(|| "-lock=false -destroy".to_owned());
        for (command, expected) in [
            ("terraform destroy", true),
            ("/usr/bin/tofu -chdir=infra destroy -auto-approve", true),
            ("/usr/bin/python3 /opt/tools/terraform destroy -auto-approve", true),
            ("python3 terraform plan -destroy", true),
            ("/usr/bin/python3 /opt/destroy/terraform plan", false),
            ("terraform plan -destroy -out=x", true),
            ("terraform apply --destroy", true),
            ("terraform apply -destroy=true", true),
            ("terraform apply -destroy=false", false),
            ("terraform apply -target=destroy", false),
            ("terraform plan", false),
            ("terraform state rm destroy", false),
            ("terraform", false),
            ("", false),
        ] {
            let command: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
            assert_eq!(destroys(&command, |_| None), expected, "{command:?}");
        }
        let plan = ["terraform", "plan"].map(str::to_owned);
        assert!(destroys(&plan, set));
        assert!(!destroys(&["terraform", "apply"].map(str::to_owned), set));
    }

    #[test]
    fn tests_do_not_destroy() {
        assert!(!is_destroying());
    }
}
