//! A few numbers that change every step, on their way to the device.

use super::{DeviceBuffer, Event, Gpu, Pinned};
use cudarc::driver::result;

/// How many steps the host may be ahead of the device.
const SLOTS: usize = 4;

/// A way for a few numbers from the host to the device, in order with the kernels. Unlike
/// [`DeviceBuffer::upload`] it waits for nothing, unless the device is several sends behind: the
/// numbers lie in pinned memory, and a slot of it is written again when its copy is over.
#[derive(Debug)]
pub struct NumbersFeed {
    gpu: Gpu,
    /// None where there was no memory: [`Gpu::check`] tells.
    slots: Vec<(Pinned, Event)>,
    turn: usize,
}

impl NumbersFeed {
    /// A way for up to that many bytes. Where the system gives no pinned memory, nothing is sent and
    /// [`Gpu::check`] tells: whoever plans asks it before the first kernel.
    #[must_use]
    pub fn new(gpu: &Gpu, bytes: usize) -> Self {
        let mut slots = Vec::with_capacity(SLOTS);
        for _ in 0..SLOTS {
            let slot = Pinned::zeroed(gpu, bytes).and_then(|host| Ok((host, Event::new()?)));
            match slot {
                Ok(slot) => slots.push(slot),
                Err(error) => gpu.report(error),
            }
        }
        Self { gpu: gpu.clone(), slots, turn: 0 }
    }

    /// Puts the numbers in the front of `into`, in order with the kernels. Not to be recorded in a
    /// graph.
    ///
    /// # Panics
    /// If a slot or `into` is smaller.
    pub fn send<T: Copy>(&mut self, from: &[T], into: &mut DeviceBuffer) {
        let bytes = size_of_val(from);
        self.turn = (self.turn + 1) % SLOTS;
        let Some((host, sent)) = self.slots.get_mut(self.turn) else { return };
        let Some(to) = into.address(bytes) else { return };
        self.gpu.bind();
        let waited = sent.wait(); // after it the device reads the slot no more
        let slot = &mut host.bytes_mut()[..bytes];
        // SAFETY: as many bytes as the slot has; of padding between fields nobody reads the values.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr().cast(), slot.as_mut_ptr(), bytes) };
        let slot = &host.bytes()[..bytes];
        let stream = self.gpu.stream();
        // SAFETY: stream, event and memory are alive; the host leaves the slot alone until `sent`.
        let copied = unsafe {
            waited
                .and_then(|()| result::memcpy_htod_async(to, slot, stream))
                .and_then(|()| sent.record(stream))
        };
        self.gpu.note("sending numbers to the device", copied);
    }
}

impl Drop for NumbersFeed {
    fn drop(&mut self) {
        self.gpu.wait();
        // SAFETY: made in `new`, destroyed once, after their last use.
        self.slots.iter().for_each(|(_, sent)| unsafe { sent.destroy() });
    }
}
