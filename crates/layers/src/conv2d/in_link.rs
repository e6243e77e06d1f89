//! A convolution's passes on a GPU for layers that are done together. These keep y, and dz in its
//! place, to themselves: in bf16 where [`cuda::bf16`] has kernels for it, else as f32.

use super::{Conv2D, Geometry, cuda};
use crate::batch_normalization::cuda::Pieces;
use crate::stored::{Stored, StoredMut};
use crate::{Activation, ShapeError};
use gradus_tensor::gpu::{Gpu, GpuView};
use gradus_tensor::{Context, Param, Shape, Tensor};

impl Conv2D {
    /// Whether y and dz of this batch are bf16: the same answer in every pass.
    pub(crate) fn keeps_bf16_there(&self, gpu: &Gpu, cx: &Context, x: &Tensor) -> bool {
        cuda::bf16::keeps(gpu, cuda::Arithmetic::of(cx), &self.planned(x))
    }

    fn operands_there<'a>(&'a self, x: &'a Tensor) -> [GpuView<'a, f32>; 2] {
        [x.gpu(), self.kernel.value.gpu()]
    }

    /// z from x, or y where `relu` says so.
    pub(crate) fn convolve_there(
        &self,
        gpu: &Gpu,
        cx: &mut Context,
        x: &Tensor,
        z: StoredMut<'_>,
        relu: bool,
    ) {
        let (g, arithmetic) = (self.planned(x), cuda::Arithmetic::of(cx));
        let (of, epilogue) = (self.operands_there(x), self.epilogue_there(relu));
        let scratch = cx.workspace.scratch.take_gpu(cuda::scratch(&g));
        cuda::forward_to(gpu, arithmetic, &g, of, epilogue, scratch, z);
    }

    /// The same for a link, whose activation is relu or none, and the moments of y where the algorithm
    /// has them for nothing.
    pub(crate) fn convolve_with_moments_there<'a>(
        &self,
        gpu: &Gpu,
        cx: &'a mut Context,
        x: &Tensor,
        y: StoredMut<'_>,
    ) -> Option<Pieces<'a>> {
        let (g, arithmetic) = (self.planned(x), cuda::Arithmetic::of(cx));
        let relu = self.options.activation == Activation::Relu;
        let (of, epilogue) = (self.operands_there(x), self.epilogue_there(relu));
        let scratch = cx.workspace.scratch.take_gpu(scratch_there(&g));
        cuda::forward_with_moments(gpu, arithmetic, &g, of, epilogue, scratch, y)
    }

    /// Floats of scratch that this takes, for such a batch or a smaller one.
    pub(crate) fn scratch_with_moments_there(&self, x: Shape) -> Result<usize, ShapeError> {
        self.geometry(x).map(|g| scratch_there(&g))
    }

    /// dkernel, and dx where it is asked for, from dz.
    pub(crate) fn backward_there(
        &mut self,
        gpu: &Gpu,
        cx: &mut Context,
        x: &Tensor,
        dz: Stored<'_>,
        dx: Option<&mut Tensor>,
    ) {
        let (g, arithmetic) = (self.planned(x), cuda::Arithmetic::of(cx));
        let mut scratch = cx.workspace.scratch.take_gpu(cuda::scratch(&g));
        let Param { value, grad, frozen, .. } = &mut self.kernel;
        if !*frozen {
            let (x, room, dkernel) = (x.gpu(), scratch.reborrow(), grad.gpu_mut());
            cuda::backward_weight_of(gpu, arithmetic, &g, x, dz, room, dkernel);
        }
        if let Some(dx) = dx {
            let (kernel, dx) = (value.gpu(), dx.gpu_mut());
            cuda::backward_input_of(gpu, arithmetic, &g, dz, kernel, scratch, dx);
        }
    }
}

fn scratch_there(g: &Geometry) -> usize {
    cuda::scratch(g) + cuda::moments_scratch(g)
}
