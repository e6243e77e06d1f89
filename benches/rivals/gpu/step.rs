//! The tutorial's training step: batch sent, forward, loss, backward, RMSprop; and the figures read every
//! so many steps, as `fit` reads them, and as `pytorch_gpu.py` does.

#[path = "../../common/reference.rs"]
mod reference;

use crate::rows::Rows;
use anyhow::Result;
use gradus::prelude::*;
use gradus::tensor::gpu::Gpu;
use reference::Reference;

/// Steps from one reading to the next.
const READ_EVERY: usize = 10;

/// In every precision and batch, as one recorded graph and kernel by kernel.
pub(crate) fn measure(gpu: &Gpu, rows: &mut Rows) -> Result<()> {
    let precisions =
        [(Precision::F32, "f32"), (Precision::Tf32, "tf32"), (Precision::Bf16, "bf16")];
    let (batches, side): (&[usize], _) =
        if rows.quick { (&[2], 30) } else { (&[15, 128, 512], 128) };
    for &batch in batches {
        for (precision, name) in precisions {
            for graphs in [true, false] {
                let mut reference = Reference::on(&Device::Cuda(gpu.clone()), [batch, side], 1);
                reference.context().precision = precision;
                reference.context().graphs = graphs;
                let column = if graphs { "gradus" } else { "gradus, no graph" };
                let line = format!("batch {batch}, {name}");
                let mut steps = 0;
                rows.host(gpu, ["step", &line, column], batch as f64, || {
                    reference.train();
                    steps += 1;
                    if steps % READ_EVERY == 0 {
                        std::hint::black_box(reference.read());
                    }
                })?;
            }
        }
    }
    Ok(())
}
