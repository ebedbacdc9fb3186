//! Rules of a user's that break their promises.

use crate::bare::Bare;
use lanestep::rule::Shared;
use lanestep::{Error, Formula, Lane, Level, Optimizer, Parallelism, Rule, WithFormula};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Names one slot, and takes two at the steps for which it says so.
#[derive(Clone)]
struct Wavers<T>(T);

#[derive(Clone, Copy)]
struct Takes;

impl<const S: usize> Formula<S> for Takes {
    fn update<L: Lane>(&self, p: L, g: L, s: [L; S]) -> (L, [L; S]) {
        (p - g, s.map(|s| s + 1.0))
    }
}

impl<T: Fn(u64) -> bool + Clone + Send + Sync> Rule for Wavers<T> {
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
        if self.0(t) { with.formula::<Takes, 2>(Takes) } else { with.formula::<Takes, 1>(Takes) }
    }
}

#[test]
fn a_rule_that_changes_its_mind_is_an_error_whenever_it_does() {
    let wrong = Error::Slots { expected: 1, found: 2 };
    for at in 0..12 {
        let asked: &AtomicUsize = Box::leak(Box::default());
        let mut optimizer = match Optimizer::new(Wavers(|_| asked.fetch_add(1, Ordering::Relaxed) == at), 100)
        {
            Ok(optimizer) => optimizer,
            Err(error) => {
                assert_eq!((error, at), (wrong.clone(), 0));
                continue;
            }
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

#[derive(Clone, Copy)]
struct Panics(&'static AtomicBool);

impl Formula<0> for Panics {
    fn update<L: Lane>(&self, p: L, g: L, []: [L; 0]) -> (L, [L; 0]) {
        assert!(!self.0.load(Ordering::Relaxed), "a rule of one's own");
        (p - g, [])
    }
}

#[test]
#[cfg_attr(target_family = "wasm", ignore = "a panic ends the process there")]
fn after_a_panic_nothing_is_counted_and_no_average_has_begun() {
    let panics: &AtomicBool = Box::leak(Box::default());
    let mut optimizer = Optimizer::new(Bare(Panics(panics)), 40).unwrap();
    let mut params = [1.0; 40];
    optimizer.step(&mut params, &[0.5; 40]).unwrap();
    optimizer.set_ema(0.5).unwrap();
    panics.store(true, Ordering::Relaxed);
    for parallelism in [Parallelism::Serial, Parallelism::default()] {
        optimizer.set_parallelism(parallelism);
        let step = AssertUnwindSafe(|| optimizer.step(&mut params, &[0.5; 40]));
        assert!(catch_unwind(step).is_err());
        assert_eq!((optimizer.steps(), optimizer.group_steps(0)), (1, Some(1)));
        assert_eq!(optimizer.ema(), None);
    }
    panics.store(false, Ordering::Relaxed);
    optimizer.step(&mut params, &[0.5; 40]).unwrap();
    assert_eq!((params, optimizer.ema()), ([0.0; 40], Some(&[0.0; 40][..])));
}

#[test]
fn a_rule_that_contradicts_itself_is_an_error() {
    let wrong = Error::Slots { expected: 1, found: 2 };
    assert_eq!(Optimizer::new(Wavers(|t| t >= 1), 5).err(), Some(wrong.clone()));
    let mut optimizer = Optimizer::new(Wavers(|t| t >= 3), 5).unwrap();
    optimizer.set_level(Level::PORTABLE);
    let mut params = [0.0; 5];
    assert_eq!(optimizer.step(&mut params, &[1.0; 5]), Ok(()));
    assert_eq!(optimizer.step(&mut params, &[1.0; 5]), Ok(()));
    assert_eq!(optimizer.step(&mut params, &[1.0; 5]), Err(wrong));
    assert_eq!((optimizer.steps(), params), (2, [-2.0; 5]));
    assert_eq!(optimizer.state("only"), Some(&[2.0; 5][..]));
}
