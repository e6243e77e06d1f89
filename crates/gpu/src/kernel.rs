//! Kernels: declared once in Rust, written in CUDA C++ beside the declaration.

use crate::Argument;
use std::ffi::c_void;

/// A `.cu` file: its PTX as checked in, and where its source is found by whoever edits it.
#[derive(Debug)]
pub struct Module {
    /// The path of the source in its crate, without extension.
    pub path: &'static str,
    /// What `cargo xtask ptx` made of it.
    pub ptx: &'static str,
    /// The folder of the crate on the machine that built it.
    pub root: &'static str,
}

/// One `extern "C" __global__` function of a module. Its address is its identity: it stands in a
/// `static`.
#[derive(Debug)]
pub struct Kernel {
    /// The file it is in.
    pub module: &'static Module,
    /// Its name there.
    pub name: &'static str,
}

/// How many threads work on a kernel, and in which blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Blocks along x, y, z: up to 2³¹ − 1, 65535 and 65535.
    pub blocks: [u32; 3],
    /// Threads in a block, along x: up to 1024.
    pub threads: u32,
    /// Bytes of dynamic shared memory for each block.
    pub shared: u32,
}

impl Grid {
    /// Threads of a block unless there is a reason for another number: enough to hide what memory
    /// takes, few enough to leave each its registers.
    pub const THREADS: u32 = 256;
    /// Blocks from which on more do not help a loop that strides over the grid: 132 processors of
    /// an H200 with 16 blocks each.
    const MOST: u32 = 2112;

    /// A thread for each of `n` things, or fewer threads that go on to the next: for kernels that
    /// stride over the grid (`for (i = …; i < n; i += blockDim.x * gridDim.x)`).
    #[must_use]
    pub fn strided(n: usize) -> Self {
        let blocks = n.div_ceil(Self::THREADS as usize).clamp(1, Self::MOST as usize) as u32;
        Self::of([blocks, 1, 1], Self::THREADS)
    }

    /// That many blocks of so many threads.
    #[must_use]
    pub fn of(blocks: [u32; 3], threads: u32) -> Self {
        Self { blocks, threads, shared: 0 }
    }

    /// The same with dynamic shared memory.
    #[must_use]
    pub fn with_shared(mut self, bytes: u32) -> Self {
        self.shared = bytes;
        self
    }
}

/// The address of an argument, as the driver wants it.
#[must_use]
pub fn address<A: Argument>(argument: &A) -> *const c_void {
    std::ptr::from_ref(argument).cast()
}

/// Declares the kernels of a `.cu` file as functions of this module.
///
/// ```text
/// gradus_gpu::kernels! {
///     "max_pooling2d/max_pooling2d";
///     fn max_pooling2d_forward(g: Sizes, x: In<f32>, y: Out<f32>, argmax: Out<u8>);
/// }
/// ```
///
/// The path is that of the source within the crate's `src`, without extension; the PTX of the same
/// name stands beside it. [`In`](crate::In), [`Out`](crate::Out) and [`InOut`](crate::InOut) are
/// pointers to `const T` and to `T`; numbers are numbers; any other type is a `#[repr(C)]`
/// structure that implements [`Argument`] and that the source declares under the same name.
/// `cargo xtask ptx --check` compares the two.
///
/// Each function takes the [`Gpu`](crate::Gpu) and the [`Grid`] before the arguments and is
/// `unsafe`: whoever launches a kernel has checked that it stays within its views. It returns
/// nothing; what the device has to say, [`Gpu::check`](crate::Gpu::check) tells.
#[macro_export]
macro_rules! kernels {
    ($path:literal; $( $(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),* $(,)?); )*) => {
        static MODULE: $crate::Module = $crate::Module {
            path: $path,
            ptx: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/", $path, ".ptx")),
            root: env!("CARGO_MANIFEST_DIR"),
        };
        $(
            $(#[$doc])*
            #[allow(
                elided_lifetimes_in_paths,
                clippy::too_many_arguments,
                reason = "as many as the kernel has"
            )]
            unsafe fn $name(gpu: &$crate::Gpu, grid: $crate::Grid, $($argument: $type),*) {
                static KERNEL: $crate::Kernel =
                    $crate::Kernel { module: &MODULE, name: stringify!($name) };
                let arguments = [$($crate::address(&$argument)),*];
                // SAFETY: the arguments are of the types declared, which are those of the kernel
                // (`cargo xtask ptx --check`); they outlive the call, which copies them; the rest
                // is passed on as the caller promised it.
                unsafe { gpu.launch(&KERNEL, grid, &arguments) }
            }
        )*
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strided_grid_has_a_block_for_the_smallest_thing_and_an_end() {
        assert_eq!(Grid::strided(0).blocks, [1, 1, 1]);
        assert_eq!(Grid::strided(257).blocks, [2, 1, 1]);
        assert_eq!(Grid::strided(1 << 40).blocks, [Grid::MOST, 1, 1]);
    }
}
