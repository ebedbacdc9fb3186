//! Whole calls of `step_with`, any groups, tensors and options, against `reference`.

use crate::cases::assert_bits;
use crate::fuzzed::{number, rule};
use crate::variants::layerwise;
use arbitrary::{Result, Unstructured};
use lanestep::{
    AnyRule, Error, Format, Group, Level, NonFinite, Optimizer, Parallelism, Pipeline, Report, Rounding,
    Rule, Tensor, reference,
};
use std::collections::BTreeMap;
use std::ops::Range;

/// What is known of an optimizer, and what is expected of it.
pub struct Model {
    pub groups: Vec<Group<AnyRule>>,
    pub steps: Vec<u64>,
    pub params: Vec<f32>,
    /// One for each group, of all parameters.
    pub state: Vec<Vec<Vec<f32>>>,
    /// The learning rates that the groups' rules were given.
    given: Vec<f64>,
    all_steps: u64,
    ema: Option<(f64, Option<Vec<f32>>)>,
    /// What the slots of a name are kept as, and those to come.
    formats: BTreeMap<&'static str, Format>,
    format: Format,
    rounding: Rounding,
}

impl Model {
    pub fn new(groups: Vec<Group<AnyRule>>, params: Vec<f32>) -> Self {
        let slots = |group: &Group<AnyRule>| vec![vec![0.0; params.len()]; group.rule.slots().len()];
        Self {
            steps: vec![0; groups.len()],
            state: groups.iter().map(slots).collect(),
            given: groups.iter().map(|group| group.rule.shared().lr).collect(),
            groups,
            params,
            all_steps: 0,
            ema: None,
            formats: BTreeMap::new(),
            format: Format::F32,
            rounding: Rounding::Nearest,
        }
        .with_formats()
    }

    /// Slots that are new have the format of those to come, and what no group has any more is forgotten.
    fn with_formats(mut self) -> Self {
        let names: Vec<_> = self.groups.iter().flat_map(|group| group.rule.slots()).copied().collect();
        self.formats.retain(|name, _| names.contains(name));
        for name in names {
            self.formats.entry(name).or_insert(self.format);
        }
        self
    }

    /// What is kept of the state of a group's slot, after a step or to the nearest.
    fn round(&mut self, group: usize, name: &str, step: Option<u64>) {
        let format = self.formats[name];
        let (rule, ranges) = (self.groups[group].rule, &self.groups[group].ranges);
        let slot = rule.slots().iter().position(|of| *of == name);
        let mut starts: Vec<_> = ranges.iter().map(|range| range.start).collect();
        starts.sort_unstable();
        let mut end = 0;
        for start in starts {
            if start < end {
                continue;
            }
            let run = self.run(start).0;
            end = run.end;
            if let Some(slot) = slot {
                let numbers = &mut self.state[group][slot][run.clone()];
                let signed = !rule.non_negative(rule.slots()[slot]);
                round(numbers, run.start, format, signed, step.map(|step| (self.rounding, step, name)));
                if step.is_none() && format != Format::F16 {
                    numbers.iter_mut().filter(|x| **x == 0.0).for_each(|x| *x = 0.0);
                }
            }
        }
    }

    fn set_format(&mut self, name: Option<&'static str>, format: Format) {
        let names: Vec<_> =
            self.formats.keys().copied().filter(|of| name.is_none_or(|name| name == *of)).collect();
        for name in names {
            if self.formats.insert(name, format) != Some(format) {
                (0..self.groups.len()).for_each(|group| self.round(group, name, None));
            }
        }
        if name.is_none() {
            self.format = format;
        }
    }

