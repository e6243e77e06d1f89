//! Bodies in four poses, tails, and the collar. Only the tail tells a cat from a dog: long and
//! thin, or short and tapering.
//!
//! The origin is the middle of the picture's animal; one unit is the radius of its head.

use super::Class;
use super::canvas::{Canvas, Frame, Style, times};
use super::chance::Chance;
use super::head::head;
use super::looks::Looks;
use super::shape::{Point, Shape, between};

/// How an animal holds itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pose {
    /// Head and shoulders.
    Portrait,
    Sitting,
    Standing,
    Lying,
}

impl Pose {
    pub(super) const ALL: [Self; 4] = [Self::Portrait, Self::Sitting, Self::Standing, Self::Lying];

    /// How many units the animal is high and wide.
    pub(super) fn extent(self) -> f32 {
        match self {
            Self::Portrait => 3.0,
            Self::Sitting => 5.6,
            Self::Standing => 6.0,
            Self::Lying => 5.0,
        }
    }
}

/// An animal about to be painted.
#[derive(Debug)]
pub(super) struct Animal<'a> {
    pub(super) looks: &'a Looks,
    pub(super) class: Class,
    /// For what only this class has.
    pub(super) chance: Chance,
    pub(super) frame: Frame,
    /// By how many radians the head is tilted.
    pub(super) tilt: f32,
}

