//! A hash that stays the same between machines and versions of Rust: FNV-1a with 64 bits.
//!
//! It tells whether something has changed, not whether someone has forged it. Reference: Fowler,
//! Noll, Vo, "The FNV Non-Cryptographic Hash Algorithm" (draft-eastlake-fnv).

/// The hash of the parts; where one ends and the next begins counts.
pub(super) fn of(parts: &[&str]) -> u64 {
    const END: u8 = 0xff; // no byte of UTF-8
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        for &byte in part.as_bytes().iter().chain(&[END]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_fnv_1a_of_the_bytes_and_of_the_ends() {
        assert_eq!(of(&[]), 0xcbf2_9ce4_8422_2325, "the reference's value of nothing");
        let end = |hash: u64| (hash ^ 0xff).wrapping_mul(0x0100_0000_01b3);
        assert_eq!(of(&["foobar"]), end(0x8594_4171_f739_67e8), "the reference's value of foobar");
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
    }
}