    /// Another rule for a group. The first slot of the same meaning goes on.
    fn switch(&mut self, group: usize, rule: AnyRule) {
        let old = self.groups[group].rule;
        let slot = |name: &&'static str| {
            let from = old.slots().iter().position(|of| old.meaning(of) == rule.meaning(name));
            from.map(|from| self.state[group][from].clone())
        };
        let slots: Vec<_> = rule.slots().iter().map(slot).collect();
        let stateless = old.slots().is_empty() && slots.is_empty();
        if slots.iter().all(Option::is_none) && !stateless {
            self.steps[group] = 0;
        }
        let zeros = || vec![0.0; self.params.len()];
        self.state[group] = slots.into_iter().map(|slot| slot.unwrap_or_else(zeros)).collect();
        self.groups[group].rule = rule;
        self.given[group] = rule.shared().lr;
    }

    fn switched(mut self, group: usize, rule: AnyRule) -> Self {
        let old = self.groups[group].rule;
        self.switch(group, rule);
        self = self.with_formats();
        // What goes on under another name is rounded to what that is kept as.
        for name in rule.slots() {
            let stays = old.slots().contains(name) && old.meaning(name) == rule.meaning(name);
            if !stays {
                self.round(group, name, None);
            }
        }
        self
    }

    /// In the proportions of the rates that were given, to the first that is not zero.
    fn set_lr(&mut self, lr: f64) {
        let first = self.given.iter().copied().find(|lr| *lr > 0.0);
        for (group, given) in self.groups.iter_mut().zip(&self.given) {
            group.rule.set_lr(first.map_or(lr, |first| lr * (given / first)));
        }
    }

    /// An optimizer that goes on where this one is.
    fn resumed(&self, optimizer: &Optimizer<AnyRule>) -> Optimizer<AnyRule> {
        let given = self.groups.iter().zip(&self.given).map(|(group, lr)| {
            let mut group = group.clone();
            group.rule.set_lr(*lr);
            group
        });
        let mut other = Optimizer::with_groups(given, self.params.len()).expect("the same groups");
        other.set_level(optimizer.level());
        other.set_rounding(optimizer.rounding());
        other.set_parallelism(optimizer.parallelism());
        for name in optimizer.state_names() {
            let format = optimizer.state_format(name).expect("a state");
            other.set_state_format(name, format).expect("the same state");
            other.set_state(name, &read(optimizer, name)).expect("the same state");
        }
        other.set_steps(optimizer.steps());
        for (i, group) in self.groups.iter().enumerate() {
            other.set_group_lr(i, group.rule.shared().lr).expect("the same rates");
            other.set_group_steps(i, optimizer.group_steps(i).expect("a group")).expect("the same group");
        }
        other.set_ema(optimizer.ema_decay()).expect("the same decay");
        optimizer.ema().map_or(Ok(()), |average| other.restore_ema(average)).expect("the same length");
        other
    }

    /// Zero where frozen or idle.
    fn thawed(&self, numbers: &[f32], idle: &[Range<usize>]) -> Vec<f32> {
        let mut numbers = numbers.to_vec();
        let frozen = self.groups.iter().filter(|group| group.frozen).flat_map(|group| &group.ranges);
        frozen.chain(idle).for_each(|range| numbers[range.clone()].fill(0.0));
        numbers
    }

    /// Where the run of elements of one group that holds the `i`th begins and ends, and the group.
    fn run(&self, i: usize) -> (Range<usize>, usize) {
        let holding = |at: usize| {
            let holds = |ranges: &[Range<usize>]| ranges.iter().find(|range| range.contains(&at)).cloned();
            self.groups.iter().enumerate().find_map(|(k, group)| holds(&group.ranges).map(|range| (range, k)))
        };
        let (mut run, group) = holding(i).expect("groups hold every element");
        while let Some((before, _)) = run.start.checked_sub(1).and_then(holding).filter(|x| x.1 == group) {
            run.start = before.start;
        }
        while let Some((behind, _)) = holding(run.end).filter(|x| x.1 == group) {
            run.end = behind.end;
        }
        (run, group)
    }

    /// Whether sums over layers are asked for.
    fn layerwise(&self) -> bool {
        self.groups.iter().any(|group| !group.frozen && layerwise(&group.rule))
    }

    /// Where the elements of `within` are cut in two, if they are of several layers: at the end of the tensor that holds
    /// the middle, or else at the last before it, or if all are of one tensor, at an end of the run that holds it.
    fn seam(&self, within: &Range<usize>, cuts: &[usize]) -> Option<usize> {
        let middle = within.start + within.len() / 2;
        let inside = |cut: &usize| (within.start + 1..within.end).contains(cut);
        let ends = || cuts.iter().copied().filter(inside);
        let of_a_tensor = ends().find(|&end| end >= middle).or_else(|| ends().rfind(|&end| end < middle));
        of_a_tensor.or_else(|| {
            let (run, _) = self.run(middle);
            [run.end, run.start].into_iter().find(inside)
        })
    }

    /// Tensors, cut where groups begin and end.
    fn layers(&self, within: Range<usize>, cuts: &[usize]) -> Vec<Range<usize>> {
        match self.seam(&within, cuts) {
            _ if within.is_empty() => vec![],
            None => vec![within],
            Some(cut) => [self.layers(within.start..cut, cuts), self.layers(cut..within.end, cuts)].concat(),
        }
    }

    /// As the optimizer adds up changes: all together, or along the cuts between layers.
    fn sum(&self, numbers: &[f64], within: Range<usize>, cuts: &[usize]) -> f64 {
        if self.layerwise() && self.formats.values().any(|format| *format == Format::Block8) {
            let mut lanes = [0.0; 16];
            within.for_each(|i| lanes[i % 16] += numbers[i]);
            return reference::sum(&lanes);
        }
        match self.seam(&within, cuts).filter(|_| self.layerwise()) {
            Some(cut) => {
                self.sum(numbers, within.start..cut, cuts) + self.sum(numbers, cut..within.end, cuts)
            }
            None => tree(numbers, within),
        }
    }

    /// One step in plain loops, over the same tensors.
    pub fn step(
        &mut self,
        grads: &[f32],
        pipeline: &Pipeline,
        way: &Way,
    ) -> std::result::Result<Report, Error> {
        let (cuts, idle) = (&way.cuts[..], &way.idle(grads.len())[..]);
        let thawed = self.thawed(grads, idle);
        let scale = pipeline.scale;
        let squares: Vec<f64> = thawed.iter().map(|&g| f64::from(g) * f64::from(g)).collect();
        let norm = reference::sum(&squares).sqrt() * scale;
        let largest = thawed.iter().map(|g| g.abs()).max_by(f32::total_cmp).unwrap_or(0.0);
        let non_finite = |g: &f32| !reference::condition(*g, scale, None).is_finite();
        let first = thawed.iter().position(non_finite);
        let found = lanestep::Gradients {
            norm,
            max_abs: f64::from(largest) * scale,
            non_finite: thawed.iter().filter(|g| non_finite(g)).count() as u64,
            first_non_finite: first,
        };
        let measured = pipeline.measure_grads
            || pipeline.max_norm.is_some()
            || pipeline.non_finite != NonFinite::Propagate;
        let grads_found = measured.then_some(found);
        if let (Some(first), true) = (first, measured) {
            match pipeline.non_finite {
                NonFinite::Propagate => {}
                NonFinite::Skip => {
                    return Ok(Report { grads: grads_found, clip_factor: 1.0, skipped: true, update: None });
                }
                NonFinite::Error => {
                    return Err(Error::NonFinite { count: found.non_finite, first, tensor: None });
                }
            }
        }
        let clip_factor = pipeline.max_norm.map_or(1.0, |max_norm| reference::clip_factor(norm, max_norm));
        let before = self.params.clone();
        for (group, steps) in self.groups.iter().zip(&mut self.steps) {
            *steps += u64::from(!group.frozen);
        }
        for Range { start, end } in self.layers(0..grads.len(), cuts) {
            let (_, i) = self.run(start);
            let group = &self.groups[i];
            if group.frozen || idle.iter().any(|idle| idle.contains(&start)) {
                continue;
            }
            let mut rule = group.rule;
            if group.lr_scale != 1.0 {
                rule.set_lr(rule.shared().lr * group.lr_scale);
            }
            let mut handed = grads[start..end].to_vec();
            let by = scale * clip_factor;
            handed.iter_mut().for_each(|g| *g = reference::condition(*g, by, pipeline.clip_value));
            let state = &mut self.state[i];
            let mut here: Vec<Vec<f32>> = state.iter().map(|slot| slot[start..end].to_vec()).collect();
            let params = &mut self.params[start..end];
            rule.reference(self.steps[i], params, &handed, &mut here);
            let clamp = |p: &mut f32| *p = reference::clamp(*p, pipeline.min_param, pipeline.max_param);
            params.iter_mut().for_each(clamp);
            for (slot, here) in state.iter_mut().zip(here) {
                slot[start..end].copy_from_slice(&here);
            }
        }
        for group in (0..self.groups.len()).filter(|group| !self.groups[*group].frozen).collect::<Vec<_>>() {
            for name in self.groups[group].rule.slots() {
                self.round(group, name, Some(self.all_steps));
            }
        }
        self.all_steps += 1;
        if let Some((decay, average)) = &mut self.ema {
            match average {
                None => *average = Some(self.params.clone()),
                Some(average) => {
                    let pairs = average.iter_mut().zip(&self.params);
                    pairs.for_each(|(average, p)| *average = reference::average(*average, *p, *decay));
                }
            }
        }
        let (before, after) = (self.thawed(&before, idle), self.thawed(&self.params, idle));
        let moved = |(&after, &before): (&f32, &f32)| (f64::from(after) - f64::from(before)).powi(2);
        let updates: Vec<f64> = after.iter().zip(&before).map(moved).collect();
        let sizes: Vec<f64> = after.iter().map(|&p| f64::from(p) * f64::from(p)).collect();
        let update = lanestep::Update {
            norm: self.sum(&updates, 0..grads.len(), cuts).sqrt(),
            params_norm: self.sum(&sizes, 0..grads.len(), cuts).sqrt(),
        };
        let update = pipeline.measure_update.then_some(update);
        Ok(Report { grads: grads_found, clip_factor, skipped: false, update })
    }

    /// Whether an optimizer that has made the same calls is where it should be.
    pub fn assert_is(&self, optimizer: &Optimizer<AnyRule>, params: &[f32], context: &dyn std::fmt::Debug) {
        assert_bits(params, &self.params, &("params", context));
        assert_eq!(optimizer.steps(), self.all_steps, "{context:?}");
        let ema = self.ema.as_ref().and_then(|(_, average)| average.as_deref());
        assert_eq!(optimizer.ema().is_some(), ema.is_some());
        assert_bits(optimizer.ema().unwrap_or_default(), ema.unwrap_or_default(), &("ema", context));
        for (i, (group, state)) in self.groups.iter().zip(&self.state).enumerate() {
            assert_eq!(optimizer.group_steps(i), Some(self.steps[i]), "{context:?}");
            for (name, expected) in group.rule.slots().iter().zip(state) {
                assert_eq!(optimizer.state_format(name), Some(self.formats[name]), "{context:?}");
                let found = read(optimizer, name);
                for range in group.ranges.iter().cloned() {
                    assert_bits(&found[range.clone()], &expected[range], &(*name, i, context));
                }
            }
        }
    }
}

