//! The kernels equal the definition.

use super::super::{GlobalAveragePooling2D, definition};
use crate::trial::kernels_agree;
use gradus_tensor::ndarray::{Array2, Array3};
use gradus_tensor::{Device, Shape, Tensor};
use gradus_testing::{Cases, Tolerance, assert_close, gpu};

#[test]
fn the_kernels_are_the_definition() {
    let Some(gpu) = gpu() else { return };
    let device = Device::Cuda(gpu.clone());
    for case in 0..30 {
        let mut cases = Cases::new("global average kernels", case);
        let [n, pixels, c] = [3, 90, 70].map(|most| cases.extent(1, most));
        let x = Array3::from_shape_vec((n, pixels, c), cases.normal(n * pixels * c)).unwrap();
        let dy = Array2::from_shape_vec((n, c), cases.normal(n * c)).unwrap();
        let (mut y, mut dx) = (dy.mapv(f64::from), x.mapv(f64::from));
        definition::forward(x.mapv(f64::from).view(), y.view_mut());
        definition::backward(dy.mapv(f64::from).view(), dx.view_mut());

        let there =
            |values: &[f32]| Tensor::from_slice(Shape::new(&[values.len()]), values).on(&device);
        let (x, dy) = (there(x.as_slice().unwrap()), there(dy.as_slice().unwrap()));
        let (mut y_there, mut dx_there) = (dy.clone(), x.clone());
        super::forward(&gpu, [n, pixels, c], x.gpu(), y_there.gpu_mut());
        super::backward(&gpu, [n, pixels, c], dy.gpu(), dx_there.gpu_mut());
        gpu.synchronize().unwrap();
        let [y_there, dx_there] = [y_there, dx_there].map(|tensor| tensor.on(&Device::Cpu));
        let (what, sum) = (format!("{n}·{pixels}·{c}"), Tolerance::for_reduction);
        assert_close(&what, y_there.slice::<f32>(), y.as_slice().unwrap(), sum(pixels));
        assert_close(&what, dx_there.slice::<f32>(), dx.as_slice().unwrap(), sum(1));
    }
}

#[test]
fn a_layer_on_a_gpu_is_the_layer() {
    for x in [[2, 5, 6, 8], [3, 1, 1, 5]] {
        let layer = GlobalAveragePooling2D::new();
        kernels_agree("global average pooling", || layer, Shape::new(&x), 30);
        let layer = layer.keepdims(true);
        kernels_agree("global average pooling, kept", || layer, Shape::new(&x), 30);
    }
}
