//! Tests with external requirements, such as a program or recordings: they run, or are reported as ignored.
//!
//! Cargo's own harness reports "ok" or "FAILED" for every test that has started, so a test without its program would report
//! "ok". These files set `harness = false` in `Cargo.toml` and end with [`tests!`](crate::tests), which lists their tests.
#![allow(dead_code, unused_macros, reason = "each test file uses its own part")]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Trial};

/// The variable that lists the requirements that must be present, separated by commas: a test that lacks one of them fails.
pub const REQUIRE: &str = "AZIMAGE_REQUIRE";

/// A missing requirement of a test.
struct Missing {
    what: &'static str,
    reason: String,
}

/// Ends the current test because `what` is missing: the test is reported as ignored with `reason`, or fails if
/// [`REQUIRE`] lists `what`.
pub fn skip(what: &'static str, reason: impl Into<String>) -> ! {
    // unlike a panic, this prints nothing
    resume_unwind(Box::new(Missing { what, reason: reason.into() }))
}

/// The program in the variable `variable`, or the first of `names` on `PATH`. The test is skipped if there is none.
pub fn program(what: &'static str, variable: &str, names: &[&str]) -> PathBuf {
    if let Some(named) = std::env::var_os(variable) {
        return PathBuf::from(named);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    names
        .iter()
        .flat_map(|name| std::env::split_paths(&path).map(move |folder| folder.join(name)))
        .find(|file| file.is_file())
        .unwrap_or_else(|| skip(what, format!("{what} is not on PATH; {variable} can name it")))
}

/// The folder of shared material outside this repository. The test is skipped if it is absent.
pub fn shared(folder: &'static str) -> PathBuf {
    let shared = std::env::var_os("AZIMAGE_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let path = shared.join(folder);
    if !path.is_dir() {
        skip(
            folder,
            format!("there is no folder ../shared/{folder}; AZIMAGE_SHARED can name another ../shared"),
        );
    }
    path
}

fn is_required(what: &str) -> bool {
    std::env::var(REQUIRE).is_ok_and(|list| list.split(',').any(|name| name.trim() == what))
}

/// A test with the name to print.
pub fn trial(name: impl Into<String>, test: impl FnOnce() + Send + 'static) -> Trial {
    Trial::ignorable_test(name, move || {
        let Err(payload) = catch_unwind(AssertUnwindSafe(test)) else {
            return Ok(Completion::Completed);
        };
        match payload.downcast::<Missing>() {
            Ok(missing) if is_required(missing.what) => {
                Err(format!("{REQUIRE} lists {}: {}", missing.what, missing.reason).into())
            }
            Ok(missing) => Ok(Completion::ignored_with(missing.reason)),
            Err(payload) => resume_unwind(payload),
        }
    })
}

/// Runs `tests` like cargo's own harness.
pub fn run(tests: Vec<Trial>) -> ExitCode {
    libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
}

/// The `main` of a test file: `tests!(first, module::second);`.
#[macro_export]
macro_rules! tests {
    ($($(#[$attribute:meta])* $($segment:ident)::+),+ $(,)?) => {
        #[allow(clippy::vec_init_then_push, reason = "attributes such as cfg apply to statements only")]
        fn main() -> std::process::ExitCode {
            let mut tests = Vec::new();
            $(
                $(#[$attribute])*
                tests.push(external::trial([$(stringify!($segment)),+].join("::"), || $($segment)::+()));
            )+
            external::run(tests)
        }
    };
}
