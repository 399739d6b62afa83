//! File names: labels that a client chose, never paths, and never able to break a header.

use domain::command::UploadDocument;

/// What a client calls its file, cut down to its last component and to printable characters.
///
/// # Errors
/// A sentence, where nothing is left or too much.
pub(crate) fn clean(given: &str) -> Result<String, String> {
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let printable: String = last.chars().filter(|c| !c.is_control() && !is_direction(*c)).collect();
    let name = printable.trim();
    if matches!(name, "" | "." | "..") {
        return Err("must have a file name".to_owned());
    }
    let length = name.chars().count();
    if length > UploadDocument::MAX_FILENAME {
        let most = UploadDocument::MAX_FILENAME;
        return Err(format!("must have a file name of at most {most} characters, not {length}"));
    }
    Ok(name.to_owned())
}

/// Marks that turn the direction of text: with them `exe.pdf` can be made to look like something else.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `Content-Disposition: attachment` with the name as RFC 6266 has it: plain letters for old clients, UTF-8 for others.
pub(crate) fn attachment(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| match c {
            '"' | '\\' | '%' => '_',
            c if c.is_ascii_graphic() || c == ' ' => c,
            _ => '_',
        })
        .collect();
    let mut encoded = String::new();
    for byte in name.bytes() {
        // attr-char of RFC 8187.
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_control_characters_are_cut_off() {
        for (given, expected) in [
            ("../../etc/passwd", "passwd"),
            ("C:\\docs\\SOP 12.pdf", "SOP 12.pdf"),
            ("a\r\nb\0.txt", "ab.txt"),
            ("fdp\u{202e}exe.pdf", "fdpexe.pdf"),
            (" Prüfung.md ", "Prüfung.md"),
        ] {
            assert_eq!(clean(given).as_deref(), Ok(expected));
        }
        for nothing in ["", "/", "a/", "..", " ", "\u{1}"] {
            assert!(clean(nothing).is_err(), "{nothing:?}");
        }
        assert!(clean(&"ä".repeat(255)).is_ok());
        assert!(clean(&"ä".repeat(256)).is_err());
    }

    #[test]
    fn a_name_cannot_leave_its_header_parameter() {
        assert_eq!(
            attachment("a\"; x=\"ü%.pdf"),
            "attachment; filename=\"a_; x=___.pdf\"; filename*=UTF-8''a%22%3B%20x%3D%22%C3%BC%25.pdf"
        );
    }
}
