//! The emulator's command line as a table, which the parser, the help text and the guide are derived from.

use super::super::gate::CONTROL_HEADER;

/// An option.
pub struct Flag {
    /// `--state`.
    pub name: &'static str,
    /// The name of its value; empty for an option without one.
    pub value: &'static str,
    /// Its description.
    pub help: &'static str,
}

/// A command and its arguments.
pub struct Command {
    /// Its name.
    pub name: &'static str,
    /// The names of its arguments. Those in brackets are optional.
    pub arguments: &'static [&'static str],
    /// Its description.
    pub help: &'static str,
}

/// The options.
pub const FLAGS: &[Flag] = &[
    Flag {
        name: "--listen",
        value: "HOST:PORT",
        help: "Serve at this address until interrupted. Port 0 is a free port. The first line of standard output names the address.",
    },
    Flag {
        name: "--state",
        value: "FILE",
        help: "Keep the state in this file. Without it, the state is lost when the process ends.",
    },
    Flag {
        name: "--tls-dir",
        value: "DIR",
        help: "Serve HTTPS, with certificates in this folder. Clients trust DIR/ca.pem.",
    },
    Flag {
        name: "--allow-remote",
        value: "",
        help: "Allow addresses that other machines can reach. The emulator accepts any credentials, so by default only loopback addresses are allowed.",
    },
    Flag {
        name: "--log-requests",
        value: "",
        help: "Write a line to standard error for each request. This is the default with --listen on a terminal.",
    },
    Flag { name: "--help", value: "", help: "Show this help." },
];

/// The commands. All except `run` read or change the state file, as another client would, and print JSON.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "run",
        arguments: &["--", "COMMAND", "[ARGUMENT...]"],
        help: "Serve HTTPS on a free port while COMMAND runs, with an environment that points at the emulator.",
    },
    Command { name: "get", arguments: &["ID"], help: "Show a resource." },
    Command {
        name: "list",
        arguments: &["[PREFIX]"],
        help: "List the resources whose IDs start with PREFIX.",
    },
    Command {
        name: "put",
        arguments: &["ID", "BODY"],
        help: "Create or replace a resource. BODY is JSON, or @FILE.",
    },
    Command {
        name: "patch",
        arguments: &["ID", "JSON"],
        help: "Change a resource by a merge patch (RFC 7396).",
    },
    Command { name: "delete", arguments: &["ID"], help: "Delete a resource." },
    Command {
        name: "post",
        arguments: &["ID/ACTION", "[BODY]"],
        help: "Call an action, such as …/virtualMachines/golden-vm/restart.",
    },
    Command { name: "advance", arguments: &["SECONDS"], help: "Move the emulator's clock." },
    Command {
        name: "publish",
        arguments: &["URN"],
        help: "Add a version to the Marketplace. A URN is PUBLISHER:OFFER:SKU:VERSION.",
    },
    Command { name: "deprecate", arguments: &["URN"], help: "Deprecate a version in the Marketplace." },
    Command { name: "withdraw", arguments: &["URN"], help: "Remove a version from the Marketplace." },
    Command { name: "settings", arguments: &["JSON"], help: "Change settings; null restores a default." },
    Command {
        name: "scripts",
        arguments: &["JSON"],
        help: "Set what scripts in machines do: a list such as [{\"contains\":\"systemctl\",\"exit_code\":3}].",
    },
    Command { name: "fault", arguments: &["JSON"], help: "Add a scripted fault." },
    Command { name: "faults", arguments: &["clear"], help: "Remove all scripted faults." },
];

