//! Rules with as many slots as there is room for, and more.

use lanestep::rule::Shared;
use lanestep::{Error, Formula, Lane, Optimizer, Rule, WithFormula};

/// A rule with as many slots as it says, of any names.
#[derive(Clone, Debug)]
struct Wide<const S: usize>(&'static [&'static str]);

impl<const S: usize> Formula<S> for Step<S> {
    fn update<L: Lane>(&self, p: L, g: L, s: [L; S]) -> (L, [L; S]) {
        (p - g, s.map(|s| s + g))
    }
}

#[derive(Clone, Copy)]
struct Step<const S: usize>;

impl<const S: usize> Rule for Wide<S> {
    fn slots(&self) -> &'static [&'static str] {
        self.0
    }

    fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    fn shared(&self) -> Shared {
        Shared::new(1.0)
    }

    fn set_lr(&mut self, _lr: f64) {}

    fn at<W: WithFormula>(&self, _t: u64, with: W) -> W::Output {
        with.formula::<_, S>(Step)
    }
}

#[test]
fn as_many_slots_as_there_is_room_for_and_more() {
    let names = |from: usize, to: usize| -> &'static [&'static str] {
        (from..to).map(|i| &*format!("slot {i}").leak()).collect::<Vec<_>>().leak()
    };
    let too_many = Error::TooManySlots { allowed: 16 };
    assert_eq!(Optimizer::new(Wide::<20>(names(0, 20)), 600).unwrap_err(), too_many);
    let mut optimizer = Optimizer::new(Wide::<16>(names(0, 16)), 600).unwrap();
    optimizer.set_ema(0.5).unwrap();
    optimizer.step(&mut [1.0; 600], &[0.5; 600]).unwrap();
    optimizer.set_rule(0, Wide(names(16, 32))).unwrap();
    optimizer.step(&mut [1.0; 600], &[0.5; 600]).unwrap();
    assert_eq!(optimizer.state("slot 15"), None);
    assert_eq!(optimizer.state("slot 31"), Some(&[0.5; 600][..]));
}
