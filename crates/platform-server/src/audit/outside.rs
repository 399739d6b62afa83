//! Checkpoints kept outside the database: a file that is only appended to, one signed checkpoint a line.
//!
//! Who can delete rows can delete the database's checkpoints too; this file, best on another machine or a medium that is
//! written once, is what shows it. Ship it by whatever ships logs.

use anyhow::{Context as _, Result};
use domain::audit::lines::Line;
use domain::audit::sealed::Checkpoint;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// The file.
#[derive(Clone, Debug)]
pub struct CheckpointFile {
    path: PathBuf,
}

/// What a file of checkpoints holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Kept {
    /// The checkpoints.
    pub checkpoints: Vec<Checkpoint>,
    /// Lines that are none: a crash cut them off, or somebody wrote into the file.
    pub unreadable: usize,
}

impl CheckpointFile {
    /// At this path; it is made when the first checkpoint is kept.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends checkpoints and waits until they are on the disk.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn keep(&self, signed: &[Checkpoint]) -> Result<()> {
        let mut lines = String::new();
        for checkpoint in signed {
            lines.push_str(&Line::Checkpoint(checkpoint.clone()).to_json()?);
            lines.push('\n');
        }
        let mut file = self.open().with_context(|| format!("cannot write {}", self.path.display()))?;
        if self.is_cut_off() {
            lines.insert(0, '\n');
        }
        file.write_all(lines.as_bytes()).and_then(|()| file.sync_data())?;
        Ok(())
    }

    /// Whether the file ends in the middle of a line: a crash cut it off.
    fn is_cut_off(&self) -> bool {
        let mut last = [0];
        let read = File::open(&self.path).and_then(|mut file| {
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)
        });
        read.is_ok() && last != [b'\n']
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

    /// All that were kept; `None` where there is no such file. Lines that a crash cut off are counted and left out.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn read(&self) -> Result<Option<Kept>> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", self.path.display())),
        };
        let mut kept = Kept::default();
        for line in BufReader::new(file).split(b'\n') {
            let line = line.with_context(|| format!("cannot read {}", self.path.display()))?;
            match std::str::from_utf8(&line).map(Line::parse) {
                Ok(Ok(Line::Checkpoint(checkpoint))) => kept.checkpoints.push(checkpoint),
                _ => kept.unreadable += 1,
            }
        }
        Ok(Some(kept))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use data::audit::SigningKey;
    use domain::audit::sealed::ChainHash;
    use domain::time::Timestamp;
    use uuid::Uuid;

    #[test]
    fn what_is_kept_is_read_and_a_line_cut_off_at_the_end_is_not_missed() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let file = CheckpointFile::new(dir.path().join("audit/checkpoints.ndjson"));
        assert!(file.read()?.is_none());
        let key = SigningKey::from_seed(&[1; 32])?;
        let at = Timestamp::from_timestamp(1_000, 0).context("a moment")?;
        let signed = |seq| key.checkpoint(Uuid::from_u128(1), seq, ChainHash::of(b"x"), at);
        file.keep(&[signed(1), signed(2)])?;
        file.keep(&[signed(3)])?;
        let kept = |checkpoints: &[i64], unreadable| {
            Some(Kept { checkpoints: checkpoints.iter().map(|seq| signed(*seq)).collect(), unreadable })
        };
        assert_eq!(file.read()?, kept(&[1, 2, 3], 0));
        let whole = fs::read_to_string(file.path())?;
        fs::write(file.path(), &whole[..whole.len() - 20])?;
        assert_eq!(file.read()?, kept(&[1, 2], 1));
        file.keep(&[signed(4)])?;
        assert_eq!(file.read()?, kept(&[1, 2, 4], 1), "what comes after a line that was cut off is read");
        Ok(())
    }
}
