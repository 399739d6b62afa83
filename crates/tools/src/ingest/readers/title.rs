//! Filters out meaningless metadata titles.

/// Whether a metadata title is meaningful. False for placeholder titles and file names, which applications write by
/// default, and for URLs.
pub(super) fn is_meaningful_title(title: &str) -> bool {
    let lower = title.to_lowercase();
    let placeholders = [
        "untitled",
        "(anonymous)",
        "anonymous",
        "(unspecified)",
        "unbenannt",
        "sans titre",
        "microsoft word",
        "microsoft powerpoint",
        "powerpoint",
        "document",
        "slide 1",
        "title",
        "print",
    ];
    let is_placeholder =
        placeholders.iter().any(|junk| lower == *junk || (junk.starts_with("microsoft") && lower.starts_with(junk)));
    let is_numbered_placeholder = ["untitled", "unbenannt", "document", "dokument"]
        .iter()
        .any(|stem| lower.strip_prefix(stem).is_some_and(|rest| rest.chars().all(|c| !c.is_alphabetic())));
    let is_file_name = [
        ".doc", ".docx", ".indd", ".dvi", ".tex", ".qxd", ".fm", ".pmd", ".dwg", ".xls", ".xlsx", ".ppt", ".pptx",
        ".pdf", ".rtf", ".ps", ".eps", ".tif",
    ]
    .iter()
    .any(|extension| lower.ends_with(extension));
    title.chars().filter(|c| c.is_alphabetic()).count() >= 3
        && !is_placeholder
        && !is_numbered_placeholder
        && !is_file_name
        && !lower.contains("://")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_and_file_names_are_not_meaningful_titles() {
        for junk in ["untitled", "Microsoft Word - Manual v3.doc", "Untitled-1", "manual.indd", "", "12", "Document1"] {
            assert!(!is_meaningful_title(junk), "{junk}");
        }
        assert!(is_meaningful_title("Pump P-101 Operating Manual"));
    }
}
