//! The kernels equal the definition.

use super::super::definition;
use super::super::tests::ALL;
use gradus_tensor::ndarray::Array2;
use gradus_tensor::{Context, Device, Shape, Tensor};
use gradus_testing::{Cases, Tolerance, assert_close, gpu};

#[test]
fn the_kernels_are_the_definition() {
    let Some(gpu) = gpu() else { return };
    let cx = Context::new(Device::Cuda(gpu.clone()), 1);
    for activation in ALL {
        for (case, (n, c)) in [(1, 1), (15, 2), (7, 33), (60, 65)].into_iter().enumerate() {
            let mut cases = Cases::new("activation kernels", case as u32);
            let z = Array2::from_shape_vec((n, c), cases.normal(n * c)).unwrap() * 3.0;
            let dy = Array2::from_shape_vec((n, c), cases.normal(n * c)).unwrap();
            let (mut exact_y, mut exact_dz) = (z.mapv(f64::from), dy.mapv(f64::from));
            definition::forward(activation, exact_y.view_mut());
            let kept = if activation.needs_z() { z.mapv(f64::from) } else { exact_y.clone() };
            definition::backward(activation, kept.view(), exact_dz.view_mut());

            let on_gpu = |a: &Array2<f32>| {
                Tensor::from_slice(Shape::new(&[n, c]), a.as_slice().unwrap()).on(&cx.device)
            };
            let (z, mut y, mut dz) = (on_gpu(&z), on_gpu(&z), on_gpu(&dy));
            activation.forward(&cx, &mut y);
            activation.backward(&cx, if activation.needs_z() { &z } else { &y }, &mut dz);
            gpu.synchronize().unwrap();
            let what = format!("{activation:?} {n}·{c}");
            for (actual, exact) in [(&y, &exact_y), (&dz, &exact_dz)] {
                let actual = actual.on(&Device::Cpu);
                let exact = exact.as_slice().unwrap();
                assert_close(&what, actual.slice::<f32>(), exact, Tolerance::for_reduction(c));
            }
        }
    }
}