fn read(optimizer: &Optimizer<AnyRule>, name: &str) -> Vec<f32> {
    let mut numbers = vec![0.0; optimizer.len()];
    optimizer.read_state(name, &mut numbers).expect("a slot");
    numbers
}

/// What is kept of the numbers of a run that begins at `start`: to the nearest, or at a step by the bits of a stream.
pub fn round(
    numbers: &mut [f32],
    start: usize,
    format: Format,
    signed: bool,
    at: Option<(Rounding, u64, &str)>,
) {
    let random = |i: usize| match at {
        Some((Rounding::Stochastic { seed }, step, name)) => {
            Some(reference::random16(seed, step, (start + i) as u64, name))
        }
        Some((_, step, name)) if format == Format::Block8 => {
            Some(reference::random16(0, step, (start + i) as u64, name))
        }
        _ => None,
    };
    match format {
        Format::Bf16 => (0..).zip(numbers).for_each(|(i, x)| *x = reference::bf16(*x, random(i))),
        Format::F16 if signed => (0..).zip(numbers).for_each(|(i, x)| *x = reference::f16(*x, random(i))),
        Format::F16 => (0..).zip(numbers).for_each(|(i, x)| *x = reference::positive_f16(*x, random(i))),
        Format::Block8 => {
            let mut first = 0;
            while first < numbers.len() {
                let end = numbers.len().min(((start + first) / 256 + 1) * 256 - start);
                let block = &mut numbers[first..end];
                let bits: Vec<_> = (first..end).map(|i| random(i).unwrap_or(0x8000)).collect();
                let (scale, codes) = reference::block8(signed, block, &bits);
                block.copy_from_slice(&reference::from_block8(signed, scale, &codes));
                first = end;
            }
        }
        _ => {}
    }
}

