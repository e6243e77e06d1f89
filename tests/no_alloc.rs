//! After two steps nothing is allocated any more: a counting allocator watches the third. Nor is it
//! on the host of a GPU once steps are recorded.

use gradus::layers::{Regularizer, Tally};
use gradus::optim::{Clip, Optimizer};
use gradus::prelude::*;
use gradus::random::PixelMap;
use gradus::tensor::Shape;
use gradus::train::{Batch, Images, Step};
use gradus_testing::{Cases, gpu};
use ndarray::{Array2, Array4, s};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The system's allocator, counting.
struct Counting;

static COUNT: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Every branch, and what else a network may have.
fn branched() -> Sequential {
    let body = Sequential::new()
        .add(Conv2D::new(8, 3).padding(Padding::Same).kernel_regularizer(Regularizer::l2(1e-3)))
        .add(BatchNormalization::new())
        .add(ReLU::new())
        .add(Conv2D::new(8, 3).padding(Padding::from(1)).groups(2).activation(Activation::Silu));
    let shortcut = Sequential::new().add(Conv2D::new(8, 1));
    let branches = Concatenate::new()
        .branch(Sequential::new().add(AveragePooling2D::new(2)))
        .branch(Sequential::new().add(MaxPooling2D::new(2)).add(Dropout::new(0.5)));
    Sequential::new()
        .add(Residual::new(body).shortcut(shortcut).activation(Activation::Relu))
        .add(branches)
        .add(GlobalAveragePooling2D::new())
        .add(Dense::new(2).activation(Activation::Softmax))
}

/// Allocations on the host in each of seven steps, and of judging after each. On a GPU images are
/// bytes.
fn allocations(
    device: &Device,
    mut network: Sequential,
    optimizer: impl Optimizer + 'static,
    [n, side]: [usize; 2],
) -> Vec<usize> {
    let mut cases = Cases::new("no alloc", 0);
    let images = Array4::from_shape_vec((n, side, side, 3), cases.normal(n * side * side * 3));
    let images = images.expect("as many pixels");
    let targets = Array2::from_shape_fn((n, 2), |(i, k)| f32::from(u8::from(i % 2 == k)));
    let input = Shape::new(&[n, side, side, 3]);
    network.build_on(input, device, 1).expect("the layers fit");
    let mut context = Context::new(device.clone(), 2);
    context.step.learning_rate = 1e-3;
    let mut loss = CategoricalCrossentropy::new();
    network.split_head(|head| gradus::layers::Loss::take_logits(&mut loss, head));
    let mut step = Step::new(&network, input, &mut context, Box::new(loss), Box::new(optimizer))
        .expect("fits");
    let pixels = images.mapv(|v| (128.0 + 40.0 * v) as u8);
    let maps = vec![PixelMap { rescale: 1.0 / 255.0, ..PixelMap::default() }; n];
    let batch = |n: usize| {
        let images = match device {
            Device::Cpu => Images::Floats(images.slice(s![..n, .., .., ..])),
            Device::Cuda(_) => {
                Images::Bytes { pixels: pixels.slice(s![..n, .., .., ..]), maps: &maps[..n] }
            }
        };
        Batch::new(images, targets.slice(s![..n, ..]))
    };
    let (whole, short) = (batch(n), batch(4));
    let (mut tally, mut counts) = (Tally::default(), Vec::with_capacity(7));
    for batch in [&whole, &short, &whole, &short, &whole, &short, &whole] {
        let before = COUNT.load(Ordering::Relaxed);
        step.train(&mut network, &mut context, batch, &mut tally);
        step.evaluate(&network, &mut context, batch, &mut tally);
        counts.push(COUNT.load(Ordering::Relaxed) - before);
        context.check().expect("a sound device");
    }
    tally.collect(&mut context);
    assert!(tally.loss().is_finite());
    counts
}

/// One test: the counter sees every thread.
#[test]
fn a_step_in_steady_state_allocates_nothing() {
    let counts = allocations(&Device::Cpu, models::dogs_vs_cats(), RMSprop::default(), [6, 48]);
    assert_eq!(counts[2..], [0; 5], "allocations in each step: {counts:?}");
    let adam = || Adam::new().clip(Clip::GlobalNorm(1.0)).weight_decay(1e-4);
    let counts = allocations(&Device::Cpu, branched(), adam(), [6, 20]);
    assert_eq!(counts[2..], [0; 5], "allocations in each step with branches: {counts:?}");
    let Some(gpu) = gpu() else { return };
    // The first step of a size works, the second is recorded, from the third on it is replayed.
    let counts = allocations(&Device::Cuda(gpu), branched(), adam(), [6, 20]);
    assert_eq!(counts[4..], [0; 3], "allocations in each step on a GPU: {counts:?}");
}
