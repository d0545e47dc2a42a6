//! Opens the files of a state safely: only regular files, and never through a planted symbolic link.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// The maximum number of symbolic links that are followed, as on Linux.
const LINKS: usize = 40;

/// Follows symbolic links, so that replacing the file keeps the link, and all processes lock the same file. The file need not
/// exist; if it does, it must be a regular file.
pub fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_symlink() => {
                let target = fs::read_link(&path)?;
                path = path.parent().map(|parent| parent.join(&target)).unwrap_or(target);
            }
            Ok(found) if found.is_file() => return Ok(path),
            Ok(_) => return Err(not_regular()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(path),
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

/// Opens a regular file with `options`. Refuses devices and pipes, because opening them can hang and replacing them does harm.
pub fn open_regular(path: &Path, options: &OpenOptions) -> io::Result<File> {
    if !fs::metadata(path)?.is_file() {
        return Err(not_regular());
    }
    options.open(path)
}

/// Opens the file `<path><suffix>`, or creates it. Refuses anything but a regular file, including symbolic links, which other
/// users could have planted in a shared folder.
pub fn open_beside(path: &Path, suffix: &str, append: bool) -> io::Result<File> {
    let beside = beside(path, suffix);
    let mut options = OpenOptions::new();
    options.read(true).write(!append).append(append);
    loop {
        match options.clone().create_new(true).open(&beside) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => return other,
        }
        let refused = match fs::symlink_metadata(&beside) {
            Ok(found) if found.is_file() => match options.open(&beside) {
                // It was deleted just now.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => return other,
            },
            Ok(_) => not_regular(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => error,
        };
        return Err(io::Error::new(refused.kind(), format!("{}: {refused}", beside.display())));
    }
}

/// Creates the file `<path><suffix>`, after removing an existing one that, for example, a killed process left behind.
pub fn create_beside(path: &Path, suffix: &str) -> io::Result<File> {
    let beside = beside(path, suffix);
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).open(beside)
}

/// `<path><suffix>`.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn follows_links_to_files_and_refuses_other_things() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "x").unwrap();
        fs::create_dir(at("folder")).unwrap();
        symlink("file", at("near")).unwrap();
        symlink(at("near"), at("far")).unwrap();
        symlink("missing", at("dangling")).unwrap();
        symlink("loop", at("loop")).unwrap();
        symlink("/dev/null", at("device")).unwrap();
        assert_eq!(resolve(&at("far")).unwrap(), at("file"));
        assert_eq!(resolve(&at("dangling")).unwrap(), at("missing"));
        assert_eq!(resolve(&at("none")).unwrap(), at("none"));
        for refused in ["folder", "loop", "device"] {
            assert!(resolve(&at(refused)).is_err(), "{refused}");
        }
        assert!(open_regular(Path::new("/dev/null"), OpenOptions::new().read(true)).is_err());
    }

    #[test]
    fn planted_links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("victim"), "precious").unwrap();
        for name in ["state.lock", "state.new", "state.absent"] {
            let target = if name == "state.absent" { "created" } else { "victim" };
            symlink(at(target), at(name)).unwrap();
        }
        let refused = open_beside(&at("state"), ".lock", false).unwrap_err().to_string();
        assert!(refused.contains("state.lock: it is not a regular file"), "{refused}");
        assert!(open_beside(&at("state"), ".absent", false).is_err() && !at("created").exists());
        create_beside(&at("state"), ".new").unwrap();
        assert!(!fs::symlink_metadata(at("state.new")).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(at("victim")).unwrap(), "precious");
        for _ in 0..2 {
            open_beside(&at("state"), ".fine", true).unwrap();
        }
    }
}
