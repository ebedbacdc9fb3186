//! Which threads compute, and with which vectors: what the bits do not show.

use crate::bare::Bare;
use lanestep::{Formula, Lane, Level, Optimizer, Parallelism, Pipeline, Tensor};
use std::any::type_name;
use std::collections::HashSet;
use std::sync::Mutex;
use std::thread::{self, ThreadId};

/// Leaves everything as it is, and remembers who was asked to, and with which lane.
#[derive(Clone, Copy)]
struct Witness(&'static Mutex<HashSet<(ThreadId, &'static str)>>);

impl Formula<0> for Witness {
    fn update<L: Lane>(&self, p: L, _g: L, s: [L; 0]) -> (L, [L; 0]) {
        self.0.lock().unwrap().insert((thread::current().id(), type_name::<L>()));
        (p, s)
    }
}

fn seen(n: usize, level: Level, parallelism: Parallelism) -> HashSet<(ThreadId, &'static str)> {
    let witness = Witness(Box::leak(Box::default()));
    let mut optimizer = Optimizer::new(Bare(witness), n).unwrap();
    optimizer.set_level(level);
    optimizer.set_parallelism(parallelism);
    assert_eq!((optimizer.level(), optimizer.parallelism()), (level, parallelism));
    optimizer.step(&mut vec![0.0; n], &vec![0.0; n]).unwrap();
    witness.0.lock().unwrap().clone()
}

fn who(n: usize, parallelism: Parallelism) -> HashSet<ThreadId> {
    seen(n, Level::best(), parallelism).into_iter().map(|(thread, _)| thread).collect()
}

#[test]
fn a_new_optimizer_has_the_best_level_and_the_default_parallelism() {
    let optimizer = Optimizer::new(lanestep::Sgd::default(), 1).unwrap();
    assert_eq!((optimizer.level(), optimizer.parallelism()), (Level::best(), Parallelism::default()));
    #[cfg(feature = "rayon")]
    assert_eq!(Parallelism::default(), Parallelism::RAYON);
}

#[test]
fn a_pinned_level_computes_with_its_own_lanes() {
    let parallelisms = [
        Parallelism::Serial,
        #[cfg(feature = "rayon")]
        Parallelism::Rayon { grain: 16 },
    ];
    for level in Level::available() {
        for parallelism in parallelisms {
            let lanes: HashSet<_> = seen(80, level, parallelism).into_iter().map(|(_, lane)| lane).collect();
            let [lane] = Vec::from_iter(lanes)[..] else { panic!("one kind of lane, and no tail") };
            let expected = if level == Level::PORTABLE { "wide::" } else { level.name() };
            assert!(lane.to_lowercase().contains(expected), "{level}: {lane}");
        }
    }
}

#[test]
fn levels_differ_and_have_names() {
    let levels = Level::available();
    for (i, a) in levels.iter().enumerate() {
        for (k, b) in levels.iter().enumerate() {
            assert_eq!(a == b, i == k);
        }
        assert_eq!(format!("{a}"), a.name());
        assert_eq!(format!("{a:>10}|"), format!("{:>10}|", a.name()));
        assert_eq!(format!("{a:?}"), format!("Level({})", a.name()));
    }
}

#[test]
fn serial_is_the_calling_thread() {
    assert_eq!(who(100_000, Parallelism::Serial), HashSet::from([thread::current().id()]));
}

#[cfg(feature = "rayon")]
#[test]
#[cfg_attr(target_family = "wasm", ignore = "there are no threads")]
fn no_thread_is_woken_up_to_the_grain_and_beyond_it_the_current_pool_works() {
    let Parallelism::Rayon { grain } = Parallelism::default() else { panic!("rayon by default") };
    let me = thread::current().id();
    assert_eq!(who(grain, Parallelism::default()), HashSet::from([me]));
    // The caller and threads of the pool, if there are any to be had.
    let shared = who(grain + 1, Parallelism::default());
    assert!(shared.contains(&me) && (shared.len() > 1) == (rayon::current_num_threads() > 1));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    let of_the_pool: HashSet<_> = pool.broadcast(|_| thread::current().id()).into_iter().collect();
    // It may take a few tries until a second thread is quick enough to help.
    let found: HashSet<_> =
        (0..1000).flat_map(|_| pool.install(|| who(1 << 10, Parallelism::Rayon { grain: 16 }))).collect();
    assert!(found.is_subset(&of_the_pool) && found.len() > 1, "{} threads", found.len());
}

#[test]
fn a_measured_step_wakes_nobody_up_to_the_grain() {
    for (len, parallelism) in [(1 << 15, Parallelism::default()), (1 << 17, Parallelism::Serial)] {
        let witness = Witness(Box::leak(Box::default()));
        let mut optimizer = Optimizer::new(Bare(witness), len).unwrap();
        optimizer.set_parallelism(parallelism);
        let measured = Pipeline { measure_update: true, ..Pipeline::default() };
        let (mut params, grads) = (vec![0.0; len], vec![0.0; len]);
        optimizer.step_with(&mut [Tensor::new(&mut params, &grads)], &measured).unwrap();
        let found: HashSet<_> = witness.0.lock().unwrap().iter().map(|(thread, _)| *thread).collect();
        assert_eq!(found, HashSet::from([thread::current().id()]));
    }
}
