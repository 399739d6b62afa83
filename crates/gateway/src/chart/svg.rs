//! A writer of SVG 1.1 images. All texts are escaped; positions are rounded to a tenth of a pixel.

use std::fmt::Write as _;

/// An image under construction.
pub(super) struct Svg {
    text: String,
}

/// The ends of a straight line, in the units of the image.
#[derive(Clone, Copy)]
pub(super) struct Line {
    pub(super) x1: f64,
    pub(super) y1: f64,
    pub(super) x2: f64,
    pub(super) y2: f64,
}

impl Svg {
    /// Begins an image with a title and a description, which assistive technology reads.
    pub(super) fn new(width: f64, height: f64, title: &str, description: &str) -> Self {
        let text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
             viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-labelledby=\"title description\" \
             font-family=\"sans-serif\" font-size=\"12\">\n<title id=\"title\">{}</title>\n\
             <desc id=\"description\">{}</desc>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n",
            escape(title),
            escape(description),
        );
        Self { text }
    }

    /// Draws a line. `dashes` are the lengths of its dashes and gaps.
    pub(super) fn line(&mut self, line: Line, color: &'static str, dashes: Option<&'static str>) {
        let dashes = dashes.map(|dashes| format!(" stroke-dasharray=\"{dashes}\"")).unwrap_or_default();
        let Line { x1, y1, x2, y2 } = line;
        self.push(&format!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{color}\"{dashes}/>"
        ));
    }

    /// Writes a text. `anchor` is which part of it is at `x`: `start`, `middle` or `end`.
    pub(super) fn text(&mut self, x: f64, y: f64, anchor: &'static str, text: &str) {
        let text = escape(text);
        self.push(&format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"#222222\">{text}</text>"));
    }

    /// Draws the curve through these points.
    pub(super) fn polyline(&mut self, points: &[(f64, f64)]) {
        let mut positions = String::new();
        for (x, y) in points {
            let _ = write!(positions, "{x:.1},{y:.1} ");
        }
        let positions = positions.trim_end();
        self.push(&format!("<polyline points=\"{positions}\" fill=\"none\" stroke=\"#1f5faa\" stroke-width=\"1.5\"/>"));
    }

    /// Draws a single point.
    pub(super) fn dot(&mut self, x: f64, y: f64) {
        self.push(&format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2\" fill=\"#1f5faa\"/>"));
    }

    /// Ends the image.
    pub(super) fn finish(mut self) -> String {
        self.push("</svg>");
        self.text
    }

    fn push(&mut self, element: &str) {
        self.text.push_str(element);
        self.text.push('\n');
    }
}

/// Escapes a text for XML 1.0, and drops the characters that it cannot contain.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\t' | '\n' | '\r' => escaped.push(' '),
            '\u{fffe}' | '\u{ffff}' => {}
            c if c.is_control() => {}
            c => escaped.push(c),
        }
    }
    escaped
}
