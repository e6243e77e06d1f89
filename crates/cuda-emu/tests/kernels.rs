//! Kernels with everything that the device headers offer give the right numbers, by way of unmodified
//! cudarc, and the same ones under every schedule.

mod common;
#[path = "kernels/hopper.rs"]
mod hopper;

use common::{bf16, config, device, from_bf16, numbers};
use cudarc::driver::{LaunchConfig, PushKernelArg};
use gradus_cuda_emu::Schedule;

/// a[m, k] · b[k, n], or b[n, k]ᵀ, in f64.
fn product(a: &[f32], b: &[f32], [m, n, k]: [usize; 3], transposed: bool) -> Vec<f64> {
    let at = |p: usize, j: usize| if transposed { b[j * k + p] } else { b[p * n + j] };
    let cell =
        |i: usize, j: usize| (0..k).map(|p| f64::from(a[i * k + p]) * f64::from(at(p, j))).sum();
    (0..m * n).map(|e| cell(e / n, e % n)).collect()
}

#[track_caller]
fn assert_close(found: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (i, (&f, &e)) in found.iter().zip(expected).enumerate() {
        assert!((f64::from(f) - e).abs() <= tolerance, "element {i}: {f}, expected {e}");
    }
}

#[test]
fn a_tiled_product_is_right_with_ragged_edges_and_leaves_no_memory() {
    let [m, n, k] = [70usize, 131, 33];
    let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
    let expected = product(&a, &b, [m, n, k], false);
    let mut first = None;
    for schedule in Schedule::several() {
        let Some(device) = device(schedule) else { return };
        let before = device.emulated.stats();
        let f = device.function("emu_matmul_f32");
        let (da, db) =
            (device.stream.clone_htod(&a).unwrap(), device.stream.clone_htod(&b).unwrap());
        let mut dc = device.stream.alloc_zeros::<f32>(m * n).unwrap();
        let grid = (n.div_ceil(64) as u32, m.div_ceil(64) as u32, 1);
        let cfg = LaunchConfig { grid_dim: grid, block_dim: (256, 1, 1), shared_mem_bytes: 0 };
        let sizes = [m as i32, n as i32, k as i32];
        let mut launch = device.stream.launch_builder(&f);
        launch.arg(&da).arg(&db).arg(&mut dc).arg(&sizes[0]).arg(&sizes[1]).arg(&sizes[2]);
        // SAFETY: the arguments are the kernel's.
        unsafe { launch.launch(cfg) }.unwrap();
        let c = device.stream.clone_dtoh(&dc).unwrap();
        assert_close(&c, &expected, 1e-4);
        assert_eq!(*first.get_or_insert_with(|| c.clone()), c, "{schedule:?}");
        drop((da, db, dc));
        device.stream.synchronize().unwrap();
        let after = device.emulated.stats();
        assert_eq!((after.live, after.launches - before.launches), (before.live, 1));
        assert_eq!(device.emulated.faults(), []);
    }
}

#[test]
fn moments_by_chan_are_right_and_the_same_under_every_schedule() {
    let [n, c, hw] = [3usize, 5, 77];
    // Every other channel lies far from zero, where a sum of squares would cancel.
    let far = |(i, v): (usize, f32)| if i / hw % c % 2 == 0 { v + 100.0 } else { v };
    let x: Vec<f32> = numbers(n * c * hw, 3).into_iter().enumerate().map(far).collect();
    let channel = |i: usize| {
        let x = &x;
        (0..n * hw).map(move |e| f64::from(x[((e / hw) * c + i) * hw + e % hw]))
    };
    let mean: Vec<f64> = (0..c).map(|i| channel(i).sum::<f64>() / (n * hw) as f64).collect();
    let square = |i: usize| channel(i).map(|v| (v - mean[i]).powi(2)).sum::<f64>();
    let variance: Vec<f64> = (0..c).map(|i| square(i) / (n * hw) as f64).collect();
    let mut first = None;
    for schedule in Schedule::several() {
        let Some(device) = device(schedule) else { return };
        let f = device.function("emu_moments_f32");
        let dx = device.stream.clone_htod(&x).unwrap();
        let mut out = [0, 1].map(|_| device.stream.alloc_zeros::<f32>(c * 96).unwrap());
        let [dm, dv] = &mut out;
        let sizes = [n as i32, c as i32, hw as i32];
        let mut launch = device.stream.launch_builder(&f);
        launch.arg(&dx).arg(dm).arg(dv).arg(&sizes[0]).arg(&sizes[1]).arg(&sizes[2]);
        // SAFETY: the arguments are the kernel's.
        unsafe { launch.launch(config(c as u32, 96)) }.unwrap();
        let found = out.map(|o| device.stream.clone_dtoh(&o).unwrap());
        for all in &found {
            let same = all.chunks(96).all(|of_block| of_block.iter().all(|v| *v == of_block[0]));
            assert!(same, "every thread of a block has the same bits");
        }
        let found = found.map(|all| all.into_iter().step_by(96).collect::<Vec<_>>());
        assert_close(&found[0], &mean, 2e-5);
        assert_close(&found[1], &variance, 2e-6);
        assert_eq!(*first.get_or_insert_with(|| found.clone()), found, "{schedule:?}");
    }
}