impl Animal<'_> {
    pub(super) fn paint(&mut self, canvas: &mut Canvas, pose: Pose) {
        match pose {
            Pose::Portrait => self.portrait(canvas),
            Pose::Sitting => self.sitting(canvas),
            Pose::Standing => self.standing(canvas),
            Pose::Lying => self.lying(canvas),
        }
    }

    fn portrait(&mut self, canvas: &mut Canvas) {
        let chest = Shape::limb([[0.0, 0.9], [0.0, 2.4]], [0.6, 1.2])
            .and_ellipse([0.0, 2.8], [1.45, 1.3], 0.0)
            .blended(0.5);
        self.fur(canvas, chest, 1.0);
        self.bib(canvas, [0.0, 1.9], [0.5, 0.8]);
        self.collar(canvas, [0.0, 1.25], 0.62);
        self.head(canvas, [0.0, 0.2], 1.0);
    }

    fn sitting(&mut self, canvas: &mut Canvas) {
        self.shadow(canvas, [0.1, 2.45], [1.7, 0.3]);
        self.tail(canvas, [0.8, 2.0], [1.0, -0.35]);
        let haunches =
            Shape::ellipse([-0.72, 1.85], [0.55, 0.6]).and_ellipse([0.72, 1.85], [0.55, 0.6], 0.0);
        self.fur(canvas, haunches, 0.9);
        let back = Shape::limb([[0.0, -0.2], [0.0, 1.5]], [0.55, 0.95]);
        self.fur(canvas, back, 1.0);
        self.bib(canvas, [0.0, 0.75], [0.4, 0.75]);
        for side in [-1.0, 1.0] {
            self.leg(canvas, [side * 0.33, 1.0], [side * 0.36, 2.25], 1.0);
        }
        self.collar(canvas, [0.0, -0.02], 0.58);
        self.head(canvas, [0.0, -1.1], 1.3);
    }

    fn standing(&mut self, canvas: &mut Canvas) {
        self.shadow(canvas, [0.0, 2.3], [2.3, 0.28]);
        self.tail(canvas, [-1.75, 0.15], [-0.8, -0.9]);
        for x in [-1.2, 1.25] {
            self.leg(canvas, [x, 0.8], [x + 0.15, 2.05], 0.72);
        }
        let trunk = Shape::limb([[-1.35, 0.45], [1.2, 0.4]], [0.72, 0.78])
            .and_limb([[1.2, 0.2], [1.6, -0.7]], [0.62, 0.5])
            .and_limb([[-1.6, 0.7], [-1.65, 2.2]], [0.4, 0.27])
            .and_limb([[0.95, 0.7], [0.9, 2.2]], [0.4, 0.27])
            .blended(0.3);
        self.fur(canvas, trunk, 1.0);
        self.paw(canvas, [-1.65, 2.2], 1.0);
        self.paw(canvas, [0.9, 2.2], 1.0);
        self.collar(canvas, [1.5, -0.22], 0.56);
        self.head(canvas, [1.6, -1.0], 1.3);
    }

    fn lying(&mut self, canvas: &mut Canvas) {
        self.shadow(canvas, [0.1, 1.65], [2.6, 0.28]);
        self.tail(canvas, [1.9, 1.25], [0.5, -0.6]);
        let trunk = Shape::ellipse([0.55, 0.8], [1.75, 0.85])
            .and_ellipse([1.3, 0.95], [0.85, 0.72], 0.0)
            .and_limb([[-0.7, 0.7], [-0.8, -0.1]], [0.7, 0.5])
            .blended(0.4);
        self.fur(canvas, trunk, 1.0);
        self.bib(canvas, [-0.8, 0.8], [0.4, 0.5]);
        self.leg(canvas, [0.1, 1.25], [-0.9, 1.42], 0.9);
        self.leg(canvas, [-0.75, 1.2], [-1.65, 1.45], 1.0);
        self.collar(canvas, [-0.78, 0.15], 0.56);
        self.head(canvas, [-0.8, -0.8], 1.3);
    }

    fn fur(&self, canvas: &mut Canvas, shape: Shape, shade: f32) {
        let (coat, shape) = (&self.looks.coat, shape.fluffy(self.looks.fluff));
        // Another stretch of the coat than that on the head.
        canvas.paint(&self.frame, &shape, self.looks.style, |[x, y]| {
            times(coat.at([x + 3.0, y + 5.0]), shade)
        });
    }

    /// A leg with a pale paw.
    fn leg(&self, canvas: &mut Canvas, hip: Point, paw: Point, shade: f32) {
        let shape =
            Shape::limb([hip, paw], [0.34, 0.25]).and_ellipse(paw, [0.33, 0.24], 0.0).blended(0.15);
        self.fur(canvas, shape, shade);
        self.paw(canvas, paw, shade);
    }

    fn paw(&self, canvas: &mut Canvas, [x, y]: Point, shade: f32) {
        let toes = Shape::ellipse([x, y + 0.04], [0.24, 0.14]);
        let pale = times(self.looks.coat.pale, shade);
        canvas.paint(&self.frame, &toes, Style::haze(1.0, 0.12), |_| pale);
    }

    fn bib(&self, canvas: &mut Canvas, at: Point, radii: Point) {
        let pale = self.looks.coat.pale;
        canvas.paint(&self.frame, &Shape::ellipse(at, radii), Style::haze(0.9, 0.3), |_| pale);
    }

    fn collar(&self, canvas: &mut Canvas, at: Point, reach: f32) {
        let Some(colour) = self.looks.collar else {
            return;
        };
        let [x, y] = at;
        let band = [[x - reach, y - 0.12], [x, y + 0.28], [x + reach, y - 0.12]];
        let style = self.looks.style;
        canvas.paint(&self.frame, &Shape::stroke(band, [0.11; 2]), style, |_| colour);
        let tag = Shape::circle([x, y + 0.26], 0.14);
        canvas.paint(&self.frame, &tag, style, |_| [0.95, 0.82, 0.35]);
    }

    fn shadow(&self, canvas: &mut Canvas, at: Point, radii: Point) {
        let shape = Shape::ellipse(at, radii);
        canvas.paint(&self.frame, &shape, Style::haze(0.4, 0.4), |_| [0.05; 3]);
    }

    /// A tail from `root` towards `towards`, which need not be of unit length.
    fn tail(&mut self, canvas: &mut Canvas, root: Point, towards: Point) {
        let bend = self.chance.between(0.5, 1.0);
        let (long, radii) = match self.class {
            Class::Cat => (self.chance.between(1.5, 2.0), [0.16, 0.11]),
            Class::Dog => (self.chance.between(0.9, 1.2), [0.26, 0.09]),
        };
        let end = [root[0] + towards[0] * long, root[1] + towards[1] * long];
        // Out first, then up: the tail of both curves away from the ground.
        let elbow = [end[0] + towards[0] * 0.3 * bend, root[1] + 0.3 * bend];
        let curve = match self.class {
            // The tip of a cat's turns back at the end.
            Class::Cat => [root, elbow, [end[0] - towards[0] * 0.25, end[1] - 0.35]],
            Class::Dog => [root, between(root, elbow, 0.6), end],
        };
        self.fur(canvas, Shape::stroke(curve, radii), 0.95);
    }

    fn head(&mut self, canvas: &mut Canvas, at: Point, scale: f32) {
        let frame = self.frame.inner(at, scale, self.tilt);
        head(canvas, &frame, self.looks, self.class, &mut self.chance);
    }
}
