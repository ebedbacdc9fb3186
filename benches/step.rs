//! What a step costs: every rule and level, serial and parallel, beside the memory ceiling of the same streams.
//!
//! `cargo bench --bench step -- --quick` runs all in about fifteen minutes; a filter such as `'/2\^24'`, `'AdamW/'` or
//! `subnormal` less. A result is checked against `lanestep::reference` once before it is timed. Data is warm where it fits:
//! 2^10 parameters are in L1 and 2^14 in L2, 10^5 may be in L3, 10^6 and 2^24 are in no cache in turns; all but the second and
//! the last are for AdamW alone. Throughput counts every byte once for each time it is read or written: 28 for a parameter of
//! Adam. A rule of two passes has a ceiling of two.
//!
//! The rows `in-turns` are what is claimed: parameters and gradients are plain `Vec`s, and the ceiling is the best of six
//! layouts of the same streams. The rows `beside-c` have AdamW in turns with the loop that a C compiler makes for this CPU,
//! on `Vec`s too. The rows `yardstick` are about arithmetic: all that they compare lies apart. `layout` is a bench of its own.

#[path = "step/c.rs"]
mod c;
#[path = "step/ceiling.rs"]
mod ceiling;
#[path = "step/data.rs"]
mod data;
#[path = "step/parts.rs"]
mod parts;
#[path = "step/tight.rs"]
mod tight;
#[path = "step/turns.rs"]
mod turns;
#[path = "step/widest.rs"]
mod widest;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use data::{Data, Layout, Placed};
use lanestep::{AdamW, AnyRule, Formula, Level, Optimizer, Parallelism, Rule, Sgd, WithFormula};
use parts::in_parts;
use std::cell::{LazyCell, RefCell};
use std::time::Duration;
use turns::{Other, in_turns};

const SIZES: [(&str, usize); 5] =
    [("2^10", 1 << 10), ("2^14", 1 << 14), ("10^5", 100_000), ("10^6", 1_000_000), ("2^24", 1 << 24)];

fn parallelisms() -> Vec<(&'static str, Parallelism)> {
    vec![
        ("serial", Parallelism::Serial),
        #[cfg(feature = "rayon")]
        ("rayon", Parallelism::RAYON),
    ]
}

impl Data {
    /// A step by a loop for the two moments of Adam.
    fn adam(&mut self, t: u64, parallel: bool, step: tight::Step) {
        let [m, v] = &mut self.state[..] else { panic!("Adam has two slots") };
        in_parts(parallel, &mut self.params, &self.grads, [m, v], |p, g, [m, v]| step(t, p, g, m, v));
    }
}

/// AdamW by a loop that is not the crate's, with its data, after two steps that are checked against the reference.
struct Foreign {
    t: u64,
    data: Data,
    step: tight::Step,
    parallel: bool,
}

impl Foreign {
    fn new(data: Data, expected: &[u32], step: tight::Step, parallel: bool) -> Self {
        let mut foreign = Self { t: 0, data, step, parallel };
        foreign.step();
        foreign.step();
        assert!(bits(&foreign.data.params) == expected, "other bits than the reference");
        foreign
    }

    fn step(&mut self) {
        self.t += 1;
        self.data.adam(self.t, self.parallel, self.step);
    }
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|x| x.to_bits()).collect()
}

/// An optimizer and its data, after two steps that are checked against the reference.
struct Ready {
    optimizer: Optimizer<AnyRule>,
    params: Placed,
    grads: Placed,
}

impl Ready {
    fn new(rule: AnyRule, data: Data, expected: &[u32], level: Level, parallelism: Parallelism) -> Self {
        let mut optimizer = Optimizer::new(rule, data.params.len()).expect("a valid rule");
        optimizer.set_level(level);
        optimizer.set_parallelism(parallelism);
        let mut ready = Self { optimizer, params: data.params, grads: data.grads };
        ready.step();
        ready.step();
        assert!(bits(&ready.params) == expected, "{rule:?} {level}: other bits than the reference");
        ready
    }

    fn step(&mut self) {
        self.optimizer.step(&mut self.params, &self.grads).expect("right lengths");
    }
}

/// Whether all is only to be run once, as a test.
fn brief() -> bool {
    std::env::args().any(|arg| arg == "--test")
}

