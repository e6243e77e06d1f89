//! Shapes as signed distances: negative inside, zero on the edge, positive outside.
//!
//! ```text
//! Formulas     Inigo Quilez, <https://iquilezles.org/articles/distfunctions2d/>. Ellipses and
//!              tapering limbs are first-order approximations, exact at the edge, which is where
//!              pixels are blended
//! Units        those of whoever draws: for an animal, the radius of its head; y points down
//! ```

/// A point, or a vector between two.
pub(super) type Point = [f32; 2];

pub(super) fn dot(a: Point, b: Point) -> f32 {
    a[0] * b[0] + a[1] * b[1]
}

fn minus(a: Point, b: Point) -> Point {
    [a[0] - b[0], a[1] - b[1]]
}

/// The point a share `t` of the way from `a` to `b`.
pub(super) fn between(a: Point, b: Point, t: f32) -> Point {
    [a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t]
}

#[derive(Clone, Copy, Debug)]
enum Part {
    /// Its axes turned by an angle of this cosine and sine.
    Ellipse { centre: Point, radii: Point, axis: Point },
    /// A capsule that tapers from one radius to the other.
    Limb { ends: [Point; 2], radii: [f32; 2] },
    /// A triangle with corners rounded by a radius.
    Triangle { corners: [Point; 3], round: f32 },
}

impl Part {
    fn distance(&self, p: Point) -> f32 {
        match *self {
            Self::Ellipse { centre, radii, axis } => {
                let q = minus(p, centre);
                let q = [dot(q, axis), q[1] * axis[0] - q[0] * axis[1]];
                let u = [q[0] / radii[0], q[1] / radii[1]];
                let v = [u[0] / radii[0], u[1] / radii[1]];
                let (near, slope) = (dot(u, u).sqrt(), dot(v, v).sqrt());
                if slope == 0.0 {
                    return -radii[0].min(radii[1]);
                }
                near * (near - 1.0) / slope
            }
            Self::Limb { ends: [a, b], radii: [first, last] } => {
                let (t, distance) = to_segment(p, a, b);
                distance - (first + (last - first) * t)
            }
            Self::Triangle { corners, round } => to_triangle(p, corners) - round,
        }
    }

    /// The corners of a box around it: top left and bottom right.
    fn bounds(&self) -> [Point; 2] {
        let around = |points: &[Point], r: f32| {
            let low = |i: usize| points.iter().map(|p| p[i]).fold(f32::INFINITY, f32::min);
            let high = |i: usize| points.iter().map(|p| p[i]).fold(f32::NEG_INFINITY, f32::max);
            [[low(0) - r, low(1) - r], [high(0) + r, high(1) + r]]
        };
        match self {
            Self::Ellipse { centre, radii, .. } => around(&[*centre], radii[0].max(radii[1])),
            Self::Limb { ends, radii } => around(ends, radii[0].max(radii[1])),
            Self::Triangle { corners, round } => around(corners, *round),
        }
    }
}

/// How far along the segment the nearest point is, from 0 to 1, and how far away.
fn to_segment(p: Point, a: Point, b: Point) -> (f32, f32) {
    let (ap, ab) = (minus(p, a), minus(b, a));
    let t = (dot(ap, ab) / dot(ab, ab).max(1e-12)).clamp(0.0, 1.0);
    let rest = [ap[0] - t * ab[0], ap[1] - t * ab[1]];
    (t, dot(rest, rest).sqrt())
}

fn to_triangle(p: Point, [a, b, c]: [Point; 3]) -> f32 {
    let mut nearest = f32::INFINITY;
    let (mut left, mut right) = (false, false);
    for (from, to) in [(a, b), (b, c), (c, a)] {
        nearest = nearest.min(to_segment(p, from, to).1);
        let (edge, to_p) = (minus(to, from), minus(p, from));
        let side = edge[0] * to_p[1] - edge[1] * to_p[0];
        left |= side < 0.0;
        right |= side > 0.0;
    }
    // Inside, the point lies on the same side of all three edges.
    if left && right { nearest } else { -nearest }
}

/// The union of a few simple parts, flowing into one another where they meet.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    parts: Vec<Part>,
    /// Over which distance parts flow together; 0 for a plain union.
    blend: f32,
    /// How far the edge is ruffled.
    fluff: f32,
}

impl Shape {
    pub(super) fn ellipse(centre: Point, radii: Point) -> Self {
        Self::default().and_ellipse(centre, radii, 0.0)
    }

    pub(super) fn circle(centre: Point, radius: f32) -> Self {
        Self::ellipse(centre, [radius; 2])
    }

    pub(super) fn limb(ends: [Point; 2], radii: [f32; 2]) -> Self {
        Self::default().and_limb(ends, radii)
    }

    pub(super) fn triangle(corners: [Point; 3], round: f32) -> Self {
        Self::default().and_triangle(corners, round)
    }

