//! Tracks what a page paints besides text. Filled areas tell hidden text from text on a colored background, ruling
//! lines reveal tables, and images reveal scans.

use lopdf::ObjectId;

use super::geometry::{Matrix, Rect};

/// Red, green and blue, each from 0 to 1.
pub(super) type Color = [f32; 3];

/// A filled area of the page. The color is `None` (unknown) for images, patterns and shadings.
#[derive(Debug, Clone, Copy)]
struct Fill {
    area: Rect,
    color: Option<Color>,
}

/// A ruling line: a thin horizontal or vertical line, as between table cells.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct RulingLine {
    pub area: Rect,
    pub horizontal: bool,
}

/// Maximum number of fills, and of ruling lines, kept per page. Only drawings have more, and they contain neither
/// tables nor hidden text.
const MAX_ITEMS: usize = 4_000;
/// Filled rectangles thinner than this, in points, are ruling lines.
const MAX_RULING_LINE_THICKNESS: f32 = 3.0;
/// Minimum length of a ruling line, in points; shorter lines are parts of drawings or letters.
const MIN_RULING_LINE_LENGTH: f32 = 8.0;

/// Minimum share of the page that an image must cover to be kept for OCR.
const MIN_IMAGE_SHARE: f32 = 0.1;
/// Maximum number of images kept for OCR per page.
const MAX_OCR_IMAGES: usize = 4;

/// What has been painted on a page so far.
#[derive(Default)]
pub(super) struct Canvas {
    fills: Vec<Fill>,
    pub ruling_lines: Vec<RulingLine>,
    /// Sum of the areas of all images, in square points; overlapping parts count twice.
    pub image_area: f32,
    /// Images that may contain text, as candidates for OCR.
    pub ocr_images: Vec<ObjectId>,
}

impl Canvas {
    /// Whether text of this color, at this point, contrasts with its background. True if either color is unknown.
    pub fn contrasts(&self, color: Option<Color>, x: f32, y: f32) -> bool {
        let Some(color) = color else { return true };
        let background = self.fills.iter().rev().find(|fill| fill.area.contains(x, y));
        let background = background.map_or(Some([1.0; 3]), |fill| fill.color);
        background.is_none_or(|background| color.iter().zip(background).any(|(c, b)| (c - b).abs() > 0.05))
    }

    /// Paints the path's areas in this color; thin ones are recorded as ruling lines.
    pub fn fill(&mut self, path: &Path, color: Option<Color>) {
        for area in &path.areas {
            if area.width() < MAX_RULING_LINE_THICKNESS || area.height() < MAX_RULING_LINE_THICKNESS {
                self.add_ruling_line(*area);
            } else if self.fills.len() < MAX_ITEMS {
                self.fills.push(Fill { area: *area, color });
            }
        }
    }

    /// Records the path's line segments as ruling lines.
    pub fn stroke(&mut self, path: &Path) {
        for line in &path.lines {
            self.add_ruling_line(*line);
        }
    }

    /// Records an image; `object` is `None` for an inline image.
    pub fn add_image(&mut self, object: Option<ObjectId>, image_matrix: &Matrix, page: &Rect) {
        let area = image_matrix.apply_rect(&Rect { x0: 0.0, y0: 0.0, x1: 1.0, y1: 1.0 });
        let covered_area = area.intersection(page).area();
        self.image_area += covered_area;
        let may_have_text = covered_area >= MIN_IMAGE_SHARE * page.area() && self.ocr_images.len() < MAX_OCR_IMAGES;
        if let Some(object) = object.filter(|_| may_have_text) {
            self.ocr_images.push(object);
        }
        self.add_unknown_fill(area);
    }

    /// Records an area of unknown color.
    pub fn add_unknown_fill(&mut self, area: Rect) {
        if self.fills.len() < MAX_ITEMS {
            self.fills.push(Fill { area, color: None });
        }
    }

    fn add_ruling_line(&mut self, area: Rect) {
        let horizontal = area.width() >= area.height();
        let (length, thickness) =
            if horizontal { (area.width(), area.height()) } else { (area.height(), area.width()) };
        if length >= MIN_RULING_LINE_LENGTH
            && thickness < MAX_RULING_LINE_THICKNESS
            && self.ruling_lines.len() < MAX_ITEMS
        {
            self.ruling_lines.push(RulingLine { area, horizontal });
        }
    }
}

