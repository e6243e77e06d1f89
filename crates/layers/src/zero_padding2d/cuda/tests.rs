//! The kernels equal the definition to the last bit.

use super::super::{Borders, ZeroPadding2D, definition};
use crate::Layer;
use crate::pooling::tests::array;
use crate::trial::kernels_agree;
use gradus_tensor::{Device, Shape, Tensor};
use gradus_testing::{Cases, gpu};

#[test]
fn the_kernels_are_the_definition_to_the_last_bit() {
    let Some(gpu) = gpu() else { return };
    let device = Device::Cuda(gpu.clone());
    for case in 0..40 {
        let mut cases = Cases::new("zero padding kernels", case);
        let padding = [(); 2].map(|()| [cases.extent(0, 4), cases.extent(0, 4)]);
        let extents = [3, 9, 9, 17].map(|most| cases.extent(1, most));
        let shape = Shape::new(&extents);
        let like = ZeroPadding2D::new(padding).output_shape(shape).unwrap();
        let (x, dy) = (cases.normal(shape.len()), cases.normal(like.len()));
        let (mut y, mut dx) = (array(like, &dy), array(shape, &x));
        definition::forward(Borders(padding), array(shape, &x).view(), y.view_mut());
        definition::backward(Borders(padding), array(like, &dy).view(), dx.view_mut());

        let x = Tensor::from_slice(shape, &x).on(&device);
        let dy = Tensor::from_slice(like, &dy).on(&device);
        let (mut y_there, mut dx_there) = (dy.clone(), x.clone());
        super::forward(&gpu, Borders(padding), extents, x.gpu(), y_there.gpu_mut());
        super::backward(&gpu, Borders(padding), extents, dy.gpu(), dx_there.gpu_mut());
        gpu.synchronize().unwrap();
        let [y_there, dx_there] = [y_there, dx_there].map(|tensor| tensor.on(&Device::Cpu));
        let what = format!("case {case}: {padding:?} around {shape}");
        assert_eq!(y_there.slice::<f32>(), y.as_slice().unwrap(), "{what}");
        assert_eq!(dx_there.slice::<f32>(), dx.as_slice().unwrap(), "{what}");
    }
}

#[test]
fn a_layer_on_a_gpu_is_the_layer() {
    let layer = || ZeroPadding2D::new([[1, 2], [0, 3]]);
    kernels_agree("zero padding", layer, Shape::new(&[2, 3, 4, 8]), 1);
}
