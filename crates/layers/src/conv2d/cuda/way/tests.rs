//! The moments that a convolution leaves are those of what it wrote.

use super::super::tests::every_tile;
use super::super::{forward, scratch};
use super::*;
use crate::Padding;
use crate::batch_normalization::{cuda::merge, definition};
use crate::conv2d::tests::{Arrays, random_geometry};
use gradus_tensor::ndarray::ArrayView2;
use gradus_tensor::{Device, Shape, Tensor};
use gradus_testing::{Cases, Tolerance, assert_close, gpu};

const PRECISIONS: [Precision; 3] = [Precision::F32, Precision::Tf32, Precision::Bf16];

fn geometry(groups: usize, x: [usize; 4], kernel: [usize; 4], strides: [usize; 2]) -> Geometry {
    let (x, kernel) = (Shape::new(&x), Shape::new(&kernel));
    Geometry::grouped(groups, x, kernel, strides, Padding::Same, [1, 1]).unwrap()
}

/// Every kernel that takes moments, of several tiles that are not full, and of a single row.
fn judged() -> Vec<Geometry> {
    vec![
        geometry(1, [2, 9, 10, 8], [3, 3, 8, 68], [1, 1]),
        geometry(1, [3, 11, 10, 5], [3, 3, 5, 31], [1, 1]),
        geometry(1, [2, 13, 11, 5], [2, 2, 5, 37], [1, 1]),
        geometry(1, [2, 12, 9, 16], [3, 3, 16, 12], [1, 1]),
        geometry(2, [2, 12, 17, 16], [3, 2, 8, 72], [2, 1]),
        geometry(3, [1, 9, 15, 15], [1, 3, 5, 18], [1, 1]),
        geometry(1, [1, 1, 1, 8], [1, 1, 8, 4], [1, 1]),
        geometry(1, [2, 19, 35, 3], [3, 3, 3, 33], [1, 1]),
        geometry(1, [3, 9, 7, 1], [5, 4, 1, 6], [1, 3]),
    ]
}

/// y; and mean, the rest of it and variance from its moments, if there were any.
#[derive(Debug, PartialEq)]
struct Results {
    y: Vec<u32>,
    statistics: Option<[Vec<f32>; 3]>,
}

fn by_kernels(
    gpu: &Gpu,
    precision: Precision,
    g: &Geometry,
    arrays: &Arrays<f32>,
    relu: bool,
) -> Results {
    let device = Device::Cuda(gpu.clone());
    let there = |shape: Shape, values: &[f32]| Tensor::from_slice(shape, values).on(&device);
    let stale = |shape: Shape| there(shape, &vec![f32::NAN; shape.len()]);
    let [x, kernel] = [(g.x(), &arrays.x), (g.kernel(), &arrays.kernel)]
        .map(|(s, a)| there(s, a.as_slice().unwrap()));
    let of_filters = Shape::new(&[g.k]);
    let bias = there(of_filters, arrays.bias.as_slice().unwrap());
    let (epilogue, of) = (Epilogue { bias: bias.gpu(), relu }, [x.gpu(), kernel.gpu()]);
    let [mut y, mut alone] = [(); 2].map(|()| stale(g.y()));
    let mut room = stale(Shape::new(&[scratch(g) + moments_scratch(g)]));
    let (p, room) = (Arithmetic::from(precision), &mut room);
    forward(gpu, p, g, of, epilogue, room.gpu_mut(), alone.gpu_mut());
    let mut into = [(); 3].map(|()| stale(of_filters));
    let pieces = forward_with_moments(gpu, p, g, of, epilogue, room.gpu_mut(), y.gpu_mut().into());
    let judged = pieces.map(|pieces| {
        merge(gpu, &pieces, into.each_mut().map(Tensor::gpu_mut), None);
    });
    gpu.synchronize().unwrap();
    let numbers = |t: &Tensor| t.on(&Device::Cpu).slice::<f32>().to_vec();
    let bits = |t: &Tensor| numbers(t).iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&y), bits(&alone), "{p:?}, {g:?}: y with and without moments");
    Results { y: bits(&y), statistics: judged.map(|()| into.each_ref().map(numbers)) }
}

/// Holds the moments against the definition, in f64, of the very y.
fn check(what: &str, g: &Geometry, results: &Results) {
    let y: Vec<f32> = results.y.iter().map(|&bits| f32::from_bits(bits)).collect();
    check_moments(what, g.k, &y, results.statistics.as_ref().expect("moments"));
}

