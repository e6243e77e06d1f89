//! The kernels equal the definition to the last bit.

use super::super::tests::definition;
use super::super::{Geometry, MaxPooling2D};
use crate::Padding;
use crate::pooling::tests::{array, random_geometry};
use crate::trial::kernels_agree;
use gradus_tensor::gpu::Gpu;
use gradus_tensor::ndarray::Array4;
use gradus_tensor::{Device, Shape, Spec, Tensor};
use gradus_testing::{Cases, gpu};

/// y, argmax and dx of the kernels; y of inference is the same.
fn kernels(
    gpu: &Gpu,
    g: &Geometry,
    x: &Array4<f32>,
    dy: &Array4<f32>,
) -> (Array4<f32>, Array4<u8>, Array4<f32>) {
    let device = Device::Cuda(gpu.clone());
    let there =
        |shape, a: &Array4<f32>| Tensor::from_slice(shape, a.as_slice().unwrap()).on(&device);
    let (x, dy) = (there(g.x(), x), there(g.y(), dy));
    let (mut y, mut inferred, mut dx) = (dy.clone(), dy.clone(), x.clone());
    let mut argmax = Tensor::zeros(Spec::u8(g.y()), &device);
    super::forward(gpu, g, x.gpu(), y.gpu_mut(), argmax.gpu_mut());
    super::infer(gpu, g, x.gpu(), inferred.gpu_mut());
    super::backward(gpu, g, dy.gpu(), argmax.gpu(), dx.gpu_mut());
    gpu.synchronize().unwrap();
    let [y, inferred, argmax, dx] = [y, inferred, argmax, dx].map(|t| t.on(&Device::Cpu));
    let bits = |t: &Tensor| t.slice::<f32>().iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&y), bits(&inferred), "forward and infer, {g:?}");
    let argmax = array(g.y(), argmax.slice());
    (array(g.y(), y.slice()), argmax, array(g.x(), dx.slice()))
}

#[test]
fn the_kernels_are_the_definition_to_the_last_bit() {
    let Some(gpu) = gpu() else { return };
    for case in 0..40 {
        let mut cases = Cases::new("max pooling kernels", case);
        let g = random_geometry(&mut cases);
        let (x, dy) = (cases.normal(g.x().len()), cases.normal(g.y().len()));
        let (mut x, dy) = (array(g.x(), &x), array(g.y(), &dy));
        if case % 3 == 0 {
            // Mostly ties, as behind a relu.
            x.mapv_inplace(|v| v.round().max(0.0));
        }
        assert_eq!(kernels(&gpu, &g, &x, &dy), definition(&g, &x, &dy), "case {case}: {g:?}");
    }
}

#[test]
fn ties_go_to_the_first_and_a_nan_beats_everything_on_a_gpu() {
    let Some(gpu) = gpu() else { return };
    let (nan, low) = (f32::NAN, f32::NEG_INFINITY);
    let g = Geometry::new(Shape::new(&[1, 2, 2, 1]), [2; 2], [2; 2], Padding::Valid).unwrap();
    for (x, winner) in [
        ([0.0, 1.0, 1.0, 1.0], 1),
        ([-0.0, 0.0, -1.0, 0.0], 0),
        ([low, low, low, low], 0),
        ([5.0, nan, 9.0, nan], 1),
        ([nan, 5.0, f32::INFINITY, 1.0], 0),
        ([low, 5.0, 1.0, nan], 3),
    ] {
        let (x, dy) = (array(g.x(), &x), array(g.y(), &[1.0]));
        let (y, argmax, dx) = kernels(&gpu, &g, &x, &dy);
        let value = x.as_slice().unwrap()[winner].to_bits();
        assert_eq!((y[[0; 4]].to_bits(), argmax[[0; 4]]), (value, winner as u8), "{x}");
        assert_eq!((dx.as_slice().unwrap()[winner], dx.sum()), (1.0, 1.0), "{x}");
    }
}

#[test]
fn a_layer_on_a_gpu_is_the_layer() {
    let x = Shape::new(&[2, 9, 8, 12]);
    kernels_agree("max pooling", || MaxPooling2D::new(2), x, 1);
    let overlapping = || MaxPooling2D::new(3).strides(2).padding(Padding::Same);
    kernels_agree("overlapping max pooling", overlapping, x, 9);
}
