//! Generates the table of the files in `web/dist`, which `cargo xtask ui` builds. Without that folder, the table
//! contains only the stub, served as `index.html`, so that building the server needs no Node.js.

use std::collections::hash_map::DefaultHasher;
use std::fmt::Write as _;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};

/// The page that a server shows if it was built without the console.
const STUB: &str = "stub.html";
/// The console's entry page.
const START_PAGE: &str = "index.html";

fn main() -> io::Result<()> {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let dist = root.join("web").join("dist");
    println!("cargo::rerun-if-changed=web/dist");
    println!("cargo::rerun-if-changed={STUB}");
    let mut paths = Vec::new();
    if dist.join(START_PAGE).is_file() {
        collect(&dist, &mut paths)?;
    }
    paths.sort();
    let mut table = String::from("&[\n");
    for path in &paths {
        let name = path.strip_prefix(&dist).map_err(io::Error::other)?.to_string_lossy().into_owned();
        push_entry(&mut table, &name, path)?;
    }
    if paths.is_empty() {
        push_entry(&mut table, START_PAGE, &root.join(STUB))?;
    }
    table.push(']');
    fs::write(PathBuf::from(variable("OUT_DIR")?).join("files.rs"), table)
}

#[expect(clippy::disallowed_methods, reason = "cargo passes its arguments to build scripts as variables")]
fn variable(name: &str) -> io::Result<String> {
    std::env::var(name).map_err(io::Error::other)
}

/// Collects the files of a folder, without the `.br` and `.gz` versions.
fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, paths)?;
        } else if !path.extension().is_some_and(|extension| extension == "br" || extension == "gz") {
            paths.push(path);
        }
    }
    Ok(())
}

fn push_entry(table: &mut String, name: &str, path: &Path) -> io::Result<()> {
    let mut hash = DefaultHasher::new();
    fs::read(path)?.hash(&mut hash);
    let compressed = |extension: &str| {
        let path = PathBuf::from(format!("{}.{extension}", path.display()));
        if path.is_file() { format!("Some(include_bytes!({path:?}))") } else { "None".to_owned() }
    };
    let (brotli, gzip, etag) = (compressed("br"), compressed("gz"), hash.finish());
    writeln!(
        table,
        "File {{ path: {name:?}, content: include_bytes!({path:?}), brotli: {brotli}, gzip: {gzip}, \
         etag: \"{etag:016x}\" }},"
    )
    .map_err(io::Error::other)
}
