//! A hash that is the same on every machine and in every version: for what is kept on disk.
//!
//! ```text
//! Formula      h ← (h ⊕ word) · p, then h ← h ⊕ h ≫ 32, for words of 8 bytes, little-endian
//! Reference    FNV-1a, a word at a time instead of a byte: it guards against accidents, not foes
//! ```

/// A hash in the making.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hash(u64);

impl Default for Hash {
    fn default() -> Self {
        Self(0xCBF2_9CE4_8422_2325)
    }
}

impl Hash {
    /// Takes a number in.
    pub(crate) fn number(&mut self, word: u64) -> &mut Self {
        let mixed = (self.0 ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ mixed >> 32;
        self
    }

    /// Takes bytes in, and how many they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| _ = self.number(u64::from_le_bytes(*word)));
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.number(u64::from_le_bytes(last)).number(bytes.len() as u64)
    }

    /// Takes text in, and how long it is.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// The hash of all that was taken in.
    pub(crate) fn finish(self) -> u64 {
        self.0
    }
}

/// The hash of some bytes.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    Hash::default().bytes(bytes).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_every_place_and_the_length_count() {
        let bytes: Vec<u8> = (0..37).map(|n| n * 7).collect();
        let mut seen = vec![hash(&bytes), hash(&[]), hash(&[0]), hash(&[0; 8]), hash(&[0; 9])];
        for bit in 0..bytes.len() * 8 {
            let mut other = bytes.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            seen.push(hash(&other));
        }
        let all = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), all);
    }
}
