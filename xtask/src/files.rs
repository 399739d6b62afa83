//! File helpers: private files written atomically, digests, random secrets, shell-quoted variables, and log files.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// Atomically writes a file that only its owner can read (mode 0600).
///
/// # Errors
/// If the file cannot be written.
pub fn write_private(path: &Path, content: &str) -> Result<()> {
    let partial_path = path.with_extension("part");
    let _result = fs::remove_file(&partial_path);
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial_path)?;
        file.write_all(content.as_bytes())?;
        file.sync_all()?;
        fs::rename(&partial_path, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Reads a text field of a JSON file.
///
/// # Errors
/// If the file cannot be read, or has no such field.
pub fn read_json_field(path: &Path, name: &str) -> Result<String> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let value: serde_json::Value = serde_json::from_str(&text)?;
    let field = value.get(name).and_then(serde_json::Value::as_str);
    field.map(str::to_owned).with_context(|| format!("{} has no field {name}", path.display()))
}

/// The SHA-256 of a file, in hexadecimal digits.
///
/// # Errors
/// If it cannot be read.
pub fn sha256(path: &Path) -> Result<String> {
    let mut digest = Sha256::new();
    let mut file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    io::copy(&mut file, &mut digest).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(hex::encode(digest.finalize()))
}

/// Creates a directory and its parents with exactly this mode, regardless of the umask. Existing ones keep their mode.
///
/// # Errors
/// If the directory cannot be created.
pub fn create_dir(path: &Path, mode: u32) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        create_dir(parent, mode)?;
    }
    match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => {}
        Err(_) if path.is_dir() => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("cannot create {}", path.display())),
    }
    fs::set_permissions(path, Permissions::from_mode(mode))
        .with_context(|| format!("cannot set the mode of {}", path.display()))
}

/// A random secret of 32 bytes, in hexadecimal digits.
///
/// # Errors
/// If `/dev/urandom` cannot be read.
pub fn random_secret() -> Result<String> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .context("cannot read /dev/urandom")?;
    Ok(hex::encode(bytes))
}

/// `NAME=value` lines for a shell to source. Values are quoted only if necessary, because `docker --env-file` does not
/// remove quotes.
pub fn env_lines<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    pairs.into_iter().map(|(name, value)| format!("{name}={}\n", shell_quoted(value))).collect()
}

fn shell_quoted(value: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:@%+,=".contains(&byte);
    if !value.is_empty() && value.bytes().all(is_plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\'', r"'\''"))
}

/// A log file that is appended to, with the offset at which this run's output starts.
#[derive(Clone, Debug)]
pub struct LogFile {
    path: PathBuf,
    start_offset: u64,
}

impl LogFile {
    /// Opens a log file for appending.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn open(path: &Path) -> Result<(Self, File)> {
        let file = OpenOptions::new().append(true).create(true).open(path);
        let file = file.with_context(|| format!("cannot write {}", path.display()))?;
        let start = file.metadata()?.len();
        Ok((Self { path: path.to_path_buf(), start_offset: start }, file))
    }

    /// Path of the log file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The last `count` lines of this run, for an error message.
    pub fn tail(&self, count: usize) -> String {
        let bytes = fs::read(&self.path).unwrap_or_default();
        let start = usize::try_from(self.start_offset).unwrap_or_default();
        let text = String::from_utf8_lossy(bytes.get(start..).unwrap_or_default());
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(count)..].join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn env_lines_can_be_sourced_by_a_shell() {
        let special_characters = "postgres://u:it's $HOME & \"more\"@h/db?a=b&c=`d`";
        let text = env_lines([
            ("PLAIN", "postgres://platform_app:0a1b@127.0.0.1:5432/platform"),
            ("NASTY", special_characters),
            ("EMPTY", ""),
        ]);
        assert!(text.contains("PLAIN=postgres://platform_app:0a1b@127.0.0.1:5432/platform\n"), "{text}");
        let output = Command::new("sh").arg("-c").arg(format!("{text}printf %s \"$NASTY\"")).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), special_characters);
    }

    #[test]
    fn a_private_file_has_mode_0600_and_replaces_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("platform.env");
        fs::write(&path, "old").unwrap();
        write_private(&path, "new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn directories_get_their_mode_and_existing_ones_keep_theirs() {
        let temp_dir = tempfile::tempdir().unwrap();
        create_dir(&temp_dir.path().join("a/b"), 0o711).unwrap();
        create_dir(&temp_dir.path().join("a"), 0o700).unwrap();
        let mode = |name: &str| fs::metadata(temp_dir.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("a"), mode("a/b")), (0o711, 0o711));
        let relative = Path::new("xtask-relative-directory-test");
        create_dir(relative, 0o755).unwrap();
        fs::remove_dir(relative).unwrap();
    }

    #[test]
    fn secrets_differ() {
        let (one, other) = (random_secret().unwrap(), random_secret().unwrap());
        assert_eq!(one.len(), 64);
        assert_ne!(one, other);
    }

    #[test]
    fn the_tail_of_a_log_contains_only_lines_of_this_run() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs::write(&path, "earlier\n").unwrap();
        let (log, mut file) = LogFile::open(&path).unwrap();
        assert_eq!(log.tail(9), "");
        file.write_all(b"a\nb\nc\n").unwrap();
        assert_eq!(log.tail(2), "b\nc");
        assert_eq!(log.tail(9), "a\nb\nc");
    }
}
