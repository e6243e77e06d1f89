//! The kernels equal the definition to the last bit.

use super::super::{AveragePooling2D, definition};
use crate::Padding;
use crate::pooling::tests::{array, random_geometry};
use crate::trial::kernels_agree;
use gradus_tensor::{Device, Shape, Tensor};
use gradus_testing::{Cases, gpu};

#[test]
fn the_kernels_are_the_definition_to_the_last_bit() {
    let Some(gpu) = gpu() else { return };
    let device = Device::Cuda(gpu.clone());
    for case in 0..40 {
        let mut cases = Cases::new("average pooling kernels", case);
        let g = random_geometry(&mut cases);
        let (x, dy) = (cases.normal(g.x().len()), cases.normal(g.y().len()));
        let (mut y, mut dx) = (array(g.y(), &dy), array(g.x(), &x));
        definition::forward(&g, array(g.x(), &x).view(), y.view_mut());
        definition::backward(&g, array(g.y(), &dy).view(), dx.view_mut());

        let x = Tensor::from_slice(g.x(), &x).on(&device);
        let dy = Tensor::from_slice(g.y(), &dy).on(&device);
        let (mut y_there, mut dx_there) = (dy.clone(), x.clone());
        super::forward(&gpu, &g, x.gpu(), y_there.gpu_mut());
        super::backward(&gpu, &g, dy.gpu(), dx_there.gpu_mut());
        gpu.synchronize().unwrap();
        let [y_there, dx_there] = [y_there, dx_there].map(|tensor| tensor.on(&Device::Cpu));
        assert_eq!(y_there.slice::<f32>(), y.as_slice().unwrap(), "case {case}: {g:?}");
        assert_eq!(dx_there.slice::<f32>(), dx.as_slice().unwrap(), "case {case}: {g:?}");
    }
}

#[test]
fn a_layer_on_a_gpu_is_the_layer() {
    let x = Shape::new(&[2, 9, 8, 12]);
    kernels_agree("average pooling", || AveragePooling2D::new(2), x, 4);
    let overlapping = || AveragePooling2D::new(3).strides(2).padding(Padding::Same);
    kernels_agree("overlapping average pooling", overlapping, x, 9);
}
