//! A step allocates nothing, whatever is added to the optimizer: a counting allocator watches.

mod all;

use all::{Model, optimizers};
use gradus_tensor::{Context, Device};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The system's allocator, counting for the threads that take part in a step. (The one that runs
/// the tests allocates when it likes.)
struct Counting;

static COUNT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static WATCHED: Cell<bool> = const { Cell::new(false) };
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(usize::from(WATCHED.get()), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_step_allocates_nothing() {
    let mut cx = Context::new(Device::Cpu, 2);
    // Neither goes on without the other, so each of the two threads takes one piece.
    let both = Barrier::new(2);
    cx.workspace.pool.run(2, &|_| {
        WATCHED.set(true);
        both.wait();
    });
    let before = COUNT.load(Ordering::Relaxed);
    drop(std::hint::black_box(Box::new(1)));
    assert!(COUNT.load(Ordering::Relaxed) > before, "nothing is counted");
    for mut optimizer in optimizers() {
        let mut model = Model::new();
        optimizer.build(&model, &Device::Cpu);
        // Paths grow in the first update, which is the third step where gradients are gathered.
        for step in 0..3 {
            model.step(&mut *optimizer, &mut cx, step);
        }
        let before = COUNT.load(Ordering::Relaxed);
        for step in 3..9 {
            model.step(&mut *optimizer, &mut cx, step);
        }
        let count = COUNT.load(Ordering::Relaxed) - before;
        assert_eq!(count, 0, "allocations of {} in six steps", optimizer.name());
    }
}
