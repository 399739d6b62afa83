//! Checks that every Cargo.toml inherits the workspace's lints.

use super::workspace::TextFile;

/// A message if the manifest is not valid or does not inherit the workspace's lints.
pub fn violation(manifest: &TextFile) -> Option<String> {
    let parsed: toml::Table = match manifest.content.parse() {
        Ok(table) => table,
        Err(error) => return Some(format!("{}: {error}", manifest.path)),
    };
    let inherited = parsed.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool);
    (inherited != Some(true))
        .then(|| format!("{} does not inherit the lints: add [lints] workspace = true", manifest.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(content: &str) -> TextFile {
        TextFile { path: "crates/x/Cargo.toml".into(), content: content.into() }
    }

    #[test]
    fn inherited_lints_pass() {
        assert_eq!(violation(&manifest("[package]\nname = \"x\"\n\n[lints]\nworkspace = true\n")), None);
        assert_eq!(violation(&manifest("lints.workspace = true\n")), None);
    }

    #[test]
    fn own_lints_or_no_lints_are_found() {
        for content in
            ["[package]\nname = \"x\"", "[lints.rust]\nunsafe_code = \"allow\"", "[lints]\nworkspace = false", "[lints"]
        {
            assert!(violation(&manifest(content)).is_some(), "{content}");
        }
    }
}
