//! Numbers too small to be worth their time.
//!
//! ```text
//! Rule         after each epoch every number of the network and of the optimizer's state that is
//!              not 0 and smaller in size than 2⁻¹²⁶ becomes 0
//! Why          a processor may take a hundred times as long for a subnormal number. They come from
//!              averages that decay where gradients are 0, as those of a unit that never fires do:
//!              RMSprop's square of a gradient gets there in some hundred steps
//! Conventions  what lies on a GPU is left alone: there such numbers cost nothing. The processor's own switch (FTZ) is left alone: Rust does not allow to touch it
//! ```

use gradus_tensor::{Device, Fields, Path};

/// Makes every subnormal number that `owner` owns a 0.
pub(crate) fn flush(owner: &mut dyn Fields) {
    owner.visit_mut(&mut Path::default(), &mut |_, field| {
        let tensor = field.into_value();
        if tensor.device() != Device::Cpu {
            return;
        }
        for value in tensor.slice_mut::<f32>() {
            // Without a branch, so that the loop is as wide as the registers. NaN stays.
            *value = if value.abs() < f32::MIN_POSITIVE { 0.0 } else { *value };
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_tensor::{Shape, Tensor, fields};

    struct Owner {
        average: Tensor,
    }

    fields! { Owner: buffer average }

    #[test]
    fn subnormal_numbers_become_zero_and_no_others() {
        let tiny = f32::MIN_POSITIVE / 2.0;
        let values = [1.0, tiny, -tiny, f32::MIN_POSITIVE, -1e-30, f32::NAN, f32::INFINITY, 0.0];
        let mut owner = Owner { average: Tensor::from_slice(Shape::new(&[8]), &values) };
        flush(&mut owner);
        let expected = [1.0, 0.0, 0.0, f32::MIN_POSITIVE, -1e-30, f32::NAN, f32::INFINITY, 0.0];
        let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(owner.average.slice()), bits(&expected));
    }
}
