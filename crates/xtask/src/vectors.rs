//! Are the hot loops still vectors?
//!
//! A harmless change can make the compiler keep a register tile in memory, or go number by number:
//! the results stay right and the time grows fifteenfold. So this guard builds the crates that
//! compute as they are released, disassembles their hot functions, and counts the instructions
//! that work on whole registers. It measures no time, so it says the same on a busy machine; it
//! looks at both instruction sets wherever it runs, since nothing is executed.

mod code;

use anyhow::{Result, bail};
use code::{Code, Counts};

/// What has to be built for its code to be looked at, and where that lies below `target/release`:
/// functions that are generic, as the optimizers' are, are compiled where they are called.
const BUILT: [(&[&str], &str); 2] = [
    (&["--package", "gradus-layers", "--lib"], "libgradus_layers.rlib"),
    (&["--package", "gradus-optim", "--example", "rmsprop_step"], "examples/rmsprop_step"),
];

use Count::{Any, Fma};
use Width::{Ymm, Zmm};

/// Function, how it is compiled, what is counted, and the least that there may be: about two
/// thirds of what there was when the line was written.
const HOT: &[(&str, Width, Count, usize)] = &[
    ("conv2d::cpu::microkernel::correlate", Zmm, Fma, 228),
    ("conv2d::cpu::microkernel::correlate", Ymm, Fma, 60),
    ("conv2d::cpu::microkernel::outer", Zmm, Fma, 228),
    ("conv2d::cpu::microkernel::outer", Ymm, Fma, 60),
    ("conv2d::cpu::column_sums", Zmm, Any, 55),
    ("conv2d::cpu::column_sums", Ymm, Any, 114),
    ("conv2d::cpu::depthwise::forward_row", Zmm, Fma, 2),
    ("conv2d::cpu::depthwise::forward_row", Ymm, Fma, 2),
    ("conv2d::cpu::winograd::block::transform_input", Zmm, Any, 48),
    ("conv2d::cpu::winograd::block::transform_input", Ymm, Any, 96),
    ("conv2d::cpu::winograd::block::transform_output", Zmm, Any, 46),
    ("conv2d::cpu::winograd::block::transform_output", Ymm, Any, 96),
    ("conv2d::cpu::winograd::block::transform_gradient", Zmm, Any, 32),
    ("conv2d::cpu::winograd::block::transform_gradient", Ymm, Any, 64),
    ("conv2d::cpu::winograd::weight::back_to_taps", Zmm, Any, 15),
    ("conv2d::cpu::winograd::weight::back_to_taps", Ymm, Any, 29),
    ("fused::cpu::rows::pool_row", Zmm, Any, 28),
    ("fused::cpu::rows::pool_row", Ymm, Any, 66),
    ("fused::cpu::rows::parameter_sums", Zmm, Any, 8),
    ("fused::cpu::rows::parameter_sums", Ymm, Any, 16),
    ("fused::cpu::gradient::gradient_row", Zmm, Any, 32),
    ("fused::cpu::gradient::gradient_row", Ymm, Any, 65),
    ("fused::cpu::gradient::gradient_row_apart", Zmm, Any, 32),
    ("fused::cpu::gradient::gradient_row_apart", Ymm, Any, 65),
    ("dense::cpu::forward::forward", Zmm, Fma, 11),
    ("dense::cpu::forward::forward", Ymm, Fma, 6),
    ("dense::cpu::backward::input", Zmm, Fma, 6),
    ("dense::cpu::backward::input", Ymm, Fma, 6),
    ("dense::cpu::backward::weight", Zmm, Fma, 11),
    ("dense::cpu::backward::weight", Ymm, Fma, 6),
    ("dense::cpu::backward::update", Zmm, Fma, 17),
    ("dense::cpu::backward::update", Ymm, Fma, 12),
    ("batch_normalization::cpu::moments", Zmm, Any, 32),
    ("batch_normalization::cpu::moments", Ymm, Any, 31),
    ("batch_normalization::cpu::normalize", Zmm, Any, 28),
    ("batch_normalization::cpu::normalize", Ymm, Any, 18),
    ("batch_normalization::cpu::products", Zmm, Any, 26),
    ("batch_normalization::cpu::products", Ymm, Any, 24),
    ("batch_normalization::cpu::input_gradient", Zmm, Any, 48),
    ("batch_normalization::cpu::input_gradient", Ymm, Any, 27),
    ("max_pooling2d::cpu::forward_row", Zmm, Any, 6),
    ("max_pooling2d::cpu::forward_row", Ymm, Any, 6),
    ("max_pooling2d::cpu::backward_row", Zmm, Any, 2),
    ("max_pooling2d::cpu::backward_row", Ymm, Any, 2),
    ("average_pooling2d::cpu::forward_row", Zmm, Any, 2),
    ("average_pooling2d::cpu::forward_row", Ymm, Any, 2),
    ("activation::cpu::values", Zmm, Fma, 75),
    ("activation::cpu::values", Ymm, Fma, 75),
    ("activation::cpu::gradients", Zmm, Fma, 42),
    ("activation::cpu::gradients", Ymm, Fma, 42),
    ("dropout::cpu::draw_mask", Zmm, Any, 25),
    ("dropout::cpu::draw_mask", Ymm, Any, 49),
    ("dropout::cpu::forward_chunk", Zmm, Any, 8),
    ("dropout::cpu::forward_chunk", Ymm, Any, 10),
    ("gradus_optim::formula::cpu::chunk", Zmm, Any, 38),
    ("gradus_optim::formula::cpu::chunk", Ymm, Any, 82),
];

/// The registers, and with them the instance of the function.
#[derive(Clone, Copy, Debug)]
enum Width {
    /// 16 floats: AVX-512.
    Zmm,
    /// 8 floats: AVX2.
    Ymm,
}

impl Width {
    fn instance(self) -> &'static str {
        match self {
            Zmm => "avx512",
            Ymm => "avx2",
        }
    }
}

/// Which instructions count.
#[derive(Clone, Copy, Debug)]
enum Count {
    /// Multiply and add in one, on all floats of a register.
    Fma,
    /// Any arithmetic on all floats of a register: for loops that are not made of products.
    Any,
}

/// Builds, counts and holds against the table.
pub(crate) fn check() -> Result<()> {
    if !cfg!(target_arch = "x86_64") {
        crate::say("vectors: skipped, the table is of x86-64 and this machine is none");
        return Ok(());
    }
    let mut code = Code::default();
    for (build, file) in BUILT {
        crate::cargo(&[&["build", "--release"], build].concat(), &[])?;
        code.read(&crate::target().join("release").join(file))?;
    }
    let lost: Vec<String> = HOT.iter().filter_map(|line| flaw(&code, line)).collect();
    if !lost.is_empty() {
        bail!("hot loops are no vectors any more:\n  {}", lost.join("\n  "));
    }
    crate::say(&format!("vectors: {} hot functions are", HOT.len()));
    Ok(())
}

/// What is wrong with a function, if anything is.
fn flaw(code: &Code, &(name, width, count, least): &(&str, Width, Count, usize)) -> Option<String> {
    let path = format!("{name}::{}", width.instance());
    let Some(Counts { ymm, zmm }) = code.counts(&path) else {
        return Some(format!("{path}: there is no such function in what was built"));
    };
    let found = match width {
        Zmm => zmm,
        Ymm => ymm,
    };
    let found = match count {
        Fma => found.fma,
        Any => found.any,
    };
    let register = format!("{width:?}").to_lowercase();
    (found < least).then(|| format!("{path}: {count:?} on {register}: {found}, at least {least}"))
}
