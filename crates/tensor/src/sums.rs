//! What the kernels of a GPU add up until someone asks.

use crate::Device;
use gradus_gpu::{DeviceBuffer, GpuViewMut};

/// Four sums in the memory of a GPU, and room for what each block of a kernel adds to them. A step
/// adds to them and waits for nothing: they are read when they are [taken](Sums::take). A recorded
/// step adds to them too, because they stay where they are. On the CPU there are none.
#[derive(Debug, Default)]
pub struct Sums {
    memory: Option<DeviceBuffer>,
}

impl Sums {
    /// How many sums there are. They come first.
    pub const COUNT: usize = 4;
    /// How many blocks may leave two numbers each behind the sums, for a kernel after them to add.
    pub const BLOCKS: usize = 128;
    const LEN: usize = Self::COUNT + 2 * Self::BLOCKS;

    /// Zeros on that device.
    #[must_use]
    pub fn on(device: &Device) -> Self {
        let memory = match device {
            Device::Cpu => None,
            Device::Cuda(gpu) => Some(DeviceBuffer::zeroed(gpu, Self::LEN * size_of::<f64>())),
        };
        Self { memory }
    }

    /// The sums and the room behind them, for kernels.
    ///
    /// # Panics
    /// On the CPU.
    #[must_use]
    pub fn gpu_mut(&mut self) -> GpuViewMut<'_, f64> {
        self.memory.as_mut().expect("sums on a GPU").view_mut(Self::LEN)
    }

    /// Where they lie on a GPU, and how many numbers they and the room behind them are.
    pub(crate) fn place(&self) -> (u64, usize) {
        let view = self.memory.as_ref().map(|memory| memory.view::<f64>(Self::LEN));
        view.map_or((0, 0), |view| (view.pointer(), view.len()))
    }

    /// Waits for the kernels before, reads the sums and sets them to 0. Zeros on the CPU, and after
    /// a fault, which `Gpu::check` tells.
    #[must_use]
    pub fn take(&mut self) -> [f64; Self::COUNT] {
        let mut sums = [0.0; Self::COUNT];
        if let Some(memory) = &mut self.memory {
            memory.download(&mut sums);
            memory.upload(&[0.0f64; Self::COUNT]);
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_the_cpu_there_is_nothing_to_take() {
        assert_eq!(Sums::on(&Device::Cpu).take(), [0.0; Sums::COUNT]);
    }

    #[test]
    #[should_panic(expected = "sums on a GPU")]
    fn a_kernel_gets_no_sums_of_the_cpu() {
        let _ = Sums::default().gpu_mut();
    }
}
