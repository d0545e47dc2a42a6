//! The correlation ID of a run: the same in all processes that one Terraform starts, so that Azure's logs show one run.

use super::environment::Env;

/// The correlation ID of this run. A process that Terraform did not start, or whose Terraform cannot be identified, has
/// an ID of its own.
pub fn id(env: Env<'_>) -> String {
    // with -debug, the parent is a shell, which starts many runs
    let started = env("TF_PLUGIN_MAGIC_COOKIE").is_some();
    let run = started.then(parent).flatten().map(|parent| named(&parent));
    run.unwrap_or_else(uuid::Uuid::new_v4).to_string()
}

/// The UUID of a name.
fn named(name: &str) -> uuid::Uuid {
    let digest = ring::digest::digest(&ring::digest::SHA256, name.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.as_ref()[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

/// Identifies the parent process among all present and past ones: boot, namespace, process ID and start time.
#[cfg(target_os = "linux")]
fn parent() -> Option<String> {
    let parent = std::os::unix::process::parent_id();
    let stat = std::fs::read_to_string(format!("/proc/{parent}/stat")).ok()?;
    // The second field is a name in parentheses, which may contain any character; the 22nd is the start time.
    let began = stat.rsplit_once(") ")?.1.split(' ').nth(19)?.to_owned();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    Some(format!("{} {} {parent} {began}", boot.trim(), namespace.display()))
}

#[cfg(not(target_os = "linux"))]
fn parent() -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_processes_of_one_terraform_share_an_id() {
        let started = |name: &str| (name == "TF_PLUGIN_MAGIC_COOKIE").then(String::new);
        let run = id(&started);
        assert!(uuid::Uuid::parse_str(&run).is_ok(), "{run}");
        if cfg!(target_os = "linux") {
            assert_eq!(id(&started), run);
        }
        assert_ne!(named("a"), named("b"));
        assert_ne!(id(&|_| None), id(&|_| None), "each debugged process has its own ID");
    }
}
