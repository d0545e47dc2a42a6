//! The stories of `examples/stories` with the real command line, as users run them.

use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Terraforms to tell each story with: the one that is found, or the versions named in `AZIMAGE_TERRAFORM_VERSIONS`.
fn versions() -> Vec<String> {
    match std::env::var("AZIMAGE_TERRAFORM_VERSIONS") {
        Ok(list) => list.split_whitespace().map(str::to_owned).collect(),
        Err(_) => vec![String::new()],
    }
}

/// The path of a terraform, or `None`, told in print, where none can be had.
fn terraform(version: &str) -> Option<String> {
    let mut command = Command::new(Path::new(ROOT).join(".ci/terraform"));
    if !version.is_empty() {
        command.arg(version);
    }
    let output = command.output().unwrap();
    if !output.status.success() {
        println!("SKIPPED: no terraform can be had here: {}", String::from_utf8_lossy(&output.stderr));
        return None;
    }
    Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

/// Folders of `examples/stories` that tell themselves.
fn stories() -> Vec<PathBuf> {
    let mut stories: Vec<PathBuf> = std::fs::read_dir(Path::new(ROOT).join("examples/stories"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("run").exists())
        .collect();
    stories.sort();
    stories
}

#[test]
fn every_story_is_as_told() {
    let stories = stories();
    assert!(!stories.is_empty());
    for version in versions() {
        if terraform(&version).is_none() {
            continue;
        }
        for story in &stories {
            let output = Command::new(story.join("run"))
                .env("AZIMAGE_BINARY", env!("CARGO_BIN_EXE_terraform-provider-azimage"))
                .env("AZIMAGE_TERRAFORM_VERSION", &version)
                .output()
                .unwrap();
            assert!(
                output.status.success(),
                "{} with terraform {version:?}:\n{}{}",
                story.display(),
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
}
