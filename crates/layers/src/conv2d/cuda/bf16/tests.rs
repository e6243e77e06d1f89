//! With y and dz in bf16 the kernels give the bits that those over f32 give of the same numbers.

use super::super::tests::every_rounded_tile;
use super::super::way::tests::check_moments;
use super::super::{
    backward_input_in_tiles, backward_input_of, backward_weight_in_tiles, backward_weight_of,
    forward_in_tiles, forward_to, forward_with_moments, hopper, moments_scratch, scratch,
};
use super::*;
use crate::batch_normalization::cuda::merge;
use crate::conv2d::tests::{Arrays, array, random_geometry};
use crate::stored::tests::{packed, rounded, unpacked};
use crate::stored::{Stored, StoredMut};
use gradus_tensor::{Device, Shape, Tensor};
use gradus_testing::{Cases, Tolerance, assert_close, gpu_with_tensor_cores};

/// Those of every tile and of random ones whose filters go by fours: with channels that do and do
/// not, and sums in parts and whole.
fn geometries() -> Vec<Geometry> {
    let random = (0..60).map(|case| random_geometry(&mut Cases::new("conv2d in bf16", case)));
    let images = [[2, 19, 35, 3], [1, 20, 21, 1], [1, 2, 3, 70]].map(|x: [usize; 4]| {
        let kernel = Shape::new(&[3, 3, x[3], 36]);
        Geometry::new(Shape::new(&x), kernel, [1, 1], crate::Padding::Same, [1, 1]).unwrap()
    });
    let all = every_rounded_tile().into_iter().chain(random).chain(images);
    all.filter(|g| (g.k / g.groups).is_multiple_of(4) && !super::super::depthwise::fits(g))
        .collect()
}

/// Which of the three kernels of a pass it is.
fn kind(pass: &Pass) -> &'static str {
    pass.rounded(["one by one", "wide, by quads", "narrow, by quads"])
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

fn bits_of(tensor: &Tensor) -> Vec<u32> {
    bits(tensor.on(&Device::Cpu).slice())
}

/// The arrays of a convolution on a device, dz in both forms; and what can be written, stale.
struct There {
    x: Tensor,
    kernel: Tensor,
    bias: Tensor,
    wide: Tensor,
    dz: Tensor,
    room: Tensor,
    device: Device,
}

impl There {
    fn new(gpu: &Gpu, g: &Geometry, arrays: &Arrays<f32>) -> Self {
        let device = Device::Cuda(gpu.clone());
        let there = |shape, values: &[f32]| Tensor::from_slice(shape, values).on(&device);
        let dz = arrays.dz.as_slice().unwrap();
        Self {
            x: there(g.x(), arrays.x.as_slice().unwrap()),
            kernel: there(g.kernel(), arrays.kernel.as_slice().unwrap()),
            bias: there(Shape::new(&[g.k]), arrays.bias.as_slice().unwrap()),
            wide: there(g.y(), &rounded(dz)),
            dz: packed(g.y(), dz, &device),
            room: there(Shape::new(&[scratch(g) + moments_scratch(g)]), &{
                vec![f32::NAN; scratch(g) + moments_scratch(g)]
            }),
            device,
        }
    }

    fn stale(&self, shape: Shape) -> Tensor {
        Tensor::from_slice(shape, &vec![f32::NAN; shape.len()]).on(&self.device)
    }
}

fn dz_of(tensor: &Tensor) -> GpuView<'_, u16> {
    match Stored::of(tensor, true) {
        Stored::Bf16(view) => view,
        Stored::F32(_) => unreachable!("asked for bf16"),
    }
}

