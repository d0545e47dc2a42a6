//! The command line of `report`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::collect::{Request, collect};
use super::model::Report;
use super::{html, markdown};
use crate::framework::timeouts::parse_period;
use crate::framework::{Op, Provider as _};
use crate::image::Constraint;
use crate::image::retention::Rules;
use crate::provider::{Config, Provider};
use crate::schema::{Diagnostics, Number, Severity, Slot as _};

const HELP: &str = "\
Reports on image versions: where they are replicated, who uses them, what they cost.

Usage: terraform-provider-azimage report [OPTIONS] [GALLERY_ID...]

Without a gallery ID, every gallery of the subscription is in the report. The provider's environment variables
(ARM_SUBSCRIPTION_ID, ARM_CLIENT_ID and so on) say how to sign in.

Options:
  --subscription ID       report on every gallery of this subscription; may be repeated
  --emulator[=STATE]      read the built-in emulator's state file (default: .azimage/emulator.json)
  --format FORMAT         html (default), json or markdown
  --output FILE           write to FILE instead of standard output
  --no-usage              do not look for users through Azure Resource Graph
  --currency CODE         the currency of the costs (default: USD)
  --price REGION=PRICE    the price of a GB and month in REGION; may be repeated
  --no-cost               leave the costs out
  --keep-latest N         try a retention policy: keep the newest N versions
  --keep-newer-than AGE   keep versions published within AGE, such as 90d
  --keep-version VERSION  keep a version or those that satisfy a constraint; may be repeated
  --keep-tag NAME=VALUE   keep versions with this tag; may be repeated
  --help                  print this text

A retention policy also keeps every version that is in use. Nothing is ever deleted by this command.";

/// The time limit for a report.
const TIMEOUT: Duration = Duration::from_secs(3600);

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Format {
    #[default]
    Html,
    Json,
    Markdown,
}

#[derive(Debug, Default)]
struct Command {
    request: Request,
    format: Format,
    output: Option<PathBuf>,
    emulator: Option<Option<String>>,
    help: bool,
}

/// Runs the command; `args` are those after `report`.
pub fn main(args: Vec<OsString>) -> ExitCode {
    let command = match parse(args) {
        Ok(command) if command.help => return print(HELP.to_owned() + "\n", None),
        Ok(command) => command,
        Err(why) => {
            return fail(&format!("{why}\nRun terraform-provider-azimage report --help for the options."), 2);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.to_string(), 1),
    };
    let text = runtime.block_on(make(&command)).and_then(|report| render(&report, command.format));
    match text {
        Ok(text) => print(text, command.output),
        Err(why) => fail(&why, 1),
    }
}

async fn make(command: &Command) -> Result<Report, String> {
    let mut config = Config::default();
    if let Some(state) = &command.emulator {
        config.environment = Some("emulator".to_owned());
        config.emulator =
            state.clone().map(|path| crate::provider::EmulatorSettings { state_path: Some(path) });
    }
    let mut found = Diagnostics::new();
    let context = Provider.configure(&config.encode(), "", &mut found);
    let context = match context {
        Some(context) if !found.has_errors() => context,
        _ => return Err(text_of(found)),
    };
    let mut request = command.request.clone();
    if request.galleries.is_empty() && request.subscriptions.is_empty() {
        request
            .subscriptions
            .push(context.subscription(None).map_err(|error| text_of(error.into()))?.to_owned());
    }
    let stop = CancellationToken::new();
    let interrupted = stop.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            interrupted.cancel();
        }
    });
    collect(&context, &Op::new(TIMEOUT, stop), &request).await.map_err(text_of)
}

fn render(report: &Report, format: Format) -> Result<String, String> {
    match format {
        Format::Html => html::render(report).map_err(|error| error.to_string()),
        Format::Json => {
            serde_json::to_string_pretty(report).map(|text| text + "\n").map_err(|error| error.to_string())
        }
        Format::Markdown => Ok(markdown::render(report)),
    }
}