/// The same of mean, the rest of it and variance.
pub(in crate::conv2d::cuda) fn check_moments(
    what: &str,
    filters: usize,
    y: &[f32],
    [nearest, rest, judged]: &[Vec<f32>; 3],
) {
    let y: Vec<f64> = y.iter().map(|&v| f64::from(v)).collect();
    let rows = ArrayView2::from_shape((y.len() / filters, filters), &y).unwrap();
    let [mut mean, mut variance] = [(); 2].map(|()| vec![0.0; filters]);
    definition::statistics(rows, &mut mean, &mut variance);
    let few = Tolerance::for_reduction(1);
    assert_close(&format!("{what}: variance"), judged, &variance, few);
    for (k, mean) in mean.iter().enumerate() {
        let off = (f64::from(nearest[k]) + f64::from(rest[k]) - mean).abs();
        let most = few.abs + few.rel * variance[k].sqrt();
        assert!(off <= most, "{what}: the mean of filter {k}, {mean}, is {off} off, not {most}");
    }
}

#[test]
fn every_way_leaves_the_moments_of_what_it_wrote() {
    let Some(gpu) = gpu() else { return };
    let mut kernels = Vec::new();
    for (case, g) in judged().into_iter().enumerate() {
        let mut arrays = Arrays::random(&g, &mut Cases::new("conv2d moments", case as u32));
        for (precision, relu) in PRECISIONS.into_iter().flat_map(|p| [(p, true), (p, false)]) {
            // Far from 0 the moments are as exact as near it.
            arrays.bias.mapv_inplace(|v| if relu { v } else { v + 1e4 });
            let what = format!("{precision:?}, relu {relu}, {g:?}");
            let results = by_kernels(&gpu, precision, &g, &arrays, relu);
            check(&what, &g, &results);
            assert_eq!(results, by_kernels(&gpu, precision, &g, &arrays, relu), "{what}: again");
            arrays.bias.mapv_inplace(|v| if relu { v } else { v - 1e4 });
        }
        kernels.extend(PRECISIONS.map(|precision| match Way::of(&gpu, precision.into(), &g) {
            Way::Tiles(pass) => format!("{:?} {} {}", pass.precision, pass.narrow, pass.quads),
            way => format!("{way:?}"),
        }));
    }
    kernels.sort_unstable();
    kernels.dedup();
    // In f32 wide, square, narrow, slim and direct; rounded wide, narrow, and not by quads for few
    // columns. (A device before 8.0 has those of f32 alone.)
    assert!(matches!(kernels.len(), 5 | 11), "{kernels:?}");
}

#[test]
fn what_is_in_parts_or_depthwise_leaves_none() {
    let Some(gpu) = gpu() else { return };
    let parts = geometry(1, [1, 2, 3, 64], [3, 3, 64, 12], [1, 1]);
    let depthwise = geometry(12, [1, 5, 5, 12], [3, 3, 1, 12], [1, 1]);
    for g in [parts, depthwise] {
        let arrays = Arrays::random(&g, &mut Cases::new("conv2d no moments", 0));
        for precision in PRECISIONS {
            let results = by_kernels(&gpu, precision, &g, &arrays, true);
            assert_eq!(results.statistics, None, "{g:?}");
        }
    }
}

#[test]
fn an_outlier_costs_no_accuracy_and_a_nan_stays_in_its_filter() {
    let Some(gpu) = gpu() else { return };
    let (pixel, kernel) = ([1, 20, 10, 8], [1, 1, 8, 8]);
    for g in [geometry(1, pixel, kernel, [1, 1]), geometry(1, [1, 20, 10, 2], [1, 1, 2, 8], [1, 1])]
    {
        let mut arrays = Arrays::random(&g, &mut Cases::new("conv2d moments of outliers", 0));
        for (row, outlier) in [(0, 1e3), (1, 1e3), (150, -1e3)] {
            let mut far = arrays.clone();
            let pixel = &mut far.x.as_slice_mut().unwrap()[row * g.c..][..g.c];
            pixel.fill(outlier);
            for precision in PRECISIONS {
                let what = format!("{precision:?}, {outlier} in row {row} of {g:?}");
                check(&what, &g, &by_kernels(&gpu, precision, &g, &far, false));
            }
        }
        arrays.bias[3] = f32::NAN;
        for precision in PRECISIONS {
            let results = by_kernels(&gpu, precision, &g, &arrays, true);
            for of_filters in results.statistics.expect("moments") {
                assert!(of_filters.iter().enumerate().all(|(k, v)| v.is_nan() == (k == 3)));
            }
        }
    }
}

#[test]
fn scratch_for_the_moments_of_a_batch_is_enough_for_a_smaller_one() {
    let random = (0..100).map(|case| random_geometry(&mut Cases::new("moments scratch", case)));
    for g in random.chain(every_tile()).chain(judged()) {
        let of = |n: usize| moments_scratch(&Geometry { n, ..g });
        let sizes = [1, 2, 3, 4, 5, 6, 15, 17, 100, 400].map(of);
        assert!(sizes.is_sorted(), "{sizes:?} of {g:?}");
    }
}