    /// A stroke along a quadratic Bézier curve from the first point to the last.
    pub(super) fn stroke([a, b, c]: [Point; 3], radii: [f32; 2]) -> Self {
        const STEPS: usize = 8;
        let on = |t: f32| between(between(a, b, t), between(b, c, t), t);
        let thick = |t: f32| radii[0] + (radii[1] - radii[0]) * t;
        let mut stroke = Self::default();
        for step in 0..STEPS {
            let (t, u) = (step as f32 / STEPS as f32, (step + 1) as f32 / STEPS as f32);
            stroke = stroke.and_limb([on(t), on(u)], [thick(t), thick(u)]);
        }
        stroke
    }

    /// Adds an ellipse turned by `angle` radians.
    pub(super) fn and_ellipse(mut self, centre: Point, radii: Point, angle: f32) -> Self {
        let axis = [angle.cos(), angle.sin()];
        self.parts.push(Part::Ellipse { centre, radii, axis });
        self
    }

    pub(super) fn and_limb(mut self, ends: [Point; 2], radii: [f32; 2]) -> Self {
        self.parts.push(Part::Limb { ends, radii });
        self
    }

    pub(super) fn and_triangle(mut self, corners: [Point; 3], round: f32) -> Self {
        self.parts.push(Part::Triangle { corners, round });
        self
    }

    pub(super) fn blended(mut self, blend: f32) -> Self {
        self.blend = blend;
        self
    }

    pub(super) fn fluffy(mut self, fluff: f32) -> Self {
        self.fluff = fluff;
        self
    }

    pub(super) fn distance(&self, p: Point) -> f32 {
        let mut union = f32::INFINITY;
        for part in &self.parts {
            let d = part.distance(p);
            let near = (self.blend - (union - d).abs()).max(0.0);
            union = union.min(d);
            if near > 0.0 {
                union -= near * near / (4.0 * self.blend);
            }
        }
        if self.fluff > 0.0 {
            let [x, y] = p;
            let tufts = (17.0 * x + 2.0 * (11.0 * y).sin()).sin() * (19.0 * y - 9.0 * x).sin();
            union += self.fluff * tufts;
        }
        union
    }

    /// The corners of a box around it: top left and bottom right.
    pub(super) fn bounds(&self) -> [Point; 2] {
        let margin = self.blend / 4.0 + self.fluff;
        let empty = [[f32::INFINITY; 2], [f32::NEG_INFINITY; 2]];
        self.parts.iter().fold(empty, |[low, high], part| {
            let [l, h] = part.bounds();
            [
                [low[0].min(l[0] - margin), low[1].min(l[1] - margin)],
                [high[0].max(h[0] + margin), high[1].max(h[1] + margin)],
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f32, b: f32) -> bool {
        (a - b).abs() < 1e-5
    }

    #[test]
    fn distances_of_simple_shapes_are_those_of_geometry() {
        assert!(close(Shape::circle([1.0, 1.0], 2.0).distance([1.0, 4.0]), 1.0));
        assert!(close(Shape::circle([1.0, 1.0], 2.0).distance([1.0, 1.0]), -2.0));
        let limb = Shape::limb([[0.0, 0.0], [2.0, 0.0]], [0.5, 0.5]);
        assert!(close(limb.distance([1.0, 2.0]), 1.5));
        let triangle = Shape::triangle([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]], 0.0);
        assert!(close(triangle.distance([1.0, 1.0]), -1.0));
        assert!(close(triangle.distance([-3.0, 0.0]), 3.0));
    }

    #[test]
    fn an_ellipse_is_zero_on_its_edge_however_it_is_turned() {
        let turned = Shape::default().and_ellipse([1.0, 0.0], [3.0, 1.0], 0.5);
        let on_edge = [1.0 + 3.0 * 0.5f32.cos(), 3.0 * 0.5f32.sin()];
        assert!(close(turned.distance(on_edge), 0.0));
    }

    #[test]
    fn blending_fills_the_gap_between_two_parts() {
        let two = Shape::circle([-1.0, 0.0], 0.9).and_ellipse([1.0, 0.0], [0.9; 2], 0.0);
        assert!(two.distance([0.0, 0.0]) > 0.0);
        assert!(two.blended(0.8).distance([0.0, 0.0]) < 0.0);
    }

    #[test]
    fn the_box_holds_all_that_is_inside() {
        let curve = [[0.0, 0.0], [2.0, -1.0], [1.0, 3.0]];
        let shape = Shape::stroke(curve, [0.4, 0.1]).blended(0.3).fluffy(0.05);
        let [low, high] = shape.bounds();
        for step in 0..10_000 {
            let p = [(step % 100) as f32 / 10.0 - 5.0, (step / 100) as f32 / 10.0 - 5.0];
            let boxed = (0..2).all(|i| low[i] <= p[i] && p[i] <= high[i]);
            assert!(boxed || shape.distance(p) > 0.0, "{p:?} is inside {shape:?}");
        }
    }
}
