//! The kernels are the rooms' definitions, one after the other.

use super::{Passes, TILE, scratch, windows};
use crate::batch_normalization::cuda::{self, Cut};
use crate::dropout::Draw;
use crate::max_pooling2d::Geometry;
use crate::pooling::tests::array;
use crate::stored::tests::{packed, rounded, unpacked};
use crate::stored::{Stored, StoredMut};
use crate::trial::{kernels_agree, off_in_bf16};
use crate::{
    Activation, BatchNormalization, Conv2D, Dropout, MaxPooling2D, Padding, Sequential,
    batch_normalization as normalization, dropout, max_pooling2d as pooling,
};
use gradus_tensor::gpu::{Gpu, GpuView, GpuViewMut};
use gradus_tensor::ndarray::{Array2, Array4};
use gradus_tensor::{Context, Device, Shape, Spec, StepScalars, Tensor};
use gradus_testing::{Cases, Tolerance, assert_close, gpu, gpu_with_tensor_cores};

const EPSILON: f32 = 1e-3;

/// What the passes are given.
struct Case {
    g: Geometry,
    draw: Option<Draw>,
    frozen: bool,
    relu: bool,
    z: Vec<f32>,
    dy: Vec<f32>,
    /// Mean, the rest of the mean and variance; gamma and beta, which may be empty.
    statistics: [Vec<f32>; 5],
}

/// What they give.
struct Results<T> {
    y: Vec<T>,
    won: Vec<T>,
    codes: Vec<u8>,
    /// dgamma and dbeta.
    sums: [Vec<T>; 2],
    dz: Vec<T>,
    dbias: Vec<T>,
}

fn geometry(x: [usize; 4], window: [usize; 2]) -> Geometry {
    Geometry::new(Shape::new(&x), window, window, Padding::Valid).unwrap()
}

/// Windows side by side, and most often something behind the last.
fn random_geometry(cases: &mut Cases) -> Geometry {
    let window = cases.one_of(&[[2, 2], [2, 2], [3, 2], [1, 4], [4, 4], [1, 1]]);
    let [h, w] = window.map(|side| cases.extent(side, 17));
    let c = cases.one_of(&[1, 2, 3, 4, 8, 16, 17, 33, 64, 132]);
    geometry([cases.extent(1, 3), h, w, c], window)
}

impl Case {
    fn random(cases: &mut Cases, g: Geometry) -> Self {
        let step = StepScalars { step: (1 << 33) + 5, seed: 7 << 40 | 3, learning_rate: 0.1 };
        let draw = match cases.one_of(&[-1.0, 0.0, 0.25, 0.5, 1.0]) {
            rate if rate < 0.0 => None,
            rate => Some(Draw { rate, layer: 5, step }),
        };
        let relu = cases.one_of(&[true, false]);
        // Steps of 1/64, so that what is equal in f32 is equal in f64, and what is not is far apart.
        let z = cases.normal(g.x().len()).into_iter().map(|v| (v * 64.0).round() / 64.0);
        let z = z.map(|v| if relu { v.max(0.0) } else { v }).collect();
        let mut statistics = [(); 5].map(|()| cases.normal(g.c));
        statistics[1].iter_mut().for_each(|rest| *rest *= 1e-6);
        statistics[2].iter_mut().for_each(|variance| *variance = 0.5 + variance.abs());
        for optional in &mut statistics[3..] {
            if cases.one_of(&[false, false, true]) {
                optional.clear();
            }
        }
        let (frozen, dy) = (cases.one_of(&[false, false, true]), cases.normal(g.y().len()));
        Self { g, draw, frozen, relu, z, dy, statistics }
    }

