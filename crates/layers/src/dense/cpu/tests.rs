//! That the pass which updates on its way is the plain passes one after the other.

use super::*;
use gradus_tensor::ndarray::Array2;
use gradus_testing::Cases;
use std::sync::Mutex;

/// w ← w − g/4, keeping count of what was updated.
#[derive(Debug)]
struct Quarter(Mutex<Vec<u32>>);

impl TileUpdate for Quarter {
    unsafe fn update(&self, first: usize, values: &mut [f32], grads: &[f32]) {
        assert_eq!(values.len(), grads.len());
        values.iter_mut().zip(grads).for_each(|(w, g)| *w -= g / 4.0);
        let mut counts = self.0.lock().unwrap();
        counts[first..first + values.len()].iter_mut().for_each(|count| *count += 1);
    }

    fn prefetch(&self, _: usize, _: usize) {}
}

#[test]
fn one_pass_is_the_three_passes_bit_for_bit() {
    let odd = [1, 2, 7, 8, 9, 15, 16, 17, 33, 47, 64, 65];
    for number in 0..60 {
        let mut cases = Cases::new("dense update", number);
        let mut extents = [cases.one_of(&odd), cases.one_of(&odd), cases.one_of(&odd)];
        // Some with many samples, several tasks, several panels.
        let which = number as usize % 4;
        if which < 3 {
            extents[which] = cases.extent(1, [130, 2200, 600][which]);
        }
        let [n, i, j] = extents;
        let mut of = |n, m| Array2::from_shape_vec((n, m), cases.normal(n * m)).unwrap();
        let (x, kernel, dz) = (of(n, i), of(i, j), of(n, j));
        for isa in Isa::available() {
            for threads in [1, 3] {
                let mut ws = Workspace::new(threads);
                ws.scratch.reserve(scratch(n, i, j));
                ws.scratch.take(scratch(n, i, j)).fill(f32::NAN);
                let (mut dx, mut dw) = (Array2::zeros((n, i)), Array2::zeros((i, j)));
                backward_input(isa, &mut ws, kernel.view(), dz.view(), dx.view_mut());
                backward_weight(isa, &mut ws, x.view(), dz.view(), dw.view_mut());
                let updated = &kernel - &(dw / 4.0);
                for with_dx in [true, false] {
                    let update = Quarter(Mutex::new(vec![0; i * j]));
                    let (mut w, mut dx2) = (kernel.clone(), Array2::from_elem((n, i), 9.0));
                    let (x, dz) = (x.view(), dz.view());
                    let place = with_dx.then(|| dx2.view_mut());
                    backward_and_update(isa, &mut ws, x, dz, w.view_mut(), place, &update);
                    let what = format!("{extents:?}, {isa:?}, {threads} threads, dx {with_dx}");
                    assert!(w == updated, "W of {what}");
                    assert!(!with_dx || dx2 == dx, "dx of {what}");
                    assert!(update.0.lock().unwrap().iter().all(|c| *c == 1), "once: {what}");
                }
            }
        }
    }
}
