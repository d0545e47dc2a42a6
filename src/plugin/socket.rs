//! A Unix socket in a private directory that is removed with it.

#[cfg(unix)]
pub use unix::bind;

use std::path::PathBuf;

/// The files of a listener. Removing them twice does no harm.
#[derive(Debug, Default)]
pub struct Files {
    /// The socket; empty where there is none.
    pub socket: PathBuf,
    dir: PathBuf,
}

impl Files {
    /// Removes the socket and its directory. Errors are ignored, since nobody can act on them.
    pub fn remove(&self) {
        if !self.dir.as_os_str().is_empty() {
            let _ = std::fs::remove_file(&self.socket);
            let _ = std::fs::remove_dir(&self.dir);
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.remove();
    }
}

#[cfg(unix)]
mod unix {
    use super::{
        super::{StartError, launch::Launch},
        Files,
    };
    use std::{
        fs::{DirBuilder, Permissions, set_permissions},
        io,
        os::unix::fs::{DirBuilderExt, PermissionsExt, chown},
        path::{Path, PathBuf},
    };
    use tokio::net::UnixListener;

    /// The longest path a socket can have: the kernel's field without its closing zero byte.
    const LONGEST: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

    /// Binds a socket for this user, and for the group that the host sets. Must be called inside a runtime.
    pub fn bind(launch: &Launch) -> Result<(UnixListener, Files), StartError> {
        let group = match &launch.socket_group {
            None => None,
            Some(group) => Some(
                group_id(group, || std::fs::read_to_string("/etc/group").unwrap_or_default())
                    .ok_or_else(|| StartError::Group(group.clone()))?,
            ),
        };
        let parent = parent_dir(launch.socket_dir.as_deref(), &std::env::temp_dir())?;
        let fail = |what: &'static str, path: &Path| {
            let path = path.to_owned();
            move |why: io::Error| StartError::Socket { what, path, why }
        };
        let dir = make_private_dir(&parent).map_err(fail("making the socket's directory in", &parent))?;
        let files = Files { socket: dir.join(SOCKET), dir };
        let listener = UnixListener::bind(&files.socket).map_err(fail("listening on", &files.socket))?;
        if let Some(group) = group {
            for (path, mode) in [(&files.socket, 0o660), (&files.dir, 0o710)] {
                chown(path, None, Some(group)).map_err(fail("granting the group access to", path))?;
                set_permissions(path, Permissions::from_mode(mode))
                    .map_err(fail("granting the group access to", path))?;
            }
        }
        Ok((listener, files))
    }

    const SOCKET: &str = "socket";

    /// A name that is hard to guess, so that nobody can create it first.
    fn dir_name(random: u64) -> String {
        format!("azimage-{random:016x}")
    }

    /// The parent of the socket's directory: the directory that the host sets, or else the directory for temporary
    /// files, or `/tmp` if that path would be too long.
    fn parent_dir(named: Option<&Path>, temporary: &Path) -> Result<PathBuf, StartError> {
        let candidates: &[&Path] = match named {
            Some(named) => &[named],
            None => &[temporary, Path::new("/tmp")],
        };
        let absolute = |path: &&Path| std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        candidates.iter().map(absolute).find(|parent| usable(parent)).ok_or_else(|| StartError::SocketPath {
            dir: absolute(&candidates[0]),
            longest: LONGEST - dir_name(0).len() - SOCKET.len() - 2,
        })
    }

    /// Whether a socket below `parent` can be bound and its path can be sent in the handshake line.
    fn usable(parent: &Path) -> bool {
        let path = parent.join(dir_name(0)).join(SOCKET);
        path.to_str().is_some_and(|path| path.len() <= LONGEST && !path.contains(['|', '\n', '\r']))
    }