fn parse(args: Vec<OsString>) -> Result<Command, String> {
    use lexopt::prelude::*;
    let mut command = Command::default();
    let (mut rules, mut has_rules) = (Rules { in_use: true, ..Rules::default() }, false);
    let (mut usage, mut cost, mut currency) = (true, true, "USD".to_owned());
    let mut parser = lexopt::Parser::from_args(args);
    let text = |parser: &mut lexopt::Parser| -> Result<String, lexopt::Error> { parser.value()?.string() };
    let wrong = |error: lexopt::Error| error.to_string();
    while let Some(argument) = parser.next().map_err(wrong)? {
        match argument {
            Long("subscription") => command.request.subscriptions.push(text(&mut parser).map_err(wrong)?),
            Long("emulator") => {
                let path = parser.optional_value().map(|path| path.string()).transpose().map_err(wrong)?;
                command.emulator = Some(path);
            }
            Long("format") => {
                command.format = match text(&mut parser).map_err(wrong)?.as_str() {
                    "html" => Format::Html,
                    "json" => Format::Json,
                    "markdown" => Format::Markdown,
                    other => return Err(format!("--format {other:?} is not html, json or markdown.")),
                }
            }
            Long("output") => command.output = Some(PathBuf::from(parser.value().map_err(wrong)?)),
            Long("no-usage") => usage = false,
            Long("no-cost") => cost = false,
            Long("currency") => currency = text(&mut parser).map_err(wrong)?.to_uppercase(),
            Long("price") => {
                let (region, price) = pair("--price", text(&mut parser).map_err(wrong)?)?;
                let number = Number::parse(&price)
                    .ok_or_else(|| format!("--price {region}={price}: {price:?} is not a number."))?;
                command.request.prices.insert(region, number);
            }
            Long("keep-latest") => {
                let number = text(&mut parser).map_err(wrong)?;
                let number =
                    number.parse().map_err(|_| format!("--keep-latest {number:?} is not a whole number."))?;
                rules.latest = Some(number);
                has_rules = true;
            }
            Long("keep-newer-than") => {
                let age = text(&mut parser).map_err(wrong)?;
                let parsed = parse_period(&age).ok_or_else(|| {
                    format!("--keep-newer-than {age:?} is not an age; use 90d, 36h or 1h30m.")
                })?;
                rules.newer_than = Some(parsed);
                has_rules = true;
            }
            Long("keep-version") => {
                let constraint = text(&mut parser).map_err(wrong)?;
                let parsed = Constraint::parse(&constraint)
                    .map_err(|error| format!("--keep-version {constraint:?}: {error}"))?;
                rules.versions.push(parsed);
                has_rules = true;
            }
            Long("keep-tag") => {
                let (name, value) = pair("--keep-tag", text(&mut parser).map_err(wrong)?)?;
                rules.tagged.insert(name, value);
                has_rules = true;
            }
            Short('h') | Long("help") => command.help = true,
            Value(id) => command.request.galleries.push(id.string().map_err(wrong)?),
            other => return Err(wrong(other.unexpected())),
        }
    }
    if has_rules && !usage {
        return Err(
            "A retention policy needs to know which versions are in use: remove --no-usage.".to_owned()
        );
    }
    command.request.usage = usage;
    command.request.currency = cost.then_some(currency);
    command.request.rules = has_rules.then_some(rules);
    Ok(command)
}

fn pair(option: &str, text: String) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("{option} {text:?} is not NAME=VALUE.")),
    }
}

fn text_of(found: Diagnostics) -> String {
    let errors: BTreeMap<String, String> = found
        .into_iter()
        .filter(|diagnostic| diagnostic.severity == Severity::Error)
        .map(|diagnostic| (diagnostic.summary, diagnostic.detail))
        .collect();
    let texts: Vec<String> =
        errors.into_iter().map(|(summary, detail)| format!("{summary}\n\n{detail}")).collect();
    texts.join("\n\n")
}

// this process is not a plugin, so it may print to standard output
#[allow(clippy::print_stdout)]
fn print(text: String, output: Option<PathBuf>) -> ExitCode {
    let written = match &output {
        Some(path) => std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display())),
        None => std::io::stdout().write_all(text.as_bytes()).map_err(|error| error.to_string()),
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => fail(&format!("The report could not be written to {why}"), 1),
    }
}

fn fail(why: &str, code: u8) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "Error: {why}");
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<Command, String> {
        parse(args.iter().map(OsString::from).collect())
    }

    #[test]
    fn reads_every_option() {
        let command = parsed(&[
            "--subscription=a",
            "--emulator=x.json",
            "--format",
            "json",
            "--output",
            "out",
            "--currency",
            "eur",
            "--price",
            "eastus=0.05",
            "--keep-latest",
            "3",
            "--keep-newer-than",
            "90d",
            "--keep-version",
            "~> 1.0",
            "--keep-tag",
            "keep=yes",
            "/subscriptions/s/g",
        ])
        .unwrap();
        assert_eq!(command.request.subscriptions, ["a"]);
        assert_eq!(command.request.galleries, ["/subscriptions/s/g"]);
        assert_eq!(command.emulator, Some(Some("x.json".to_owned())));
        assert_eq!(command.format, Format::Json);
        assert_eq!(command.request.currency.as_deref(), Some("EUR"));
        let rules = command.request.rules.unwrap();
        assert_eq!((rules.latest, rules.versions.len(), rules.tagged.len()), (Some(3), 1, 1));
        assert_eq!(rules.newer_than, Some(Duration::from_secs(90 * 86_400)));
        assert!(rules.in_use);
        let plain = parsed(&["--emulator", "--no-usage", "--no-cost"]).unwrap();
        assert_eq!(plain.emulator, Some(None));
        assert!(!plain.request.usage && plain.request.currency.is_none() && plain.request.rules.is_none());
    }

    #[test]
    fn wrong_options_are_errors() {
        for (args, part) in [
            (&["--format", "pdf"][..], "not html, json or markdown"),
            (&["--price", "0.05"], "not NAME=VALUE"),
            (&["--price", "eastus=cheap"], "not a number"),
            (&["--keep-latest", "many"], "not a whole number"),
            (&["--keep-latest", "3", "--no-usage"], "remove --no-usage"),
            (&["--colour"], "--colour"),
        ] {
            let error = parsed(args).err().unwrap_or_default();
            assert!(error.contains(part), "{args:?}: {error}");
        }
    }
}
