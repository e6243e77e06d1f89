//! Products by wgmma of what TMA brings are those of the definition.

use crate::common::{Device, bf16, device, from_bf16, numbers};
use crate::{assert_close, product};
use cudarc::driver::{DevicePtr, DeviceRepr, LaunchConfig, PushKernelArg, sys};
use gradus_cuda_emu::Schedule;
#[repr(C, align(64))]
struct TensorMap(sys::CUtensorMap);

// SAFETY: the 128 bytes of a tensor map, as the kernel takes them.
unsafe impl DeviceRepr for TensorMap {}

/// Boxes of 64 × 64 of a row-major bf16 matrix, in shared memory with the 128-byte swizzle.
fn tensor_map(base: u64, rows: usize, columns: usize) -> TensorMap {
    let mut map = std::mem::MaybeUninit::<TensorMap>::zeroed();
    let (size, strides) = ([columns as u64, rows as u64], [2 * columns as u64]);
    // SAFETY: the arrays have as many elements as a tensor of rank 2 needs; on success it is written.
    unsafe {
        sys::cuTensorMapEncodeTiled(
            map.as_mut_ptr().cast(),
            sys::CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
            2,
            base as *mut _,
            size.as_ptr(),
            strides.as_ptr(),
            [64, 64].as_ptr(),
            [1, 1].as_ptr(),
            sys::CUtensorMapInterleave::CU_TENSOR_MAP_INTERLEAVE_NONE,
            sys::CUtensorMapSwizzle::CU_TENSOR_MAP_SWIZZLE_128B,
            sys::CUtensorMapL2promotion::CU_TENSOR_MAP_L2_PROMOTION_NONE,
            sys::CUtensorMapFloatOOBfill::CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,
        )
        .result()
        .unwrap();
        map.assume_init()
    }
}

/// The extents of a product and of the tiles of its columns, and what flips bits of the descriptors of b.
struct Product {
    extents: [usize; 3],
    columns: usize,
    other: Option<u64>,
}

impl Product {
    /// c by that kernel, of a and b each as it wants them: rows along k, or turned, one for each k.
    fn by(
        &self,
        device: &Device,
        kernel: &str,
        [a, b]: [&[u16]; 2],
        turned: [bool; 2],
    ) -> Vec<f32> {
        let [m, n, k] = self.extents;
        let lies = |x: &[u16], turned: bool| {
            let rows = x.len() / k;
            let at = |i: usize| if turned { i % rows * k + i / rows } else { i };
            (0..x.len()).map(|i| x[at(i)]).collect::<Vec<_>>()
        };
        let stream = &device.stream;
        let [da, db] =
            [lies(a, turned[0]), lies(b, turned[1])].map(|x| stream.clone_htod(&x).unwrap());
        let mut dc = stream.alloc_zeros::<f32>(m * n).unwrap();
        let shape = |rows, turned: bool| if turned { (k, rows) } else { (rows, k) };
        let ((rows, columns), (rows_of_b, columns_of_b)) =
            (shape(m, turned[0]), shape(n, turned[1]));
        let map_a = tensor_map(da.device_ptr(stream).0, rows, columns);
        let map_b = tensor_map(db.device_ptr(stream).0, rows_of_b, columns_of_b);
        let grid = ((n / self.columns) as u32, (m / 64) as u32, 1);
        let cfg = LaunchConfig { grid_dim: grid, block_dim: (128, 1, 1), shared_mem_bytes: 0 };
        let (ni, ki) = (n as i32, k as i32);
        let function = device.function(kernel);
        let mut launch = stream.launch_builder(&function);
        launch.arg(&map_a).arg(&map_b).arg(&mut dc).arg(&ni).arg(&ki);
        if let Some(other) = &self.other {
            launch.arg(other);
        }
        // SAFETY: the arguments are the kernel's.
        unsafe { launch.launch(cfg) }.unwrap();
        stream.clone_dtoh(&dc).unwrap()
    }
}

/// a, b and their product.
fn operands([m, n, k]: [usize; 3]) -> ([Vec<u16>; 2], Vec<f64>) {
    let [a, b] = [(m * k, 7), (n * k, 8)]
        .map(|(len, seed)| numbers(len, seed).iter().map(|&v| bf16(v)).collect::<Vec<_>>());
    let widen = |x: &[u16]| x.iter().map(|&v| from_bf16(v)).collect::<Vec<_>>();
    let expected = product(&widen(&a), &widen(&b), [m, n, k], true);
    ([a, b], expected)
}

#[test]
fn a_bf16_product_by_wgmma_with_tensor_maps_is_right() {
    let product = Product { extents: [64, 128, 128], columns: 64, other: None };
    let ([a, b], expected) = operands(product.extents);
    for schedule in Schedule::several() {
        let Some(device) = device(schedule) else { return };
        let actual = product.by(&device, "emu_matmul_wgmma", [&a, &b], [false; 2]);
        assert_close(&actual, &expected, 1e-4);
    }
}

/// Which kernels there are, by the columns of their tiles and which operands they take turned.
const TURNED: [(&str, usize, [bool; 2]); 5] = [
    ("emu_wgmma_64_turned_a", 64, [true, false]),
    ("emu_wgmma_64_turned_b", 64, [false, true]),
    ("emu_wgmma_64_turned", 64, [true, true]),
    ("emu_wgmma_128_turned_b", 128, [false, true]),
    ("emu_wgmma_128_turned", 128, [true, true]),
];

#[test]
fn a_product_by_wgmma_of_turned_operands_is_right() {
    let extents = [128, 256, 128];
    let ([a, b], expected) = operands(extents);
    for schedule in Schedule::several() {
        let Some(device) = device(schedule) else { return };
        for (kernel, columns, turned) in TURNED {
            let product = Product { extents, columns, other: Some(0) };
            assert_close(&product.by(&device, kernel, [&a, &b], turned), &expected, 1e-4);
        }
    }
}

#[test]
fn a_wrong_distance_or_an_operand_that_lies_the_other_way_is_noticed() {
    let extents = [64, 128, 64];
    let ([a, b], expected) = operands(extents);
    let Some(device) = device(Schedule::default()) else { return };
    let is_right = |(kernel, columns, _): (&str, usize, [bool; 2]), turned, other| {
        let product = Product { extents, columns, other: Some(other) };
        let actual = product.by(&device, kernel, [&a, &b], turned);
        actual.iter().zip(&expected).all(|(&a, e)| (f64::from(a) - e).abs() <= 1e-4)
    };
    // 8192 bytes become 4096, and 1024 bytes 512, in units of 16.
    let (leading, stride) = ((512 ^ 256) << 16, (64 ^ 32) << 32);
    for kernel @ (name, columns, turned) in TURNED {
        assert!(is_right(kernel, turned, 0), "{name}");
        assert!(!is_right(kernel, turned, stride), "{name}: the stride");
        // Only turned, and where there are more than 64 columns, anybody asks for it.
        let is_read = turned[1] && columns == 128;
        assert_eq!(is_right(kernel, turned, leading), !is_read, "{name}: the leading distance");
        assert!(!is_right(kernel, turned.map(|turned| !turned), 0), "{name}: the other way");
    }
}
