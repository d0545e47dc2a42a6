//! The check whether a machine kept the identity of the one that its image was captured from.

/// What a line of the check's output begins with that names something kept.
pub const KEPT: &str = "kept: ";

/// What is older than the first start of this machine comes from its source: host keys, the machine's ID, and accounts that
/// can sign in. An account without a password and without keys cannot.
const LINUX: &str = r#"#!/bin/sh
boot=$(awk '/^btime/ {print $2}' /proc/stat)
old() { [ -s "$1" ] && [ "$(stat -c %Y "$1")" -lt "$((boot - 60))" ]; }
found=0
kept() { echo "kept: $1"; found=1; }
for key in /etc/ssh/ssh_host_*_key; do
  if old "$key"; then kept "SSH host key $key"; fi
done
if old /etc/machine-id; then kept "machine ID /etc/machine-id"; fi
while IFS=: read -r name _ id _ _ home shell; do
  [ "$id" -ge 1000 ] && [ "$id" -lt 60000 ] && [ "$name" != azimage ] || continue
  case $shell in */nologin | */false | '') continue ;; esac
  password=$(awk -F: -v name="$name" '$1 == name {print $2}' /etc/shadow)
  case $password in '' | '!'* | '*'*) [ -s "$home/.ssh/authorized_keys" ] || continue ;; esac
  kept "user $name"
done </etc/passwd
exit $found
"#;

/// Sysprep leaves a tag of the clone, and the first start of a generalized machine gives the administrator the name that was
/// asked for; any other account that is enabled comes from the source.
const WINDOWS: &str = r#"$found = 0
function Kept($what) { Write-Output "kept: $what"; $script:found = 1 }
$setup = Get-ItemProperty -Path 'HKLM:\SYSTEM\Setup' -ErrorAction SilentlyContinue
if (-not $setup.CloneTag) { Kept 'the computer identity (Sysprep has not generalized the image)' }
$state = (Get-ItemProperty -Path 'HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\State').ImageState
if ($state -ne 'IMAGE_STATE_COMPLETE') { Kept "an unfinished setup ($state)" }
Get-LocalUser | Where-Object { $_.Enabled -and $_.Name -ne 'azimage' } | ForEach-Object { Kept "user $($_.Name)" }
exit $found
"#;

/// The script of the check. It prints a line for each thing that was kept, and its exit code is then 1.
pub fn script(is_windows: bool) -> &'static str {
    if is_windows { WINDOWS } else { LINUX }
}

/// The things that were kept, from the check's output.
pub fn kept(output: &str) -> Vec<&str> {
    output.lines().filter_map(|line| line.trim().strip_prefix(KEPT)).collect()
}

/// What to do about an image that kept something.
pub fn remedy(is_windows: bool) -> &'static str {
    if is_windows {
        "Run Sysprep with /oobe /generalize /shutdown as the last step of the build."
    } else {
        "Run `waagent -deprovision+user -force` and `cloud-init clean --logs --machine-id` as the last steps of the build. An image that keeps accounts on purpose sets check_deprovisioned = false."
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_traces_that_were_kept() {
        assert_eq!(kept("x\nkept: user bob\r\n  kept: SSH host key k\n"), ["user bob", "SSH host key k"]);
        assert!(kept("nothing is kept: here").is_empty());
    }

    /// The script itself, where there is a shell: this computer has been running for a while, so its files are old.
    #[test]
    #[cfg(target_os = "linux")]
    fn the_script_is_valid_shell() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), script(false)).unwrap();
        let checked = std::process::Command::new("/bin/sh").arg("-n").arg(file.path()).output().unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
}