/// [`reference::sum`] of some of the numbers, which keep the lanes of their places among all.
fn tree(numbers: &[f64], within: Range<usize>) -> f64 {
    if within.len() > 1 << 14 {
        let cut = within.start + (1 << (within.len() - 1).ilog2());
        return tree(numbers, within.start..cut) + tree(numbers, cut..within.end);
    }
    let mut lanes = [0.0; 16];
    within.for_each(|i| lanes[i % 16] += numbers[i]);
    reference::sum(&lanes)
}

/// The same, where any NaN equals any other.
pub fn assert_same_report(found: &Report, expected: &Report, context: &dyn std::fmt::Debug) {
    let numbers = |report: &Report| {
        let grads = report.grads.map(|grads| {
            let counts = [grads.non_finite, grads.first_non_finite.map_or(u64::MAX, |i| i as u64)];
            (counts, [grads.norm, grads.max_abs].map(bits))
        });
        let update = report.update.map(|update| [update.norm, update.params_norm].map(bits));
        (grads, bits(report.clip_factor), report.skipped, update)
    };
    assert_eq!(numbers(found), numbers(expected), "{found:?}, expected {expected:?}: {context:?}");
}

fn bits(x: f64) -> u64 {
    if x.is_nan() { f64::NAN.to_bits() } else { x.to_bits() }
}

