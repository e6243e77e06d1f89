//! The sizes of one convolution: computed once, passed by value to every function of the room.

use crate::padding::pixel;
use crate::{Padding, ShapeError};
use gradus_tensor::Shape;

/// All sizes of one convolution, the batch included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Images.
    pub n: usize,
    /// Rows of an input image.
    pub h: usize,
    /// Columns of an input image.
    pub w: usize,
    /// Channels of an input image.
    pub c: usize,
    /// Rows of the kernel.
    pub r: usize,
    /// Columns of the kernel.
    pub s: usize,
    /// Filters: channels of an output image.
    pub k: usize,
    /// Groups that channels and filters fall into.
    pub groups: usize,
    /// Rows of an output image.
    pub p: usize,
    /// Columns of an output image.
    pub q: usize,
    /// Input pixels from one output pixel to the next, down and across.
    pub strides: [usize; 2],
    /// Input pixels from one tap to the next, down and across.
    pub dilation: [usize; 2],
    /// Rows of zeros above the image, and columns of zeros to its left.
    pub before: [usize; 2],
}

impl Geometry {
    /// The sizes for an x of shape (N, H, W, C) and a kernel of shape (R, S, C, K).
    ///
    /// # Errors
    /// If x has another rank, an empty pixel, other channels than the kernel, or is smaller than
    /// the reach of the kernel.
    ///
    /// # Panics
    /// If the kernel is not of rank 4, or it, a stride or a dilation is 0.
    pub fn new(
        x: Shape,
        kernel: Shape,
        strides: [usize; 2],
        padding: Padding,
        dilation: [usize; 2],
    ) -> Result<Self, ShapeError> {
        Self::grouped(1, x, kernel, strides, padding, dilation)
    }

    /// The sizes for an x of shape (N, H, W, C) and a kernel of shape (R, S, C/groups, K).
    ///
    /// # Errors
    /// As [`Geometry::new`].
    ///
    /// # Panics
    /// As [`Geometry::new`]; and if the filters do not fall into that many groups, or an explicit
    /// padding is as large as the reach of the kernel.
    pub fn grouped(
        groups: usize,
        x: Shape,
        kernel: Shape,
        strides: [usize; 2],
        padding: Padding,
        dilation: [usize; 2],
    ) -> Result<Self, ShapeError> {
        let &[r, s, channels, k] = kernel.dims() else { panic!("a kernel of shape {kernel}") };
        let sizes = [r, s, channels.max(1), k, strides[0], strides[1], dilation[0], dilation[1]];
        assert!(!sizes.contains(&0), "{kernel} by {strides:?} and {dilation:?}: a size is 0");
        assert!(groups > 0 && k % groups == 0, "{k} filters in {groups} groups");
        let reach = [(r - 1) * dilation[0] + 1, (s - 1) * dilation[1] + 1];
        assert_eq!(padding.flaw(reach), None, "a padding that fits");
        let &[n, h, w, c] = x.dims() else {
            return Err(ShapeError::new(x, "expected images: (N, H, W, C)"));
        };
        if c == 0 || c != channels * groups {
            let channels = channels.max(1) * groups;
            let reason = match groups {
                1 => format!("expected {channels} channels: (N, H, W, C)"),
                _ => format!("expected {channels} channels, {groups} groups: (N, H, W, C)"),
            };
            return Err(ShapeError::new(x, reason));
        }
        let Some([rows, columns]) = padding.axes([h, w], [r, s], strides, dilation) else {
            let reason = format!("expected at least {}·{} pixels", reach[0], reach[1]);
            return Err(ShapeError::new(x, reason));
        };
        let (p, q, before) = (rows.output, columns.output, [rows.before, columns.before]);
        Ok(Self { n, h, w, c, r, s, k, groups, p, q, strides, dilation, before })
    }

    /// The shape of x: (N, H, W, C).
    #[must_use]
    pub fn x(&self) -> Shape {
        Shape::new(&[self.n, self.h, self.w, self.c])
    }

    /// The convolution that each group is.
    #[must_use]
    pub fn of_group(&self) -> Self {
        Self { c: self.c / self.groups, k: self.k / self.groups, groups: 1, ..*self }
    }

    /// The shape of the kernel: (R, S, C/groups, K).
    #[must_use]
    pub fn kernel(&self) -> Shape {
        Shape::new(&[self.r, self.s, self.c / self.groups, self.k])
    }

    /// The shape of y: (N, P, Q, K).
    #[must_use]
    pub fn y(&self) -> Shape {
        Shape::new(&[self.n, self.p, self.q, self.k])
    }

    /// R·S·C/groups: the products in one element of z.
    #[must_use]
    pub fn taps(&self) -> usize {
        self.r * self.s * self.c / self.groups
    }

    /// Input pixels from the first tap of a window to its last, down and across, both counted.
    #[must_use]
    pub fn reach(&self) -> [usize; 2] {
        [(self.r - 1) * self.dilation[0] + 1, (self.s - 1) * self.dilation[1] + 1]
    }

    /// The row of x that tap row `r` of output row `p` meets: h = p·stride + r·dilation − before,
    /// unless that lies in the zeros around the image.
    #[must_use]
    pub fn row(&self, p: usize, r: usize) -> Option<usize> {
        pixel(p, self.strides[0], r, self.dilation[0], self.before[0], self.h)
    }

    /// The column of x that tap column `s` of output column `q` meets, as [`Geometry::row`].
    #[must_use]
    pub fn column(&self, q: usize, s: usize) -> Option<usize> {
        pixel(q, self.strides[1], s, self.dilation[1], self.before[1], self.w)
    }
}
