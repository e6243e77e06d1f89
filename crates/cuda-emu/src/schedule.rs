//! The order in which the threads of an emulated launch run, and what is checked meanwhile.

/// The order of the threads of a block, of the lanes of a warp, and of the blocks of a grid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Order {
    /// From the first to the last.
    #[default]
    Forward,
    /// From the last to the first.
    Reverse,
    /// Random, the same for the same seed.
    Shuffled {
        /// Where the random numbers start.
        seed: u64,
    },
}

/// How launches are carried out. A correct kernel gives the same results under each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Who runs first.
    pub order: Order,
    /// One warp goes as far as it can before the next; otherwise all threads take turns.
    pub warp_greedy: bool,
    /// Asynchronous copies and products happen where they are waited for, so that a forgotten wait
    /// shows; otherwise at once, so that a buffer overwritten too early shows. Where the order is
    /// shuffled, TMA's copies happen now here, now there.
    pub lazy_copies: bool,
    /// Every access is checked: bounds, races, reads of what nobody wrote. About ten times slower.
    pub checked: bool,
    /// If checked, threads change at one access in this many; 0 for never.
    pub preempt: u32,
}

impl Default for Schedule {
    /// The fastest: forward, greedy, lazy copies, unchecked.
    fn default() -> Self {
        Self {
            order: Order::Forward,
            warp_greedy: true,
            lazy_copies: true,
            checked: false,
            preempt: 0,
        }
    }
}

impl Schedule {
    /// The default with every access checked.
    #[must_use]
    pub fn checked() -> Self {
        Self { checked: true, ..Self::default() }
    }

    /// Five that differ in everything: what a kernel should be run under once.
    #[must_use]
    pub fn several() -> [Self; 5] {
        let fast = Self::default();
        [
            fast,
            Self { order: Order::Reverse, warp_greedy: false, lazy_copies: false, ..fast },
            Self { order: Order::Shuffled { seed: 7 }, warp_greedy: false, ..fast },
            Self { order: Order::Shuffled { seed: 8 }, lazy_copies: false, ..Self::checked() },
            Self { order: Order::Reverse, warp_greedy: false, preempt: 50, ..Self::checked() },
        ]
    }
}