    fn make_private_dir(parent: &Path) -> io::Result<PathBuf> {
        loop {
            let dir = parent.join(dir_name(fastrand::u64(..)));
            match DirBuilder::new().mode(0o700).create(&dir) {
                Ok(()) => return Ok(dir),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The number of a group given by number or name; `groups` yields lines as in `/etc/group`.
    fn group_id(group: &str, groups: impl FnOnce() -> String) -> Option<u32> {
        group.parse().ok().or_else(|| {
            groups().lines().find_map(|line| {
                let mut fields = line.split(':');
                (fields.next() == Some(group)).then(|| fields.nth(1)?.parse().ok()).flatten()
            })
        })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn uses_only_the_directory_that_the_host_names() {
            let named = |dir: &str| parent_dir(Some(Path::new(dir)), Path::new("/var/tmp")).ok();
            assert_eq!(named("/run/x"), Some("/run/x".into()));
            assert_eq!(named(&format!("/{}", "x".repeat(LONGEST))), None);
            assert_eq!(named("/a|b"), None);
        }

        #[test]
        fn falls_back_to_tmp() {
            let room = LONGEST - "/azimage-0123456789abcdef/socket".len();
            for (temporary, chosen) in [
                ("/var/tmp".to_owned(), "/var/tmp".to_owned()),
                (format!("/{}", "x".repeat(room - 1)), format!("/{}", "x".repeat(room - 1))),
                (format!("/{}", "x".repeat(room)), "/tmp".to_owned()),
                ("/a|b".to_owned(), "/tmp".to_owned()),
                ("/a\nb".to_owned(), "/tmp".to_owned()),
            ] {
                assert_eq!(parent_dir(None, Path::new(&temporary)).unwrap(), PathBuf::from(chosen));
            }
        }

        #[test]
        fn error_names_the_directory_and_the_longest_path() {
            let long = format!("/{}", "x".repeat(200));
            let error = parent_dir(Some(Path::new(&long)), Path::new("/tmp")).unwrap_err().to_string();
            assert!(error.contains(&long) && error.contains(&(LONGEST - 32).to_string()), "{error}");
        }

        #[test]
        fn finds_groups_by_number_and_name() {
            let groups = || "root:x:0:\nusers:x:100:a,b\nbroken\nodd:x:many:\n".to_owned();
            for (group, id) in [
                ("7", Some(7)),
                ("root", Some(0)),
                ("users", Some(100)),
                ("user", None),
                ("broken", None),
                ("odd", None),
            ] {
                assert_eq!(group_id(group, groups), id, "{group}");
            }
        }

        #[tokio::test]
        async fn socket_is_private_and_removed_when_dropped() {
            let parent = tempfile::tempdir().unwrap();
            let launch = Launch { socket_dir: Some(parent.path().into()), ..Launch::default() };
            let (listener, files) = bind(&launch).unwrap();
            let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&files.dir), 0o700);
            assert!(files.socket.exists());
            drop((listener, files));
            assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
        }

        #[tokio::test]
        async fn only_the_named_group_has_access() {
            let parent = tempfile::tempdir().unwrap();
            // This process's own group: giving a file to another group requires privileges.
            let own = std::os::unix::fs::MetadataExt::gid(&std::fs::metadata(parent.path()).unwrap());
            let launch = Launch {
                socket_dir: Some(parent.path().into()),
                socket_group: Some(own.to_string()),
                ..Launch::default()
            };
            let (_listener, files) = bind(&launch).unwrap();
            let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode(&files.dir), mode(&files.socket)), (0o710, 0o660));
        }

        #[tokio::test]
        async fn errors_name_the_unknown_group_and_the_missing_directory() {
            let unknown = Launch { socket_group: Some("no such group".into()), ..Launch::default() };
            assert!(bind(&unknown).err().unwrap().to_string().contains("no such group"));
            let missing = Launch { socket_dir: Some("/no/such/dir".into()), ..Launch::default() };
            assert!(bind(&missing).err().unwrap().to_string().contains("/no/such/dir"));
        }
    }
}
