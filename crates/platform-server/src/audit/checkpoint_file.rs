//! The checkpoint file outside the database: append-only, with one signed checkpoint per line.
//!
//! Somebody who can delete rows can also delete the checkpoints in the database; this file makes that detectable. Ship
//! it to another machine or to write-once storage, like logs.

use anyhow::{Context as _, Result};
use domain::audit::chain::Checkpoint;
use domain::audit::export::ExportLine;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// A checkpoint file, which need not exist yet.
#[derive(Clone, Debug)]
pub struct CheckpointFile {
    path: PathBuf,
}

/// Content of a checkpoint file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CheckpointFileContent {
    /// The checkpoints in the order of the file.
    pub checkpoints: Vec<Checkpoint>,
    /// Number of lines that are not checkpoints: truncated by a crash, or not written by the platform.
    pub unreadable_lines: usize,
}

impl CheckpointFile {
    /// A checkpoint file at `path`, created when the first checkpoint is appended.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends checkpoints and syncs the file.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn append(&self, checkpoints: &[Checkpoint]) -> Result<()> {
        let mut lines = String::new();
        for checkpoint in checkpoints {
            lines.push_str(&ExportLine::Checkpoint(checkpoint.clone()).to_json()?);
            lines.push('\n');
        }
        let mut file = self.open().with_context(|| format!("cannot write {}", self.path.display()))?;
        if self.is_truncated() {
            lines.insert(0, '\n');
        }
        file.write_all(lines.as_bytes()).and_then(|()| file.sync_data())?;
        Ok(())
    }

    /// Whether the last line has no newline, because a crash truncated it.
    fn is_truncated(&self) -> bool {
        let mut last_byte = [0];
        let read_result = File::open(&self.path).and_then(|mut file| {
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last_byte)
        });
        read_result.is_ok() && last_byte != [b'\n']
    }

    fn open(&self) -> std::io::Result<File> {
        if let Some(dir) = self.path.parent() {
            fs::create_dir_all(dir)?;
        }
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&self.path)
    }

    /// Reads the file; `None` if it does not exist.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read(&self) -> Result<Option<CheckpointFileContent>> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", self.path.display())),
        };
        let mut content = CheckpointFileContent::default();
        for line in BufReader::new(file).split(b'\n') {
            let line = line.with_context(|| format!("cannot read {}", self.path.display()))?;
            match std::str::from_utf8(&line).map(ExportLine::parse) {
                Ok(Ok(ExportLine::Checkpoint(checkpoint))) => content.checkpoints.push(checkpoint),
                _ => content.unreadable_lines += 1,
            }
        }
        Ok(Some(content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use data::audit::SigningKey;
    use domain::audit::chain::AuditHash;
    use domain::time::Timestamp;
    use uuid::Uuid;

    #[test]
    fn checkpoints_are_read_and_a_truncated_line_is_counted() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let file = CheckpointFile::new(dir.path().join("audit/checkpoints.ndjson"));
        assert!(file.read()?.is_none());
        let key = SigningKey::from_seed(&[1; 32])?;
        let at = Timestamp::from_timestamp(1_000, 0).context("a valid timestamp")?;
        let checkpoint = |seq| key.sign_checkpoint(Uuid::from_u128(1), seq, AuditHash::digest(b"x"), at);
        file.append(&[checkpoint(1), checkpoint(2)])?;
        file.append(&[checkpoint(3)])?;
        let expected = |checkpoints: &[i64], unreadable| {
            Some(CheckpointFileContent {
                checkpoints: checkpoints.iter().map(|seq| checkpoint(*seq)).collect(),
                unreadable_lines: unreadable,
            })
        };
        assert_eq!(file.read()?, expected(&[1, 2, 3], 0));
        let text = fs::read_to_string(file.path())?;
        fs::write(file.path(), &text[..text.len() - 20])?;
        assert_eq!(file.read()?, expected(&[1, 2], 1));
        file.append(&[checkpoint(4)])?;
        assert_eq!(file.read()?, expected(&[1, 2, 4], 1), "lines after a truncated one are read");
        Ok(())
    }
}
