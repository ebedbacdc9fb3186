//! Rules of a user's that break their promises.

use lanestep::rule::Shared;
use lanestep::{Error, Formula, Lane, Level, Optimizer, Parallelism, Rule, WithFormula};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Names one slot and takes two: at once, or only from step 3 on.
#[derive(Clone, Debug)]
struct Confused {
    from: u64,
}

#[derive(Clone, Copy)]
struct Takes;

impl<const S: usize> Formula<S> for Takes {
    fn update<L: Lane>(&self, p: L, g: L, s: [L; S]) -> (L, [L; S]) {
        (p - g, s.map(|s| s + 1.0))
    }
}

impl Rule for Confused {
    fn slots(&self) -> &'static [&'static str] {
        &["only"]
    }

    fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    fn shared(&self) -> Shared {
        Shared::new(0.0)
    }

    fn set_lr(&mut self, _lr: f64) {}

    fn at<W: WithFormula>(&self, t: u64, with: W) -> W::Output {
        if t >= self.from { with.formula::<Takes, 2>(Takes) } else { with.formula::<Takes, 1>(Takes) }
    }
}

/// Names one slot, and takes two whenever it is asked for the `at`th time.
#[derive(Clone, Debug)]
struct Fickle {
    asked: &'static AtomicUsize,
    at: usize,
}

impl Rule for Fickle {
    fn slots(&self) -> &'static [&'static str] {
        &["only"]
    }

    fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    fn shared(&self) -> Shared {
        Shared::new(0.0)
    }

    fn set_lr(&mut self, _lr: f64) {}

    fn at<W: WithFormula>(&self, _t: u64, with: W) -> W::Output {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        if asked == self.at { with.formula::<Takes, 2>(Takes) } else { with.formula::<Takes, 1>(Takes) }
    }
}

#[test]
fn a_rule_that_changes_its_mind_is_an_error_whenever_it_does() {
    let wrong = Error::Slots { expected: 1, found: 2 };
    for at in 0..12 {
        let rule = Fickle { asked: Box::leak(Box::default()), at };
        let made = Optimizer::new(rule, 100);
        let Ok(mut optimizer) = made else {
            assert_eq!((made.unwrap_err(), at), (wrong.clone(), 0));
            continue;
        };
        optimizer.set_parallelism(Parallelism::Serial);
        optimizer.set_ema(0.5).unwrap();
        let mut params = [0.0; 100];
        let results: Vec<_> = (0..10).map(|_| optimizer.step(&mut params, &[1.0; 100])).collect();
        assert_eq!(results.iter().filter(|result| **result == Err(wrong.clone())).count(), 1, "{at}");
        assert_eq!((optimizer.steps(), optimizer.group_steps(0)), (9, Some(9)));
        assert_eq!((params, optimizer.state("only")), ([-9.0; 100], Some(&[9.0; 100][..])));
    }
}

/// Panics from its second step on, if it is asked for more than the type of its formula.
#[derive(Clone, Debug)]
struct Bomb;

#[derive(Clone, Copy)]
struct Explodes(bool);

impl Formula<0> for Explodes {
    fn update<L: Lane>(&self, p: L, g: L, []: [L; 0]) -> (L, [L; 0]) {
        assert!(!self.0, "a rule of one's own");
        (p - g, [])
    }
}

impl Rule for Bomb {
    fn slots(&self) -> &'static [&'static str] {
        &[]
    }

    fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    fn shared(&self) -> Shared {
        Shared::new(0.0)
    }

    fn set_lr(&mut self, _lr: f64) {}

    fn at<W: WithFormula>(&self, t: u64, with: W) -> W::Output {
        with.formula(Explodes(t >= 2))
    }
}

#[test]
#[cfg_attr(target_family = "wasm", ignore = "a panic ends the process there")]
fn after_a_panic_nothing_is_counted_and_no_average_has_begun() {
    let mut optimizer = Optimizer::new(Bomb, 40).unwrap();
    let mut params = [1.0; 40];
    optimizer.step(&mut params, &[0.5; 40]).unwrap();
    optimizer.set_ema(0.5).unwrap();
    for parallelism in [Parallelism::Serial, Parallelism::default()] {
        optimizer.set_parallelism(parallelism);
        let step = AssertUnwindSafe(|| optimizer.step(&mut params, &[0.5; 40]));
        assert!(catch_unwind(step).is_err());
        assert_eq!((optimizer.steps(), optimizer.group_steps(0)), (1, Some(1)));
        assert_eq!(optimizer.ema(), None);
    }
    optimizer.set_group_steps(0, 0).unwrap();
    optimizer.step(&mut params, &[0.5; 40]).unwrap();
    assert_eq!((params, optimizer.ema()), ([0.0; 40], Some(&[0.0; 40][..])));
}

#[test]
fn a_rule_that_contradicts_itself_is_an_error() {
    let wrong = Error::Slots { expected: 1, found: 2 };
    assert_eq!(Optimizer::new(Confused { from: 1 }, 5).unwrap_err(), wrong);
    let mut optimizer = Optimizer::new(Confused { from: 3 }, 5).unwrap();
    optimizer.set_level(Level::PORTABLE);
    let mut params = [0.0; 5];
    assert_eq!(optimizer.step(&mut params, &[1.0; 5]), Ok(()));
    assert_eq!(optimizer.step(&mut params, &[1.0; 5]), Ok(()));
    assert_eq!(optimizer.step(&mut params, &[1.0; 5]), Err(wrong));
    assert_eq!((optimizer.steps(), params), (2, [-2.0; 5]));
    assert_eq!(optimizer.state("only"), Some(&[2.0; 5][..]));
}
