//! The format of a backup: one line of text, then the entries, then a manifest with the SHA-256 of every entry. Each
//! entry is a line of JSON with its name and size, followed by its content. If a key is given, everything after the
//! first line is encrypted.

use super::create_private;
use super::encryption::{BackupKey, DecryptingReader, EncryptingWriter, SALT_SIZE};
use anyhow::{Context as _, Result, bail, ensure};
use aws_lc_rs::digest::{Context as Digest, SHA256};
use aws_lc_rs::rand;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;

/// Begins the first line of a backup.
const MAGIC: &str = "plant-agent-platform backup 1";
/// Name of the manifest, which is always the last entry.
const MANIFEST: &str = "manifest.json";
/// Maximum length of a header line, in bytes.
const MAX_HEADER_BYTES: u64 = 4_096;
/// Size of the copy buffer, in bytes.
const COPY_BUFFER_SIZE: usize = 256 * 1024;

#[derive(Serialize, Deserialize)]
struct Header {
    name: String,
    size: u64,
}

#[derive(Default, Serialize, Deserialize)]
struct Manifest {
    /// Version of the program that wrote the backup.
    version: String,
    /// SHA-256 of each entry, in hexadecimal digits.
    sha256: BTreeMap<String, String>,
}

/// Totals of a backup that was written.
pub(super) struct Summary {
    /// Number of entries, without the manifest.
    pub(super) entry_count: usize,
    /// Size of the contents of all entries, including the manifest.
    pub(super) byte_count: u64,
}

enum Output {
    Plain(BufWriter<File>),
    Encrypted(Box<EncryptingWriter<BufWriter<File>>>),
}

impl Output {
    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Plain(writer) => writer,
            Self::Encrypted(writer) => writer,
        }
    }
}

/// Writes a backup.
pub(super) struct ArchiveWriter {
    output: Output,
    manifest: Manifest,
    /// Size of the contents of the entries so far.
    byte_count: u64,
}

impl ArchiveWriter {
    pub(super) fn create(path: &Path, key: Option<&BackupKey>) -> Result<Self> {
        let mut file = BufWriter::new(create_private(path)?);
        let output = match key {
            None => {
                writeln!(file, "{MAGIC} plain")?;
                Output::Plain(file)
            }
            Some(key) => {
                let mut salt = [0; SALT_SIZE];
                rand::fill(&mut salt).ok().context("cannot generate random numbers")?;
                writeln!(file, "{MAGIC} encrypted {}", to_hex(&salt))?;
                Output::Encrypted(Box::new(EncryptingWriter::new(file, key, &salt)?))
            }
        };
        let manifest = Manifest { version: env!("CARGO_PKG_VERSION").to_owned(), ..Manifest::default() };
        Ok(Self { output, manifest, byte_count: 0 })
    }

    pub(super) fn add_bytes(&mut self, name: &str, content: &[u8]) -> Result<()> {
        self.add(name, content.len() as u64, content)
    }

    pub(super) fn add_file(&mut self, name: &str, path: &Path) -> Result<()> {
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        let size = file.metadata()?.len();
        self.add(name, size, file)
    }

    fn add(&mut self, name: &str, size: u64, content: impl Read) -> Result<()> {
        let writer = self.output.writer();
        serde_json::to_writer(&mut *writer, &Header { name: name.to_owned(), size })?;
        writer.write_all(b"\n")?;
        let sha256 = copy(content, writer, size).with_context(|| format!("cannot copy {name}"))?;
        self.manifest.sha256.insert(name.to_owned(), sha256);
        self.byte_count += size;
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Summary> {
        let manifest = serde_json::to_vec(&self.manifest)?;
        self.add_bytes(MANIFEST, &manifest)?;
        let mut file = match self.output {
            Output::Plain(writer) => writer,
            Output::Encrypted(writer) => writer.finish()?,
        };
        file.flush()?;
        file.get_ref().sync_all()?;
        Ok(Summary { entry_count: self.manifest.sha256.len() - 1, byte_count: self.byte_count })
    }
}

/// Copies exactly `size` bytes; returns their SHA-256.
fn copy(mut from: impl Read, to: &mut (impl Write + ?Sized), size: u64) -> Result<String> {
    let mut digest = Digest::new(&SHA256);
    let mut buffer = vec![0; COPY_BUFFER_SIZE];
    let mut left = size;
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(COPY_BUFFER_SIZE);
        let read = from.read(&mut buffer[..wanted])?;
        ensure!(read > 0, "the last {left} bytes are missing");
        digest.update(&buffer[..read]);
        to.write_all(&buffer[..read])?;
        left -= read as u64;
    }
    Ok(to_hex(digest.finish().as_ref()))
}

