//! One source of vector code, compiled for each instruction set.
//!
//! A kernel is written once over [`V<L, FMA>`](V), an array of `L` floats the size of one
//! register, and [`vectorize!`](crate::vectorize) compiles it several times:
//!
//! | instruction set | `L` | `FMA` |
//! | --- | ---: | --- |
//! | AVX-512 | 16 | yes |
//! | AVX2 with FMA | 8 | yes |
//! | anything else (SSE2 on x86-64) | 4 | no |
//! | NEON on AArch64 | 4 | yes |
//!
//! [`Isa::detect`] picks at run time, so a binary built with no flags runs at full speed. With
//! `GRADUS_ISA=avx2` or `GRADUS_ISA=baseline` in the environment it picks none wider, for who wants
//! to compare. No
//! intrinsic is named: the compiler turns an operation on the array into one instruction, because
//! the array is exactly a register wide. Keep accumulators as `[[V; NV]; MR]` with constant
//! extents, or they leave the registers (a factor of 15).

use std::sync::OnceLock;

/// The instruction sets that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Isa {
    /// 16 lanes, 32 registers.
    Avx512,
    /// 8 lanes, 16 registers.
    Avx2,
    /// What every machine of this architecture has: 4 lanes.
    Baseline,
}

impl Isa {
    /// The widest set that this machine has, and that `GRADUS_ISA` allows. Asked once.
    #[must_use]
    pub fn detect() -> Self {
        static FOUND: OnceLock<Isa> = OnceLock::new();
        *FOUND.get_or_init(|| {
            let limit = std::env::var("GRADUS_ISA").ok();
            Self::widest(&Self::available(), limit.as_deref())
        })
    }

    /// The last of these that is not wider than the one of that name. Other names limit nothing.
    fn widest(available: &[Self], limit: Option<&str>) -> Self {
        let limit = match limit {
            Some("baseline") => Isa::Baseline,
            Some("avx2") => Isa::Avx2,
            _ => Isa::Avx512,
        };
        let mut allowed = available.iter().filter(|isa| isa.lanes() <= limit.lanes());
        allowed.next_back().copied().unwrap_or(Isa::Baseline)
    }

    /// All sets that this machine has, the narrowest first: what tests run through.
    #[must_use]
    pub fn available() -> Vec<Self> {
        #[allow(unused_mut, reason = "other architectures add none")]
        let mut found = vec![Isa::Baseline];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                found.push(Isa::Avx2);
            }
            if is_x86_feature_detected!("avx512f") && found.contains(&Isa::Avx2) {
                found.push(Isa::Avx512);
            }
        }
        found
    }

    /// Floats in one register.
    #[must_use]
    pub fn lanes(self) -> usize {
        match self {
            Isa::Avx512 => 16,
            Isa::Avx2 => 8,
            Isa::Baseline => 4,
        }
    }

    /// Whether this machine can run it: what has the wider set has the narrower ones too. Checked
    /// before any vectorized function is called.
    #[must_use]
    pub fn is_available(self) -> bool {
        static WIDEST: OnceLock<usize> = OnceLock::new();
        let widest = || Self::widest(&Self::available(), None).lanes();
        self.lanes() <= *WIDEST.get_or_init(widest)
    }
}

/// `L` floats in one register. `FMA`: multiply and add round once.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct V<const L: usize, const FMA: bool>(pub [f32; L]);

impl<const L: usize, const FMA: bool> V<L, FMA> {
    /// The same number in every lane.
    #[inline(always)]
    #[must_use]
    pub fn splat(value: f32) -> Self {
        Self([value; L])
    }

    /// The first `L` numbers of a slice.
    ///
    /// # Panics
    /// If there are fewer.
    #[inline(always)]
    #[must_use]
    pub fn load(from: &[f32]) -> Self {
        Self(*from.first_chunk().expect("a whole vector"))
    }

