//! The kernels equal the definition to the last bit.

use super::super::{Residual, definition};
use crate::trial::kernels_agree;
use crate::{Activation, AveragePooling2D, BatchNormalization, MaxPooling2D, Padding};
use gradus_tensor::{Device, Shape, Tensor};
use gradus_testing::{Cases, gpu};

#[test]
fn the_kernels_are_the_definition_to_the_last_bit() {
    let Some(gpu) = gpu() else { return };
    let device = Device::Cuda(gpu.clone());
    for (case, n) in [1, 4, 7, 1000, 4099].into_iter().enumerate() {
        for relu in [false, true] {
            let mut cases = Cases::new("residual kernels", case as u32);
            let [body, shortcut, dy] = [(); 3].map(|()| cases.normal(n));
            let mut y = vec![0.0; n];
            definition::forward(&body, &shortcut, &mut y);
            y.iter_mut().for_each(|y| *y = if relu && *y < 0.0 { 0.0 } else { *y });
            let dz: Vec<f32> =
                dy.iter().zip(&y).map(|(dy, y)| dy * f32::from(u8::from(*y != 0.0))).collect();

            let there = |values: &[f32]| Tensor::from_slice(Shape::new(&[n]), values).on(&device);
            let [body, shortcut, mut dy_there] = [&body, &shortcut, &dy].map(|v| there(v));
            let (mut y_there, mut sum, mut dz_there) = (body.clone(), body.clone(), body.clone());
            super::forward(&gpu, relu, body.gpu(), shortcut.gpu(), y_there.gpu_mut());
            super::add(&gpu, relu, shortcut.gpu(), sum.gpu_mut());
            super::backward(&gpu, y_there.gpu(), dy_there.gpu_mut(), dz_there.gpu_mut());
            gpu.synchronize().unwrap();
            let [y_there, sum, dy_there, dz_there] =
                [y_there, sum, dy_there, dz_there].map(|tensor| tensor.on(&Device::Cpu));
            for (actual, expected) in
                [(&y_there, &y), (&sum, &y), (&dy_there, &dz), (&dz_there, &dz)]
            {
                assert_eq!(actual.slice::<f32>(), expected, "{n} numbers, relu: {relu}");
            }
        }
    }
}

#[test]
fn blocks_on_a_gpu_are_the_blocks() {
    let x = Shape::new(&[3, 5, 4, 6]);
    for activation in [Activation::Linear, Activation::Relu] {
        let block = || Residual::new(BatchNormalization::new()).activation(activation);
        kernels_agree("residual", block, x, 30);
        let block = || {
            let body = MaxPooling2D::new(3).strides(2).padding(Padding::Same);
            let shortcut = AveragePooling2D::new(2).strides(2).padding(Padding::Same);
            Residual::new(body).shortcut(shortcut).activation(activation)
        };
        kernels_agree("residual with a shortcut", block, x, 30);
    }
}
