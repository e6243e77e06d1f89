//! What an optimizer is, without what all of them have in common: where one value goes.
//!
//! Every optimizer here works value by value. So its room states what happens to one value, its
//! gradient and what is remembered of it, once, generic over f32 and f64; [`definition::step`]
//! loops over it plainly, and the engine in [`cpu`] loops over the same in wide registers and on
//! all threads. So the formula stands once: that it is right is for Keras's numbers and the minima
//! of known surfaces to show, that the engine reaches every value is for the definition to show.
//! On a GPU it stands once more, as a kernel of [`cuda`] with the same operations and the same bits.
//! The rest, from clipping to moving averages, is [`Descent`](crate::Descent).

pub mod cpu;
pub mod cuda;

use gradus_tensor::Real;
use std::fmt::Debug;

/// Which update it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Update {
    /// t: 1 for the first. Batches whose gradients are only gathered are not counted.
    pub number: u64,
    /// lr: how far.
    pub learning_rate: f32,
}

/// The mathematics of an optimizer that remembers up to `N` numbers of each value: its slots.
///
/// ```
/// use gradus_optim::tensor::Real;
/// use gradus_optim::{Descent, Formula, Optimizer, Update};
///
/// /// One step of the learning rate's size along the sign of the gradient.
/// #[derive(Clone, Copy, Debug, Default)]
/// struct Rule;
///
/// impl Formula<0> for Rule {
///     const NAME: &'static str = "SignSGD";
///     const SLOTS: [&'static str; 0] = [];
///     const LEARNING_RATE: f32 = 1e-3;
///
///     type Numbers<T: Real> = T;
///
///     fn numbers<T: Real>(&self, update: Update) -> T {
///         T::of(f64::from(update.learning_rate))
///     }
///
///     #[inline(always)]
///     fn step<T: Real>(learning_rate: T, w: T, g: T, []: [T; 0]) -> (T, [T; 0]) {
///         (w - learning_rate * g.signum(), [])
///     }
/// }
///
/// // Clipping, weight decay, a moving average and the rest come by themselves.
/// let sign_sgd: Descent<Rule, 0> = Descent::new().weight_decay(1e-2);
/// assert_eq!(sign_sgd.name(), "SignSGD");
/// ```
pub trait Formula<const N: usize>: Copy + Debug + Default + Send + Sync + 'static {
    /// Keras's name of the class.
    const NAME: &'static str;
    /// What the slots are called.
    const SLOTS: [&'static str; N];
    /// The learning rate unless one is given.
    const LEARNING_RATE: f32;
    /// The decoupled weight decay unless one is given; most have none.
    const WEIGHT_DECAY: f64 = 0.0;

    /// The slots that are in use. One that is not takes no memory: it is 0 before every step.
    fn used(&self) -> [bool; N] {
        [true; N]
    }

    /// What the slots hold at first.
    fn initial(&self) -> f32 {
        0.0
    }

    /// What is the same for all values of an update.
    type Numbers<T: Real>: Copy + Debug + Send + Sync + 'static;

    /// Computes it, once, in f64.
    fn numbers<T: Real>(&self, update: Update) -> Self::Numbers<T>;

    /// Where one value goes: w, g and slots to the next w and slots. To be marked
    /// `#[inline(always)]`: a call for every value is ten times as slow.
    fn step<T: Real>(numbers: Self::Numbers<T>, w: T, g: T, slots: [T; N]) -> (T, [T; N]);

    /// The same on a GPU. None unless given: the parameters then go to the CPU and back in every
    /// step, and such a step cannot be recorded.
    const KERNEL: Option<cuda::Kernel<Self::Numbers<f32>>> = None;
}

/// One parameter and all that belongs to it.
#[derive(Debug)]
pub struct Variables<'a, T, const N: usize> {
    /// w.
    pub value: &'a mut [T],
    /// g, as long.
    pub grad: &'a [T],
    /// The slots, as long; empty where not in use.
    pub slots: [&'a mut [T]; N],
}

impl<T, const N: usize> Variables<'_, T, N> {
    /// # Panics
    /// If something has another length than `used` demands.
    fn check(&self, used: [bool; N]) {
        let n = self.value.len();
        assert_eq!(self.grad.len(), n, "a gradient is as long as its value");
        let lengths = self.slots.each_ref().map(|slot| slot.len());
        assert_eq!(
            lengths,
            used.map(|used| if used { n } else { 0 }),
            "slots are there where used"
        );
    }
}

/// A number of a rule that shall be a fraction.
///
/// # Panics
/// If it is not in 0..=1.
pub(crate) fn fraction(name: &str, value: f64) -> f64 {
    assert!((0.0..=1.0).contains(&value), "{name} is a fraction, got {value}");
    value
}

/// A number of a rule whose powers shall vanish.
///
/// # Panics
/// If it is not in 0..1.
pub(crate) fn below_one(name: &str, value: f64) -> f64 {
    assert!((0.0..1.0).contains(&value), "{name} is at least 0 and below 1, got {value}");
    value
}

/// A number of a rule that shall not turn a step around.
///
/// # Panics
/// If it is negative or not finite.
pub(crate) fn not_negative(name: &str, value: f64) -> f64 {
    assert!(value >= 0.0 && value.is_finite(), "{name} is not negative, got {value}");
    value
}

/// Writes the setters of a rule's numbers, each of which one of the functions above looks at:
/// `beta_1: below_one`, with what the number means as its documentation.
macro_rules! setters {
    ($($(#[doc = $what:literal])+ $name:ident: $check:ident,)+) => { $(
        $(#[doc = $what])+
        ///
        /// # Panics
        #[doc = $crate::formula::setters!(@refused $check)]
        #[must_use]
        pub fn $name(mut self, $name: f64) -> Self {
            self.rule.$name = $crate::formula::$check(stringify!($name), $name);
            self
        }
    )+ };
    (@refused fraction) => { "If it is not in 0..=1." };
    (@refused below_one) => { "If it is not in 0..1." };
    (@refused not_negative) => { "If it is negative or not finite." };
}
pub(crate) use setters;

/// The formula as a loop.
pub mod definition {
    use super::{Formula, Real, Update, Variables};

    /// One step.
    ///
    /// # Panics
    /// If something has another length than the formula demands.
    pub fn step<T: Real, F: Formula<N>, const N: usize>(
        formula: &F,
        update: Update,
        mut x: Variables<'_, T, N>,
    ) {
        x.check(formula.used());
        let numbers = formula.numbers::<T>(update);
        for i in 0..x.value.len() {
            let slots = x.slots.each_ref().map(|slot| slot.get(i).copied().unwrap_or(T::zero()));
            let (value, slots) = F::step(numbers, x.value[i], x.grad[i], slots);
            x.value[i] = value;
            for (slot, new) in x.slots.iter_mut().zip(slots) {
                if let Some(slot) = slot.get_mut(i) {
                    *slot = new;
                }
            }
        }
    }
}
