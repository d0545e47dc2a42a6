//! Release files have the names, checksums and contents that registries require, and `terraform init` finds a local
//! installation.

#![cfg(unix)] // the scripts support the platforms that releases are built on

#[path = "support/external.rs"]
#[macro_use]
mod external;
#[path = "support/cli.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ring::digest;
use support::{BINARY, EMULATOR, GALLERY, HEAD, Workspace, ran, terraform};

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn script(name: &str) -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci").join(name))
}

fn require(program: &'static str) {
    external::program(program, "PATH_TO_PROGRAM", &[program]);
}

/// The platform of this test.
fn host() -> String {
    let system = if cfg!(target_os = "macos") { "darwin" } else { std::env::consts::OS };
    let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    format!("{system}_{machine}")
}

/// Files that begin like the executables of all platforms and differ in the remaining bytes.
fn executables(folder: &Path) -> Vec<String> {
    let elf = |system: u8, machine: u8| {
        let mut head = vec![0; 64];
        head[..8].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1, system]);
        head[18] = machine;
        head
    };
    let pe = |machine: u16| {
        let mut head = vec![0; 0x46];
        head[..2].copy_from_slice(b"MZ");
        head[0x3c] = 0x40;
        head[0x40..0x44].copy_from_slice(b"PE\0\0");
        head[0x44..].copy_from_slice(&machine.to_le_bytes());
        head
    };
    let mach = |machine: u32| [0xfeed_facf_u32.to_le_bytes(), machine.to_le_bytes()].concat();
    let heads = [
        ("linux_amd64", elf(0, 0x3e)),
        ("linux_arm64", elf(0, 0xb7)),
        ("freebsd_amd64", elf(9, 0x3e)),
        ("windows_amd64", pe(0x8664)),
        ("windows_arm64", pe(0xaa64)),
        ("darwin_amd64", mach(0x0100_0007)),
        ("darwin_arm64", mach(0x0100_000c)),
    ];
    heads
        .iter()
        .map(|(platform, head)| {
            let path = folder.join(platform);
            fs::write(&path, [head.as_slice(), platform.repeat(1000).as_bytes()].concat()).unwrap();
            format!("{platform}={}", path.display())
        })
        .collect()
}

fn package(out: &Path, version: &str, binaries: &[String]) -> Output {
    script("package").args(["--version", version, "--out"]).arg(out).args(binaries).output().unwrap()
}

/// The names and bytes of the files in `folder`.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

fn releases_have_the_registrys_names_and_are_reproducible() {
    require("python3");
    let dir = tempfile::tempdir().unwrap();
    let mut made = Vec::new();
    for name in ["first", "second"] {
        let folder = dir.path().join(name);
        fs::create_dir(&folder).unwrap();
        let binaries = executables(&folder);
        // the mode and the time of the files are irrelevant
        let mode = if name == "first" { 0o600 } else { 0o777 };
        fs::set_permissions(folder.join("linux_amd64"), fs::Permissions::from_mode(mode)).unwrap();
        let old = fs::File::options().append(true).open(folder.join("linux_arm64")).unwrap();
        old.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        let out = folder.join("dist");
        ran(&package(&out, VERSION, &binaries)).ok();
        made.push(contents(&out));
    }
    assert!(made[0] == made[1], "two runs produced different bytes");

    let files = &made[0];
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    let expected = [
        "SHA256SUMS",
        "darwin_amd64.zip",
        "darwin_arm64.zip",
        "freebsd_amd64.zip",
        "linux_amd64.zip",
        "linux_arm64.zip",
        "manifest.json",
        "windows_amd64.zip",
        "windows_arm64.zip",
    ]
    .map(|end| format!("terraform-provider-azimage_{VERSION}_{end}"));
    assert_eq!(names, expected);

    let manifest: serde_json::Value = serde_json::from_slice(&files[&expected[6]]).unwrap();
    assert_eq!(manifest, serde_json::json!({"version": 1, "metadata": {"protocol_versions": ["5.0"]}}));

    let sums: String = files
        .iter()
        .filter(|(name, _)| !name.ends_with("SHA256SUMS"))
        .map(|(name, bytes)| {
            let sum = digest::digest(&digest::SHA256, bytes);
            let hex: String = sum.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{hex}  {name}\n")
        })
        .collect();
    assert_eq!(String::from_utf8_lossy(&files[&expected[0]]), sums);

    let list = "import sys, zipfile\nfor i in zipfile.ZipFile(sys.argv[1]).infolist(): print(i.filename, oct(i.external_attr >> 16), *i.date_time)";
    for (zip, inside) in [("linux_amd64", ""), ("windows_amd64", ".exe")] {
        let path = dir.path().join(format!("first/dist/terraform-provider-azimage_{VERSION}_{zip}.zip"));
        let listed = Command::new("python3").args(["-c", list]).arg(path).output().unwrap();
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        assert_eq!(
            listed.trim(),
            format!("terraform-provider-azimage_v{VERSION}{inside} 0o100755 1980 1 1 0 0 0")
        );
    }
}

