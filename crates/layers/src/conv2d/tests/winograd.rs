//! Winograd's algorithm against the definition: odd sizes, every padding, how far it rounds.

use super::*;
use crate::conv2d::cpu::Algorithm;

/// A geometry that suits it: odd extents, all paddings, channels that fill no group of filters.
fn random_geometry(cases: &mut Cases) -> Geometry {
    loop {
        let [c, k] = [(); 2].map(|()| cases.one_of(&[32, 48, 64, 80]));
        let [n, h, w] = [3, 27, 27].map(|most| cases.extent(1, most));
        let explicit = [(); 2].map(|()| [cases.extent(0, 2), cases.extent(0, 2)]);
        let padding = cases.one_of(&[Padding::Valid, Padding::Same, Padding::Explicit(explicit)]);
        let (x, kernel) = (Shape::new(&[n, h, w, c]), Shape::new(&[3, 3, c, k]));
        if let Ok(g) = Geometry::new(x, kernel, [1, 1], padding, [1, 1])
            && Algorithm::pick(&g) == Algorithm::Winograd
        {
            return g;
        }
    }
}

/// ‖a − e‖ / ‖e‖.
pub(in crate::conv2d) fn relative(actual: &Array4<f32>, expected: &Array4<f64>) -> f64 {
    let off = (actual.mapv(f64::from) - expected).mapv(|d| d * d).sum();
    (off / expected.mapv(|e| e * e).sum()).sqrt()
}

/// Errors of z, dx and dkernel.
fn errors(actual: &Results<f32>, expected: &Results<f64>) -> [f64; 3] {
    [
        relative(&actual.z, &expected.z),
        relative(&actual.dx, &expected.dx),
        relative(&actual.dkernel, &expected.dkernel),
    ]
}

#[test]
fn winograd_is_the_definition_on_every_instruction_set() {
    for case in 0..16 {
        let mut cases = Cases::new("winograd engine", case);
        let g = random_geometry(&mut cases);
        let arrays = Arrays::random(&g, &mut cases);
        let expected = arrays.in_f64().by_definition(&g);
        for isa in Isa::available() {
            let what = format!("case {case} on {isa:?}, {g:?}");
            let alone = arrays.by_engine(&g, isa, 1);
            let errors = errors(&alone, &expected);
            assert!(errors.iter().all(|e| *e < 1e-5), "{what}: z, dx, dkernel off by {errors:?}");
            assert_eq!(alone, arrays.by_engine(&g, isa, 3), "{what}: 1 and 3 threads differ");
        }
    }
}

#[test]
fn an_image_has_the_same_pixels_in_every_batch() {
    let kernel = Shape::new(&[3, 3, 32, 48]);
    let of = |n| {
        let x = Shape::new(&[n, 9, 14, 32]);
        Geometry::new(x, kernel, [1, 1], Padding::Same, [1, 1]).unwrap()
    };
    let arrays = Arrays::random(&of(40), &mut Cases::new("winograd batches", 0));
    let all = arrays.by_engine(&of(40), Isa::detect(), 2);
    let first = |n: usize, a: &Array4<f32>| a.slice_axis(Axis(0), (..n).into()).to_owned();
    for n in [1, 2, 17] {
        let few = Arrays { x: first(n, &arrays.x), dz: first(n, &arrays.dz), ..arrays.clone() };
        let few = few.by_engine(&of(n), Isa::detect(), 2);
        assert_eq!((few.z, few.dx), (first(n, &all.z), first(n, &all.dx)), "{n} of 40 images");
    }
}

#[test]
fn memory_for_a_batch_is_enough_for_a_smaller_one() {
    let sizes = [1, 2, 3, 5, 8, 9, 15, 16, 40, 128].map(|n| {
        let (x, kernel) = (Shape::new(&[n, 9, 14, 32]), Shape::new(&[3, 3, 32, 48]));
        let g = Geometry::new(x, kernel, [1, 1], Padding::Same, [1, 1]).unwrap();
        assert_eq!(Algorithm::pick(&g), Algorithm::Winograd);
        (cpu::scratch(&g), cpu::desk(&g))
    });
    assert!(sizes.iter().is_sorted_by_key(|s| s.0), "{sizes:?}");
    assert!(sizes.iter().is_sorted_by_key(|s| s.1), "{sizes:?}");
}

#[test]
fn exactness_is_had_by_asking() {
    let (x, kernel) = (Shape::new(&[1, 12, 12, 32]), Shape::new(&[3, 3, 32, 32]));
    let g = Geometry::new(x, kernel, [1, 1], Padding::Same, [1, 1]).unwrap();
    assert_eq!(Algorithm::pick_exact(&g), Algorithm::Direct);
    let arrays = Arrays::random(&g, &mut Cases::new("winograd exact", 0));
    let expected = arrays.in_f64().by_definition(&g);
    let [fast, exact] = [false, true].map(|exact| {
        let results = arrays.by_engine_exact(&g, Isa::detect(), 2, exact);
        errors(&results, &expected)
    });
    for (fast, exact) in fast.iter().zip(exact) {
        assert!(2.0 * exact < *fast, "plain sums are off by {exact}, Winograd's by {fast}");
    }
}

/// The sizes of the second and third convolution of the tutorial's network, at its batch of 15:
/// what Winograd loses there against f64. The definition would take minutes for all of it, so z and
/// dx are those of one image, and dkernel, for which every pixel of the batch counts, is that of
/// four filters.
#[test]
fn the_error_on_the_tutorial_s_network_is_small() {
    for (case, [side, c, k]) in [[63, 32, 64], [30, 64, 128]].into_iter().enumerate() {
        let of = |n, k| {
            let (x, kernel) = (Shape::new(&[n, side, side, c]), Shape::new(&[3, 3, c, k]));
            Geometry::new(x, kernel, [1, 1], Padding::Valid, [1, 1]).unwrap()
        };
        let g = of(15, k);
        let mut arrays = Arrays::random(&g, &mut Cases::new("winograd error", case as u32));
        arrays.bias.fill(0.0);
        let scale = (2.0 / g.taps() as f32).sqrt();
        arrays.kernel *= scale;
        let actual = arrays.by_engine(&g, Isa::detect(), 2);
        let first = |axis, n: usize, a: &Array4<f32>| {
            a.slice_axis(Axis(axis), (..n).into()).as_standard_layout().to_owned()
        };
        let (x, dz) = (first(0, 1, &arrays.x), first(0, 1, &arrays.dz));
        let image = Arrays { x, dz, ..arrays.clone() }.in_f64().by_definition(&of(1, k));
        let mut dkernel = Array4::zeros((3, 3, c, 4));
        let dz = first(3, 4, &arrays.dz).mapv(f64::from);
        let x = arrays.x.mapv(f64::from);
        definition::backward_weight(&of(15, 4), x.view(), dz.view(), dkernel.view_mut());
        let errors = [
            relative(&first(0, 1, &actual.z), &image.z),
            relative(&first(0, 1, &actual.dx), &image.dx),
            relative(&first(3, 4, &actual.dkernel), &dkernel),
        ];
        assert!(errors.iter().all(|e| *e < 2e-5), "{side}: z, dx, dkernel off by {errors:?}");
    }
}