/// The parameters after two steps by the reference.
fn expect(rule: AnyRule, data: &Data) -> Vec<u32> {
    let mut params = data.params.to_vec();
    let mut state = vec![vec![0.0; params.len()]; data.state.len()];
    for t in 1..=2 {
        rule.reference(t, &mut params, &data.grads, &mut state);
    }
    bits(&params)
}

/// What is set up is kept from sample to sample, and made only if the filter asks for it.
fn bench<T>(group: &mut Group<'_>, name: &str, new: impl Fn() -> T, mut step: impl FnMut(&mut T)) {
    let mut ready = None;
    group.bench_function(name, |b| {
        let ready = ready.get_or_insert_with(&new);
        b.iter(|| step(ready));
    });
}

type Group<'a> = BenchmarkGroup<'a, WallTime>;

fn group<'a>(c: &'a mut Criterion, name: &str, n: usize, streams: usize) -> Group<'a> {
    let mut group = c.benchmark_group(name);
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2)).sample_size(20);
    group.throughput(Throughput::Bytes((n * 4 * streams) as u64));
    group
}

/// Every rule by default, and SGD with momentum, as its defaults have no state.
fn all() -> Vec<(&'static str, AnyRule)> {
    let sgd = Sgd { momentum: 0.9, ..Sgd::default() };
    let mut rules: Vec<_> = AnyRule::all().into_iter().map(|rule| (rule.name(), rule)).collect();
    rules.push(("SGD-momentum", sgd.into()));
    rules
}

/// Whether the rule takes a pass before the update, and whether that reads state.
struct FirstPass;

impl WithFormula for FirstPass {
    type Output = Option<bool>;

    fn formula<F: Formula<S>, const S: usize>(self, formula: F) -> Option<bool> {
        let depends =
            formula.measure(0.5, 0.25, [0.1; S]).to_bits() != formula.measure(0.5, 0.25, [-0.9; S]).to_bits();
        F::LAYERWISE.then_some(depends)
    }
}

/// A step with the ceilings of its streams in all layouts. Several of each, as some pages are faster than others.
struct Claimed {
    turn: usize,
    steps: Vec<Ready>,
    ceilings: Vec<[Data; Layout::ALL.len()]>,
}

impl Claimed {
    fn new(ready: impl Fn() -> Ready, data: impl Fn(Layout) -> Data, sets: usize) -> Self {
        let ceilings = (0..sets).map(|_| Layout::ALL.map(&data)).collect();
        Self { turn: 0, steps: (0..sets).map(|_| ready()).collect(), ceilings }
    }

    fn step(&mut self) {
        self.turn = (self.turn + 1) % self.steps.len();
        self.steps[self.turn].step();
    }
}

