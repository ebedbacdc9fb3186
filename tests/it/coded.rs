//! Any numbers in any format, against `reference`.

use crate::cases::assert_bits;
use crate::piped::round;
use lanestep::{Adam, Format, Optimizer};

/// Four bytes a number. They are kept as they should be, once and again.
pub fn codecs(bytes: &[u8]) {
    let numbers: Vec<f32> = bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    for format in Format::all().iter().copied() {
        let mut optimizer = Optimizer::new(Adam::default(), numbers.len()).expect("memory");
        optimizer.set_state_format(None, format).expect("memory");
        for (name, signed) in [("exp_avg", true), ("exp_avg_sq", false)] {
            let mut expected = numbers.clone();
            round(&mut expected, 0, format, signed, None);
            expected
                .iter_mut()
                .filter(|x| x.abs() < f32::MIN_POSITIVE)
                .for_each(|x| *x = flushed(*x, format));
            let mut kept = numbers.clone();
            for _ in 0..2 {
                optimizer.set_state(name, &kept).expect("as many");
                optimizer.read_state(name, &mut kept).expect("as many");
                assert_bits(&kept, &expected, &(format, name));
            }
        }
    }
    #[cfg(feature = "half")]
    halves(&numbers);
}

/// A zero of `f16` keeps its sign, as what is subnormal there is not so as an `f32`.
const fn flushed(x: f32, format: Format) -> f32 {
    if matches!(format, Format::F16) { x } else { 0.0 }
}

/// Both halves are the number, and a copy is its nearest.
#[cfg(feature = "half")]
fn halves(numbers: &[f32]) {
    use half::{bf16, f16};
    use lanestep::{Pipeline, Sgd, Tensor};
    let len = numbers.len();
    let mut optimizer = Optimizer::new(Sgd { lr: 0.0, ..Sgd::default() }, len).expect("memory");
    let (mut params, mut f16s, mut bf16s) = (numbers.to_vec(), vec![f16::ZERO; len], vec![bf16::ZERO; len]);
    let zeros = vec![0.0_f32; len];
    for copy in [true, false] {
        let tensor = Tensor::new(&mut params, &zeros);
        let tensor = if copy { tensor.mirrored(&mut bf16s) } else { tensor.mirrored(&mut f16s) };
        optimizer.step_with(&mut [tensor], &Pipeline::default()).expect("as many");
    }
    let bits = |numbers: &[f32]| {
        numbers.iter().map(|x| if x.is_nan() { 1 } else { x.to_bits() }).collect::<Vec<_>>()
    };
    let nearest = |round: fn(f32) -> f32| bits(&numbers.iter().map(|x| round(*x)).collect::<Vec<_>>());
    assert_eq!(
        bits(&bf16s.iter().map(|x| x.to_f32()).collect::<Vec<_>>()),
        nearest(|x| bf16::from_f32(x).to_f32())
    );
    assert_eq!(
        bits(&f16s.iter().map(|x| x.to_f32()).collect::<Vec<_>>()),
        nearest(|x| f16::from_f32(x).to_f32())
    );

    optimizer.set_split(true).expect("memory");
    optimizer.set_masters(numbers, &mut [Tensor::of(&mut bf16s)]).expect("as many");
    optimizer.masters(&[Tensor::of(&mut bf16s)], &mut params).expect("as many");
    assert_eq!(bits(&params), bits(numbers));
}

#[cfg(test)]
mod tests {
    use super::codecs;

    #[test]
    fn crashes_of_codecs_are_mended() {
        crate::fuzzed::tests::replay("codecs", codecs);
    }

    #[test]
    fn random_bits() {
        let rng = &mut fastrand::Rng::with_seed(3);
        for _ in 0..300 {
            // Also of about one size, which share blocks.
            let (upper, spread) = (rng.u32(..), *rng.choice(&[8, 16, 24, 32]).unwrap());
            let mask = u32::MAX >> (32 - spread);
            let bytes = (0..rng.usize(..600)).flat_map(|_| (upper ^ rng.u32(..) & mask).to_le_bytes());
            codecs(&bytes.collect::<Vec<_>>());
        }
    }
}
