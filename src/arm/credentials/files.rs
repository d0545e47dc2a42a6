//! Settings in files, and warnings about files that other users can read.

use super::{Credentials, set};

/// The setting `name`, or the content of the file that `path_name` names. Both may be set if they are equal. Files are read
/// again every time, because they may be rotated.
pub fn either(
    name: &str,
    value: Option<&str>,
    path_name: &str,
    path: Option<&str>,
) -> Result<Option<String>, String> {
    let from_file = path.map(|path| read(path_name, path)).transpose()?;
    match (value, from_file) {
        (Some(value), Some(content)) if value != content => Err(format!(
            "{name} and the file that {path_name} names ({}) differ; set one of them",
            path.unwrap_or_default()
        )),
        (Some(value), _) => Ok(Some(value.to_owned())),
        (None, content) => Ok(content),
    }
}

/// The content of the file `path` without surrounding white space. `setting` is its name in messages.
pub fn read(setting: &str, path: &str) -> Result<String, String> {
    let bytes = read_bytes(setting, path)?;
    let content =
        std::str::from_utf8(&bytes).map_err(|_| format!("the file {path:?} ({setting}) is not text"))?;
    let content = content.trim();
    if content.is_empty() {
        return Err(format!("the file {path:?} ({setting}) is empty"));
    }
    Ok(content.to_owned())
}

/// The maximum size of a file.
const LARGEST: u64 = 1 << 20;

/// The content of the regular file `path`. Pipes and devices are refused, because reading them may never end.
pub fn read_bytes(setting: &str, path: &str) -> Result<Vec<u8>, String> {
    let failed = |why: &dyn std::fmt::Display| format!("reading {path:?} ({setting}): {why}");
    let metadata = std::fs::metadata(path).map_err(|error| failed(&error))?;
    if !metadata.is_file() {
        return Err(failed(&"it is not a regular file"));
    }
    if metadata.len() > LARGEST {
        return Err(failed(&format!("it is larger than {LARGEST} bytes")));
    }
    std::fs::read(path).map_err(|error| failed(&error))
}

/// Warnings about files with secrets that every user of the machine can read.
pub fn warnings(credentials: &Credentials) -> Vec<String> {
    let files = [
        ("client_secret_file_path", &credentials.client_secret_file_path),
        ("client_certificate_path", &credentials.client_certificate_path),
        ("oidc_token_file_path", &credentials.oidc_token_file_path),
    ];
    files
        .into_iter()
        .filter_map(|(setting, path)| {
            let path = set(path)?;
            let mode = open_to_others(path)?;
            Some(format!(
                "the file {path:?} ({setting}) can be read by other users of this machine (mode {mode:03o}): run chmod 600"
            ))
        })
        .collect()
}

#[cfg(unix)]
fn open_to_others(path: &str) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o007 != 0).then_some(mode)
}

#[cfg(not(unix))]
fn open_to_others(_path: &str) -> Option<u32> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_settings_and_files() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, content).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let good = file("good", " abc\n");
        let empty = file("empty", "\n");
        let read = |value, path: Option<&str>| either("client_id", value, "client_id_file_path", path);
        assert_eq!(read(None, None), Ok(None));
        assert_eq!(read(Some("abc"), None), Ok(Some("abc".into())));
        assert_eq!(read(None, Some(&good)), Ok(Some("abc".into())));
        assert_eq!(read(Some("abc"), Some(&good)), Ok(Some("abc".into())));
        assert!(read(Some("other"), Some(&good)).unwrap_err().contains("differ"));
        assert!(read(None, Some(&empty)).unwrap_err().contains("is empty"));
        assert!(read(None, Some("/nowhere/at/all")).unwrap_err().contains("client_id_file_path"));
        assert!(read(None, dir.path().to_str()).unwrap_err().contains("is not a regular file"));
    }

    #[cfg(unix)]
    #[test]
    fn refuses_pipes_and_devices() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [pipe.to_str().unwrap(), "/dev/zero"] {
            let why = read("client_secret_file_path", path).unwrap_err();
            assert!(why.contains("client_secret_file_path") && why.contains("not a regular file"), "{why}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn warns_about_files_that_others_may_read() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, "s").unwrap();
        let credentials = Credentials {
            client_secret_file_path: path.to_str().map(str::to_owned),
            ..Credentials::default()
        };
        for (mode, warned) in [(0o600, false), (0o640, false), (0o644, true), (0o666, true)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(!warnings(&credentials).is_empty(), warned, "{mode:o}");
        }
        assert!(warnings(&Credentials::default()).is_empty());
    }
}
