//! The kernels equal the definition to the last bit.

use super::super::{Draw, Dropout, definition};
use crate::trial::kernels_agree;
use gradus_tensor::{Context, Device, Shape, Spec, StepScalars, Tensor};
use gradus_testing::{Cases, gpu};

#[test]
fn the_kernels_are_the_definition_to_the_last_bit() {
    let Some(gpu) = gpu() else { return };
    let mut cx = Context::new(Device::Cuda(gpu.clone()), 1);
    for (case, rate) in [0.0, 0.25, 0.5, 0.9, 1.0].into_iter().enumerate() {
        let mut cases = Cases::new("dropout kernels", case as u32);
        for n in [1, 7, 8, 33, 4097] {
            cx.step = StepScalars { step: (1 << 33) + 5, seed: 7 << 40 | 3, learning_rate: 0.1 };
            cx.publish_step();
            let (draw, x) = (Draw { rate, layer: 5, step: cx.step }, cases.normal(n));
            let (mut y, mut mask, mut dx) = (vec![0.0; n], vec![0; n], vec![0.0; n]);
            definition::forward(&draw, &x, &mut y, &mut mask);
            definition::backward(&draw, &x, &mask, &mut dx);

            let shape = Shape::new(&[n]);
            let on_gpu = Tensor::from_slice(shape, &x).on(&cx.device);
            let [mut y_there, mut dx_there] = [(); 2].map(|()| on_gpu.clone());
            let mut mask_there = Tensor::zeros(Spec::u8(shape), &cx.device);
            // What a recorded step was recorded with means nothing.
            let recorded = Draw { step: StepScalars::default(), ..draw };
            let kept = mask_there.gpu_mut();
            let now = cx.published_step();
            super::forward(&gpu, &recorded, now, on_gpu.gpu(), y_there.gpu_mut(), kept);
            let kept = mask_there.gpu();
            super::backward(&gpu, &recorded, on_gpu.gpu(), kept, dx_there.gpu_mut());
            gpu.synchronize().unwrap();
            let [y_there, dx_there, mask_there] =
                [y_there, dx_there, mask_there].map(|tensor| tensor.on(&Device::Cpu));
            assert_eq!(mask_there.slice::<u8>(), mask, "rate {rate}, {n} values");
            assert_eq!(y_there.slice::<f32>(), y, "rate {rate}, {n} values");
            assert_eq!(dx_there.slice::<f32>(), dx, "rate {rate}, {n} values");
        }
    }
}

#[test]
fn a_layer_on_a_gpu_is_the_layer() {
    kernels_agree("dropout", || Dropout::new(0.3), Shape::new(&[3, 5, 7]), 1);
}
