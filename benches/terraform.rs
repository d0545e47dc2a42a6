//! Measures Terraform with many image versions: the time, the requests to Azure, and the provider's resource usage.
//! For comparison it also measures `terraform_data`, which shows Terraform's own cost, and other providers whose
//! binaries are configured.
//!
//! ```text
//! cargo bench --bench terraform                        1,000 versions in 20 definitions, 50 ms latency, 3 runs
//! AZIMAGE_BENCH_VERSIONS=10000 cargo bench --bench terraform
//! AZIMAGE_BENCH_AZURERM=/path/to/terraform-provider-azurerm AZIMAGE_BENCH_AZAPI=/path/… cargo bench --bench terraform
//! ```
//!
//! Other variables: `AZIMAGE_BENCH_RUNS`, `AZIMAGE_BENCH_LATENCY_MS`, `AZIMAGE_BENCH_THROTTLE=1` (plans within ARM's
//! request budgets), `AZIMAGE_BENCH_PROVIDER` (another build of this provider), and
//! `AZIMAGE_BENCH_ONLY=validate,plan` (rows of the table).
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "the output is for people, and a panic ends the benchmark"
)]

#[path = "support/config.rs"]
mod config;
#[path = "support/emulator.rs"]
mod emulator;
#[path = "support/usage.rs"]
mod usage;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use config::Subject;
use emulator::Emulator;
use usage::Usage;

/// The measured commands, in the order of the table.
const ROWS: [&str; 5] = ["validate", "plan", "plan -refresh=false", "apply", "destroy"];

/// One measurement.
#[derive(Clone, Copy, Debug, Default)]
struct Measured {
    seconds: f64,
    requests: u64,
    throttled: u64,
    usage: Usage,
}

fn main() {
    let provider =
        number_or("AZIMAGE_BENCH_PROVIDER", env!("CARGO_BIN_EXE_terraform-provider-azimage").to_owned());
    if std::env::var_os("AZIMAGE_EMULATOR").is_none() {
        // `emulator … -- COMMAND` serves the emulator and configures the processes that it starts
        let this = std::env::current_exe().unwrap();
        let emulator = env!("CARGO_BIN_EXE_terraform-provider-azimage");
        let status = Command::new(emulator).args(["emulator", "run", "--"]).arg(this).status().unwrap();
        std::process::exit(status.code().unwrap_or(1));
    }
    let versions: usize = number_or("AZIMAGE_BENCH_VERSIONS", 1000);
    let definitions = (versions / 50).clamp(1, 20);
    let runs: usize = number_or("AZIMAGE_BENCH_RUNS", 3);
    let latency: u64 = number_or("AZIMAGE_BENCH_LATENCY_MS", 50);
    let throttle = number_or("AZIMAGE_BENCH_THROTTLE", 0) != 0;
    let only = std::env::var("AZIMAGE_BENCH_ONLY").unwrap_or_default();
    let terraform = terraform();
    let dir = tempfile::tempdir().unwrap();
    let emulator = Emulator::connect();
    let mut subjects = vec![Subject::Floor, Subject::Azimage(PathBuf::from(provider))];
    for (name, make) in [
        ("AZIMAGE_BENCH_AZURERM", Subject::Azurerm as fn(PathBuf) -> Subject),
        ("AZIMAGE_BENCH_AZAPI", Subject::Azapi),
    ] {
        match std::env::var_os(name) {
            Some(path) => subjects.push(make(path.into())),
            None => println!("{name} is not set: this provider is skipped"),
        }
    }

    println!("{versions} image versions in {definitions} definitions, {latency} ms, {runs} runs, medians");
    emulator.seed(definitions, versions);
    let cli = Cli { terraform, rc: config::cli_config(dir.path(), &subjects) };
    let wanted = |row: &str| only.is_empty() || only.split(',').any(|word| row == word);
    let mut table: Vec<Vec<Vec<Measured>>> = vec![vec![Vec::new(); ROWS.len()]; subjects.len()];
    for (at, subject) in subjects.iter().enumerate() {
        let many = dir.path().join(format!("many{at}"));
        if wanted("plan") || wanted("plan -refresh=false") {
            // import the existing objects, so that nothing remains to be done
            config::many(&many, subject, definitions, definitions);
            config::imports(&many, subject);
            cli.run(&many, subject, &emulator, &["apply", "-auto-approve"]);
            config::many(&many, subject, definitions, versions);
            config::multiply(&many, &emulator.published(definitions), versions);
            if subject.binary().is_some() {
                // read the attributes that differ between versions
                cli.run(&many, subject, &emulator, &["apply", "-refresh-only", "-auto-approve"]);
                // the budget of reads refills by 25 requests a second
                std::thread::sleep(std::time::Duration::from_secs(10));
            }
        }
        config::few(&dir.path().join(format!("few{at}")), subject);
    }
    for _ in 0..runs {
        for (at, subject) in subjects.iter().enumerate() {
            let many = dir.path().join(format!("many{at}"));
            let few = dir.path().join(format!("few{at}"));
            for (row, name) in ROWS.iter().enumerate().filter(|(_, name)| wanted(name)) {
                let changes = matches!(*name, "apply" | "destroy");
                emulator.latency(if changes { 0 } else { latency });
                emulator.throttle(throttle && !changes);
                let (folder, arguments): (&Path, &[&str]) = match *name {
                    "validate" => (&few, &["validate"]),
                    "plan" => (&many, &["plan", "-detailed-exitcode"]),
                    "plan -refresh=false" => (&many, &["plan", "-refresh=false", "-detailed-exitcode"]),
                    "apply" => (&few, &["apply", "-auto-approve"]),
                    _ => (&few, &["destroy", "-auto-approve"]),
                };
                table[at][row].push(cli.run(folder, subject, &emulator, arguments));
            }
        }
    }
    print_table(&subjects, &table);
}

