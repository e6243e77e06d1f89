//! Data that comes to the device while the device computes.
//!
//! Two slots take turns. The host fills the pinned half of one, a stream of its own copies it to the
//! device while the step before is still at work, and the main stream takes it over: with a copy on
//! the device, which costs next to nothing, or with kernels that read the slot. Events keep the
//! order: a slot is filled again when its upload is over, and uploaded again when it was taken over.

use super::{DeviceBuffer, Event, Gpu, Pinned, said};
use crate::{CudaError, GpuView};
use cudarc::driver::{result, sys};

/// A way for one block of data from the host to the device, to be used once a step.
#[derive(Debug)]
pub struct Feed {
    gpu: Gpu,
    stream: sys::CUstream,
    slots: [Slot; 2],
    turn: usize,
}

#[derive(Debug)]
struct Slot {
    host: Pinned,
    device: DeviceBuffer,
    /// When the upload is over: the host may write, the main stream may read.
    uploaded: Event,
    /// When the main stream took it over: the next upload may begin.
    taken: Event,
}

// SAFETY: handles of the driver, which may be used from any thread that has the context.
unsafe impl Send for Feed {}
// SAFETY: nothing can be done with a shared feed.
unsafe impl Sync for Feed {}

impl Feed {
    /// A way for up to that many bytes.
    ///
    /// # Errors
    /// If the system gives no pinned memory, or the device none.
    pub fn new(gpu: &Gpu, bytes: usize) -> Result<Self, CudaError> {
        gpu.bind();
        let failed = |e| said("making a stream for uploads", e);
        let kind = result::stream::StreamKind::NonBlocking;
        let stream = result::stream::create(kind).map_err(failed)?;
        let slot = || {
            Ok(Slot {
                host: Pinned::zeroed(gpu, bytes)?,
                device: DeviceBuffer::zeroed(gpu, bytes),
                uploaded: Event::new()?,
                taken: Event::new()?,
            })
        };
        let slots = [slot()?, slot()?];
        gpu.synchronize()?;
        Ok(Self { gpu: gpu.clone(), stream, slots, turn: 0 })
    }

    /// Lets `fill` write the first `bytes` of a slot, and puts them in the front of `into`, in order
    /// with the kernels. Waits only if the device is two blocks behind. Not to be recorded in a
    /// graph.
    ///
    /// # Panics
    /// If the slot or `into` is smaller.
    pub fn send(&mut self, bytes: usize, fill: impl FnOnce(&mut [u8]), into: &mut DeviceBuffer) {
        self.upload(bytes, fill, |slot| into.copy_from(slot, bytes));
    }

    /// Puts `table` in the front of a slot, lets `fill` write `bytes` behind it, and lends both to
    /// what `take` launches, in order with the kernels: nothing that it launches may read them
    /// later. Waits and is not to be recorded as [`Feed::send`].
    ///
    /// # Panics
    /// If the slot is smaller.
    pub fn lend<T: Copy>(
        &mut self,
        table: &[T],
        bytes: usize,
        fill: impl FnOnce(&mut [u8]),
        take: impl FnOnce(&Gpu, GpuView<'_, T>, GpuView<'_, u8>),
    ) {
        let front = size_of_val(table);
        let write = |slot: &mut [u8]| {
            let (to, rest) = slot.split_at_mut(front);
            // SAFETY: as many bytes as the table has; of padding between fields nobody reads the
            // values.
            unsafe { std::ptr::copy_nonoverlapping(table.as_ptr().cast(), to.as_mut_ptr(), front) };
            fill(rest);
        };
        self.upload(front + bytes, write, |slot| {
            let behind = slot.view(front + bytes).part(front, bytes);
            take(slot.gpu(), slot.view(table.len()), behind);
        });
    }

    /// Fills a slot, uploads it, and lets `take` launch on the main stream what reads it.
    fn upload(
        &mut self,
        bytes: usize,
        fill: impl FnOnce(&mut [u8]),
        take: impl FnOnce(&DeviceBuffer),
    ) {
        self.gpu.bind();
        let Slot { host, device, uploaded, taken } = &mut self.slots[self.turn];
        self.turn = 1 - self.turn;
        let (own, main) = (self.stream, self.gpu.stream());
        let waited = uploaded.wait(); // after it the device reads the slot no more
        fill(&mut host.bytes_mut()[..bytes]);
        let from = &host.bytes()[..bytes];
        let Some(to) = device.address(bytes) else { return };
        // SAFETY: streams, events and memory are alive; the host leaves the slot alone until
        // `uploaded`, and the copies are ordered by the events.
        let sent = unsafe {
            waited
                .and_then(|()| taken.hold(own))
                .and_then(|()| result::memcpy_htod_async(to, from, own))
                .and_then(|()| uploaded.record(own))
                .and_then(|()| uploaded.hold(main))
        };
        self.gpu.note("uploading a batch", sent);
        take(device);
        // SAFETY: as above.
        let sent = unsafe { taken.record(main) };
        self.gpu.note("uploading a batch", sent);
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.gpu.wait(); // for the main stream, and by it for all uploads
        // SAFETY: made in `new`, destroyed once, after their last use.
        let freed = unsafe {
            self.slots
                .iter()
                .flat_map(|slot| [&slot.uploaded, &slot.taken])
                .for_each(|e| e.destroy());
            result::stream::destroy(self.stream)
        };
        self.gpu.note("closing a way of upload", freed);
    }
}
