//! What the emulation found to be wrong.

use std::fmt;

/// What kind of mistake it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultKind {
    /// An access outside of every allocation, or of the block's shared memory.
    OutOfBounds,
    /// Two threads touch the same bytes, one of them writes, and nothing orders them.
    Race,
    /// Memory is read that nobody has written.
    Uninitialised,
    /// Threads wait, and nobody is left who could release them.
    Deadlock,
    /// Grid, block or shared memory are beyond what the device or the kernel allow.
    BadLaunch,
    /// An address is not aligned to the size of its access.
    Misaligned,
    /// Lanes of a warp are not where its operation needs them.
    Divergence,
    /// A trap, an integer divided by zero, or something that is not emulated.
    Trap,
    /// A call of the driver, or an instruction, with arguments that cannot be.
    BadCall,
}

impl FaultKind {
    pub(crate) fn from_code(code: i32) -> Self {
        const KINDS: [FaultKind; 9] = [
            FaultKind::OutOfBounds,
            FaultKind::Race,
            FaultKind::Uninitialised,
            FaultKind::Deadlock,
            FaultKind::BadLaunch,
            FaultKind::Misaligned,
            FaultKind::Divergence,
            FaultKind::Trap,
            FaultKind::BadCall,
        ];
        usize::try_from(code).ok().and_then(|i| KINDS.get(i).copied()).unwrap_or(Self::BadCall)
    }
}

/// One mistake, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault {
    /// What it is.
    pub kind: FaultKind,
    /// The kernel, or the call of the driver.
    pub kernel: String,
    /// `blockIdx`; zeros outside of a thread.
    pub block: [u32; 3],
    /// `threadIdx`; zeros outside of a thread.
    pub thread: [u32; 3],
    /// The address it is about, if any.
    pub address: Option<u64>,
    /// A sentence with the numbers.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, kernel, block, thread, what, .. } = self;
        write!(f, "{kind:?} in {kernel}, block {block:?}, thread {thread:?}: {what}")
    }
}