/// A way to make the same calls.
#[derive(Clone, Debug)]
pub struct Way {
    pub level: Level,
    pub parallelism: Parallelism,
    /// Where the parameters are cut into tensors.
    pub cuts: Vec<usize>,
    /// Whether every other tensor has its gradients set to zero, from the first or the second on.
    pub zeroing: Option<usize>,
    /// Whether every third tensor has no gradients, from the first, the second or the third on.
    pub idle: Option<usize>,
}

impl Way {
    /// Where there are no gradients.
    fn idle(&self, len: usize) -> Vec<Range<usize>> {
        let (starts, ends) = ([0].iter().chain(&self.cuts), self.cuts.iter().chain([&len]));
        let ranges = starts.zip(ends).enumerate().filter(|(i, _)| self.idle == Some(i % 3));
        ranges.map(|(_, (start, end))| *start..*end).collect()
    }

    pub fn step(
        &self,
        optimizer: &mut Optimizer<AnyRule>,
        params: &mut [f32],
        grads: &[f32],
        pipeline: &Pipeline,
    ) -> std::result::Result<Report, Error> {
        let mut handed = grads.to_vec();
        let (mut rest, mut rest_grads, mut tensors, mut start) = (params, &mut handed[..], vec![], 0);
        let zeroes = |i: usize| self.zeroing.is_some_and(|from| i % 2 == from);
        for (i, &cut) in self.cuts.iter().chain(&[grads.len()]).enumerate() {
            let (params, after) = rest.split_at_mut(cut - start);
            let (grads, after_grads) = rest_grads.split_at_mut(cut - start);
            tensors.push(match i {
                _ if self.idle == Some(i % 3) => Tensor::of(params),
                _ if zeroes(i) => Tensor::zeroing(params, grads),
                _ => Tensor::new(params, grads),
            });
            (rest, rest_grads, start) = (after, after_grads, cut);
        }
        let in_parts = self.zeroing.is_none() && self.cuts.len().is_multiple_of(2);
        let result = if in_parts && optimizer.in_parts(pipeline).err() != Some(Error::LayerwiseUpdate) {
            self.in_one_part(optimizer, &mut tensors, pipeline, grads.len())
        } else {
            optimizer.step_with(&mut tensors, pipeline)
        };
        start = 0;
        for (i, &cut) in self.cuts.iter().chain(&[grads.len()]).enumerate() {
            let zeroed = zeroes(i) && self.idle != Some(i % 3) && result.is_ok();
            let expected = if zeroed { &vec![0.0; cut - start][..] } else { &grads[start..cut] };
            assert_bits(&handed[start..cut], expected, &("gradients of tensor", i));
            start = cut;
        }
        result
    }