fn the_packaged_binary_runs() {
    require("python3");
    let dir = tempfile::tempdir().unwrap();
    ran(&package(dir.path(), VERSION, &[format!("{}={BINARY}", host())])).ok();
    let zip = dir.path().join(format!("terraform-provider-azimage_{VERSION}_{}.zip", host()));
    let unpack = Command::new("python3").args(["-m", "zipfile", "-e"]).arg(zip).arg(dir.path()).output();
    ran(&unpack.unwrap()).ok();
    let binary = dir.path().join(format!("terraform-provider-azimage_v{VERSION}"));
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    ran(&Command::new(binary).arg("--version").output().unwrap()).ok().assert_contains(VERSION);
}

fn refuses_mismatched_versions_and_platforms() {
    require("python3");
    let dir = tempfile::tempdir().unwrap();
    executables(dir.path());
    let file = |name: &str| dir.path().join(name).display().to_string();
    for (version, binary, why) in [
        ("v1", format!("linux_amd64={}", file("linux_amd64")), "is not a version"),
        ("999.0.0", format!("linux_amd64={}", file("linux_amd64")), "Cargo.toml says version"),
        (VERSION, format!("linux_arm64={}", file("linux_amd64")), "is built for"),
        (VERSION, format!("linux_amd64={}", file("freebsd_amd64")), "is built for"),
        (VERSION, format!("linux_amd64={}", file("absent")), "a file that exists"),
    ] {
        let refused = ran(&package(&dir.path().join("dist"), version, &[binary]));
        assert_ne!(refused.code, 0);
        refused.assert_contains(why);
    }
}

fn signs_the_checksums() {
    require("python3");
    require("gpg");
    // the path of gpg-agent's socket must be short
    let dir = tempfile::Builder::new().prefix("g").tempdir_in("/tmp").unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let gpg = |arguments: &[&str]| {
        ran(&Command::new("gpg").env("GNUPGHOME", dir.path()).args(arguments).output().unwrap())
    };
    let make = |name: &str, kind: &str| {
        gpg(&["--batch", "--passphrase", "", "--quick-generate-key", name, kind, "sign", "never"]).ok();
    };
    make("release@example.com", "rsa2048");
    make("curve@example.com", "ed25519");
    let folder = dir.path().join("binaries");
    fs::create_dir(&folder).unwrap();
    let binaries = executables(&folder);
    let sign = |key: &str| {
        let mut command = script("package");
        command.env("GNUPGHOME", dir.path()).env_remove("GPG_PASSPHRASE");
        command.args(["--version", VERSION, "--sign", key, "--out"]).arg(dir.path().join("dist"));
        ran(&command.args(&binaries).output().unwrap())
    };
    sign("release@example.com").ok();
    let sums = dir.path().join(format!("dist/terraform-provider-azimage_{VERSION}_SHA256SUMS"));
    let signature = PathBuf::from(format!("{}.sig", sums.display()));
    assert!(!fs::read(&signature).unwrap().starts_with(b"-----"), "the signature is binary");
    gpg(&["--verify", signature.to_str().unwrap(), sums.to_str().unwrap()])
        .ok()
        .assert_contains("Good signature");

    let refused = sign("curve@example.com");
    assert_ne!(refused.code, 0);
    refused.assert_contains("neither RSA nor DSA");
    let _ = Command::new("gpgconf").env("GNUPGHOME", dir.path()).args(["--kill", "all"]).output();
}

fn init_finds_a_local_installation() {
    let terraform = terraform("");
    let mut workspace = Workspace::new(&terraform);
    let mirror = workspace.path().join("mirror");
    let mut install = script("install-local");
    let installed = install.arg(&mirror).env("AZIMAGE_BINARY", BINARY).output().unwrap();
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    // the printed configuration is the one that was written
    let config = mirror.join("terraform.tfrc");
    assert_eq!(String::from_utf8(installed.stdout).unwrap(), fs::read_to_string(&config).unwrap());
    for host in ["registry.terraform.io", "registry.opentofu.org"] {
        let name = format!(
            "{host}/azimage/azimage/{VERSION}/{}/terraform-provider-azimage_v{VERSION}",
            self::host()
        );
        assert!(mirror.join(&name).exists(), "{name}");
    }

    workspace.env("TF_CLI_CONFIG_FILE", config.to_str().unwrap());
    workspace.write("main.tf", &format!("{HEAD}{EMULATOR}{GALLERY}"));
    workspace.run(&["init"]).ok().assert_contains(&format!("azimage/azimage v{VERSION}"));
    assert!(workspace.path().join(".terraform.lock.hcl").exists());
    workspace.run(&["plan"]).ok().assert_contains("1 to add");
}

tests!(
    releases_have_the_registrys_names_and_are_reproducible,
    the_packaged_binary_runs,
    refuses_mismatched_versions_and_platforms,
    signs_the_checksums,
    init_finds_a_local_installation,
);
