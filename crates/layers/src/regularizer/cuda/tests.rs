//! The kernel prices and slopes as the CPU does.

use super::super::{apply, penalty};
use crate::Tally;
use gradus_tensor::{Context, Device, Param, Path, Regularizer, Shape, Tensor, fields};
use gradus_testing::{Cases, Tolerance, assert_close, gpu};

struct Model {
    kernel: Param,
    bias: Param,
    free: Param,
}

fields! { Model: param kernel, param bias, param free }

fn model(device: &Device, lengths: [usize; 3]) -> Model {
    let mut cases = Cases::new("regularizer kernel", lengths[0] as u32);
    let mut param = |n: usize, regularizer| {
        let draw = |values: Vec<f32>| Tensor::from_slice(Shape::new(&[n]), &values).on(device);
        let mut value = cases.normal(n);
        value[n / 2] = 0.0;
        Param { value: draw(value), grad: draw(cases.normal(n)), regularizer, ..Param::default() }
    };
    Model {
        kernel: param(lengths[0], Some(Regularizer { l1: 0.1, l2: 0.2 })),
        bias: param(lengths[1], Some(Regularizer::l1(0.3))),
        free: param(lengths[2], None),
    }
}

#[test]
fn the_kernel_is_the_engine_of_the_cpu() {
    let Some(gpu) = gpu() else { return };
    for lengths in [[1, 2, 3], [1023, 1025, 7], [5000, 33, 1]] {
        let mut tallies = Vec::new();
        let mut gradients = Vec::new();
        for device in [Device::Cpu, Device::Cuda(gpu.clone())] {
            let (mut cx, mut model) = (Context::new(device.clone(), 1), model(&device, lengths));
            let (mut path, mut tally) = (Path::default(), Tally::default());
            penalty(&mut cx, &mut path, &model, 3, &mut tally);
            apply(&mut cx, &mut path, &mut model, 5, &mut tally);
            tally.collect(&mut cx);
            tallies.push(tally);
            let grads = [&model.kernel, &model.bias, &model.free].map(|p| p.grad.on(&Device::Cpu));
            gradients.push(grads.map(|grad| grad.slice::<f32>().to_vec()));
        }
        assert_eq!(gradients[0], gradients[1], "the same bits");
        let (expected, actual) = (tallies[0], tallies[1]);
        let nearly = Tolerance { abs: 0.0, rel: 1e-12 };
        assert_close("penalty", &[actual.loss_sum], &[expected.loss_sum], nearly);
        assert_eq!((actual.judged, actual.samples), (0, 0));
    }
    gpu.synchronize().expect("a sound device");
}