fn rules(c: &mut Criterion) {
    for (name, rule) in all() {
        let first = rule.at(1, FirstPass);
        for (size, n) in
            SIZES.into_iter().filter(|(size, _)| name == "AdamW" || matches!(*size, "2^14" | "2^24"))
        {
            let slots = rule.slots().len();
            let passes = |parallel| ceiling::Passes { first, parallel };
            let mut group = group(c, &format!("{name}/{size}"), n, passes(false).streams(slots));
            let data = LazyCell::new(|| Data::new(n, slots));
            let expected = LazyCell::new(|| expect(rule, &data));
            for (mode, parallelism) in parallelisms() {
                let passes = passes(mode != "serial");
                for layout in Layout::ALL {
                    let name = format!("ceiling-{}/{mode}", layout.name());
                    bench(&mut group, &name, || data.laid_out(layout), |data| passes.run(data));
                }
                let ready =
                    |level| Ready::new(rule, data.laid_out(Layout::Vecs), &expected, level, parallelism);
                for level in Level::available() {
                    bench(&mut group, &format!("{level}/{mode}"), || ready(level), Ready::step);
                }
                // Where memory is not the matter, more sets would only push each other out of the cache.
                let sets = if n > 1 << 20 && !brief() { 3 } else { 1 };
                let claimed = LazyCell::new(|| {
                    let new = || ready(Level::best());
                    RefCell::new(Claimed::new(new, |layout| data.laid_out(layout), sets))
                });
                let mut ceilings: [_; Layout::ALL.len()] = std::array::from_fn(|k| {
                    move |all: &mut Claimed| passes.run(&mut all.ceilings[all.turn][k])
                });
                let mut others: Vec<Other<'_, Claimed>> = (Layout::ALL.iter().zip(&mut ceilings))
                    .map(|(layout, run)| -> Other<'_, Claimed> { (layout.name(), run) })
                    .collect();
                in_turns(&mut group, &format!("in-turns/{mode}"), &claimed, &mut others, &mut Claimed::step);
            }
        }
    }
}

/// AdamW against loops written by hand for it alone, in L2, and at a size where only the call counts; and in turns with C.
fn yardstick(criterion: &mut Criterion) {
    let rule = AnyRule::from(AdamW::default());
    for (name, n) in [("2^14", 1 << 14), ("64", 64)] {
        let mut group = group(criterion, &format!("yardstick/{name}"), n, 7);
        let data = Data::new(n, 2);
        let expected = expect(rule, &data);
        let apart = || data.laid_out(Layout::Apart);
        for level in Level::available() {
            let new = || Ready::new(rule, apart(), &expected, level, Parallelism::Serial);
            bench(&mut group, &format!("lanestep/{level}"), new, Ready::step);
        }
        for (name, step) in tight::loops().into_iter().chain(c::adamw().map(|step| ("c", step))) {
            bench(&mut group, name, || Foreign::new(apart(), &expected, step, false), Foreign::step);
        }
    }
    let Some(in_c) = c::adamw() else { return println!("no rows beside C: there is no compiler") };
    for (name, n) in [("1000", 1000)].into_iter().chain(SIZES) {
        let mut group = group(criterion, &format!("beside-c/{name}"), n, 7);
        for (mode, parallelism) in parallelisms() {
            let ready = LazyCell::new(|| {
                let data = Data::new(n, 2);
                let expected = expect(rule, &data);
                let vecs = || data.laid_out(Layout::Vecs);
                let foreign = Foreign::new(vecs(), &expected, in_c, mode != "serial");
                RefCell::new((Ready::new(rule, vecs(), &expected, Level::best(), parallelism), foreign))
            });
            let others: &mut [Other<'_, (Ready, Foreign)>] = &mut [("c", &mut |both| both.1.step())];
            in_turns(&mut group, mode, &ready, others, &mut |both| both.0.step());
        }
    }
}

/// Gradients that make plain loops slow, after as many steps as it takes.
fn subnormal(c: &mut Criterion) {
    const N: usize = 1 << 14;
    const STEPS: u64 = 3000;
    let kinds = [("ordinary", None), ("zero", Some(0.0)), ("1e-20", Some(1e-20)), ("1e-30", Some(1e-30))];
    let kinds = kinds.into_iter().chain([("1e-36", Some(1e-36)), ("1e-40", Some(1e-40))]);
    for (name, rule) in all() {
        let slots = rule.slots().len();
        let mut group = group(c, &format!("subnormal/{name}"), N, 3 + 2 * slots);
        let data = Data::new(N, slots);
        let apart = || data.laid_out(Layout::Apart);
        for (kind, gradient) in kinds.clone() {
            let new = || {
                let expected = expect(rule, &data);
                let mut ready = Ready::new(rule, apart(), &expected, Level::best(), Parallelism::Serial);
                gradient.inspect(|&gradient| ready.grads.fill(gradient));
                (0..STEPS).for_each(|_| ready.step());
                ready
            };
            bench(&mut group, &format!("lanestep/{kind}"), new, Ready::step);
        }
        if name != "AdamW" {
            continue;
        }
        for (kind, gradient) in kinds.clone() {
            let new = || {
                let mut data = apart();
                data.adam(1, false, tight::plain);
                gradient.inspect(|&gradient| data.grads.fill(gradient));
                (2..STEPS).for_each(|t| data.adam(t, false, tight::plain));
                data
            };
            bench(&mut group, &format!("plain-loop/{kind}"), new, |data| {
                data.adam(STEPS, false, tight::plain);
            });
        }
    }
}

criterion_group!(benches, yardstick, subnormal, rules);
criterion_main!(benches);
