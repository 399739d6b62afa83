//! The built files of the browser console, embedded in the server. The npm project is in `web`; `cargo xtask ui` builds
//! it. This crate knows nothing of HTTP: the gateway serves the files.

/// One file of the console.
#[derive(Clone, Copy, Debug)]
pub struct File {
    /// Path below the console's root, such as `assets/index-4f2a.js`.
    pub path: &'static str,
    /// The bytes of the file.
    pub content: &'static [u8],
    /// The bytes compressed with Brotli, if that made the file shorter.
    pub brotli: Option<&'static [u8]>,
    /// The bytes compressed with gzip, if that made the file shorter.
    pub gzip: Option<&'static [u8]>,
    /// Changes whenever the content does.
    pub etag: &'static str,
}

/// All files, ordered by path. If the console was not built, this is only a stub page.
pub const FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// Finds a file by its exact path.
#[must_use]
pub fn file(path: &str) -> Option<&'static File> {
    FILES.binary_search_by(|file| file.path.cmp(path)).ok().and_then(|index| FILES.get(index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_page_has_the_placeholders_that_the_server_fills_in() {
        let page = file("index.html").expect("a page, with or without the built console");
        let text = std::str::from_utf8(page.content).expect("UTF-8");
        assert!(text.contains("__CSP_NONCE__"), "{text}");
        assert!(!text.contains("<script>"), "an inline script would violate the content security policy");
    }

    #[test]
    fn every_file_is_found_by_its_path() {
        for entry in FILES {
            assert_eq!(file(entry.path).map(|found| found.etag), Some(entry.etag), "{}", entry.path);
        }
        assert!(file("assets/none.js").is_none() && file("").is_none());
    }
}