#[test]
fn y_is_rounded_once_and_its_moments_are_those_of_what_is_written() {
    let Some(gpu) = gpu_with_tensor_cores() else { return };
    let whole = |g: &Geometry| Pass::forward(g, Precision::Bf16).parts == 1;
    let mut kernels = Vec::new();
    for (case, g) in geometries().into_iter().filter(whole).enumerate() {
        let arrays = Arrays::random(&g, &mut Cases::new("conv2d y in bf16", case as u32));
        let mut at = There::new(&gpu, &g, &arrays);
        for relu in [true, false] {
            let what = format!("relu {relu}, {g:?}");
            let (mut y, mut judged, mut wide) = (at.stale(g.y()), at.stale(g.y()), at.stale(g.y()));
            let of = [at.x.gpu(), at.kernel.gpu()];
            let epilogue = Epilogue { bias: at.bias.gpu(), relu };
            let room = at.room.gpu_mut();
            let p = Arithmetic::from(Precision::Bf16);
            forward_to(&gpu, p, &g, of, epilogue, room, StoredMut::of(&mut y, true));
            let room = at.room.gpu_mut();
            forward_in_tiles(&gpu, Precision::Bf16, &g, of, epilogue, room, wide.gpu_mut());
            let mut into = [(); 3].map(|()| Tensor::from_slice(at.bias.shape(), &vec![9.0; g.k]));
            into = into.map(|tensor| tensor.on(&at.device));
            let room = at.room.gpu_mut();
            let pieces = forward_with_moments(
                &gpu,
                p,
                &g,
                of,
                epilogue,
                room,
                StoredMut::of(&mut judged, true),
            )
            .unwrap();
            merge(&gpu, &pieces, into.each_mut().map(Tensor::gpu_mut), None);
            gpu.synchronize().unwrap();
            let written = unpacked(&y);
            let wide = rounded(wide.on(&Device::Cpu).slice());
            assert_eq!(bits(&written), bits(&wide), "{what}");
            assert_eq!(bits(&written), bits(&unpacked(&judged)), "{what}: with moments");
            let moments = into.map(|tensor| tensor.on(&Device::Cpu).slice::<f32>().to_vec());
            check_moments(&what, g.k, &written, &moments);
        }
        let pass = Pass::forward(&g, Precision::Bf16);
        kernels.push(kind(&pass));
    }
    kernels.sort_unstable();
    kernels.dedup();
    assert_eq!(kernels.len(), 3, "{kernels:?}");
}

#[test]
fn dkernel_and_dx_have_the_bits_of_the_same_dz_in_f32() {
    let Some(gpu) = gpu_with_tensor_cores() else { return };
    let mut kernels = Vec::new();
    for (case, g) in geometries().into_iter().enumerate() {
        let arrays = Arrays::random(&g, &mut Cases::new("conv2d dz in bf16", case as u32));
        let mut at = There::new(&gpu, &g, &arrays);
        let mut outs = [g.kernel(), g.kernel(), g.x(), g.x()].map(|shape| at.stale(shape));
        let [dkernel, wide_dkernel, dx, wide_dx] = &mut outs;
        let (x, kernel, dz, wide) = (at.x.gpu(), at.kernel.gpu(), dz_of(&at.dz), at.wide.gpu());
        let (p, of_kernel, of_x) = (Precision::Bf16, [x, wide], [wide, kernel]);
        backward_weight(&gpu, &g, x, dz, at.room.gpu_mut(), dkernel.gpu_mut());
        let room = at.room.gpu_mut();
        backward_weight_in_tiles(&gpu, p, &g, of_kernel, room, wide_dkernel.gpu_mut());
        backward_input(&gpu, &g, dz, kernel, at.room.gpu_mut(), dx.gpu_mut());
        let room = at.room.gpu_mut();
        backward_input_in_tiles(&gpu, p, &g, of_x, room, wide_dx.gpu_mut());
        gpu.synchronize().unwrap();
        assert_eq!(bits_of(dkernel), bits_of(wide_dkernel), "dkernel of {g:?}");
        let (input, weight) = (Pass::backward_input_of_bf16(&g), Pass::weight(&g, p));
        if input.quads {
            assert_eq!(bits_of(dx), bits_of(wide_dx), "dx of {g:?}");
        } else {
            // The one over f32 does not round; nor does this one where nothing is left to round.
            check_dx(&gpu, &g, &arrays);
        }
        kernels.push(("dx", kind(&input), input.parts > 1));
        kernels.push(("dkernel", kind(&weight), weight.parts > 1));
    }
    kernels.sort_unstable();
    kernels.dedup();
    assert_eq!(kernels.len(), 6 + 6, "{kernels:?}");
}