/// Reads a backup. For each entry, `open` gets its name and returns the writer for its content, or `None` to skip it.
///
/// # Errors
/// If the file is not a backup, is damaged or truncated, or the key is missing or wrong.
pub(super) fn extract(
    path: &Path,
    key: Option<&BackupKey>,
    mut open: impl FnMut(&str) -> Result<Option<Box<dyn Write>>>,
) -> Result<()> {
    let mut input = open_input(path, key)?;
    let mut checksums = BTreeMap::new();
    loop {
        let header = read_header(&mut input)?;
        if header.name == MANIFEST {
            let mut content = Vec::new();
            copy(&mut input, &mut content, header.size)?;
            let manifest: Manifest = serde_json::from_slice(&content).context("the manifest is damaged")?;
            ensure!(manifest.sha256 == checksums, "the backup is damaged: a checksum does not match the manifest");
            return Ok(());
        }
        let mut sink = open(&header.name)?.unwrap_or_else(|| Box::new(std::io::sink()));
        let sha256 =
            copy(&mut input, &mut sink, header.size).with_context(|| format!("cannot copy {}", header.name))?;
        sink.flush()?;
        checksums.insert(header.name, sha256);
    }
}

fn open_input(path: &Path, key: Option<&BackupKey>) -> Result<Box<dyn BufRead>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut file = BufReader::new(file);
    let mut line = String::new();
    file.by_ref().take(MAX_HEADER_BYTES).read_line(&mut line).context("this is not a backup")?;
    let kind = line.trim_end().strip_prefix(MAGIC).context("this is not a backup of this platform")?.trim_start();
    match (kind.split_once(' '), key) {
        (None, _) if kind == "plain" => Ok(Box::new(file)),
        (Some(("encrypted", _)), None) => bail!("the backup is encrypted: set BACKUP_KEY, or BACKUP_KEY_FILE"),
        (Some(("encrypted", salt)), Some(key)) => {
            let salt = domain::audit::chain::decode_hex(salt).context("the backup's first line is damaged")?;
            Ok(Box::new(BufReader::new(DecryptingReader::new(file, key, &salt)?)))
        }
        _ => bail!("this version cannot read the backup's format"),
    }
}

fn read_header(input: &mut dyn BufRead) -> Result<Header> {
    let mut line = String::new();
    let read = input.take(MAX_HEADER_BYTES).read_line(&mut line)?;
    ensure!(read > 0 && line.ends_with('\n'), "the backup is truncated");
    serde_json::from_str(&line).context("the backup is damaged")
}

pub(super) fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path) {
        let mut archive = ArchiveWriter::create(path, None).expect("a file");
        archive.add_bytes("a", b"first\n{\"name\":\"b\"}").expect("written");
        archive.add_bytes("b", b"").expect("written");
        assert_eq!(archive.finish().expect("written").entry_count, 2);
    }

    fn names(path: &Path) -> Result<Vec<String>> {
        let mut names = Vec::new();
        extract(path, None, |name| {
            names.push(name.to_owned());
            Ok(None)
        })?;
        Ok(names)
    }

    #[test]
    fn entries_are_read_in_order_and_the_file_is_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("backup");
        write(&path);
        assert_eq!(names(&path).expect("intact"), ["a", "b"]);
        assert_eq!(path.metadata().expect("a file").permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_or_truncated_backup_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("backup");
        write(&path);
        let intact = std::fs::read(&path).expect("a file");
        let position = intact.windows(5).position(|window| window == b"first").expect("the content");
        let mut changed = intact.clone();
        changed[position] = b'F';
        for damaged in [changed.as_slice(), &intact[..intact.len() - 3], &intact[..position], b"something else\n"] {
            std::fs::write(&path, damaged).expect("written");
            assert!(names(&path).is_err());
        }
    }
}
