//! ZCA whitening: neighbouring pixels say the same thing twice; after this they do not.
//!
//! ```text
//! Formula      X = U·S·Vᵀ transposed, rows of X the images, centred   y = x·W
//!              W = Σₖ √n / (sₖ + ε) · uₖ·uₖᵀ: every direction scaled to deviation one and turned
//!              back, which of all whitenings changes the images least
//! Shapes       X: n·d, d = h·w·C   W: d·d, symmetric   x, y: d
//! Cost         W: of the order of d³ once, and 4·d² bytes; an image: 2·d² flops. d is limited to
//!              [`MAX_VALUES`]: 128·128·3 values would need a matrix of 9.7 GB
//! Conventions  S and U from the eigenvectors of X·Xᵀ or Xᵀ·X, whichever is smaller, in f64 (Keras
//!              takes an SVD in f32). A direction that the data do not have (sₖ below a millionth of
//!              the greatest, the noise of f32) is left out; Keras divides that noise by ε
//! Reference    Bell, Sejnowski: The "independent components" of natural scenes are edge filters.
//!              Vision Research 37, 1997; Keras 3, `ImageDataGenerator.fit`
//! ```

use crate::scratch;
use nalgebra::{DMatrix, SymmetricEigen};
use ndarray::{Array2, ArrayView1, ArrayView2, ArrayViewMut3, Axis};

/// The most values that an image may have, height · width · channels: 4096. The matrix then takes
/// 64 MB, and whitening an image 34 million flops.
pub const MAX_VALUES: usize = 4096;

/// W of the images `x`, one to a row, of mean zero.
pub(crate) fn whitening_matrix(x: ArrayView2<'_, f32>, epsilon: f64) -> Array2<f32> {
    let (n, d) = x.dim();
    let x = DMatrix::from_fn(n, d, |i, j| f64::from(x[[i, j]]));
    let gram = if n < d { &x * x.transpose() } else { x.tr_mul(&x) };
    let SymmetricEigen { eigenvectors, eigenvalues } = SymmetricEigen::new(gram);
    let s = eigenvalues.map(|square| square.max(0.0).sqrt());
    let noise = 1e-6 * s.max();
    let mut u = if n < d { x.tr_mul(&eigenvectors) } else { eigenvectors };
    for (k, mut column) in u.column_iter_mut().enumerate() {
        // Of X·Xᵀ the columns have length sₖ. The root of a weight stands on either side of u·uᵀ.
        let length = if n < d { s[k] } else { 1.0 };
        let weight = ((n as f64).sqrt() / (s[k] + epsilon)).sqrt();
        column *= if s[k] > noise { weight / length } else { 0.0 };
    }
    let w = &u * u.transpose();
    Array2::from_shape_fn((d, d), |(i, j)| w[(i, j)] as f32)
}

/// `image` = `image`·W, flattened.
///
/// # Panics
/// If the matrix was fitted on images of another size.
pub(crate) fn apply(matrix: &Array2<f32>, image: ArrayViewMut3<'_, f32>) {
    assert_eq!(matrix.nrows(), image.len(), "the whitening matrix was fitted on so many values");
    scratch::with_copy(image, |x, mut y| {
        let x = ArrayView1::from(x.as_slice().expect("a copy in standard layout"));
        for (y, row) in y.iter_mut().zip(matrix.axis_iter(Axis(0))) {
            *y = row.dot(&x);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_testing::Cases;

    /// Mixed noise: every value a sum of several.
    fn data(n: usize, d: usize) -> Array2<f32> {
        let mut cases = Cases::new("zca", 0);
        let noise = Array2::from_shape_vec((n, d), cases.normal(n * d)).unwrap();
        noise.dot(&Array2::from_shape_vec((d, d), cases.normal(d * d)).unwrap())
    }

    #[test]
    fn whitened_data_have_the_identity_as_covariance() {
        let x = data(200, 12);
        let w = whitening_matrix(x.view(), 1e-6);
        let y = x.dot(&w);
        let covariance = y.t().dot(&y) / 200.0;
        for ((i, j), &value) in covariance.indexed_iter() {
            assert!((value - f32::from(u8::from(i == j))).abs() < 1e-3, "{i} {j}: {value}");
            assert_eq!(w[[i, j]], w[[j, i]]);
        }
    }

    #[test]
    fn fewer_images_than_values_span_what_they_can() {
        let x = data(5, 12);
        let y = x.dot(&whitening_matrix(x.view(), 1e-6));
        let gram = y.dot(&y.t());
        for ((i, j), &value) in gram.indexed_iter() {
            assert!((value - 5.0 * f32::from(u8::from(i == j))).abs() < 1e-2, "{i} {j}: {value}");
        }
    }

    #[test]
    fn a_direction_without_data_is_left_out() {
        let mut x = data(50, 6);
        x.column_mut(2).fill(0.0);
        let w = whitening_matrix(x.view(), 1e-6);
        assert!(w.iter().all(|v| v.is_finite() && v.abs() < 100.0), "{w}");
        assert!(w.column(2).iter().all(|v| v.abs() < 1e-4));
    }
}
