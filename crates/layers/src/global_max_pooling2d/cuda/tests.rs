//! The kernels equal the definition to the last bit.

use super::super::GlobalMaxPooling2D;
use super::super::tests::definition;
use crate::trial::kernels_agree;
use gradus_tensor::gpu::Gpu;
use gradus_tensor::ndarray::{Array2, Array3};
use gradus_tensor::{Device, Shape, Tensor};
use gradus_testing::{Cases, gpu};

/// y and dx of the kernels.
fn kernels(gpu: &Gpu, x: &Array3<f32>, dy: &Array2<f32>) -> (Vec<f32>, Vec<f32>) {
    let device = Device::Cuda(gpu.clone());
    let there =
        |values: &[f32]| Tensor::from_slice(Shape::new(&[values.len()]), values).on(&device);
    let extents = x.dim().into();
    let (x, dy) = (there(x.as_slice().unwrap()), there(dy.as_slice().unwrap()));
    let (mut y, mut dx) = (dy.clone(), x.clone());
    super::forward(gpu, extents, x.gpu(), y.gpu_mut());
    super::backward(gpu, extents, x.gpu(), y.gpu(), dy.gpu(), dx.gpu_mut());
    gpu.synchronize().unwrap();
    let [y, dx] = [y, dx].map(|tensor| tensor.on(&Device::Cpu).slice::<f32>().to_vec());
    (y, dx)
}

#[test]
fn the_kernels_are_the_definition_to_the_last_bit() {
    let Some(gpu) = gpu() else { return };
    for case in 0..30 {
        let mut cases = Cases::new("global max kernels", case);
        let [n, pixels, c] = [3, 90, 70].map(|most| cases.extent(1, most));
        let x = Array3::from_shape_vec((n, pixels, c), cases.normal(n * pixels * c)).unwrap();
        // Half of the cases are full of ties.
        let x = if case % 2 == 0 { x.mapv(f32::round) } else { x };
        let dy = Array2::from_shape_vec((n, c), cases.normal(n * c)).unwrap();
        let (y, dx) = definition(x.view(), &dy);
        let expected = (y.into_raw_vec_and_offset().0, dx.into_raw_vec_and_offset().0);
        assert_eq!(kernels(&gpu, &x, &dy), expected, "{n}·{pixels}·{c}");
    }
}

#[test]
fn ties_share_the_gradient_and_a_nan_beats_everything_on_a_gpu() {
    let Some(gpu) = gpu() else { return };
    let x = vec![3.0, 1.0, 3.0, f32::NAN, 2.0, 5.0, 3.0, 0.0];
    let x = Array3::from_shape_vec((1, 4, 2), x).unwrap();
    let (y, dx) = kernels(&gpu, &x, &Array2::from_elem((1, 2), 6.0));
    assert!(y[0] == 3.0 && y[1].is_nan(), "{y:?}");
    for (i, dx) in dx.iter().enumerate() {
        match i {
            4 => assert_eq!(*dx, 0.0),
            i if i % 2 == 0 => assert_eq!(*dx, 2.0),
            _ => assert!(dx.is_nan(), "{dx}"),
        }
    }
}

#[test]
fn a_layer_on_a_gpu_is_the_layer() {
    for x in [[2, 5, 6, 8], [3, 1, 1, 5]] {
        let layer = GlobalMaxPooling2D::new();
        kernels_agree("global max pooling", || layer, Shape::new(&x), 1);
        let layer = layer.keepdims(true);
        kernels_agree("global max pooling, kept", || layer, Shape::new(&x), 1);
    }
}