/// A point on the displayed page, in points (1/72 inch).
#[derive(Clone, Copy, Debug)]
pub struct Point {
    pub x: f32,
    pub y: f32,
}

/// The current path, in coordinates of the displayed page.
#[derive(Default)]
pub(super) struct Path {
    /// Bounding boxes of the finished subpaths.
    areas: Vec<Rect>,
    /// Horizontal and vertical line segments.
    lines: Vec<Rect>,
    current: Option<Point>,
    start: Option<Point>,
    /// Bounding box of the unfinished subpath.
    subpath: Option<Rect>,
}

impl Path {
    pub fn move_to(&mut self, point: Point) {
        self.end_subpath();
        self.current = Some(point);
        self.start = Some(point);
    }

    pub fn line_to(&mut self, point: Point) {
        if let Some(from) = self.current {
            let mut line = Rect::EMPTY;
            line.include(from.x, from.y);
            line.include(point.x, point.y);
            if (line.width() < 1.0 || line.height() < 1.0) && self.lines.len() < MAX_ITEMS {
                self.lines.push(line);
            }
            self.subpath = Some(self.subpath.map_or(line, |subpath| subpath.union(&line)));
        }
        self.current = Some(point);
    }

    pub fn curve_to(&mut self, point: Point) {
        let mut subpath = self.subpath.unwrap_or(Rect::EMPTY);
        if let Some(Point { x, y }) = self.current {
            subpath.include(x, y);
        }
        subpath.include(point.x, point.y);
        self.subpath = Some(subpath);
        self.current = Some(point);
    }

    pub fn close(&mut self) {
        if let Some(start) = self.start {
            self.line_to(start);
        }
        self.end_subpath();
    }

    pub fn rectangle(&mut self, area: Rect) {
        self.end_subpath();
        if self.areas.len() < MAX_ITEMS {
            self.areas.push(area);
            let Rect { x0, y0, x1, y1 } = area;
            self.lines.extend([
                Rect { y1: y0, ..area },
                Rect { y0: y1, ..area },
                Rect { x1: x0, ..area },
                Rect { x0: x1, ..area },
            ]);
        }
    }

    pub fn end_subpath(&mut self) {
        if let Some(subpath) = self.subpath.take()
            && self.areas.len() < MAX_ITEMS
        {
            self.areas.push(subpath);
        }
    }

    /// The bounding box of the path. `None` for an empty path, and for one that was too long to be kept completely.
    pub fn bounds(&self) -> Option<Rect> {
        if self.areas.len() >= MAX_ITEMS {
            return None;
        }
        self.areas.iter().copied().reduce(|all, area| all.union(&area))
    }

    pub fn clear(&mut self) {
        self.areas.clear();
        self.lines.clear();
        self.current = None;
        self.start = None;
        self.subpath = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOX: Rect = Rect { x0: 10.0, y0: 10.0, x1: 50.0, y1: 30.0 };

    #[test]
    fn text_in_the_color_of_its_background_has_no_contrast() {
        let mut canvas = Canvas::default();
        let white = Some([1.0; 3]);
        assert!(!canvas.contrasts(white, 20.0, 20.0));
        assert!(canvas.contrasts(Some([0.0; 3]), 20.0, 20.0));
        let mut path = Path::default();
        path.rectangle(BOX);
        canvas.fill(&path, Some([0.0, 0.0, 0.4]));
        assert!(canvas.contrasts(white, 20.0, 20.0), "white on blue, as in a table header");
        assert!(!canvas.contrasts(white, 60.0, 20.0));
    }

    #[test]
    fn thin_fills_and_stroked_edges_are_ruling_lines() {
        let mut canvas = Canvas::default();
        let mut path = Path::default();
        path.rectangle(BOX);
        canvas.stroke(&path);
        path.clear();
        path.rectangle(Rect { y1: 10.5, ..BOX });
        canvas.fill(&path, None);
        assert_eq!(canvas.ruling_lines.len(), 5);
        assert_eq!(canvas.ruling_lines.iter().filter(|ruling_line| ruling_line.horizontal).count(), 3);
    }
}