#[test]
fn strands_of_columns_are_folded_again_and_again() {
    for schedule in Schedule::several().into_iter().chain([Schedule::checked()]) {
        let Some(device) = device(schedule) else { return };
        let f = device.function("emu_fold_strands");
        for lanes in [1usize, 4, 32] {
            let mut out = device.stream.alloc_zeros::<f32>(2 * lanes).unwrap();
            let mut launch = device.stream.launch_builder(&f);
            let count = lanes as i32;
            launch.arg(&mut out).arg(&count);
            // SAFETY: the arguments are the kernel's.
            unsafe { launch.launch(config(1, 256)) }.unwrap();
            let found = device.stream.clone_dtoh(&out).unwrap();
            let sum = |lane: usize| (lane..256).step_by(lanes).sum::<usize>() as f32;
            let expected: Vec<f32> = (0..2 * lanes).map(|i| sum(i % lanes)).collect();
            assert_eq!(found, expected, "{schedule:?}, {lanes} lanes");
        }
    }
}

#[test]
fn sums_and_maxima_of_a_block_are_right() {
    let x = numbers(1000, 4);
    for schedule in Schedule::several() {
        let Some(device) = device(schedule) else { return };
        let f = device.function("emu_fold_f32");
        let dx = device.stream.clone_htod(&x).unwrap();
        let mut out = device.stream.alloc_zeros::<f64>(8).unwrap();
        let n = x.len() as i32;
        let mut launch = device.stream.launch_builder(&f);
        launch.arg(&dx).arg(&mut out).arg(&n);
        // SAFETY: the arguments are the kernel's.
        unsafe { launch.launch(config(1, 256)) }.unwrap();
        let found = device.stream.clone_dtoh(&out).unwrap();
        let sum: f64 = x.iter().map(|&v| f64::from(v)).sum();
        let most = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        assert!((found[0] - sum).abs() < 1e-3 && (found[2] - sum).abs() < 1e-9, "{found:?} {sum}");
        assert_eq!(found[1], f64::from(most));
        let of_threads = f64::from(255 * 256 / 2);
        assert_eq!(found[3..], [of_threads, 255., of_threads, of_threads * 256., 255.]);
    }
}

#[test]
fn a_sum_that_the_last_block_finishes_is_ordered_by_its_fence_and_atomic() {
    let x = numbers(5000, 9);
    let sum: f64 = x.iter().map(|&v| f64::from(v)).sum();
    for schedule in Schedule::several() {
        let Some(device) = device(schedule) else { return };
        let f = device.function("emu_sum_last_block_f32");
        let dx = device.stream.clone_htod(&x).unwrap();
        // SAFETY: the kernel writes every part before it reads it.
        let mut parts = unsafe { device.stream.alloc::<f32>(7) }.unwrap();
        let mut finished = device.stream.alloc_zeros::<u32>(1).unwrap();
        let mut out = device.stream.alloc_zeros::<f32>(1).unwrap();
        let n = x.len() as i32;
        let mut launch = device.stream.launch_builder(&f);
        launch.arg(&dx).arg(&mut parts).arg(&mut finished).arg(&mut out).arg(&n);
        // SAFETY: the arguments are the kernel's.
        unsafe { launch.launch(config(7, 64)) }.unwrap();
        assert_close(&device.stream.clone_dtoh(&out).unwrap(), &[sum], 1e-3);
    }
}

#[test]
fn philox_gives_the_published_known_answer_through_dynamic_shared_memory() {
    for schedule in Schedule::several() {
        let Some(device) = device(schedule) else { return };
        let f = device.function("emu_philox");
        let mut out = device.stream.alloc_zeros::<u32>(4 * 100).unwrap();
        let (key, n) = ([0u32, 0], 100i32);
        let mut launch = device.stream.launch_builder(&f);
        launch.arg(&mut out).arg(&key[0]).arg(&key[1]).arg(&n);
        let cfg = LaunchConfig { shared_mem_bytes: 64 * 16, ..config(2, 64) };
        // SAFETY: the arguments are the kernel's.
        unsafe { launch.launch(cfg) }.unwrap();
        let words = device.stream.clone_dtoh(&out).unwrap();
        // Random123's answer for counter 0, key 0; crates/random tests the same one.
        assert_eq!(words[..4], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        let mut distinct: Vec<&[u32]> = words.chunks(4).collect();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), 100);
    }
}

