//! What a page paints besides text: filled areas tell hidden text from text on a coloured ground, ruled lines tell
//! tables, images tell scans.

use lopdf::ObjectId;

use super::geometry::{Matrix, Rect};

/// Red, green and blue, 0 to 1.
pub(super) type Color = [f32; 3];

/// A filled area of the page; its colour is unknown for images, patterns and shadings.
#[derive(Debug, Clone, Copy)]
struct Fill {
    area: Rect,
    color: Option<Color>,
}

/// A drawn line along an axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rule {
    pub area: Rect,
    pub horizontal: bool,
}

/// Most fills and rules kept of one page; drawings have more, and neither tables nor hidden text in them.
const MOST: usize = 4_000;
/// Thinner than this, a filled rectangle is a line.
const THIN: f32 = 3.0;
/// Shorter lines are parts of drawings or of letters.
const SHORTEST_RULE: f32 = 8.0;

/// An image that covers this share of the page may hold text, and so may the first few such images of a page.
const PICTURE: f32 = 0.1;
const MOST_PICTURES: usize = 4;

/// What has been painted so far.
#[derive(Default)]
pub(super) struct Canvas {
    fills: Vec<Fill>,
    pub rules: Vec<Rule>,
    /// The area that images cover, counted with overlaps, in square points.
    pub image_area: f32,
    /// The larger ones of them.
    pub pictures: Vec<ObjectId>,
}

impl Canvas {
    /// True when text of this colour at this point can be told from what is beneath it.
    pub fn shows(&self, color: Option<Color>, x: f32, y: f32) -> bool {
        let Some(color) = color else { return true };
        let ground = self.fills.iter().rev().find(|fill| fill.area.contains(x, y));
        let ground = ground.map_or(Some([1.0; 3]), |fill| fill.color);
        ground.is_none_or(|ground| color.iter().zip(ground).any(|(c, g)| (c - g).abs() > 0.05))
    }

    pub fn fill(&mut self, path: &Path, color: Option<Color>) {
        for area in &path.areas {
            if area.width() < THIN || area.height() < THIN {
                self.rule(*area);
            } else if self.fills.len() < MOST {
                self.fills.push(Fill { area: *area, color });
            }
        }
    }

    pub fn stroke(&mut self, path: &Path) {
        for line in &path.lines {
            self.rule(*line);
        }
    }

    /// An image, which is an object of the file unless it stands in the content itself.
    pub fn image(&mut self, object: Option<ObjectId>, placed: &Matrix, page: &Rect) {
        let area = placed.apply_rect(&Rect { x0: 0.0, y0: 0.0, x1: 1.0, y1: 1.0 });
        let covered = area.intersection(page).area();
        self.image_area += covered;
        if let Some(object) = object.filter(|_| covered >= PICTURE * page.area() && self.pictures.len() < MOST_PICTURES)
        {
            self.pictures.push(object);
        }
        self.cover(area);
    }

    /// An area of unknown colour.
    pub fn cover(&mut self, area: Rect) {
        if self.fills.len() < MOST {
            self.fills.push(Fill { area, color: None });
        }
    }

    fn rule(&mut self, area: Rect) {
        let horizontal = area.width() >= area.height();
        let (length, thickness) =
            if horizontal { (area.width(), area.height()) } else { (area.height(), area.width()) };
        if length >= SHORTEST_RULE && thickness < THIN && self.rules.len() < MOST {
            self.rules.push(Rule { area, horizontal });
        }
    }
}

/// The path under construction, on the page as displayed.
#[derive(Default)]
pub(super) struct Path {
    /// One upright rectangle around each closed part.
    areas: Vec<Rect>,
    /// Straight parts along an axis.
    lines: Vec<Rect>,
    current: Option<(f32, f32)>,
    start: Option<(f32, f32)>,
    part: Option<Rect>,
}

impl Path {
    pub fn move_to(&mut self, point: (f32, f32)) {
        self.end_part();
        self.current = Some(point);
        self.start = Some(point);
    }

    pub fn line_to(&mut self, point: (f32, f32)) {
        if let Some(from) = self.current {
            let mut line = Rect::EMPTY;
            line.include(from.0, from.1);
            line.include(point.0, point.1);
            if (line.width() < 1.0 || line.height() < 1.0) && self.lines.len() < MOST {
                self.lines.push(line);
            }
            self.part = Some(self.part.map_or(line, |part| part.union(&line)));
        }
        self.current = Some(point);
    }

    pub fn curve_to(&mut self, point: (f32, f32)) {
        let mut part = self.part.unwrap_or(Rect::EMPTY);
        if let Some((x, y)) = self.current {
            part.include(x, y);
        }
        part.include(point.0, point.1);
        self.part = Some(part);
        self.current = Some(point);
    }

    pub fn close(&mut self) {
        if let Some(start) = self.start {
            self.line_to(start);
        }
        self.end_part();
    }

    pub fn rectangle(&mut self, area: Rect) {
        self.end_part();
        if self.areas.len() < MOST {
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

    pub fn end_part(&mut self) {
        if let Some(part) = self.part.take()
            && self.areas.len() < MOST
        {
            self.areas.push(part);
        }
    }

    /// The rectangle around everything; `None` for an empty path, and for one too long to be kept whole.
    pub fn bounds(&self) -> Option<Rect> {
        if self.areas.len() >= MOST {
            return None;
        }
        self.areas.iter().copied().reduce(|all, area| all.union(&area))
    }

    pub fn clear(&mut self) {
        self.areas.clear();
        self.lines.clear();
        self.current = None;
        self.start = None;
        self.part = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOX: Rect = Rect { x0: 10.0, y0: 10.0, x1: 50.0, y1: 30.0 };

    #[test]
    fn text_in_the_colour_of_its_ground_is_not_shown() {
        let mut canvas = Canvas::default();
        let white = Some([1.0; 3]);
        assert!(!canvas.shows(white, 20.0, 20.0));
        assert!(canvas.shows(Some([0.0; 3]), 20.0, 20.0));
        let mut path = Path::default();
        path.rectangle(BOX);
        canvas.fill(&path, Some([0.0, 0.0, 0.4]));
        assert!(canvas.shows(white, 20.0, 20.0), "white on blue is a table's header");
        assert!(!canvas.shows(white, 60.0, 20.0));
    }

    #[test]
    fn thin_fills_and_stroked_edges_are_rules() {
        let mut canvas = Canvas::default();
        let mut path = Path::default();
        path.rectangle(BOX);
        canvas.stroke(&path);
        path.clear();
        path.rectangle(Rect { y1: 10.5, ..BOX });
        canvas.fill(&path, None);
        assert_eq!(canvas.rules.len(), 5);
        assert_eq!(canvas.rules.iter().filter(|rule| rule.horizontal).count(), 3);
    }
}
