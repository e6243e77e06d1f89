//! What a safetensors file says of itself.
//!
//! ```text
//! Form         length u64, then JSON: name → dtype, shape, data_offsets, and `__metadata__` → texts
//! Limits       16 MiB of it, eight extents a tensor; of the texts only ours is kept: what is kept
//!              takes little more memory than the bytes of the file
//! ```

use super::KEY;
use safetensors::Dtype;
use serde::de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::{BTreeMap, btree_map::Entry};
use std::fmt;

/// The longest header that is read.
pub(super) const LIMIT: u64 = 16 << 20;
/// More extents than any tensor has.
const EXTENTS: usize = 8;

/// The tensors by name, and what gradus says of them.
#[derive(Debug, Default)]
pub(super) struct Header {
    pub(super) tensors: BTreeMap<String, Stored>,
    pub(super) text: Option<String>,
}

/// Where a tensor is, and what it is.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Stored {
    pub(super) dtype: Dtype,
    #[serde(deserialize_with = "few")]
    pub(super) shape: Vec<usize>,
    /// From where to where, behind the header.
    pub(super) data_offsets: (usize, usize),
}

/// Extents, but not more than a tensor can have.
fn few<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<usize>, D::Error> {
    struct Few;
    impl<'de> Visitor<'de> for Few {
        type Value = Vec<usize>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {EXTENTS} extents")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Vec<usize>, A::Error> {
            let mut shape = Vec::new();
            while let Some(extent) = all.next_element()? {
                if shape.len() == EXTENTS {
                    return Err(A::Error::invalid_length(EXTENTS + 1, &self));
                }
                shape.push(extent);
            }
            Ok(shape)
        }
    }
    deserializer.deserialize_seq(Few)
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("tensors by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut header = Header::default();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        header.text = map.next_value::<Texts>()?.0;
                        continue;
                    }
                    match header.tensors.entry(name) {
                        Entry::Vacant(place) => _ = place.insert(map.next_value()?),
                        Entry::Occupied(place) => {
                            let reason = format!("{} is there twice", place.key());
                            return Err(A::Error::custom(reason));
                        }
                    }
                }
                Ok(header)
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// The one text that is ours.
struct Texts(Option<String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("texts by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Texts, A::Error> {
                let mut text = None;
                while let Some(name) = map.next_key::<String>()? {
                    if name == KEY {
                        text = Some(map.next_value()?);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Texts(text))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

impl Header {
    /// Whether the tensors fill the bytes behind the header, each its own; what is wrong otherwise.
    pub(super) fn check_places(&self, bytes: u64) -> Result<(), String> {
        let mut places: Vec<(&String, &Stored)> = self.tensors.iter().collect();
        places.sort_by_key(|(_, stored)| stored.data_offsets);
        let mut end = 0;
        for (name, stored) in places {
            let (from, to) = stored.data_offsets;
            if from != end || stored.bits().is_none() || stored.bits() != bits(from, to) {
                let (dtype, shape) = (stored.dtype, &stored.shape);
                return Err(format!("{name} is {dtype:?} {shape:?} in the bytes {from} to {to}"));
            }
            end = to;
        }
        match end as u64 == bytes {
            true => Ok(()),
            false => Err(format!("its tensors have {end} bytes, and there are {bytes}")),
        }
    }
}

impl Stored {
    /// What its numbers take; `None` where that cannot be counted.
    fn bits(&self) -> Option<usize> {
        let numbers = self.shape.iter().try_fold(1usize, |n, extent| n.checked_mul(*extent))?;
        numbers.checked_mul(self.dtype.bitsize())
    }
}

fn bits(from: usize, to: usize) -> Option<usize> {
    to.checked_sub(from)?.checked_mul(8)
}