    /// What processes do together, by one that has all.
    fn in_one_part(
        &self,
        optimizer: &mut Optimizer<AnyRule>,
        tensors: &mut [Tensor<'_>],
        pipeline: &Pipeline,
        len: usize,
    ) -> std::result::Result<Report, Error> {
        let mut step = optimizer.in_parts(pipeline)?;
        if step.measures() {
            let leaves = step.measure(0, tensors)?;
            if !step.decide(&leaves)? {
                return step.finish(&[]);
            }
        }
        if step.is_layerwise() {
            let (starts, ends) = ([0].iter().chain(&self.cuts), self.cuts.iter().chain([&len]));
            step.set_layers(&starts.zip(ends).map(|(start, end)| end - start).collect::<Vec<_>>())?;
            let leaves = step.layer_leaves(tensors, &step.open_leaf(tensors)?)?;
            step.know_layers(&leaves)?;
        }
        let changes = step.step(0, tensors)?;
        step.finish(&changes)
    }
}

/// Any groups, tensors, pipelines and bits. Returns whether they made a step.
pub fn pipeline(bytes: &[u8]) -> bool {
    case(&mut Unstructured::new(bytes)).unwrap_or(false)
}

fn case(u: &mut Unstructured<'_>) -> Result<bool> {
    let len = u.int_in_range(0..=150)?;
    let groups = groups(u, len)?;
    let cuts = cuts(u, len)?;
    let way = Way {
        level: *u.choose(&Level::available())?,
        parallelism: match u.int_in_range(0..=80)? {
            #[cfg(feature = "rayon")]
            grain @ 1.. => Parallelism::Rayon { grain },
            _ => Parallelism::Serial,
        },
        cuts,
        zeroing: *u.choose(&[None, Some(0), Some(1)])?,
        idle: *u.choose(&[None, Some(0), Some(1), Some(2)])?,
    };
    let mut optimizer = match Optimizer::with_groups(groups.clone(), len) {
        Ok(optimizer) => optimizer,
        Err(error) => {
            assert!(len == 0 || matches!(error, Error::Group { .. }), "{error}");
            return Ok(false);
        }
    };
    optimizer.set_level(way.level);
    optimizer.set_parallelism(way.parallelism);
    let mut params = (0..len).map(|_| number(u)).collect::<Result<Vec<f32>>>()?;
    let mut model = Model::new(groups, params.clone());
    let mut made = false;
    for _ in 0..u.int_in_range(1..=4)? {
        let pipeline = any_pipeline(u)?;
        let grads = (0..len).map(|_| number(u)).collect::<Result<Vec<f32>>>()?;
        let context = (&model.groups.clone(), &pipeline, &way);
        let found = way.step(&mut optimizer, &mut params, &grads, &pipeline);
        if let Err(error) = pipeline.check() {
            assert_eq!(found.unwrap_err().to_string(), error.to_string());
        } else {
            match (found, model.step(&grads, &pipeline, &way)) {
                (Ok(found), Ok(expected)) => assert_same_report(&found, &expected, &context),
                (found, expected) => assert_eq!(found, expected, "{context:?}"),
            }
            made = true;
        }
        model.assert_is(&optimizer, &params, &context);
        let group = u.choose_index(model.groups.len())?;
        match u.int_in_range(0..=10)? {
            0 => {
                let frozen = u.arbitrary()?;
                optimizer.set_frozen(group, frozen).expect("a group");
                model.groups[group].frozen = frozen;
            }
            1 | 2 => {
                let rule = rule(u)?;
                match optimizer.set_rule(group, rule) {
                    Ok(()) => model = model.switched(group, rule),
                    Err(error) => assert!(matches!(error, Error::Hyperparameter { .. }), "{error}"),
                }
            }
            3 => {
                let decay = *u.choose(&[0.0, 0.5, 0.9, 0.999])?;
                optimizer.set_ema(decay).expect("a decay");
                model.ema.get_or_insert((decay, None)).0 = decay;
            }
            4 => {
                let lr = *u.choose(&[0.0, 0.01, 1e-3, 3.0, 1e30])?;
                match optimizer.set_lr(lr) {
                    Ok(()) => model.set_lr(lr),
                    Err(Error::Group { error, .. }) => {
                        assert!(matches!(*error, Error::Hyperparameter { .. }));
                    }
                    Err(error) => assert!(matches!(error, Error::Hyperparameter { .. }), "{error}"),
                }
            }
            5 => optimizer = model.resumed(&optimizer),
            #[cfg(feature = "checkpoint")]
            7 => {
                optimizer = crate::loaded::loaded(&optimizer);
                optimizer.set_level(*u.choose(&Level::available())?);
            }
            8 => {
                let names: Vec<_> = optimizer.state_names().map(Some).chain([None]).collect();
                let (name, format) = (*u.choose(&names)?, *u.choose(Format::all())?);
                optimizer.set_state_format(name, format).expect("a slot");
                model.set_format(name, format);
            }
            9 => {
                model.rounding = *u.choose(&[
                    Rounding::Nearest,
                    Rounding::Stochastic { seed: 0 },
                    Rounding::Stochastic { seed: u64::MAX },
                ])?;
                optimizer.set_rounding(model.rounding);
            }
            6 => {
                optimizer.set_ema(None).expect("not swapped");
                model.ema = None;
            }
            _ => {}
        }
        model.assert_is(&optimizer, &params, &"between steps");
    }
    Ok(made)
}

/// Places in `0..=len`, in order.
fn cuts(u: &mut Unstructured<'_>, len: usize) -> Result<Vec<usize>> {
    let mut cuts =
        (0..u.int_in_range(0..=6)?).map(|_| u.int_in_range(0..=len)).collect::<Result<Vec<_>>>()?;
    cuts.sort_unstable();
    Ok(cuts)
}

fn groups(u: &mut Unstructured<'_>, len: usize) -> Result<Vec<Group<AnyRule>>> {
    let mut cuts = cuts(u, len)?;
    cuts.push(len);
    let count = u.int_in_range(1..=3)?;
    let mut ranges = vec![Vec::new(); count];
    let mut start = 0;
    for end in cuts {
        if start < end {
            ranges[u.choose_index(count)?].push(start..end);
        }
        start = end;
    }
    let mut groups = Vec::new();
    for ranges in ranges.into_iter().filter(|ranges| !ranges.is_empty()) {
        let lr_scale = *u.choose(&[1.0, 0.1, 0.0, 2.0])?;
        groups.push(Group { lr_scale, frozen: u.ratio(1, 4)?, ..Group::over(rule(u)?, ranges) });
    }
    Ok(groups)
}

fn any_pipeline(u: &mut Unstructured<'_>) -> Result<Pipeline> {
    let mut option = |values: &[f64]| -> Result<Option<f64>> {
        Ok(match u.int_in_range(0..=5)? {
            0 => Some(u.arbitrary()?),
            1 | 2 => Some(*u.choose(values)?),
            _ => None,
        })
    };
    let scale = option(&[0.0, 0.5, 1.0 / 65536.0, 3.0, 1e10, 1e-30, 2e-45, 1e-60])?.unwrap_or(1.0);
    let max_norm = option(&[0.0, 1.0, 1e-10, 1e-30, 1e30])?;
    let clip_value = option(&[0.0, 0.5, 1e-40, 1e30])?;
    let low = option(&[-1.0, 0.0, -1e-40, -1e30])?;
    let high = option(&[1.0, 0.0, 1e-40, 1e30])?;
    Ok(Pipeline {
        scale,
        max_norm,
        clip_value,
        non_finite: *u.choose(&[NonFinite::Propagate, NonFinite::Skip, NonFinite::Error])?,
        min_param: low,
        max_param: high,
        measure_grads: u.arbitrary()?,
        measure_update: u.arbitrary()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn crashes_of_pipeline_are_mended() {
        crate::fuzzed::tests::replay("pipeline", |bytes| {
            pipeline(bytes);
        });
    }

    #[test]
    fn random_bytes() {
        let mut rng = fastrand::Rng::with_seed(2);
        let mut steps = 0;
        for _ in 0..5000 {
            let mut bytes = vec![0; rng.usize(..3000)];
            rng.fill(&mut bytes);
            steps += usize::from(pipeline(&bytes));
        }
        assert!(steps > 500, "only {steps} of 5000 made a step");
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            pipeline(&bytes);
        }
    }
}
