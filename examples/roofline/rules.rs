//! Every rule, by its defaults.

use std::ops::Range;

use crate::ceiling::Passes;
use crate::data::{Data, Layout};
use crate::measure::{Bench, IN_L2, Row, Run, Timing, turns};
use crate::{Result, progress};
use lanestep::{AnyRule, Buffer, Formula, Optimizer, Rule, WithFormula};

/// An optimizer and what it steps over.
pub(crate) struct Step {
    optimizer: Optimizer<AnyRule>,
    params: Buffer,
    grads: Buffer,
}

impl Step {
    /// For `n` parameters: the numbers of `data`, again and again.
    pub(crate) fn new(rule: AnyRule, n: usize, data: &Data) -> Result<Self> {
        let [mut params, mut grads] = Buffer::together([n, n])?;
        for (to, from) in [(&mut params, &data.params), (&mut grads, &data.grads)] {
            to.chunks_mut(from.len()).for_each(|chunk| chunk.copy_from_slice(&from[..chunk.len()]));
        }
        Ok(Self { optimizer: Optimizer::new(rule, n)?, params, grads })
    }

    pub(crate) fn run(&mut self) {
        self.optimizer.step(&mut self.params, &self.grads).expect("right lengths");
    }

    /// Takes the first steps, and compares the bits of a range with those of the reference, which has nothing but that.
    fn check(&mut self, data: &Data, range: Range<usize>) {
        const STEPS: u64 = 2;
        let rule = *self.optimizer.rule();
        let mut params = data.params[range.clone()].to_vec();
        let mut state = vec![vec![0.0; params.len()]; data.state.len()];
        for t in 1..=STEPS {
            self.run();
            rule.reference(t, &mut params, &data.grads[range.clone()], &mut state);
        }
        let same = |found: &[f32], expected: &[f32]| {
            assert!(
                bits(&found[range.clone()]).eq(bits(expected)),
                "{}: not the reference's bits",
                rule.name()
            );
        };
        same(&self.params, &params);
        for (name, slot) in rule.slots().iter().zip(&state) {
            same(self.optimizer.state(name).expect("a slot of the rule"), slot);
        }
    }
}

fn bits(numbers: &[f32]) -> impl Iterator<Item = u32> {
    numbers.iter().map(|x| x.to_bits())
}

/// Whether a rule takes a pass before the update, and whether that reads state: whether what it measures depends on it.
struct FirstPass;

impl WithFormula for FirstPass {
    type Output = Option<bool>;

    fn formula<F: Formula<S>, const S: usize>(self, formula: F) -> Option<bool> {
        let [one, other] = [0.1, -0.9].map(|state| formula.measure(0.5, 0.25, [state; S]).to_bits());
        F::LAYERWISE.then_some(one != other)
    }
}

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let mut rules = AnyRule::all();
    rules.sort_by_key(|rule| (rule.slots().len(), rule.at(1, FirstPass)));
    let bar = progress("rules", rules.len())?;
    let mut rows = Vec::new();
    for alike in rules.chunk_by(|a, b| a.slots().len() == b.slots().len()) {
        let slots = alike[0].slots().len();
        let mut in_l2 = Streams::new(IN_L2, slots);
        let mut in_dram = Streams::new(bench.in_dram, slots);
        for rule in alike {
            bar.set_message(rule.name());
            rows.push(row(*rule, bench, &mut in_l2, &mut in_dram)?);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    Ok(rows)
}

/// Of rules that have as many slots: what a step begins with, and what its ceiling runs over.
struct Streams {
    data: Data,
    laid_out: [Data; Layout::ALL.len()],
}

impl Streams {
    fn new(n: usize, slots: usize) -> Self {
        let data = Data::new(n, slots);
        Self { laid_out: Layout::ALL.map(|layout| data.laid_out(layout)), data }
    }
}

fn row(rule: AnyRule, bench: &Bench, in_l2: &mut Streams, in_dram: &mut Streams) -> Result<Row> {
    const SOME: usize = 1 << 12;
    let first = rule.at(1, FirstPass);
    let passes = |parallel| Passes { first, parallel };
    let n = bench.in_dram;
    let (mut small, mut large) = (Step::new(rule, IN_L2, &in_l2.data)?, Step::new(rule, n, &in_dram.data)?);
    bench.one.install(|| small.check(&in_l2.data, 0..IN_L2));
    // A part of a layer has other bits than the layer.
    if first.is_none() {
        bench.all.install(|| large.check(&in_dram.data, n - SOME..n));
    }
    let time = |parallel: bool, step: &mut Step, streams: &mut Streams| {
        let pool = if parallel { &bench.all } else { &bench.one };
        let n = streams.data.params.len();
        let mut runs: Vec<Run<'_>> = vec![Box::new(|| step.run())];
        runs.extend(
            streams
                .laid_out
                .iter_mut()
                .map(|data| -> Run<'_> { Box::new(move || passes(parallel).run(data)) }),
        );
        Timing::of(&turns(pool, n, bench.effort(n), runs))
    };
    // All threads first, so that each has the pages of its state.
    let all = time(true, &mut large, in_dram);
    let timings = [time(false, &mut small, in_l2), time(false, &mut large, in_dram), all];
    let bytes = (4 * passes(false).streams(rule.slots().len())) as f64;
    Ok(Row { name: rule.name(), bytes, timings })
}
