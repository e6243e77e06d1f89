//! Numbers that come back as the same bits.
//!
//! JSON knows neither NaN nor infinity, and its readers may round: a run that is resumed must go on
//! from exactly the figures that it had, so they are written as text.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A number as the shortest text that reads back as the same bits.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Exact(pub(crate) f64);

impl Serialize for Exact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Exact).map_err(|_| D::Error::custom(format!("{text:?} is no number")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_number_comes_back() {
        let numbers =
            [0.1 + 0.2, -0.0, f64::MIN_POSITIVE / 8.0, f64::MAX, f64::INFINITY, f64::NEG_INFINITY];
        for number in numbers {
            let text = serde_json::to_string(&Exact(number)).unwrap();
            let Exact(back) = serde_json::from_str(&text).unwrap();
            assert_eq!(back.to_bits(), number.to_bits(), "{text}");
        }
        let text = serde_json::to_string(&Exact(f64::NAN)).unwrap();
        assert!(serde_json::from_str::<Exact>(&text).unwrap().0.is_nan());
        assert!(serde_json::from_str::<Exact>("\"much\"").is_err());
    }
}