fn print_table(subjects: &[Subject], table: &[Vec<Vec<Measured>>]) {
    println!();
    println!(
        "| | | s | × floor | s over floor | ARM requests | refused (429) | provider CPU s | peak RSS MiB |"
    );
    println!("|---|---|---:|---:|---:|---:|---:|---:|---:|");
    for (row, name) in ROWS.iter().enumerate() {
        let floor = median(&table[0][row], |measured| measured.seconds);
        for (subject, measured) in subjects.iter().zip(table) {
            let measured = &measured[row];
            if measured.is_empty() {
                continue;
            }
            let seconds = median(measured, |measured| measured.seconds);
            println!(
                "| {name} | {} | {seconds:.3} | {:.2} | {:.3} | {:.0} | {:.0} | {:.2} | {:.0} |",
                subject.name(),
                seconds / floor,
                seconds - floor,
                median(measured, |measured| measured.requests as f64),
                median(measured, |measured| measured.throttled as f64),
                median(measured, |measured| measured.usage.cpu),
                median(measured, |measured| measured.usage.mebibytes),
            );
        }
    }
}

fn median(measured: &[Measured], of: impl Fn(&Measured) -> f64) -> f64 {
    let mut values: Vec<f64> = measured.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

struct Cli {
    terraform: PathBuf,
    rc: PathBuf,
}

impl Cli {
    fn run(&self, folder: &Path, subject: &Subject, emulator: &Emulator, arguments: &[&str]) -> Measured {
        let (before, refused) = (emulator.requests(), emulator.throttled());
        let begun = Instant::now();
        let mut child = Command::new(&self.terraform)
            .args(arguments)
            .args(["-no-color"])
            .current_dir(folder)
            .env("TF_CLI_CONFIG_FILE", &self.rc)
            .env("CHECKPOINT_DISABLE", "1")
            .env("TF_IN_AUTOMATION", "1")
            .stdout(std::fs::File::create(folder.join("out.txt")).unwrap())
            .stderr(std::fs::File::create(folder.join("err.txt")).unwrap())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let watch = subject.binary().map(usage::watch);
        let status = child.wait().unwrap();
        let seconds = begun.elapsed().as_secs_f64();
        let usage = watch.map(usage::Watch::end).unwrap_or_default();
        if !status.success() {
            let text = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
            let out = text("out.txt");
            let end = out.lines().rev().take(40).collect::<Vec<_>>();
            let end = end.into_iter().rev().collect::<Vec<_>>().join("\n");
            panic!("{} {arguments:?}: {status}\n{end}\n{}", subject.name(), text("err.txt"));
        }
        let (requests, throttled) = (emulator.requests() - before, emulator.throttled() - refused);
        Measured { seconds, requests, throttled, usage }
    }
}

fn terraform() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/terraform");
    let output = Command::new(script).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), ".ci/terraform found no terraform");
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

fn number_or<T: std::str::FromStr>(name: &str, otherwise: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}