/// dx of a kernel that bf16 can say, against the definition.
fn check_dx(gpu: &Gpu, g: &Geometry, arrays: &Arrays<f32>) {
    let mut arrays = arrays.clone();
    arrays.kernel = array(g.kernel(), rounded(arrays.kernel.as_slice().unwrap()));
    arrays.dz = array(g.y(), rounded(arrays.dz.as_slice().unwrap()));
    let expected = arrays.in_f64().by_definition(g).dx;
    let mut at = There::new(gpu, g, &arrays);
    let mut dx = at.stale(g.x());
    let (dz, kernel) = (dz_of(&at.dz), at.kernel.gpu());
    backward_input(gpu, g, dz, kernel, at.room.gpu_mut(), dx.gpu_mut());
    gpu.synchronize().unwrap();
    let tolerance = Tolerance::for_reduction(g.r * g.s * g.k / g.groups);
    let (dx, expected) = (dx.on(&Device::Cpu), expected.as_slice().unwrap());
    assert_close(&format!("dx of {g:?}"), dx.slice::<f32>(), expected, tolerance);
}

#[test]
fn a_lost_gradient_reaches_what_it_is_part_of() {
    let Some(gpu) = gpu_with_tensor_cores() else { return };
    let (x, kernel) = (Shape::new(&[1, 9, 8, 8]), Shape::new(&[3, 3, 8, 12]));
    let g = Geometry::new(x, kernel, [1, 1], crate::Padding::Same, [1, 1]).unwrap();
    let mut arrays = Arrays::random(&g, &mut Cases::new("conv2d lost dz in bf16", 0));
    // The first number of all, whose address stands for those beyond the edge, whose values are 0.
    arrays.dz[[0, 0, 0, 0]] = f32::NAN;
    let mut at = There::new(&gpu, &g, &arrays);
    let [mut dx, mut dkernel] = [g.x(), g.kernel()].map(|shape| at.stale(shape));
    let dz = dz_of(&at.dz);
    backward_input(&gpu, &g, dz, at.kernel.gpu(), at.room.gpu_mut(), dx.gpu_mut());
    backward_weight(&gpu, &g, at.x.gpu(), dz, at.room.gpu_mut(), dkernel.gpu_mut());
    gpu.synchronize().unwrap();
    let [dx, dkernel] = [dx, dkernel].map(|tensor| tensor.on(&Device::Cpu));
    for (i, v) in dx.slice::<f32>().iter().enumerate() {
        let (h, w) = (i / 8 / 8, i / 8 % 8);
        assert_eq!(v.is_nan(), h < 2 && w < 2, "dx at {h}, {w}");
    }
    for (i, v) in dkernel.slice::<f32>().iter().enumerate() {
        assert_eq!(v.is_nan(), i % 12 == 0, "dkernel at {i}");
    }
}

#[test]
fn it_is_for_bf16_whole_sums_and_filters_by_fours() {
    let Some(gpu) = gpu_with_tensor_cores() else { return };
    let of = |x: [usize; 4], k: usize| {
        let kernel = Shape::new(&[3, 3, x[3], k]);
        Geometry::new(Shape::new(&x), kernel, [1, 1], crate::Padding::Same, [1, 1]).unwrap()
    };
    let image = of([15, 64, 64, 3], 32);
    for (g, expected) in
        [(image, true), (of([15, 64, 64, 3], 30), false), (of([1, 5, 7, 64], 12), false)]
    {
        assert_eq!(keeps(&gpu, Precision::Bf16.into(), &g), expected, "{g:?}");
        for precision in [Precision::F32, Precision::Tf32] {
            assert!(!keeps(&gpu, precision.into(), &g), "{precision:?}");
        }
    }
}

