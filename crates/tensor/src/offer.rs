//! An update that is made where the gradient comes about.
//!
//! The update of a large kernel waits for memory, and so does its gradient: together they read the
//! kernel twice and write it once, and write and read a gradient as large. An optimizer may
//! therefore lend a parameter its update before the backward pass. A layer that makes the gradient
//! in tiles takes the offer and hands each tile over while it lies in cache; the gradient is
//! never whole. A layer that does not know of it leaves the offer and gives the gradient, as ever.
//! So the layer knows no optimizer, and the optimizer no layer.

use std::any::Any;
use std::fmt::Debug;

/// The update of one parameter, to be made tile by tile.
pub trait TileUpdate: Any + Debug + Send + Sync {
    /// Moves the values from number `first` on by their gradients.
    ///
    /// # Safety
    /// Calls that are made at the same time are for values apart from each other.
    ///
    /// # Panics
    /// If the parameter has no such values, or there is not one gradient for each.
    unsafe fn update(&self, first: usize, values: &mut [f32], grads: &[f32]);

    /// Says that those values will soon be updated: what belongs to them may be fetched.
    fn prefetch(&self, first: usize, len: usize);
}

/// Room for an update that is lent for one backward pass.
///
/// A copy of a parameter is offered nothing.
#[derive(Debug, Default)]
pub struct Offer {
    update: Option<Box<dyn TileUpdate>>,
    taken: bool,
}

impl Offer {
    /// Offers that update.
    #[must_use]
    pub fn new(update: Box<dyn TileUpdate>) -> Self {
        Self { update: Some(update), taken: false }
    }

    /// Takes the offer, if there is one. Who takes it updates every value, once, and writes no
    /// gradient.
    ///
    /// # Panics
    /// If it was taken before.
    pub fn take(&mut self) -> Option<&dyn TileUpdate> {
        let update = self.update.as_deref()?;
        assert!(!self.taken, "one update, and two backward passes that make it");
        self.taken = true;
        Some(update)
    }

    /// Ends the loan: the update, and whether it was made.
    pub fn give_back(&mut self) -> Option<(Box<dyn TileUpdate>, bool)> {
        let taken = std::mem::take(&mut self.taken);
        self.update.take().map(|update| (update, taken))
    }
}

impl Clone for Offer {
    fn clone(&self) -> Self {
        Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Nothing;

    impl TileUpdate for Nothing {
        unsafe fn update(&self, _: usize, _: &mut [f32], _: &[f32]) {}

        fn prefetch(&self, _: usize, _: usize) {}
    }

    #[test]
    fn an_offer_says_whether_it_was_taken() {
        assert!(Offer::default().take().is_none() && Offer::default().give_back().is_none());
        let mut offer = Offer::new(Box::new(Nothing));
        assert!(offer.clone().take().is_none(), "a copy is offered nothing");
        assert!(matches!(offer.give_back(), Some((_, false))));
        offer = Offer::new(Box::new(Nothing));
        assert!(offer.take().is_some());
        assert!(matches!(offer.give_back(), Some((_, true))));
        assert!(offer.give_back().is_none() && offer.take().is_none());
    }

    #[test]
    #[should_panic(expected = "two backward passes")]
    fn an_offer_is_taken_once() {
        let mut offer = Offer::new(Box::new(Nothing));
        let _ = offer.take();
        let _ = offer.take();
    }
}
