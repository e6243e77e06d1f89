//! After two steps nothing is allocated any more: a counting allocator watches the third.

use gradus::layers::Tally;
use gradus::prelude::*;
use gradus::tensor::Shape;
use gradus::train::{Batch, Step};
use gradus_testing::Cases;
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

#[test]
fn a_step_in_steady_state_allocates_nothing() {
    let (n, side) = (6, 48);
    let mut cases = Cases::new("no alloc", 0);
    let images = Array4::from_shape_vec((n, side, side, 3), cases.normal(n * side * side * 3));
    let images = images.expect("as many pixels");
    let targets = Array2::from_shape_fn((n, 2), |(i, k)| f32::from(u8::from(i % 2 == k)));
    let input = Shape::new(&[n, side, side, 3]);
    let mut network = models::dogs_vs_cats();
    network.build_on(input, &Device::Cpu, 1).expect("the layers fit");
    let mut context = Context::new(Device::Cpu, 2);
    context.step.learning_rate = 1e-3;
    let (mut loss, optimizer) = (CategoricalCrossentropy::new(), RMSprop::default());
    network.split_head(|head| gradus::layers::Loss::take_logits(&mut loss, head));
    let mut step = Step::new(&network, input, &mut context, Box::new(loss), Box::new(optimizer))
        .expect("fits");

    let whole = Batch::new(images.view(), targets.view());
    let short = Batch::new(images.slice(s![..4, .., .., ..]), targets.slice(s![..4, ..]));
    let mut tally = Tally::default();
    let mut counts = Vec::new();
    for batch in [&whole, &short, &whole, &short, &whole] {
        let before = COUNT.load(Ordering::Relaxed);
        step.train(&mut network, &mut context, batch, &mut tally);
        step.evaluate(&network, &mut context, batch, &mut tally);
        counts.push(COUNT.load(Ordering::Relaxed) - before);
    }
    assert_eq!(counts[2..], [0, 0, 0], "allocations in each step: {counts:?}");
    assert!(tally.loss().is_finite());
}
