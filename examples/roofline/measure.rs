//! What is timed, and for how long.

use std::time::{Duration, Instant};

use crate::Result;
use crate::machine::Machine;
use rayon::{ThreadPool, ThreadPoolBuilder};

/// Parameters that are in L2 with their gradients and state.
pub(crate) const IN_L2: usize = 1 << 14;

/// A share of the ceiling from which on memory is all that a step waits for.
pub(crate) const MEMORY: f64 = 0.85;

pub(crate) struct Bench {
    /// Parameters that are in no cache.
    pub(crate) in_dram: usize,
    effort: Duration,
    pub(crate) one: ThreadPool,
    pub(crate) all: ThreadPool,
}

impl Bench {
    pub(crate) fn new(machine: &Machine, quick: bool) -> Result<Self> {
        // Streams of a quarter of a gigabyte, or of half of one where caches are large; eight sets, of a rule with four slots.
        let large_caches = machine.last_cache() > 64 << 20;
        let mut in_dram = 1 << if quick { 22 } else { 24 + usize::from(large_caches) };
        while machine.memory().is_some_and(|free| 8 * 6 * 4 * in_dram > free / 3 * 2) {
            in_dram /= 2;
        }
        Ok(Self {
            in_dram,
            effort: Duration::from_millis(if quick { 60 } else { 500 }),
            one: pool(1)?,
            all: pool(machine.threads)?,
        })
    }

    /// How long `n` parameters are measured for.
    pub(crate) fn effort(&self, n: usize) -> Duration {
        if n < 1 << 20 { self.effort / 4 } else { self.effort }
    }

    pub(crate) fn threads(&self) -> usize {
        self.all.current_num_threads()
    }

    /// What the timings of a row are of.
    pub(crate) fn settings(&self) -> [String; 3] {
        [
            String::from("L2, 1 thread"),
            String::from("DRAM, 1 thread"),
            format!("DRAM, {}", threads(self.threads())),
        ]
    }
}

pub(crate) fn threads(n: usize) -> String {
    format!("{n} thread{}", if n == 1 { "" } else { "s" })
}

pub(crate) fn pool(threads: usize) -> Result<ThreadPool> {
    Ok(ThreadPoolBuilder::new().num_threads(threads).build()?)
}

/// In ns a parameter.
#[derive(Clone, Copy)]
pub(crate) struct Timing {
    pub(crate) step: f64,
    pub(crate) ceiling: f64,
}

impl Timing {
    /// The step comes first, then its ceilings.
    pub(crate) fn of(times: &[f64]) -> Self {
        let timing = Self { step: times[0], ceiling: best(&times[1..]) };
        assert!(timing.step > 0.0 && timing.ceiling > 0.0 && timing.ceiling.is_finite());
        timing
    }

    pub(crate) fn share(self) -> f64 {
        self.ceiling / self.step
    }
}

pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// That a step moves, for each parameter.
    pub(crate) bytes: f64,
    /// In L2 and in DRAM on one thread, and in DRAM on all.
    pub(crate) timings: [Timing; 3],
}

impl Row {
    pub(crate) fn is_memory_bound(&self) -> bool {
        self.timings[2].share() >= MEMORY
    }

    /// Of all threads: whether memory is all that is waited for, or else arithmetic alone would take longer than memory. The
    /// time of the arithmetic is that in L2, where memory hardly counts, shared by the threads.
    pub(crate) fn verdict(&self, threads: usize) -> &'static str {
        let [in_l2, _, in_dram] = self.timings;
        if self.is_memory_bound() {
            "memory bound"
        } else if in_l2.step / threads as f64 > in_dram.ceiling {
            "arithmetic bound"
        } else {
            "bound by both"
        }
    }
}

pub(crate) type Run<'a> = Box<dyn FnMut() + Send + 'a>;

/// The medians of what is timed in turns on the threads of a pool, in ns for each of `n`.
pub(crate) fn turns(pool: &ThreadPool, n: usize, effort: Duration, mut runs: Vec<Run<'_>>) -> Vec<f64> {
    const SAMPLE: Duration = Duration::from_micros(100);
    pool.install(|| {
        let mut round = |repeats: usize| -> Vec<f64> {
            let sample = |run: &mut Run<'_>| {
                let start = Instant::now();
                (0..repeats).for_each(|_| run());
                start.elapsed().as_secs_f64() / repeats as f64
            };
            runs.iter_mut().map(sample).collect()
        };
        round(1); // the caches, and pages that nobody has touched
        let shortest = best(&round(1));
        let repeats = (SAMPLE.as_secs_f64() / shortest) as usize + 1;
        let (start, mut rounds) = (Instant::now(), Vec::new());
        while rounds.len() < 3 || start.elapsed() < effort {
            rounds.push(round(repeats));
        }
        let median = |k: usize| {
            let mut times: Vec<f64> = rounds.iter().map(|round| round[k]).collect();
            *times.select_nth_unstable_by(rounds.len() / 2, f64::total_cmp).1 * 1e9 / n as f64
        };
        (0..rounds[0].len()).map(median).collect()
    })
}

pub(crate) fn best(times: &[f64]) -> f64 {
    times.iter().copied().fold(f64::INFINITY, f64::min)
}
