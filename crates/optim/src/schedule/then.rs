//! One schedule after the other.

use super::Schedule;

/// What [`Schedule::then`] makes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Then<A, B> {
    first: A,
    updates: u64,
    next: B,
}

impl<A: Schedule, B: Schedule> Then<A, B> {
    pub(super) fn new(first: A, updates: u64, next: B) -> Self {
        Self { first, updates, next }
    }
}

impl<A: Schedule, B: Schedule> Schedule for Then<A, B> {
    fn at(&self, update: u64) -> f32 {
        match update.checked_sub(self.updates) {
            None => self.first.at(update),
            Some(update) => self.next.at(update),
        }
    }
}
