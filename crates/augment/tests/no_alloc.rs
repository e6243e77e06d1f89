//! After the first image nothing is allocated any more, whatever is on: a counting allocator watches.

use gradus_augment::{
    ColorJitter, CutMix, Erasure, ImageDataGenerator, MixUp, Pipeline, RandAugment, RandomErasing,
    RandomResizedCrop,
};
use gradus_random::{Key, Transform as _};
use ndarray::{Array2, Array3, Array4};
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
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A generator with everything on, fitted.
fn everything() -> ImageDataGenerator {
    let mut generator = ImageDataGenerator::builder()
        .rotation_range(30.0)
        .width_shift_range(vec![0.1, 0.2])
        .zoom_range(0.2)
        .horizontal_flip(true)
        .channel_shift_range(20.0)
        .brightness_range([0.5, 1.5])
        .preprocessing_function(|mut image| image.mapv_inplace(|x| x + 1.0))
        .rescale(1.0 / 255.0)
        .samplewise_std_normalization(true)
        .zca_whitening(true)
        .build()
        .unwrap();
    let images =
        Array4::from_shape_fn((9, 12, 10, 3), |(i, r, c, k)| (i * r * 7 + c * k * 5) as u8);
    generator.fit(images.view(), false, 1, 0).unwrap();
    generator
}

#[test]
fn an_image_in_steady_state_allocates_nothing() {
    let noise = Erasure::Noise { low: 0.0, high: 255.0 };
    let pipeline = Pipeline::new()
        .then(RandomResizedCrop::default())
        .then(ColorJitter::new(0.4, 0.4, 0.4, 0.1).unwrap())
        .then(RandAugment::new(8, 20).unwrap())
        .then(RandomErasing::new(1.0, [0.1, 0.4], [0.5, 2.0], noise).unwrap())
        .then(everything());
    let generator = ImageDataGenerator::builder().rotation_range(15.0).rescale(1.0 / 255.0);
    let tutorial = generator.build().unwrap().transform();
    let (all, transform) = (everything().transform(), pipeline.transform());
    let (mixup, cutmix) = (MixUp::default(), CutMix::default());

    let photo = Array3::from_shape_fn((12, 10, 3), |(r, c, k)| (r * 20 + c * 3 + k * 50) as u8);
    let mut images = Array4::<f32>::zeros((2, 12, 10, 3));
    let mut targets = Array2::<f32>::eye(2);
    let mut counts = Vec::new();
    for index in 0..60 {
        let key = Key { seed: 1, epoch: 0, index };
        let before = COUNT.load(Ordering::Relaxed);
        for mut image in images.outer_iter_mut() {
            tutorial.apply(key.into(), photo.view(), image.view_mut());
            all.apply(key.into(), photo.view(), image.view_mut());
            transform.apply(key.into(), photo.view(), image);
        }
        let cut = cutmix.draw(key, [12, 10]);
        cutmix.apply(&cut, images.view_mut(), targets.view_mut());
        mixup.apply(mixup.draw(key), images.view_mut(), targets.view_mut());
        counts.push(COUNT.load(Ordering::Relaxed) - before);
    }
    let warm = &counts[30..];
    assert!(counts[0] > 0, "the first image makes the working memory, or nothing is counted");
    assert!(warm.iter().all(|&n| n == 0), "allocations for each batch: {counts:?}");
    assert!(images.iter().all(|x| x.is_finite()));
}