/// Hopper's kernels, where there is one: y is theirs rounded, and dx and dkernel have their bits.
#[test]
fn hopper_s_kernels_over_bf16_are_those_over_f32() {
    let Some(gpu) = hopper::tests::a_hopper() else { return };
    for (case, g) in hopper::tests::ragged().into_iter().enumerate() {
        let arrays = Arrays::random(&g, &mut Cases::new("hopper in bf16", case as u32));
        let mut at = There::new(&gpu, &g, &arrays);
        at.room = at.stale(Shape::new(&[hopper::scratch(&g)]));
        let shapes = [g.y(), g.y(), g.x(), g.x(), g.kernel(), g.kernel()];
        let [mut y, mut wide_y, mut dx, mut wide_dx, mut dkernel, mut wide_dkernel] =
            shapes.map(|shape| at.stale(shape));
        let (x, kernel, dz) = (at.x.gpu(), at.kernel.gpu(), Stored::of(&at.dz, true));
        let (wide, room) = (at.wide.gpu(), &mut at.room);
        let epilogue = Epilogue { bias: at.bias.gpu(), relu: true };
        let to = StoredMut::of(&mut y, true);
        hopper::forward_to(&gpu, &g, [x, kernel], epilogue, room.gpu_mut(), to);
        let of = [x, kernel];
        hopper::forward(&gpu, &g, of, epilogue, room.gpu_mut(), wide_y.gpu_mut());
        hopper::backward_input_of(&gpu, &g, dz, kernel, room.gpu_mut(), dx.gpu_mut());
        hopper::backward_input(&gpu, &g, [wide, kernel], room.gpu_mut(), wide_dx.gpu_mut());
        let into = dkernel.gpu_mut();
        hopper::weight::backward_weight_of(&gpu, &g, x, dz, room.gpu_mut(), into);
        let into = wide_dkernel.gpu_mut();
        hopper::weight::backward_weight(&gpu, &g, [x, wide], room.gpu_mut(), into);
        gpu.synchronize().unwrap();
        let rounded = rounded(wide_y.on(&Device::Cpu).slice());
        assert_eq!(bits(&unpacked(&y)), bits(&rounded), "y of {g:?}");
        assert_eq!(bits_of(&dx), bits_of(&wide_dx), "dx of {g:?}");
        assert_eq!(bits_of(&dkernel), bits_of(&wide_dkernel), "dkernel of {g:?}");
    }
}

/// Where they pay they are chosen, in all three passes, and leave no moments.
#[test]
fn hopper_s_kernels_are_chosen_for_bf16_too() {
    let Some(gpu) = hopper::tests::a_hopper() else { return };
    let g = hopper::tests::geometry([1, 92, 92, 64], [3, 3, 128], crate::Padding::Same);
    let p = Precision::Bf16;
    let [forward, input] = [hopper::Problem::forward(&g), hopper::Problem::backward_input(&g)];
    assert!([forward, input].iter().all(|problem| hopper::chosen(&gpu, p, &g, problem)));
    assert!(hopper::weight::chosen(&gpu, p, &g) && keeps(&gpu, p.into(), &g));
    let arrays = Arrays::random(&g, &mut Cases::new("hopper in bf16", 9));
    let mut at = There::new(&gpu, &g, &arrays);
    let shapes = [g.y(), g.y(), g.x(), g.x(), g.kernel(), g.kernel()];
    let [mut y, mut own_y, mut dx, mut own_dx, mut dkernel, mut own_dkernel] =
        shapes.map(|shape| at.stale(shape));
    let (x, kernel, dz) = (at.x.gpu(), at.kernel.gpu(), dz_of(&at.dz));
    let (of, epilogue, room) = ([x, kernel], Epilogue::none(), &mut at.room);
    let to = StoredMut::of(&mut y, true);
    let pieces = forward_with_moments(&gpu, p.into(), &g, of, epilogue, room.gpu_mut(), to);
    assert!(pieces.is_none(), "moments");
    let to = StoredMut::of(&mut own_y, true);
    hopper::forward_to(&gpu, &g, of, epilogue, room.gpu_mut(), to);
    let of = Stored::Bf16(dz);
    backward_input_of(&gpu, p.into(), &g, of, kernel, room.gpu_mut(), dx.gpu_mut());
    hopper::backward_input_of(&gpu, &g, of, kernel, room.gpu_mut(), own_dx.gpu_mut());
    backward_weight_of(&gpu, p.into(), &g, x, of, room.gpu_mut(), dkernel.gpu_mut());
    let into = own_dkernel.gpu_mut();
    hopper::weight::backward_weight_of(&gpu, &g, x, of, room.gpu_mut(), into);
    gpu.synchronize().unwrap();
    for (name, chosen, own) in
        [("y", &y, &own_y), ("dx", &dx, &own_dx), ("dkernel", &dkernel, &own_dkernel)]
    {
        assert_eq!(bits_of(chosen), bits_of(own), "{name}");
    }
}
