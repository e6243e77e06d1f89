//! Host memory, aligned for vectors and cache lines, on huge pages where the system gives them.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// A cache line, and the width of an AVX-512 register.
const ALIGN: usize = 64;
/// A huge page on x86-64 and most AArch64 systems.
const HUGE: usize = 2 << 20;

/// Zeroed bytes on the host. Aligned to 64 bytes; from 2 MiB on aligned to a huge page, which the
/// kernel is asked for: a stream over 4 KiB pages reads little more than half as fast.
#[derive(Debug)]
pub(crate) struct Buffer {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: a Buffer owns its bytes alone, like a Box<[u8]>.
unsafe impl Send for Buffer {}
// SAFETY: shared access hands out only shared slices.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// # Panics
    /// If `bytes` is beyond what an address space can hold.
    pub(crate) fn zeroed(bytes: usize) -> Self {
        let align = if bytes >= HUGE { HUGE } else { ALIGN };
        // Never zero-sized, so that the allocator may be asked.
        let layout = Layout::from_size_align(bytes.max(ALIGN), align).expect("a buffer that fits");
        // SAFETY: the layout's size is at least 64.
        let start = unsafe { alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
        ask_for_huge_pages(start, layout);
        Self { start, layout }
    }

    pub(crate) fn as_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: allocated in `zeroed` with this very layout, and freed once.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}

#[cfg(all(target_os = "linux", not(miri)))]
fn ask_for_huge_pages(start: NonNull<u8>, layout: Layout) {
    if layout.align() == HUGE {
        // SAFETY: the range was allocated just now; the advice changes no byte, and a refusal
        // (which is ignored) only means smaller pages.
        unsafe { libc::madvise(start.as_ptr().cast(), layout.size(), libc::MADV_HUGEPAGE) };
    }
}

#[cfg(not(all(target_os = "linux", not(miri))))]
fn ask_for_huge_pages(_: NonNull<u8>, _: Layout) {}
