//! The convolution on a GPU for layers that are done together, which keep its y, and later dz, to
//! themselves: as f32, or in bf16 where [`cuda::bf16`] can do it.

use super::{Conv2D, Geometry, cuda, gradient_of};
use crate::ShapeError;
use crate::batch_normalization::cuda::Pieces;
use crate::param::Param;
use gradus_tensor::gpu::{Gpu, GpuView, GpuViewMut};
use gradus_tensor::{Context, Shape, Tensor};
