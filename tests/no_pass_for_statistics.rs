//! On a GPU the statistics of a batch behind a convolution cost no pass over its output. In a process of
//! its own, which counts what an emulated device is given to do.

use gradus::layers::{Init, Layer as _, Mode, Saved, Sequential};
use gradus::prelude::*;
use gradus::tensor::{Shape, Spec, Tensor};
use gradus_testing::{Cases, emulated_gpu};

/// Kernels that a forward pass of training launches.
fn launches(conv: Conv2D, shape: [usize; 4], frozen: bool) -> Option<i64> {
    let (gpu, emulated) = emulated_gpu()?;
    let device = Device::Cuda(gpu.clone());
    let mut chain = Sequential::new()
        .add(conv.activation(Activation::Relu))
        .add(BatchNormalization::new().trainable(!frozen))
        .add(MaxPooling2D::new(2));
    let shape = Shape::new(&shape);
    chain.build(shape, &mut Init::new(&device, 0)).expect("the layers fit");
    let plan = chain.plan(Spec::f32(shape), Mode::Train).expect("the layers fit");
    let mut context = Context::new(device.clone(), 1);
    plan.reserve(&mut context);
    let mut saved = Saved::allocate(&plan, &device);
    context.publish_step();
    let values = Cases::new("no pass for statistics", 0).normal(shape.len());
    let x = Tensor::from_slice(shape, &values).on(&device);
    let mut y = Tensor::zeros(Spec::f32(saved.output()), &device);
    gpu.synchronize().expect("a sound device");
    let before = emulated.stats().launches;
    chain.forward(&mut context, &x, &mut y, &mut saved);
    gpu.synchronize().expect("a sound device");
    Some(emulated.stats().launches - before)
}

#[test]
fn statistics_cost_no_pass_over_the_output_of_a_convolution() {
    // The convolution, the moments of its tiles merged, and everything behind: images of few
    // channels, and tiles of products.
    for channels in [3, 8] {
        let of = |frozen| launches(Conv2D::new(5, 3), [2, 11, 12, channels], frozen);
        let Some(trained) = of(false) else { return };
        assert_eq!((trained, of(true)), (3, Some(2)), "{channels} channels");
    }
    // A convolution whose sums fall into parts adds these, and its output is read: two more.
    let parts = launches(Conv2D::new(4, 3), [1, 6, 6, 64], false);
    assert_eq!(parts, Some(5), "in parts");
    let depthwise = launches(Conv2D::new(8, 3).groups(8), [1, 6, 6, 8], false);
    assert_eq!(depthwise, Some(4), "depthwise");
}