    /// Writes to the first `L` numbers of a slice.
    ///
    /// # Panics
    /// If there are fewer.
    #[inline(always)]
    pub fn store(self, to: &mut [f32]) {
        *to.first_chunk_mut().expect("a whole vector") = self.0;
    }

    /// The `L` numbers from a pointer on, which need not be aligned.
    ///
    /// # Safety
    /// They are readable.
    #[inline(always)]
    #[must_use]
    pub unsafe fn read(from: *const f32) -> Self {
        // SAFETY: the caller's promise; f32 arrays need no more than f32's alignment.
        Self(unsafe { *from.cast() })
    }

    /// Writes `L` numbers from a pointer on, which need not be aligned.
    ///
    /// # Safety
    /// They are writable, and nobody else reads or writes them meanwhile.
    #[inline(always)]
    pub unsafe fn write(self, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { *to.cast() = self.0 }
    }

    /// Lane by lane.
    #[inline(always)]
    #[must_use]
    pub fn map(self, f: impl Fn(f32) -> f32) -> Self {
        let mut r = self.0;
        for v in &mut r {
            *v = f(*v);
        }
        Self(r)
    }

    /// Two vectors lane by lane.
    #[inline(always)]
    #[must_use]
    pub fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        let mut r = self.0;
        for (v, w) in r.iter_mut().zip(other.0) {
            *v = f(*v, w);
        }
        Self(r)
    }

    /// self · a + b, rounded once where the machine can.
    #[inline(always)]
    #[must_use]
    pub fn mul_add(self, a: Self, b: Self) -> Self {
        let mut r = b.0;
        #[allow(clippy::needless_range_loop, reason = "the form that was measured to vectorise")]
        for i in 0..L {
            r[i] = if FMA { self.0[i].mul_add(a.0[i], r[i]) } else { self.0[i] * a.0[i] + r[i] };
        }
        Self(r)
    }

    /// The larger of each pair.
    #[inline(always)]
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }

    /// The sum of the lanes, halves first: the same order for every caller.
    #[inline(always)]
    #[must_use]
    pub fn sum(self) -> f32 {
        let mut r = self.0;
        let mut half = L / 2;
        while half > 0 {
            for i in 0..half {
                r[i] += r[i + half];
            }
            half /= 2;
        }
        r[0]
    }
}

macro_rules! operator {
    ($($trait:ident $method:ident $op:tt),+) => {
        $(impl<const L: usize, const FMA: bool> std::ops::$trait for V<L, FMA> {
            type Output = Self;

            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                self.zip(other, |a, b| a $op b)
            }
        })+
    };
}

operator!(Add add +, Sub sub -, Mul mul *, Div div /);

/// Asks for the cache line at that address to be fetched into the second-level cache. Any address
/// will do: where there is nothing to fetch, nothing happens.
#[inline(always)]
pub fn prefetch(at: *const f32) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: part of SSE, which every x86-64 machine has; it never faults and changes nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast()) };
    }
    let _ = at;
}

/// As [`prefetch`], for all cache lines of `len` numbers from an address on.
#[inline(always)]
pub fn prefetch_all(from: *const f32, len: usize) {
    /// Floats of a cache line.
    const LINE: usize = 16;
    for at in (0..len).step_by(LINE) {
        prefetch(from.wrapping_add(at));
    }
}

