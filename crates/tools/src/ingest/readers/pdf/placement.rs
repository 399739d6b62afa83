//! Direction and position of text on a page.

/// The direction in which text runs on the displayed page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Direction {
    Right,
    Down,
    Left,
    Up,
    /// Any other angle, in tenths of a degree clockwise from the right: watermarks, labels in drawings.
    Slanted(i16),
}

impl Direction {
    /// The direction of text that advances along this vector (x to the right, y down).
    pub fn from_vector(dx: f32, dy: f32) -> Self {
        // Vectors within six degrees of an axis count as parallel to it (tangent of the angle).
        const MAX_TILT: f32 = 0.1;
        match (dx, dy) {
            _ if dy.abs() <= MAX_TILT * dx.abs() => {
                if dx > 0.0 {
                    Self::Right
                } else {
                    Self::Left
                }
            }
            _ if dx.abs() <= MAX_TILT * dy.abs() => {
                if dy > 0.0 {
                    Self::Down
                } else {
                    Self::Up
                }
            }
            _ => Self::Slanted((dy.atan2(dx).to_degrees() * 10.0).round() as i16),
        }
    }

    /// Converts a point of the page to the upright coordinate system of this direction, in which the text runs to the
    /// right and its lines follow downwards.
    pub fn to_upright(self, x: f32, y: f32) -> (f32, f32) {
        match self {
            Self::Right => (x, y),
            Self::Slanted(angle) => rotate(x, y, -angle),
            Self::Down => (y, -x),
            Self::Left => (-x, -y),
            Self::Up => (-y, x),
        }
    }

    /// Converts a point of the upright coordinate system back to the page; the inverse of [`Direction::to_upright`].
    pub fn to_page(self, x: f32, y: f32) -> (f32, f32) {
        match self {
            Self::Right => (x, y),
            Self::Slanted(angle) => rotate(x, y, angle),
            Self::Down => (-y, x),
            Self::Left => (-x, -y),
            Self::Up => (y, -x),
        }
    }
}

/// Rotates a point around the origin by an angle in tenths of a degree.
fn rotate(x: f32, y: f32, angle: i16) -> (f32, f32) {
    let (sin, cos) = (f32::from(angle) / 10.0).to_radians().sin_cos();
    (x * cos - y * sin, x * sin + y * cos)
}

/// Position and style of one glyph, in the upright coordinate system of its direction; lengths in points.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placement {
    pub left: f32,
    pub right: f32,
    /// Vertical position of the baseline.
    pub baseline: f32,
    /// Font size, in points after all transformations.
    pub size: f32,
    pub bold: bool,
    /// Whether the font is monospaced.
    pub fixed_pitch: bool,
    pub direction: Direction,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_convert_to_upright_coordinates_and_back() {
        for direction in [Direction::Right, Direction::Down, Direction::Left, Direction::Up] {
            let (x, y) = direction.to_upright(3.0, 7.0);
            assert_eq!(direction.to_page(x, y), (3.0, 7.0));
        }
        assert_eq!(Direction::from_vector(0.0, -1.0), Direction::Up);
        assert_eq!(Direction::from_vector(1.0, 1.0), Direction::Slanted(450));
        let (x, y) = Direction::Slanted(450).to_upright(3.0, 3.0);
        assert!((x - 18_f32.sqrt()).abs() < 1e-4 && y.abs() < 1e-4, "{x} {y}");
    }
}
