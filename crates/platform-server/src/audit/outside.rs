//! Checkpoints kept outside the database: a file that is only appended to, one signed checkpoint a line.
//!
//! Who can delete rows can delete the database's checkpoints too; this file, best on another machine or a medium that is
//! written once, is what shows it. Ship it by whatever ships logs.

use anyhow::{Context as _, Result};
use domain::audit::lines::Line;
use domain::audit::sealed::Checkpoint;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

/// The file.
#[derive(Clone, Debug)]
pub struct CheckpointFile {
    path: PathBuf,
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
        file.write_all(lines.as_bytes()).and_then(|()| file.sync_data())?;
        Ok(())
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

    /// All that were kept; `None` where there is no such file. A last line that a crash cut off is left out.
    ///
    /// # Errors
    /// Where the file cannot be read, or a line but the last is no checkpoint.
    pub fn read(&self) -> Result<Option<Vec<Checkpoint>>> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", self.path.display())),
        };
        let mut kept = Vec::new();
        let mut cut_off = None;
        for (number, line) in BufReader::new(file).lines().enumerate() {
            if let Some(broken) = cut_off {
                anyhow::bail!("line {broken} of {} is no checkpoint", self.path.display());
            }
            match Line::parse(&line?) {
                Ok(Line::Checkpoint(checkpoint)) => kept.push(checkpoint),
                _ => cut_off = Some(number + 1),
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
        assert_eq!(file.read()?, Some(vec![signed(1), signed(2), signed(3)]));
        let whole = fs::read_to_string(file.path())?;
        fs::write(file.path(), &whole[..whole.len() - 20])?;
        assert_eq!(file.read()?, Some(vec![signed(1), signed(2)]));
        fs::write(file.path(), format!("nonsense\n{whole}"))?;
        assert!(file.read().is_err());
        Ok(())
    }
}