/// Compiles a generic kernel for every instruction set.
///
/// `fn name(args) = body;` declares `fn name(isa: Isa, args)`, which runs `body::<L, FMA>(args)`.
/// The body must be `#[inline(always)]`, and so must all that it calls in its hot loop.
///
/// ```
/// use gradus_tensor::simd::{Isa, V};
///
/// #[inline(always)]
/// fn double<const L: usize, const FMA: bool>(x: &mut [f32]) {
///     let mut chunks = x.chunks_exact_mut(L);
///     for chunk in &mut chunks {
///         let v = V::<L, FMA>::load(chunk);
///         (v + v).store(chunk);
///     }
///     chunks.into_remainder().iter_mut().for_each(|v| *v += *v);
/// }
/// gradus_tensor::vectorize! { fn double_all(x: &mut [f32]) = double; }
///
/// let mut x = [1.0, 2.0, 3.0, 4.0, 5.0];
/// double_all(Isa::detect(), &mut x);
/// assert_eq!(x, [2.0, 4.0, 6.0, 8.0, 10.0]);
/// ```
#[macro_export]
macro_rules! vectorize {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $ret:ty)?
        = $body:ident;)+) => {
        $($(#[$meta])*
        #[allow(clippy::too_many_arguments, reason = "as many as the kernel has")]
        $vis fn $name(isa: $crate::simd::Isa, $($arg: $type),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx2,fma")]
                #[allow(clippy::too_many_arguments, reason = "as many as the kernel has")]
                fn avx512($($arg: $type),*) $(-> $ret)? {
                    $body::<16, true>($($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                #[allow(clippy::too_many_arguments, reason = "as many as the kernel has")]
                fn avx2($($arg: $type),*) $(-> $ret)? {
                    $body::<8, true>($($arg),*)
                }
                assert!(isa.is_available(), "{isa:?} was asked for on a machine without it");
                match isa {
                    // SAFETY: the features were found on this machine, one line above.
                    $crate::simd::Isa::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    $crate::simd::Isa::Avx2 => return unsafe { avx2($($arg),*) },
                    _ => {}
                }
            }
            let _ = isa;
            $body::<4, { cfg!(target_arch = "aarch64") }>($($arg),*)
        })+
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[inline(always)]
    fn dot<const L: usize, const FMA: bool>(a: &[f32], b: &[f32]) -> f32 {
        let mut sum = V::<L, FMA>::splat(0.0);
        for (a, b) in a.chunks_exact(L).zip(b.chunks_exact(L)) {
            sum = V::load(a).mul_add(V::load(b), sum);
        }
        sum.sum()
    }

    vectorize! { fn dot_product(a: &[f32], b: &[f32]) -> f32 = dot; }

    #[test]
    fn every_instruction_set_gives_the_same_sum() {
        let a: Vec<f32> = (0..64u8).map(f32::from).collect();
        let expected = (0..64).map(|i| i * i).sum::<i32>() as f32;
        for isa in Isa::available() {
            assert_eq!(dot_product(isa, &a, &a), expected, "{isa:?}");
        }
    }

    #[test]
    fn the_widest_set_that_is_there_is_picked() {
        let all = Isa::available();
        assert!(all.iter().all(|isa| isa.is_available()));
        assert_eq!(all.last(), Some(&Isa::widest(&all, None)));
        assert!(all.windows(2).all(|w| w[0].lanes() < w[1].lanes()));
    }

    #[test]
    fn a_limit_is_kept_to() {
        let all = [Isa::Baseline, Isa::Avx2, Isa::Avx512];
        assert_eq!(Isa::widest(&all, None), Isa::Avx512);
        assert_eq!(Isa::widest(&all, Some("avx2")), Isa::Avx2);
        assert_eq!(Isa::widest(&all, Some("baseline")), Isa::Baseline);
        assert_eq!(Isa::widest(&all[..1], Some("avx2")), Isa::Baseline);
    }

    #[test]
    fn operations_are_lane_by_lane() {
        let (a, b) = (V::<4, false>([1.0, 5.0, 3.0, 8.0]), V([4.0, 2.0, 3.0, 2.0]));
        assert_eq!((a + b).0, [5.0, 7.0, 6.0, 10.0]);
        assert_eq!((a - b).0, [-3.0, 3.0, 0.0, 6.0]);
        assert_eq!((a / b).0, [0.25, 2.5, 1.0, 4.0]);
        assert_eq!(a.max(b).0, [4.0, 5.0, 3.0, 8.0]);
        assert_eq!(a.mul_add(b, a).0, [5.0, 15.0, 12.0, 24.0]);
        assert_eq!(a.sum(), 17.0);
    }
}
