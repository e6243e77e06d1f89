//! What a network is to answer: the target of every image, by Keras's `class_mode`.
//!
//! ```text
//! Shapes       categorical (N, classes) · binary, sparse (N, 1) · raw, multi_output (N, columns)
//!              input (N, height · width · channels) · none (N, 0)
//! Values       one-hot, or a 1 for each of several classes · the index of the class · the numbers
//!              of the manifest · the image itself, after the transform, row by row
//! Conventions  float32 as in Keras. Keras gives an index as (N), and the outputs of `multi_output`
//!              as arrays of their own: here they are columns of one
//! ```

use ndarray::{Array2, ArrayView3, ArrayViewMut1};

/// What a target looks like: Keras's `class_mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClassMode {
    /// A number for each class: 1 for the image's own, or for each of its own where a cell lists
    /// several, and 0 for the others. Keras's default.
    #[default]
    Categorical,
    /// The index of the class, of which there are two.
    Binary,
    /// The index of the class.
    Sparse,
    /// The image itself, as the network sees it: for an autoencoder.
    Input,
    /// The numbers in the columns `y_col`: for regression.
    Raw,
    /// The numbers in the columns `y_col`, of which there are several, one for each output.
    MultiOutput,
    /// Nothing: images alone, to be predicted.
    None,
}

impl ClassMode {
    /// Keras's name of it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Categorical => "categorical",
            Self::Binary => "binary",
            Self::Sparse => "sparse",
            Self::Input => "input",
            Self::Raw => "raw",
            Self::MultiOutput => "multi_output",
            Self::None => "None",
        }
    }

    /// Whether the column of the targets holds names of classes.
    pub(crate) fn has_classes(self) -> bool {
        matches!(self, Self::Categorical | Self::Binary | Self::Sparse)
    }
}

/// The targets of all images.
#[derive(Clone, Debug)]
pub(crate) enum Targets {
    OneHot { labels: Vec<u32>, classes: usize },
    ManyHot { labels: Vec<Vec<u32>>, classes: usize },
    Index { labels: Vec<u32> },
    Numbers(Array2<f32>),
    Image { outputs: usize },
    None,
}

impl Targets {
    /// How many numbers a target has.
    pub(crate) fn outputs(&self) -> usize {
        match self {
            Self::OneHot { classes, .. } | Self::ManyHot { classes, .. } => *classes,
            Self::Index { .. } => 1,
            Self::Numbers(numbers) => numbers.ncols(),
            Self::Image { outputs } => *outputs,
            Self::None => 0,
        }
    }

    /// Whether a target is of the image that the network sees.
    pub(crate) fn need_images(&self) -> bool {
        matches!(self, Self::Image { .. })
    }

    /// The class of every image, where it has exactly one.
    pub(crate) fn labels(&self) -> &[u32] {
        match self {
            Self::OneHot { labels, .. } | Self::Index { labels } => labels,
            _ => &[],
        }
    }

    /// Writes the target of image `index`, which the network sees as `image`.
    pub(crate) fn write(
        &self,
        index: usize,
        image: ArrayView3<'_, f32>,
        mut into: ArrayViewMut1<'_, f32>,
    ) {
        match self {
            Self::OneHot { labels, .. } => one_hot(&labels[index..=index], into),
            Self::ManyHot { labels, .. } => one_hot(&labels[index], into),
            Self::Index { labels } => into[0] = labels[index] as f32,
            Self::Numbers(numbers) => into.assign(&numbers.row(index)),
            Self::Image { .. } => into.iter_mut().zip(&image).for_each(|(y, x)| *y = *x),
            Self::None => {}
        }
    }
}

/// 1 for each of `labels`, 0 elsewhere.
pub(crate) fn one_hot(labels: &[u32], mut into: ArrayViewMut1<'_, f32>) {
    into.fill(0.0);
    labels.iter().for_each(|&label| into[label as usize] = 1.0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, array};

    #[test]
    fn every_kind_writes_as_many_numbers_as_it_says() {
        let image = Array3::from_shape_fn((1, 2, 2), |(_, x, c)| (x * 2 + c) as f32);
        for (targets, expected) in [
            (Targets::OneHot { labels: vec![0, 2], classes: 3 }, vec![0.0, 0.0, 1.0]),
            (
                Targets::ManyHot { labels: vec![vec![], vec![0, 2]], classes: 3 },
                vec![1.0, 0.0, 1.0],
            ),
            (Targets::Index { labels: vec![0, 2] }, vec![2.0]),
            (Targets::Numbers(array![[1.0, 2.0], [3.0, 4.0]]), vec![3.0, 4.0]),
            (Targets::Image { outputs: 4 }, vec![0.0, 1.0, 2.0, 3.0]),
            (Targets::None, vec![]),
        ] {
            let mut into = ndarray::Array1::from_elem(targets.outputs(), 9.0);
            targets.write(1, image.view(), into.view_mut());
            assert_eq!(into.to_vec(), expected, "{targets:?}");
        }
    }
}