    /// The definitions, in f64.
    fn definition(&self) -> Results<f64> {
        let Self { g, draw, .. } = self;
        let wide = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
        let [mean, rest, variance, gamma, beta] =
            [0, 1, 2, 3, 4].map(|k| wide(&self.statistics[k]));
        let epsilon = f64::from(EPSILON);
        let n = normalization::Normalization {
            mean: &mean,
            rest: &rest,
            variance: &variance,
            epsilon,
            gamma: &gamma,
            beta: &beta,
        };
        let z = array(g.x(), &wide(&self.z));
        let rows = |a: Array4<f64>| a.into_shape_with_order((g.n * g.h * g.w, g.c)).unwrap();
        let images = |a: Array2<f64>| array(g.x(), a.as_slice().unwrap());
        let flat = rows(z.clone());
        let mut normalized = flat.clone();
        normalization::definition::forward(flat.view(), &n, normalized.view_mut());
        let mut pooled = array(g.y(), &wide(&self.dy));
        let mut argmax = array(g.y(), &vec![0u8; g.y().len()]);
        let normalized = images(normalized);
        pooling::definition::forward(g, normalized.view(), pooled.view_mut(), argmax.view_mut());
        let pooled = pooled.as_slice().unwrap();
        let (mut y, mut mask) = (pooled.to_vec(), vec![1; pooled.len()]);
        let (mut behind, dy) = (wide(&self.dy), wide(&self.dy));
        if let Some(draw) = draw {
            dropout::definition::forward(draw, pooled, &mut y, &mut mask);
            dropout::definition::backward(draw, &dy, &mask, &mut behind);
        }
        let mut d = z.clone();
        pooling::definition::backward(g, array(g.y(), &behind).view(), argmax.view(), d.view_mut());
        let d = rows(d);
        let [mut dgamma, mut dbeta] = [(); 2].map(|()| vec![0.0; g.c]);
        if !self.frozen {
            let into = [&mut dgamma[..], &mut dbeta[..]];
            normalization::definition::backward_parameters(flat.view(), &n, d.view(), into);
        }
        let (mut dz, sums) = (flat.clone(), [&dgamma[..], &dbeta[..]]);
        normalization::definition::backward_input(flat.view(), &n, d.view(), sums, dz.view_mut());
        if self.relu {
            dz.zip_mut_with(&flat, |dz, &z| *dz = if z > 0.0 { *dz } else { 0.0 });
        }
        let won = argmax.indexed_iter().map(|((n, p, q, c), &tap)| {
            let (r, s) = (usize::from(tap) / g.s, usize::from(tap) % g.s);
            z[[n, p * g.r + r, q * g.s + s, c]]
        });
        let codes = argmax.iter().zip(&mask).map(|(tap, kept)| tap | (1 - kept) << 7);
        Results {
            y,
            won: won.collect(),
            codes: codes.collect(),
            dbias: dz.columns().into_iter().map(|column| column.sum()).collect(),
            dz: dz.into_raw_vec_and_offset().0,
            sums: [dgamma, dbeta],
        }
    }

    /// The kernels, aiming at that many blocks where they leave sums.
    fn kernels(&self, gpu: &Gpu, blocks: usize) -> Results<f32> {
        self.kernels_over(gpu, blocks, false)
    }

