//! The unprivileged user that runs PostgreSQL if xtask runs as root, because PostgreSQL refuses to run as root.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// An unprivileged user with an entry in `/etc/passwd`, which `initdb` requires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunAsUser {
    name: String,
    uid: u32,
    gid: u32,
}

impl RunAsUser {
    /// The user that runs the database: `None` for the current user; if that is root, `postgres` or else `nobody`.
    ///
    /// # Errors
    /// If xtask runs as root and neither user exists.
    pub fn for_database() -> Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        match Self::choose(&passwd) {
            Some(user) => Ok(Some(user)),
            None => bail!(
                "PostgreSQL does not run as root and there is no user `postgres` or `nobody`: \
                 create one (useradd --system postgres) or set DATABASE_URL"
            ),
        }
    }

    fn choose(passwd: &str) -> Option<Self> {
        ["postgres", "nobody"].iter().find_map(|user_name| passwd.lines().find_map(|line| Self::parse(line, user_name)))
    }

    fn parse(line: &str, user_name: &str) -> Option<Self> {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| *name == user_name)?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Self { name: name.to_owned(), uid, gid })
    }

    /// Makes a command run as this user, in `/`, because the user may not be able to access the current directory.
    pub fn apply(&self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid).current_dir("/");
    }

    /// Makes this user the owner of a file or directory.
    ///
    /// # Errors
    /// If the owner cannot be changed.
    pub fn make_owner_of(&self, path: &Path) -> Result<()> {
        chown(path, Some(self.uid), Some(self.gid))
            .with_context(|| format!("cannot give {} to the user {}", path.display(), self.name))
    }

    /// Whether this user can access `path`: has the execute permission of every existing directory on the way.
    pub fn can_access(&self, path: &Path) -> bool {
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        path.ancestors().filter_map(|dir| fs::metadata(dir).ok()).all(|dir| self.may_enter(&dir))
    }

    fn may_enter(&self, dir: &fs::Metadata) -> bool {
        let permission_bit = if dir.uid() == self.uid {
            0o100
        } else if dir.gid() == self.gid {
            0o010
        } else {
            0o001
        };
        dir.mode() & permission_bit != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n";

    #[test]
    fn nobody_is_used_if_there_is_no_postgres() {
        let user = RunAsUser::choose(PASSWD).unwrap();
        assert_eq!((user.name.as_str(), user.uid, user.gid), ("nobody", 65534, 65534));
        let both = format!("{PASSWD}postgres:x:101:104:admin:/var/lib/postgresql:/bin/bash\n");
        assert_eq!(RunAsUser::choose(&both).unwrap().uid, 101);
        assert_eq!(RunAsUser::choose("root:x:0:0:root:/root:/bin/sh\n"), None);
    }

    #[test]
    fn an_inaccessible_parent_directory_is_detected() {
        let stranger = RunAsUser { name: "stranger".into(), uid: 4_000_001, gid: 4_000_001 };
        let temp_dir = tempfile::tempdir().unwrap();
        let inner = temp_dir.path().join("inner");
        fs::create_dir(&inner).unwrap();
        fs::set_permissions(temp_dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        assert!(stranger.can_access(&inner));
        fs::set_permissions(temp_dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert!(!stranger.can_access(&inner));
    }
}
