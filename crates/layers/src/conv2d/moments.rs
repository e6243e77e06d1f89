//! The convolution and the moments of its output in one go, for batch normalization behind it: where
//! the engine has them for nothing, z is not read again for its mean and variance.

use super::{Conv2D, Geometry, cpu, cuda};
use crate::batch_normalization::cuda::Pieces;
use crate::{Activation, ShapeError};
use gradus_tensor::gpu::Gpu;
use gradus_tensor::{Context, Shape, Tensor, Workspace};

impl Conv2D {
    /// y = relu(z), or z itself, from x, on the CPU; and the moments of y around `shift`, where the
    /// algorithm has them for nothing.
    pub(crate) fn convolve_with_moments<'a>(
        &self,
        ws: &'a mut Workspace,
        x: &Tensor,
        g: &'a Geometry,
        shift: &[f32],
        y: &mut Tensor,
    ) -> Option<&'a [f32]> {
        let epilogue = self.epilogue(self.options.activation == Activation::Relu);
        let (x, kernel, y) = (x.view(), self.kernel.value.view(), y.view_mut());
        cpu::forward_with_moments(ws, g, x, kernel, epilogue, shift, y)
    }

    /// The same on a GPU. A piece has its own shift.
    pub(crate) fn convolve_with_moments_there<'a>(
        &self,
        gpu: &Gpu,
        cx: &'a mut Context,
        x: &Tensor,
        y: &mut Tensor,
    ) -> Option<Pieces<'a>> {
        let (g, arithmetic) = (self.planned(x), cuda::Arithmetic::of(cx));
        let scratch = cx.workspace.scratch.take_gpu(scratch_there(&g));
        let epilogue = self.epilogue_there(self.options.activation == Activation::Relu);
        let of = [x.gpu(), self.kernel.value.gpu()];
        cuda::forward_with_moments(gpu, arithmetic, &g, of, epilogue, scratch, y.gpu_mut())
    }

    /// Floats of scratch that this takes on a GPU, for such a batch or a smaller one.
    pub(crate) fn scratch_with_moments_there(&self, x: Shape) -> Result<usize, ShapeError> {
        self.geometry(x).map(|g| scratch_there(&g))
    }
}

fn scratch_there(g: &Geometry) -> usize {
    cuda::scratch(g) + cuda::moments_scratch(g)
}