    /// The same, where z, and dz in its place, may be bf16.
    fn kernels_over(&self, gpu: &Gpu, blocks: usize, bf16: bool) -> Results<f32> {
        let Self { g, draw, .. } = self;
        let mut cx = Context::new(Device::Cuda(gpu.clone()), 1);
        if let Some(draw) = draw {
            cx.step = draw.step;
        }
        cx.publish_step();
        // What a recorded step was recorded with means nothing.
        let recorded = draw.map(|draw| Draw { step: StepScalars::default(), ..draw });
        let there = |shape, values: &[f32]| Tensor::from_slice(shape, values).on(&cx.device);
        let of_channels = |values: &[f32]| there(Shape::new(&[values.len()]), values);
        let tensors = [0, 1, 2, 3, 4].map(|k| match self.statistics[k].as_slice() {
            [] => None,
            values => Some(of_channels(values)),
        });
        let view = |k: usize| tensors[k].as_ref().map_or_else(GpuView::none, Tensor::gpu);
        let n = cuda::Normalization {
            mean: view(0),
            rest: view(1),
            variance: view(2),
            epsilon: EPSILON,
            gamma: view(3),
            beta: view(4),
        };
        let passes = Passes { blocks, ..Passes::new(gpu, g, &n, self.relu) };
        let dy = there(g.y(), &self.dy);
        let mut z = match bf16 {
            true => packed(g.x(), &self.z, &cx.device),
            false => there(g.x(), &self.z),
        };
        let [mut y, mut inferred] = [(); 2].map(|()| dy.clone());
        let mut won = there(g.y(), &vec![f32::NAN; dy.len()]);
        let mut codes = Tensor::zeros(Spec::u8(g.y()), &cx.device);
        let kept = (StoredMut::of(&mut won, bf16), codes.gpu_mut());
        let from = Stored::of(&z, bf16);
        passes.forward(recorded.as_ref(), cx.published_step(), from, y.gpu_mut(), kept);
        passes.infer(from, inferred.gpu_mut());
        let [mut dgamma, mut dbeta, mut of_gamma, mut of_beta, mut dbias] =
            [(); 5].map(|()| of_channels(&vec![9.0; g.c]));
        let mut memory = Tensor::zeros(Spec::f32(Shape::new(&[scratch(g)])), &cx.device);
        let factor = draw.map_or(1.0, |draw| draw.scale());
        let mut sums = [GpuView::none(); 2];
        if !self.frozen {
            let gradients = [of_gamma.gpu_mut(), of_beta.gpu_mut()];
            let into = [[dgamma.gpu_mut(), dbeta.gpu_mut()], gradients];
            let of = (Stored::of(&won, bf16), dy.gpu());
            passes.backward_parameters(memory.gpu_mut(), of, (codes.gpu(), factor), into);
            sums = [dgamma.gpu(), dbeta.gpu()];
        }
        // Without a gradient of the bias dz is the same.
        let mut silent = z.clone();
        let (memory, kept) = (&mut memory, (codes.gpu(), factor));
        let none = GpuViewMut::none();
        let dz = StoredMut::of(&mut silent, bf16);
        passes.backward_input(memory.gpu_mut(), dy.gpu(), kept, sums, dz, none);
        let (dz, into) = (StoredMut::of(&mut z, bf16), dbias.gpu_mut());
        passes.backward_input(memory.gpu_mut(), dy.gpu(), kept, sums, dz, into);
        gpu.synchronize().unwrap();
        let numbers = |t: &Tensor| t.on(&Device::Cpu).slice::<f32>().to_vec();
        assert_eq!(bits(&numbers(&silent)), bits(&numbers(&z)), "with and without dbias");
        let [dgamma, dbeta] = [(&dgamma, &of_gamma), (&dbeta, &of_beta)].map(|(sum, gradient)| {
            assert_eq!(numbers(sum), numbers(gradient), "sums and gradients");
            if self.frozen { vec![0.0; g.c] } else { numbers(sum) }
        });
        if draw.is_none() {
            assert_eq!(bits(&numbers(&inferred)), bits(&numbers(&y)), "inference");
        }
        let codes = codes.on(&Device::Cpu).slice::<u8>().to_vec();
        let [won, dz] = [&won, &z].map(|t| if bf16 { unpacked(t) } else { numbers(t) });
        let [y, dbias] = [&y, &dbias].map(numbers);
        Results { y, won, codes, sums: [dgamma, dbeta], dz, dbias }
    }

    /// Holds the kernels against the definitions.
    fn check(&self, gpu: &Gpu, what: &str) {
        let (expected, few) = (self.definition(), Tolerance::for_reduction(1));
        let what = format!("{what}, {:?}, {:?}, frozen {}", self.g, self.draw, self.frozen);
        // As many blocks as there are; and so few that a thread takes one tile after another.
        for blocks in [Cut::BLOCKS, 1] {
            let actual = self.kernels(gpu, blocks);
            assert_eq!(actual.codes, expected.codes, "{what}: codes");
            assert_close(&format!("{what}: won"), &actual.won, &expected.won, Tolerance::exact());
            assert_close(&format!("{what}: y"), &actual.y, &expected.y, few);
            // Sums are as exact as their largest terms are, and dz is a sum of three.
            let largest = |values: &[f64]| values.iter().fold(0.0f64, |most, v| most.max(v.abs()));
            let (d, rows) = (expected.dz.len() / self.g.c, few.rel * self.largest_term());
            for (name, actual, expected) in [
                ("dgamma", &actual.sums[0], &expected.sums[0]),
                ("dbeta", &actual.sums[1], &expected.sums[1]),
                ("dz", &actual.dz, &expected.dz),
            ] {
                let tolerance = Tolerance { abs: few.abs + rows, ..few };
                assert_close(&format!("{what}: {name}"), actual, expected, tolerance);
            }
            // Behind a batch's own statistics the terms cancel, without relu to the last digit.
            let many = Tolerance::for_reduction(d);
            let tolerance = Tolerance { abs: many.rel * largest(&expected.dz), ..few };
            assert_close(&format!("{what}: dbias"), &actual.dbias, &expected.dbias, tolerance);
        }
    }