/// The environment of a command that `run` starts.
const RUN: &str = "\
COMMAND gets these variables, in place of whatever they were:
  AZIMAGE_EMULATOR                                           the address, https://127.0.0.1:PORT
  ARM_METADATA_HOSTNAME, ARM_RESOURCE_MANAGER_ENDPOINT, ARM_RESOURCE_MANAGER_AUDIENCE,
  ARM_ACTIVE_DIRECTORY_AUTHORITY_HOST, AZURE_AUTHORITY_HOST  where Terraform's providers and SDKs find it
  ARM_DISABLE_INSTANCE_DISCOVERY                             true: the authority is not looked up at Microsoft
  ARM_ and AZURE_ TENANT_ID, CLIENT_ID, CLIENT_SECRET, SUBSCRIPTION_ID   credentials that it accepts
  SSL_CERT_FILE, REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE          the system's certificates and its own, in one file
  NODE_EXTRA_CA_CERTS, NO_PROXY, no_proxy                    its own certificate; no proxy for this machine
Other ways to log in (ARM_USE_OIDC, ARM_CLIENT_CERTIFICATE_PATH, …) are removed. An interrupt from the terminal reaches
COMMAND by itself, and a termination is passed on to it; a second one kills it. The exit code is COMMAND's: 128 and its number
after a signal, 127 when there is no such command. The emulator stops once COMMAND has.
";

/// `get ID`.
pub fn synopsis(command: &Command) -> String {
    std::iter::once(command.name).chain(command.arguments.iter().copied()).collect::<Vec<_>>().join(" ")
}

/// The text of `--help`.
pub fn help() -> String {
    const PROGRAM: &str = "terraform-provider-azimage emulator";
    let row = |left: &str, right: &str| format!("  {left:<28} {right}\n");
    let mut text = format!(
        "usage: {PROGRAM} --listen HOST:PORT [OPTION...]\n       {PROGRAM} [--state FILE] run -- COMMAND [ARGUMENT...]\n       {PROGRAM} --state FILE COMMAND\n\nOptions:\n"
    );
    for flag in FLAGS {
        text += &row(format!("{} {}", flag.name, flag.value).trim_end(), flag.help);
    }
    text += "\nCommands:\n";
    for command in COMMANDS {
        text += &row(&synopsis(command), command.help);
    }
    text += &format!(
        "\nA new state contains the resource groups my-rg and rg, each with a running Linux machine, golden-vm.\nThe control calls of a served emulator are below /_emulator/; those that change something need the header {CONTROL_HEADER}: true.\n\n{RUN}"
    );
    text
}

/// The options and commands as the guide's tables.
pub fn tables() -> String {
    let mut text = String::from("| command | what it does |\n|---|---|\n");
    for command in COMMANDS {
        text += &format!("| `{}` | {} |\n", synopsis(command), command.help);
    }
    text += "\n| option | what it does |\n|---|---|\n";
    for flag in FLAGS {
        text += &format!("| `{}` | {} |\n", format!("{} {}", flag.name, flag.value).trim_end(), flag.help);
    }
    text
}

