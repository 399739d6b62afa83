//! PostgreSQL refuses to run as root, so root hands it to an unprivileged user of the machine.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// An unprivileged user, by its entry in the password file (`initdb` insists on one).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunAs {
    name: String,
    uid: u32,
    gid: u32,
}

impl RunAs {
    /// Who runs the database: `None` means ourselves; for root it is `postgres`, else `nobody`.
    ///
    /// # Errors
    /// If we are root and the machine has neither user.
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
        ["postgres", "nobody"].iter().find_map(|wanted| passwd.lines().find_map(|line| Self::parse(line, wanted)))
    }

    fn parse(line: &str, wanted: &str) -> Option<Self> {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| *name == wanted)?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Self { name: name.to_owned(), uid, gid })
    }

    /// Makes a command run as this user, from a directory that it can enter.
    pub fn apply(&self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid).current_dir("/");
    }

    /// Gives a file or directory to this user.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn own(&self, path: &Path) -> Result<()> {
        chown(path, Some(self.uid), Some(self.gid))
            .with_context(|| format!("cannot give {} to the user {}", path.display(), self.name))
    }

    /// Whether this user may walk to `path`: every existing directory on the way lets them through.
    pub fn reaches(&self, path: &Path) -> bool {
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        path.ancestors().filter_map(|dir| fs::metadata(dir).ok()).all(|dir| self.may_enter(&dir))
    }

    fn may_enter(&self, dir: &fs::Metadata) -> bool {
        let bit = if dir.uid() == self.uid {
            0o100
        } else if dir.gid() == self.gid {
            0o010
        } else {
            0o001
        };
        dir.mode() & bit != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n";

    #[test]
    fn nobody_serves_where_there_is_no_postgres() {
        let user = RunAs::choose(PASSWD).unwrap();
        assert_eq!((user.name.as_str(), user.uid, user.gid), ("nobody", 65534, 65534));
        let both = format!("{PASSWD}postgres:x:101:104:admin:/var/lib/postgresql:/bin/bash\n");
        assert_eq!(RunAs::choose(&both).unwrap().uid, 101);
        assert_eq!(RunAs::choose("root:x:0:0:root:/root:/bin/sh\n"), None);
    }

    #[test]
    fn a_closed_directory_on_the_way_is_seen() {
        let stranger = RunAs { name: "stranger".into(), uid: 4_000_001, gid: 4_000_001 };
        let top = tempfile::tempdir().unwrap();
        let inner = top.path().join("inner");
        fs::create_dir(&inner).unwrap();
        fs::set_permissions(top.path(), fs::Permissions::from_mode(0o755)).unwrap();
        assert!(stranger.reaches(&inner));
        fs::set_permissions(top.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert!(!stranger.reaches(&inner));
    }
}
