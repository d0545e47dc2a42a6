//! Turns the `.proto` files into Rust without `protoc`, and notes which commit is being built.

use std::{env, error::Error, fs, path::Path, process::Command};

const FILES: [&str; 5] = [
    "tfplugin5.proto",
    "plugin/controller.proto",
    "plugin/broker.proto",
    "plugin/stdio.proto",
    "grpc/health/v1/health.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    let root = env::var("CARGO_MANIFEST_DIR")?;
    let root = Path::new(&root);
    compile_protos(&root.join("proto"))?;
    println!("cargo:rustc-env=AZIMAGE_COMMIT={}", commit(root));
    println!("cargo:rerun-if-changed=build.rs");
    Ok(())
}

/// Servers for us, clients for the tests. Calls nobody wrote answer UNIMPLEMENTED by themselves, so
/// a call added to the protocol never breaks the build.
fn compile_protos(include: &Path) -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={}", include.display());
    let files: Vec<_> = FILES.iter().map(|file| include.join(file)).collect();
    let descriptors = protox::compile(files, [include])?;
    tonic_prost_build::configure()
        .btree_map(".")
        .build_transport(false)
        .generate_default_stubs(true)
        .compile_fds(descriptors)?;
    Ok(())
}

/// `AZIMAGE_COMMIT` where a packager gives it, else git's answer, else `unknown`: a build from an
/// archive, with no git, must work.
fn commit(root: &Path) -> String {
    println!("cargo:rerun-if-env-changed=AZIMAGE_COMMIT");
    if let Some(given) = env::var("AZIMAGE_COMMIT").ok().filter(|given| !given.is_empty()) {
        return given;
    }
    // Looked at here and no higher: an archive unpacked inside another repository is not its commit.
    let git = root.join(".git");
    if !git.exists() {
        return "unknown".into();
    }
    // A release must know its commit to the letter; a debug build need not recompile after each one.
    let head = git.join("HEAD");
    if env::var("PROFILE").is_ok_and(|profile| profile == "release") && head.exists() {
        println!("cargo:rerun-if-changed={}", head.display());
        let branch = fs::read_to_string(&head).unwrap_or_default();
        if let Some(branch) = branch.strip_prefix("ref: ").map(|name| git.join(name.trim()))
            && branch.exists()
        {
            println!("cargo:rerun-if-changed={}", branch.display());
        }
    }
    Command::new("git")
        .args(["rev-parse", "--short", "HEAD"])
        .current_dir(root)
        .output()
        .ok()
        .filter(|output| output.status.success())
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .filter(|commit| !commit.is_empty())
        .unwrap_or_else(|| "unknown".into())
}