/// A parsed command line.
#[derive(Debug, Default, PartialEq)]
pub struct CommandLine {
    /// The options with their values.
    pub flags: Vec<(&'static str, String)>,
    /// The command, and its arguments.
    pub command: Option<(&'static str, Vec<String>)>,
}

impl CommandLine {
    /// The value of an option.
    pub fn flag(&self, name: &str) -> Option<&str> {
        self.flags.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

/// Splits arguments into options, and a command with the arguments that it takes.
pub fn parse(arguments: Vec<String>) -> Result<CommandLine, String> {
    let mut words = CommandLine::default();
    let mut rest = arguments.into_iter();
    let mut command: Option<(&Command, Vec<String>)> = None;
    while let Some(word) = rest.next() {
        if word == "--" {
            match &mut command {
                Some((known, given)) if known.name == "run" => given.extend(rest.by_ref()),
                _ => return Err("'--' is only used with run: run -- COMMAND".to_owned()),
            }
        } else if word.starts_with('-') && word.len() > 1 && !is_number(&word) {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None if word == "-h" => ("--help".to_owned(), None),
                None => (word, None),
            };
            let flag = FLAGS
                .iter()
                .find(|flag| flag.name == name)
                .ok_or_else(|| format!("unknown option {name}"))?;
            let value = match (flag.value, value) {
                ("", None) => String::new(),
                ("", Some(_)) => return Err(format!("{name} takes no value")),
                (_, Some(value)) => value,
                (wanted, None) => {
                    rest.next().ok_or_else(|| format!("{name} needs a value: {name} {wanted}"))?
                }
            };
            words.flags.push((flag.name, value));
        } else if let Some((_, given)) = &mut command {
            given.push(word);
        } else if word == "help" {
            words.flags.push(("--help", String::new()));
        } else {
            let found = COMMANDS.iter().find(|command| command.name == word).ok_or_else(|| {
                let names: Vec<&str> = COMMANDS.iter().map(|command| command.name).collect();
                format!("unknown command '{word}'; use one of {}", names.join(", "))
            })?;
            command = Some((found, Vec::new()));
        }
    }
    if words.flag("--help").is_some() {
        return Ok(words);
    }
    if let Some((command, given)) = command {
        check_count(command, &given)?;
        words.command = Some((command.name, given));
    }
    Ok(words)
}

fn is_number(word: &str) -> bool {
    word.parse::<f64>().is_ok()
}

fn check_count(command: &Command, given: &[String]) -> Result<(), String> {
    let wanted: Vec<&str> = command.arguments.iter().copied().filter(|argument| *argument != "--").collect();
    let required = wanted.iter().filter(|argument| !argument.starts_with('[')).count();
    if let Some(missing) = wanted.get(given.len()).filter(|_| given.len() < required) {
        return Err(format!("{} needs {missing}: {}", command.name, synopsis(command)));
    }
    let endless = wanted.last().is_some_and(|last| last.ends_with("...]"));
    match given.get(wanted.len()).filter(|_| !endless) {
        Some(extra) => Err(format!("unexpected argument '{extra}': {}", synopsis(command))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<CommandLine, String> {
        parse(line.split_whitespace().map(str::to_owned).collect())
    }

    #[test]
    fn separates_options_and_commands() {
        let words = read("--state s.json get /x").unwrap();
        assert_eq!((words.flag("--state"), words.flag("--listen")), (Some("s.json"), None));
        assert_eq!(words.command, Some(("get", vec!["/x".to_owned()])));
        assert_eq!(read("--state=s list").unwrap().command, Some(("list", Vec::new())));
        let run = read("run --state s -- terraform apply --auto-approve -h").unwrap();
        let (name, arguments) = run.command.unwrap();
        assert_eq!((name, arguments.join(" ").as_str()), ("run", "terraform apply --auto-approve -h"));
        assert_eq!(read("advance -5").unwrap().command, Some(("advance", vec!["-5".to_owned()])));
        assert!(read("get -h").unwrap().flag("--help").is_some());
        assert!(read("help").unwrap().flag("--help").is_some());
    }

    #[test]
    fn errors_name_missing_and_unknown_arguments() {
        for (line, why) in [
            ("get", "get needs ID: get ID"),
            ("put /x", "put needs BODY: put ID BODY"),
            ("patch", "patch needs ID: patch ID JSON"),
            ("publish", "publish needs URN: publish URN"),
            ("run", "run needs COMMAND: run -- COMMAND [ARGUMENT...]"),
            ("run --", "run needs COMMAND: run -- COMMAND [ARGUMENT...]"),
            ("get /x /y", "unexpected argument '/y': get ID"),
            ("--state", "--state needs a value: --state FILE"),
            ("--loud", "unknown option --loud"),
            ("--allow-remote=yes", "--allow-remote takes no value"),
            ("get /x -- y", "'--' is only used with run"),
            ("fetch", "unknown command 'fetch'; use one of run, get,"),
        ] {
            let error = read(line).unwrap_err();
            assert!(error.starts_with(why), "{line}: {error}");
        }
    }

    #[test]
    fn the_help_text_and_the_guide_name_all_options_and_commands() {
        let (help, tables) = (help(), tables());
        for name in FLAGS.iter().map(|flag| flag.name).chain(COMMANDS.iter().map(|command| command.name)) {
            assert!(help.contains(&format!("  {name}")) && tables.contains(&format!("| `{name}")), "{name}");
        }
    }
}