    /// The largest of the three terms of dz, and of the terms of the sums.
    fn largest_term(&self) -> f64 {
        let largest = |v: &[f32]| v.iter().fold(0.0f32, |most, v| most.max(v.abs()));
        let factor = self.draw.map_or(1.0, |draw| draw.scale());
        let gamma = largest(&self.statistics[3]).max(1.0);
        let x_hat = largest(&self.z) + largest(&self.statistics[0]);
        f64::from(largest(&self.dy) * factor.max(1.0) * gamma * x_hat.max(1.0) * 2.0)
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn the_kernels_are_the_definitions_one_after_the_other() {
    let Some(gpu) = gpu() else { return };
    for case in 0..40 {
        let mut cases = Cases::new("fused kernels", case);
        let g = random_geometry(&mut cases);
        Case::random(&mut cases, g).check(&gpu, &format!("case {case}"));
    }
}

#[test]
fn many_windows_and_many_channels_are_all_done() {
    let Some(gpu) = gpu() else { return };
    // More windows than a block has threads, and more vectors of channels than a block has lanes.
    for (case, g) in [
        geometry([3, 41, 43, 1], [2, 2]),
        geometry([2, 23, 21, 12], [2, 2]),
        geometry([2, 5, 4, 1030], [2, 2]),
        geometry([1, 5, 7, 520], [2, 3]),
        geometry([1, 12, 12, 4], [11, 11]),
    ]
    .into_iter()
    .enumerate()
    {
        let mut cases = Cases::new("many fused windows", case as u32);
        Case::random(&mut cases, g).check(&gpu, "many");
    }
}

/// Everything has the bits that it has over the same z in f32, but dz, which is rounded.
#[test]
fn over_bf16_the_kernels_are_those_over_f32() {
    let Some(gpu) = gpu() else { return };
    let mut windows = Vec::new();
    for case in 0..40 {
        let mut cases = Cases::new("fused kernels over bf16", case);
        let g = random_geometry(&mut cases);
        if !g.c.is_multiple_of(4) {
            continue;
        }
        let mut case = Case::random(&mut cases, g);
        case.z = rounded(&case.z);
        for blocks in [Cut::BLOCKS, 1] {
            let [wide, narrow] = [false, true].map(|b| case.kernels_over(&gpu, blocks, b));
            assert_eq!(wide.codes, narrow.codes, "{g:?}: codes");
            assert_eq!(bits(&rounded(&wide.dz)), bits(&narrow.dz), "{g:?}: dz");
            for (name, wide, narrow) in [
                ("y", &wide.y, &narrow.y),
                ("won", &wide.won, &narrow.won),
                ("dgamma", &wide.sums[0], &narrow.sums[0]),
                ("dbeta", &wide.sums[1], &narrow.sums[1]),
                ("dbias", &wide.dbias, &narrow.dbias),
            ] {
                assert_eq!(bits(wide), bits(narrow), "{g:?}: {name}");
            }
        }
        windows.push([g.r, g.s] == [2, 2]);
    }
    assert!(windows.contains(&true) && windows.contains(&false), "both kinds of windows");
}

#[test]
fn the_same_bits_come_again() {
    let Some(gpu) = gpu() else { return };
    let mut cases = Cases::new("fused bits", 0);
    let case = Case::random(&mut cases, geometry([3, 21, 17, 8], [2, 2]));
    let [one, two] = [(); 2].map(|()| case.kernels(&gpu, Cut::BLOCKS));
    for (one, two) in [(&one.dz, &two.dz), (&one.dbias, &two.dbias), (&one.sums[0], &two.sums[0])] {
        assert_eq!(bits(one), bits(two));
    }
}

/// The first of equals wins, and a NaN over all: it is not hidden by dropout, and not by relu.
#[test]
fn ties_go_to_the_first_and_a_nan_goes_through_on_a_gpu() {
    let Some(gpu) = gpu() else { return };
    let (nan, low) = (f32::NAN, f32::NEG_INFINITY);
    let step = StepScalars { step: 1, seed: 2, learning_rate: 0.0 };
    for (z, winner) in [
        ([0.0, 1.0, 1.0, 1.0], 1),
        ([low, low, low, low], 0),
        ([5.0, nan, 9.0, nan], 1),
        ([nan, 5.0, f32::INFINITY, 1.0], 0),
        ([low, 5.0, 1.0, nan], 3),
    ] {
        for (c, dy) in [(1, 1.0), (4, 1.0), (1, nan), (4, nan)] {
            let case = Case {
                g: geometry([1, 2, 2, c], [2, 2]),
                draw: Some(Draw { rate: 1.0, layer: 1, step }),
                frozen: true,
                relu: true,
                z: z.iter().flat_map(|&z| vec![z; c]).collect(),
                dy: vec![dy; c],
                statistics: [vec![0.0; c], vec![], vec![1.0; c], vec![], vec![]],
            };
            let Results { y, won, codes, dz, dbias, .. } = case.kernels(&gpu, 1);
            let value = z[winner];
            assert!(won.iter().all(|won| won.to_bits() == value.to_bits()), "{z:?}: {won:?}");
            assert_eq!(codes, vec![0x80 | winner as u8; c], "{z:?}");
            // All is dropped: 0, but for what is no number times 0.
            assert!(y.iter().all(|y| y.is_nan() != value.is_finite()), "{z:?}: {y:?}");
            // What relu cut off has no gradient, however far off it was; a gradient that is no number
            // goes to the winner, though that was dropped.
            let lost =
                |tap: usize| !(z[tap] <= 0.0 || z[tap].is_finite() && (dy == 1.0 || tap != winner));
            for (i, dz) in dz.iter().enumerate() {
                assert_eq!(dz.is_nan(), lost(i / c), "{z:?}, {dy}: {dz:?}");
            }
            assert!(dbias.iter().all(|dbias| dbias.is_nan() == (0..4).any(lost)));
        }
    }
}

#[test]
fn the_scratch_is_enough_for_every_smaller_batch() {
    for (x, window) in [
        ([64, 148, 146, 32], [2, 2]),
        ([700, 9, 9, 33], [2, 2]),
        ([4096, 4, 4, 3], [3, 1]),
        ([300, 30, 31, 2048], [4, 4]),
    ] {
        let g = geometry(x, window);
        for n in 1..=g.n {
            let fewer = Geometry { n, ..g };
            let of = |width: usize| {
                let cut = Cut::with_least(TILE, Cut::BLOCKS, windows(&fewer), g.c.div_ceil(width));
                cut.chunks * g.c
            };
            let products = Cut::of(n * g.p * g.q, g.c).chunks * Cut::SUMS * g.c;
            assert!(of(1).max(of(4)).max(products) <= scratch(&g), "{n} of {g:?}");
        }
    }
}

#[test]
fn layers_together_on_a_gpu_are_the_layers() {
    let x = Shape::new(&[3, 12, 11, 3]);
    for (case, (filters, activation, window)) in [
        (8, Activation::Relu, [2, 2]),
        (5, Activation::Linear, [2, 2]),
        (4, Activation::Relu, [3, 2]),
        (3, Activation::Relu, [1, 4]),
    ]
    .into_iter()
    .enumerate()
    {
        let chain = |frozen: bool, rate: Option<f32>| {
            // Without relu the gradient of a bias is 0, and what is left of it are roundings.
            let bias = case != 3 && (activation == Activation::Relu || frozen);
            let chain = Sequential::new()
                .add(Conv2D::new(filters, 3).activation(activation).use_bias(bias))
                .add(BatchNormalization::new().scale(case != 2).trainable(!frozen).momentum(0.3))
                .add(MaxPooling2D::new(window));
            match rate {
                Some(rate) => chain.add(Dropout::new(rate)),
                None => chain,
            }
        };
        for (frozen, rate) in [(false, Some(0.25)), (false, None), (true, Some(0.5))] {
            let what = format!("together {case}, frozen {frozen}, {rate:?}");
            kernels_agree(&what, || chain(frozen, rate), x, 3 * 10 * 9);
        }
    }
}

/// The convolution's output, and dz in its place, are bf16 in memory. y is off by a unit of bf16 or
/// so. Gradients go to the winners of windows, and where two values of a window are as good as
/// equal, roundings choose another: with the products alone rounded they are off by 5 % here.
#[test]
fn layers_together_in_bf16_are_the_layers_up_to_roundings() {
    let Some(gpu) = gpu_with_tensor_cores() else { return };
    for (filters, frozen) in [(8, false), (68, false), (8, true)] {
        let chain = || {
            Sequential::new()
                .add(Conv2D::new(filters, 3).activation(Activation::Relu))
                .add(BatchNormalization::new().trainable(!frozen).momentum(0.3))
                .add(MaxPooling2D::new(2))
                .add(Dropout::new(0.25))
        };
        let what = format!("{filters} filters, frozen {frozen}");
        for (name, off) in off_in_bf16(&gpu, &what, chain, Shape::new(&[15, 20, 19, 3])) {
            let within = match name.as_str() {
                "y" | "y of inference" => 1e-3..4e-3,
                "dx" | "gradient of conv2d.kernel" => 1e-3..1.2e-1,
                _ => 0.0..6e-2,
            };
            assert!(within.contains(&off), "{what}: {name} is off by {off:.1e}");
        }
    }
}
