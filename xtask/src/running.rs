//! Notes of the platforms that `up` and `stack` serve on this machine, in the user's cache directory. A command whose
//! data directory has no running platform can thus say that there is one in another.

use std::fs;
use std::path::{Path, PathBuf};

use crate::data_dir::DataDir;
use crate::progress::print_status;
use crate::{cache, files, proc};

/// Name of the directory in the cache.
const DIR_NAME: &str = "running";

/// A note that a platform is served by this process; dropping it removes the note.
pub struct Note(Option<PathBuf>);

impl Note {
    /// Notes that `command_name`, `up` or `stack`, serves the data directory. Does nothing if the cache cannot be
    /// written: other commands then lack a message.
    pub fn write(command_name: &str, data: &DataDir) -> Self {
        let write = || {
            let dir = cache::dir(None)?.join(DIR_NAME);
            files::create_dir(&dir, 0o755)?;
            let path = dir.join(std::process::id().to_string());
            files::write_private(&path, &format!("{command_name} {}", data.path().display()))?;
            anyhow::Ok(path)
        };
        Self(write().ok())
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _result = fs::remove_file(path);
        }
    }
}

/// Prints a message if no platform is served in `data`, the default data directory, but one is in another.
pub fn print_others(data: &DataDir) {
    let Ok(cache) = cache::dir(None) else { return };
    let is_served = |pid| proc::command_line(pid).is_some_and(|line| line.contains("xtask"));
    for other in others(&cache.join(DIR_NAME), data.path(), is_served) {
        print_status(&format!(
            "this command uses the platform in {}, which is not running. `cargo xtask {}` (process {}) serves another \
             one: for that, add --data-dir {}",
            data.path().display(),
            other.command_name,
            other.pid,
            other.data_dir.display()
        ));
    }
}

/// A platform that another process serves.
#[derive(Debug, PartialEq, Eq)]
struct OtherPlatform {
    command_name: String,
    pid: u32,
    data_dir: PathBuf,
}

/// The platforms noted in `notes` but the one in `data_dir`. `is_served` tells whether a process still serves one; the
/// notes of killed processes are removed.
fn others(notes: &Path, data_dir: &Path, is_served: impl Fn(u32) -> bool) -> Vec<OtherPlatform> {
    let mut found = Vec::new();
    for entry in fs::read_dir(notes).into_iter().flatten().filter_map(Result::ok) {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if !is_served(pid) {
            let _result = fs::remove_file(entry.path());
            continue;
        }
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        if let Some((command_name, path)) = text.split_once(' ')
            && Path::new(path) != data_dir
        {
            found.push(OtherPlatform { command_name: command_name.to_owned(), pid, data_dir: path.into() });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_in_other_directories_are_found_and_notes_of_dead_processes_removed() {
        let notes = tempfile::tempdir().unwrap();
        for (pid, text) in [("11", "up /data/one"), ("12", "stack /data/with a space"), ("13", "up /data/dead")] {
            fs::write(notes.path().join(pid), text).unwrap();
        }
        let found = others(notes.path(), Path::new("/data/one"), |pid| pid != 13);
        let expected = OtherPlatform { command_name: "stack".into(), pid: 12, data_dir: "/data/with a space".into() };
        assert_eq!(found, [expected]);
        assert!(!notes.path().join("13").exists() && notes.path().join("11").exists());
        assert!(others(&notes.path().join("missing"), Path::new("/data/one"), |_| true).is_empty());
    }
}
