//! Any bytes as a checkpoint.

use lanestep::checkpoint::{Checkpoint, Error, Recorded, Snapshot};
use lanestep::{AnyRule, Optimizer, Parallelism, Tensor};
use std::io::Cursor;

pub fn bytes<R: Recorded>(optimizer: &Optimizer<R>) -> Vec<u8> {
    let mut bytes = Vec::new();
    Snapshot::of(optimizer).write(&mut bytes).expect("a checkpoint");
    bytes
}

pub fn open(bytes: &[u8]) -> Result<Checkpoint<Cursor<&[u8]>>, Error> {
    Checkpoint::read(Cursor::new(bytes))
}

/// Another that goes on where this one is, for what it is saved as.
pub fn loaded<R: Recorded>(optimizer: &Optimizer<R>) -> Optimizer<R> {
    let saved = bytes(optimizer);
    let loaded = open(&saved).and_then(|mut checkpoint| checkpoint.optimizer(optimizer.layout()));
    let loaded = loaded.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&saved)));
    assert!(bytes(&loaded) == saved, "other bytes, saved again: {}", String::from_utf8_lossy(&saved));
    loaded
}

/// Parameters of more than these are refused.
const LONGEST: usize = 1000;

/// Any bytes: an optimizer that works and is saved and loaded as itself, or an error. Returns whether it was one.
pub fn load(bytes: &[u8]) -> bool {
    let Ok(mut checkpoint) = open(bytes) else { return false };
    let len = checkpoint.layout().len();
    let Ok(mut optimizer) = checkpoint.optimizer::<AnyRule>(len.min(LONGEST)) else { return false };
    assert!(len <= LONGEST && optimizer.len() == len);
    let mut params = vec![1.0; len];
    let read = checkpoint.params(&mut [Tensor::of(&mut params)]);
    assert!(read.is_ok() || params.iter().all(|&p| p == 1.0), "wrote parameters, and failed");
    // Whatever it is.
    checkpoint.extra::<ciborium::Value>().ok();
    checkpoint.verify().ok();

    let mut other = loaded(&optimizer);
    optimizer.set_parallelism(Parallelism::Serial);
    other.set_parallelism(Parallelism::Serial);
    let mut others = params.clone();
    step(&mut optimizer, &mut params);
    step(&mut other, &mut others);
    crate::cases::assert_bits(&others, &params, &"a step later");
    true
}

/// If there are lower halves, of their upper ones, which are ones.
fn step(optimizer: &mut Optimizer<AnyRule>, params: &mut [f32]) {
    let grads = vec![0.5_f32; params.len()];
    #[cfg(feature = "half")]
    if optimizer.is_split() {
        let mut upper = vec![half::bf16::ONE; params.len()];
        let tensors = &mut [Tensor::new(&mut upper, &grads)];
        optimizer.step_with(tensors, &lanestep::Pipeline::default()).expect("halves");
        return optimizer.masters(&[Tensor::of(&mut upper)], params).expect("halves");
    }
    optimizer.step(params, &grads).expect("right lengths");
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    #[test]
    fn crashes_of_load_are_mended() {
        let loaded = Cell::new(0);
        crate::fuzzed::tests::replay("load", |bytes| {
            loaded.set(loaded.get() + usize::from(super::load(bytes)));
        });
        assert!(loaded.get() >= 3, "only {} were checkpoints", loaded.get());
    }

    /// Some bytes are others than they were. Where there are no checksums, some of these files are as good as before.
    #[test]
    fn changed_bytes() {
        let plain = include_bytes!("../crashes/load/unchecked");
        let mut rng = fastrand::Rng::with_seed(3);
        let mut loaded = 0;
        for _ in 0..5000 {
            let mut bytes = plain.to_vec();
            for _ in 0..rng.usize(1..4) {
                let place = rng.usize(..bytes.len());
                match rng.u8(0..4) {
                    0 => bytes[place] = rng.u8(..),
                    1 => bytes[place] = rng.u8(b'0'..=b'9'),
                    2 => bytes[place] ^= 1 << rng.u8(0..8),
                    _ => bytes[place] = bytes[rng.usize(..plain.len())],
                }
            }
            loaded += usize::from(super::load(&bytes));
        }
        assert!((100..4900).contains(&loaded), "{loaded} of 5000 were loaded");
    }
}
