//! Which thread computes.

use lanestep::{Error, Formula, Lane, Optimizer, Parallelism, Rule, WithFormula};
use std::collections::HashSet;
use std::sync::Mutex;
use std::thread::{self, ThreadId};

/// Leaves everything as it is, and remembers who was asked to.
#[derive(Clone, Copy)]
struct Witness(&'static Mutex<HashSet<ThreadId>>);

impl Formula<0> for Witness {
    fn update<L: Lane>(&self, p: L, _g: L, s: [L; 0]) -> (L, [L; 0]) {
        self.0.lock().unwrap().insert(thread::current().id());
        (p, s)
    }
}

impl Rule for Witness {
    fn slots(&self) -> &'static [&'static str] {
        &[]
    }

    fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    fn lr(&self) -> f64 {
        0.0
    }

    fn set_lr(&mut self, _lr: f64) {}

    fn at<W: WithFormula>(&self, _t: u64, with: W) -> W::Output {
        with.formula(*self)
    }
}

fn who(n: usize, parallelism: Parallelism) -> HashSet<ThreadId> {
    let witness = Witness(Box::leak(Box::default()));
    let mut optimizer = Optimizer::new(witness, n).unwrap().with_parallelism(parallelism);
    assert_eq!(optimizer.parallelism(), parallelism);
    optimizer.step(&mut vec![0.0; n], &vec![0.0; n]).unwrap();
    witness.0.lock().unwrap().clone()
}

#[test]
fn serial_is_the_calling_thread() {
    assert_eq!(who(100_000, Parallelism::Serial), HashSet::from([thread::current().id()]));
}

#[cfg(feature = "rayon")]
#[test]
fn no_thread_is_woken_up_to_the_grain_and_beyond_it_the_current_pool_works() {
    let Parallelism::Rayon { grain } = Parallelism::default() else { panic!("rayon by default") };
    let me = thread::current().id();
    assert_eq!(who(grain, Parallelism::default()), HashSet::from([me]));
    assert!(!who(grain + 1, Parallelism::default()).contains(&me));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    let of_the_pool: HashSet<_> = pool.broadcast(|_| thread::current().id()).into_iter().collect();
    let found = pool.install(|| who(1 << 12, Parallelism::Rayon { grain: 16 }));
    assert!(found.is_subset(&of_the_pool) && !found.is_empty());
}
