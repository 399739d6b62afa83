//! What elements mean for the text of a page.

use html5ever::tokenizer::Tag;

/// Elements without an end tag.
pub(super) fn is_void(name: &str) -> bool {
    matches!(
        name,
        "area"
            | "base"
            | "br"
            | "col"
            | "embed"
            | "hr"
            | "img"
            | "input"
            | "link"
            | "meta"
            | "param"
            | "source"
            | "track"
            | "wbr"
    )
}

/// Elements whose content is no text of the page.
pub(super) fn is_no_text(name: &str) -> bool {
    matches!(
        name,
        "script"
            | "style"
            | "template"
            | "noscript"
            | "iframe"
            | "object"
            | "svg"
            | "noembed"
            | "noframes"
            | "textarea"
            | "select"
            | "datalist"
            | "audio"
            | "video"
            | "canvas"
            | "map"
    )
}

/// Elements that stand within a line.
pub(super) fn is_inline(name: &str) -> bool {
    matches!(
        name,
        "a" | "abbr"
            | "b"
            | "bdi"
            | "bdo"
            | "big"
            | "br"
            | "cite"
            | "code"
            | "data"
            | "del"
            | "dfn"
            | "em"
            | "font"
            | "i"
            | "ins"
            | "kbd"
            | "label"
            | "mark"
            | "nobr"
            | "q"
            | "s"
            | "samp"
            | "small"
            | "span"
            | "strike"
            | "strong"
            | "sub"
            | "sup"
            | "time"
            | "tt"
            | "u"
            | "var"
            | "wbr"
            | "img"
            | "input"
            | "button"
            | "rb"
            | "rt"
            | "ruby"
    )
}

/// Elements that end a picture (`svg`) around them, because they cannot be part of one.
pub(super) fn leaves_picture(name: &str) -> bool {
    matches!(name, "body" | "div" | "dl" | "hr" | "li" | "ol" | "p" | "pre" | "span" | "table" | "ul")
        || heading_level(name).is_some()
}

/// The level of a heading element.
pub(super) fn heading_level(name: &str) -> Option<u8> {
    let level = name.strip_prefix('h')?.parse().ok()?;
    (name.len() == 2 && (1..=6).contains(&level)).then_some(level)
}

/// The open elements that the start of `name` ends, and those beyond which it does not look for them.
pub(super) fn ended_by(name: &str) -> Option<(&'static [&'static str], &'static [&'static str])> {
    Some(match name {
        "li" => (&["li"], &["ul", "ol", "menu", "table"]),
        "dt" | "dd" => (&["dt", "dd"], &["dl", "table"]),
        "td" | "th" => (&["td", "th"], &["tr", "table"]),
        "tr" => (&["tr"], &["table"]),
        "thead" | "tbody" | "tfoot" => (&["thead", "tbody", "tfoot"], &["table"]),
        _ if is_inline(name) || is_no_text(name) || is_void(name) && name != "hr" => return None,
        _ => (&["p"], &["table", "td", "th", "caption"]),
    })
}

/// Whether an element's attributes hide it.
pub(super) fn is_hidden(tag: &Tag) -> bool {
    let attribute = |name: &str| tag.attrs.iter().find(|attribute| &*attribute.name.local == name);
    let is_closed_dialog = &*tag.name == "dialog" && attribute("open").is_none();
    attribute("hidden").is_some() || is_closed_dialog || attribute("style").is_some_and(|style| hides(&style.value))
}

/// The number in an attribute, within these limits; the lower one if there is none.
pub(super) fn number(tag: &Tag, name: &str, limits: std::ops::RangeInclusive<usize>) -> usize {
    let attribute = tag.attrs.iter().find(|attribute| &*attribute.name.local == name);
    let number = attribute.and_then(|attribute| attribute.value.trim().parse::<usize>().ok());
    number.unwrap_or(*limits.start()).clamp(*limits.start(), *limits.end())
}

/// Whether a style attribute makes text invisible.
fn hides(style: &str) -> bool {
    style.split(';').any(|declaration| {
        let Some((property, value)) = declaration.split_once(':') else { return false };
        let value = value.trim().to_ascii_lowercase();
        let value = value.split_once('!').map_or(value.as_str(), |(value, _)| value.trim_end());
        let is_zero = || value.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == '%').parse() == Ok(0.0);
        match property.trim().to_ascii_lowercase().as_str() {
            "display" => value == "none",
            "visibility" => matches!(value, "hidden" | "collapse"),
            "mso-hide" => value == "all",
            "opacity" | "font-size" => is_zero(),
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn styles_that_hide_are_recognized() {
        for style in [
            "display:none",
            "color:red; DISPLAY : None !important",
            "font-size:0px",
            "opacity: 0.0",
            "visibility:hidden",
        ] {
            assert!(hides(style), "{style}");
        }
        for style in ["display:block", "opacity:0.5", "font-size:10px", "", "none"] {
            assert!(!hides(style), "{style}");
        }
    }

    #[test]
    fn headings_have_one_digit() {
        assert_eq!(
            ["h1", "h6", "h7", "hr", "h10", "header"].map(heading_level),
            [Some(1), Some(6), None, None, None, None]
        );
    }
}