#[test]
fn a_tf32_product_rounds_its_operands_to_ten_bits() {
    let k = 24usize;
    let (a, b) = (numbers(16 * k, 5), numbers(k * 8, 6));
    let tf32 = |v: &f32| f32::from_bits((v.to_bits() + 0x1000) & 0xffff_e000);
    let rounded = |v: &[f32]| v.iter().map(tf32).collect::<Vec<_>>();
    let expected = product(&rounded(&a), &rounded(&b), [16, 8, k], false);
    for schedule in Schedule::several() {
        let Some(device) = device(schedule) else { return };
        let f = device.function("emu_matmul_tf32");
        let (da, db) =
            (device.stream.clone_htod(&a).unwrap(), device.stream.clone_htod(&b).unwrap());
        let mut dc = device.stream.alloc_zeros::<f32>(16 * 8).unwrap();
        let ki = k as i32;
        let mut launch = device.stream.launch_builder(&f);
        launch.arg(&da).arg(&db).arg(&mut dc).arg(&ki);
        // SAFETY: the arguments are the kernel's.
        unsafe { launch.launch(config(1, 32)) }.unwrap();
        assert_close(&device.stream.clone_dtoh(&dc).unwrap(), &expected, 1e-5);
    }
}

#[test]
fn a_bf16_product_by_mma_with_ldmatrix_and_asynchronous_copies_is_right() {
    let [m, n, k] = [64usize, 128, 96];
    let [a, b] = [(m * k, 7), (n * k, 8)].map(|(len, seed)| numbers(len, seed));
    let [a, b] = [a, b].map(|x| x.iter().map(|&v| bf16(v)).collect::<Vec<_>>());
    let widen = |x: &[u16]| x.iter().map(|&v| from_bf16(v)).collect::<Vec<_>>();
    let expected = product(&widen(&a), &widen(&b), [m, n, k], true);
    let mut first = None;
    for schedule in Schedule::several() {
        let Some(device) = device(schedule) else { return };
        let f = device.function("emu_matmul_bf16");
        let (da, db) =
            (device.stream.clone_htod(&a).unwrap(), device.stream.clone_htod(&b).unwrap());
        let mut dc = device.stream.alloc_zeros::<f32>(m * n).unwrap();
        let grid = ((n / 64) as u32, (m / 64) as u32, 1);
        let cfg = LaunchConfig { grid_dim: grid, block_dim: (128, 1, 1), shared_mem_bytes: 0 };
        let sizes = [m as i32, n as i32, k as i32];
        let mut launch = device.stream.launch_builder(&f);
        launch.arg(&da).arg(&db).arg(&mut dc).arg(&sizes[0]).arg(&sizes[1]).arg(&sizes[2]);
        // SAFETY: the arguments are the kernel's.
        unsafe { launch.launch(cfg) }.unwrap();
        let c = device.stream.clone_dtoh(&dc).unwrap();
        assert_close(&c, &expected, 1e-4);
        assert_eq!(*first.get_or_insert_with(|| c.clone()), c, "{schedule:?}");
    }
}

#[test]
fn ldmatrix_transposes_what_asynchronous_copies_brought_or_filled_with_zeros() {
    let x: Vec<u16> = (0..256).map(|i| i + 1).collect();
    // Row r, column c of matrix i; the last two columns of the last matrix were not read.
    let at = |i: usize, r: usize, c: usize| {
        if i == 3 && c >= 6 { 0 } else { u32::from(x[i * 64 + r * 8 + c]) }
    };
    let transposed = |i: usize, lane: usize| {
        let (row, column) = (2 * (lane % 4), lane / 4);
        at(i, row, column) | at(i, row + 1, column) << 16
    };
    for schedule in Schedule::several() {
        let Some(device) = device(schedule) else { return };
        let f = device.function("emu_transposed");
        let dx = device.stream.clone_htod(&x).unwrap();
        let mut out = device.stream.alloc_zeros::<u32>(128 + 64).unwrap();
        let mut launch = device.stream.launch_builder(&f);
        launch.arg(&dx).arg(&mut out);
        // SAFETY: the arguments are the kernel's.
        unsafe { launch.launch(config(1, 32)) }.unwrap();
        let found = device.stream.clone_dtoh(&out).unwrap();
        for lane in 0..32 {
            for i in 0..4 {
                assert_eq!(found[lane * 4 + i], transposed(i, lane), "matrix {i}, lane {lane}");
            }
            for i in 0..2 {
                assert_eq!(
                    found[128 + lane * 2 + i],
                    transposed(i, lane),
                    "matrix {i}, lane {lane}"
                );
            }
        }
    }
}
