//! The convolution and the moments of its output in one go, for batch normalization behind it: where
//! the engine has them for nothing, z is not read again for its mean and variance.

use super::{Conv2D, Geometry, cpu};
use crate::Activation;
use gradus_tensor::{Tensor, Workspace};

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
}
