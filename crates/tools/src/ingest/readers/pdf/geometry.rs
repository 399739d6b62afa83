//! Plane geometry for placing text. Lengths are in points (1/72 inch).

/// An affine transformation: `x' = a*x + c*y + e`, `y' = b*x + d*y + f`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Matrix {
    pub a: f32,
    pub b: f32,
    pub c: f32,
    pub d: f32,
    pub e: f32,
    pub f: f32,
}

impl Matrix {
    pub const IDENTITY: Self = Self { a: 1.0, b: 0.0, c: 0.0, d: 1.0, e: 0.0, f: 0.0 };

    /// Creates a matrix from the six operands of `cm` or `Tm`. `None` for any other count, and for numbers that are not
    /// finite or whose magnitude is 1e9 or more.
    pub fn from_slice(numbers: &[f32]) -> Option<Self> {
        match *numbers {
            [a, b, c, d, e, f] if numbers.iter().all(|n| n.is_finite() && n.abs() < 1e9) => {
                Some(Self { a, b, c, d, e, f })
            }
            _ => None,
        }
    }

    pub fn translation(e: f32, f: f32) -> Self {
        Self { e, f, ..Self::IDENTITY }
    }

    /// The transformation that applies `self` first and `next` second.
    pub fn then(&self, next: &Self) -> Self {
        Self {
            a: self.a * next.a + self.b * next.c,
            b: self.a * next.b + self.b * next.d,
            c: self.c * next.a + self.d * next.c,
            d: self.c * next.b + self.d * next.d,
            e: self.e * next.a + self.f * next.c + next.e,
            f: self.e * next.b + self.f * next.d + next.f,
        }
    }

    pub fn apply(&self, x: f32, y: f32) -> (f32, f32) {
        (self.a * x + self.c * y + self.e, self.b * x + self.d * y + self.f)
    }

    /// The axis-aligned bounding box of the transformed `rect`.
    pub fn apply_rect(&self, rect: &Rect) -> Rect {
        let mut out = Rect::EMPTY;
        for (x, y) in [(rect.x0, rect.y0), (rect.x1, rect.y0), (rect.x0, rect.y1), (rect.x1, rect.y1)] {
            let (x, y) = self.apply(x, y);
            out.include(x, y);
        }
        out
    }
}

/// An axis-aligned rectangle between the corners (x0, y0) and (x1, y1).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rect {
    pub x0: f32,
    pub y0: f32,
    pub x1: f32,
    pub y1: f32,
}

impl Rect {
    /// The empty rectangle. Including a point in it gives a rectangle that consists of that point.
    pub const EMPTY: Self = Self { x0: f32::MAX, y0: f32::MAX, x1: f32::MIN, y1: f32::MIN };

    pub fn include(&mut self, x: f32, y: f32) {
        self.x0 = self.x0.min(x);
        self.y0 = self.y0.min(y);
        self.x1 = self.x1.max(x);
        self.y1 = self.y1.max(y);
    }

    pub fn width(&self) -> f32 {
        (self.x1 - self.x0).max(0.0)
    }

    pub fn height(&self) -> f32 {
        (self.y1 - self.y0).max(0.0)
    }

    pub fn area(&self) -> f32 {
        self.width() * self.height()
    }

    pub fn contains(&self, x: f32, y: f32) -> bool {
        x >= self.x0 && x <= self.x1 && y >= self.y0 && y <= self.y1
    }

    /// The rectangle with each edge moved outwards by `margin`.
    pub fn expanded(&self, margin: f32) -> Self {
        Self { x0: self.x0 - margin, y0: self.y0 - margin, x1: self.x1 + margin, y1: self.y1 + margin }
    }

    pub fn intersects(&self, other: &Self) -> bool {
        self.x0 <= other.x1 && other.x0 <= self.x1 && self.y0 <= other.y1 && other.y0 <= self.y1
    }

    pub fn intersection(&self, other: &Self) -> Self {
        Self {
            x0: self.x0.max(other.x0),
            y0: self.y0.max(other.y0),
            x1: self.x1.min(other.x1),
            y1: self.y1.min(other.y1),
        }
    }

    pub fn union(&self, other: &Self) -> Self {
        Self {
            x0: self.x0.min(other.x0),
            y0: self.y0.min(other.y0),
            x1: self.x1.max(other.x1),
            y1: self.y1.max(other.y1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matrices_compose_in_order() {
        let double = Matrix { a: 2.0, d: 2.0, ..Matrix::IDENTITY };
        let moved = double.then(&Matrix::translation(10.0, 0.0));
        assert_eq!(moved.apply(1.0, 1.0), (12.0, 2.0));
    }

    #[test]
    fn invalid_numbers_make_no_matrix() {
        assert_eq!(Matrix::from_slice(&[1.0, 0.0, 0.0, f32::NAN, 0.0, 0.0]), None);
        assert_eq!(Matrix::from_slice(&[1.0]), None);
    }
}
