//! State in memory.

use crate::Buffer;

/// One number of state for each parameter, from zero.
#[derive(Clone)]
pub(super) struct Slot {
    pub(super) name: &'static str,
    pub(super) numbers: Buffer,
}

impl Slot {
    /// Apart from the slots there are.
    pub(super) fn new<'a>(
        name: &'static str,
        len: usize,
        others: impl Iterator<Item = &'a Self> + Clone,
    ) -> Option<Self> {
        let taken = |place: &usize| others.clone().any(|other| other.numbers.place() == *place);
        let place = (0..).find(|place| !taken(place))?;
        Some(Self { name, numbers: Buffer::at(place, len)? })
    }
}

#[cfg(test)]
mod tests {
    use crate::{AdamW, Adan, AnyRule, Lion, Optimizer};
    use std::collections::HashSet;

    fn offsets(optimizer: &Optimizer<AnyRule>) -> Vec<usize> {
        let average = optimizer.ema.iter().map(|ema| &ema.average);
        optimizer.state.iter().chain(average).map(|slot| slot.numbers.as_ptr().addr() % 4096).collect()
    }

    #[test]
    fn slots_lie_apart_also_after_a_switch_and_in_a_copy() {
        let mut optimizer = Optimizer::<AnyRule>::new(Adan::default().into(), 5000).unwrap();
        optimizer.set_ema(0.9).unwrap();
        let apart = |optimizer: &Optimizer<AnyRule>| {
            let offsets = offsets(optimizer);
            assert_eq!(HashSet::<_>::from_iter(&offsets).len(), offsets.len());
            offsets
        };
        assert_eq!(apart(&optimizer).len(), 5);
        for rule in [AnyRule::from(Lion::default()), AdamW::default().into(), Adan::default().into()] {
            optimizer.set_rule(0, rule).unwrap();
            assert_eq!(apart(&optimizer), apart(&optimizer.clone()));
        }
    }
}
