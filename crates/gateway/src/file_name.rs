//! File names of uploads and downloads. Names come from clients, so they must not act as paths or break a header.

use domain::command::UploadDocument;

/// Reduces the file name of an upload to its last path component and to printable characters.
///
/// # Errors
/// If the result is empty or too long. The error is the detail of a field error.
pub(crate) fn sanitize(name: &str) -> Result<String, String> {
    let base_name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let printable: String = base_name.chars().filter(|c| !c.is_control() && !is_bidi_control(*c)).collect();
    let name = printable.trim();
    if matches!(name, "" | "." | "..") {
        return Err("must have a file name".to_owned());
    }
    let length = name.chars().count();
    if length > UploadDocument::MAX_FILENAME_CHARS {
        let max = UploadDocument::MAX_FILENAME_CHARS;
        return Err(format!("must have a file name of at most {max} characters, not {length}"));
    }
    Ok(name.to_owned())
}

/// Returns whether `c` is a Unicode control character for text direction, which can make `fdp.exe` look like `exe.pdf`.
fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns the `Content-Disposition` value of a download (RFC 6266), with `filename` in ASCII for old clients and
/// `filename*` in UTF-8.
pub(crate) fn attachment_disposition(name: &str) -> String {
    let ascii: String = name
        .chars()
        .map(|c| match c {
            '"' | '\\' | '%' => '_',
            c if c.is_ascii_graphic() || c == ' ' => c,
            _ => '_',
        })
        .collect();
    let mut encoded = String::new();
    for byte in name.bytes() {
        // `attr-char` of RFC 8187.
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_control_characters_are_cut_off() {
        for (name, expected) in [
            ("../../etc/passwd", "passwd"),
            ("C:\\docs\\SOP 12.pdf", "SOP 12.pdf"),
            ("a\r\nb\0.txt", "ab.txt"),
            ("fdp\u{202e}exe.pdf", "fdpexe.pdf"),
            (" Prüfung.md ", "Prüfung.md"),
        ] {
            assert_eq!(sanitize(name).as_deref(), Ok(expected));
        }
        for empty in ["", "/", "a/", "..", " ", "\u{1}"] {
            assert!(sanitize(empty).is_err(), "{empty:?}");
        }
        assert!(sanitize(&"ä".repeat(255)).is_ok());
        assert!(sanitize(&"ä".repeat(256)).is_err());
    }

    #[test]
    fn a_name_cannot_leave_its_header_parameter() {
        assert_eq!(
            attachment_disposition("a\"; x=\"ü%.pdf"),
            "attachment; filename=\"a_; x=___.pdf\"; filename*=UTF-8''a%22%3B%20x%3D%22%C3%BC%25.pdf"
        );
    }
}
