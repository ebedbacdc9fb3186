//! A step in parts has the bits of one over the whole, wherever it is cut.

use crate::cases::{assert_bits, ordinary};
use crate::formats::Numbers;
use crate::variants::layerwise;
use core::ops::Range;
use lanestep::{
    AdamW, AnyRule, Error, Format, Group, Lamb, Layout, Level, NonFinite, OpenLeaf, Optimizer, Parallelism,
    Pipeline, Report, Rounding, Sgd, Tensor,
};

const LEAF: usize = Layout::LEAF;

/// What is stepped, and where it is cut.
pub struct Model {
    groups: Vec<Group<AnyRule>>,
    /// The lengths of the tensors of the call, which are layers.
    pub tensors: Vec<usize>,
    /// Where parts of optimizers begin and end.
    cuts: Vec<usize>,
    /// How many elements are stepped at once.
    bucket: usize,
    format: Format,
    pub params: Format,
    rounding: Rounding,
    split: bool,
    ema: bool,
}

impl Model {
    /// Different in everything for each number.
    pub fn new(seed: u64, rules: &[AnyRule]) -> Self {
        let rng = &mut fastrand::Rng::with_seed(seed);
        let len = [5 * LEAF + 777, 4 * LEAF, 3 * LEAF + 1, 2 * LEAF + 16_000, LEAF, 100][rng.usize(..6)];
        let mut tensors: Vec<usize> = Vec::new();
        let mut rest = len;
        while rest > 0 {
            let most = [rest, rest.min(40), rest.min(3 * LEAF), rest.min(20_000)][rng.usize(..4)];
            tensors.push(rng.usize(0..=most));
            rest -= tensors.last().unwrap();
        }
        let mut cuts: Vec<usize> = (0..rng.usize(..4)).map(|_| rng.usize(..=len / LEAF) * LEAF).collect();
        cuts.extend([0, len]);
        cuts.sort_unstable(); // some parts may be empty
        let mut groups: Vec<Group<AnyRule>> = Vec::new();
        let mut ends: Vec<usize> = rules.iter().map(|_| rng.usize(1..=len)).chain([len]).collect();
        ends.sort_unstable();
        ends.dedup();
        let mut start = 0;
        for (end, rule) in ends.into_iter().zip(rules.iter().cycle()) {
            let frozen = rng.u8(..6) == 0;
            match groups.iter_mut().find(|group| group.rule == *rule) {
                Some(group) => group.ranges.push(start..end),
                None => groups.push(Group { frozen, ..Group::new(*rule, start..end) }),
            }
            start = end;
        }
        let format = [Format::F32, Format::Bf16, Format::F16, Format::Block8][rng.usize(..4)];
        let params = [Format::F32, Format::F32, Format::Bf16, Format::F16][rng.usize(..4)];
        let rounding = if rng.bool() { Rounding::Nearest } else { Rounding::Stochastic { seed } };
        let split = params == Format::Bf16 && rng.bool();
        let bucket = LEAF * rng.usize(1..4);
        Self { groups, tensors, cuts, bucket, format, params, rounding, split, ema: rng.bool() }
    }

    pub fn len(&self) -> usize {
        self.tensors.iter().sum()
    }

    pub fn optimizer(&self, layout: Layout) -> Optimizer<AnyRule> {
        let mut optimizer = Optimizer::with_groups(self.groups.iter().cloned(), layout).unwrap();
        optimizer.set_state_format(None, self.format).unwrap();
        optimizer.set_rounding(self.rounding);
        optimizer.set_split(self.split).unwrap();
        optimizer.set_ema(self.ema.then_some(0.9)).unwrap();
        optimizer
    }

    fn parts(&self) -> Vec<(Optimizer<AnyRule>, Range<usize>)> {
        let layout = Layout::from(self.len());
        let part = |cut: &[usize]| (self.optimizer(layout.part(cut[0]..cut[1]).unwrap()), cut[0]..cut[1]);
        self.cuts.windows(2).map(part).collect()
    }

    /// The tensors of a part of the parameters.
    fn cut(&self, part: &Range<usize>) -> Vec<usize> {
        let (mut start, mut lens) = (0, Vec::new());
        for len in &self.tensors {
            let here = start.max(part.start)..(start + len).min(part.end);
            lens.push(here.len());
            start += len;
        }
        lens.retain(|len| *len > 0);
        lens
    }
}

/// Slices end to end, of some lengths, with gradients.
pub fn tensors<'a>(lens: &[usize], params: &'a mut Numbers, grads: &'a [f32]) -> Vec<Tensor<'a>> {
    fn of<'a, P: lanestep::Element>(
        lens: &[usize],
        mut params: &'a mut [P],
        mut grads: &'a [f32],
    ) -> Vec<Tensor<'a>> {
        let mut tensors = Vec::new();
        for len in lens {
            let params = params.split_off_mut(..*len).unwrap();
            tensors.push(Tensor::new(params, grads.split_off(..*len).unwrap()));
        }
        tensors
    }
    match params {
        Numbers::F32(params) => of(lens, params, grads),
        Numbers::Bf16(params) => of(lens, params, grads),
        Numbers::F16(params) => of(lens, params, grads),
    }
}

pub fn piece(params: &Numbers, range: Range<usize>) -> Numbers {
    match params {
        Numbers::F32(params) => Numbers::F32(params[range].to_vec()),
        Numbers::Bf16(params) => Numbers::Bf16(params[range].to_vec()),
        Numbers::F16(params) => Numbers::F16(params[range].to_vec()),
    }
}

fn put(params: &mut Numbers, at: usize, piece: &Numbers) {
    match (params, piece) {
        (Numbers::F32(params), Numbers::F32(piece)) => params[at..][..piece.len()].copy_from_slice(piece),
        (Numbers::Bf16(params), Numbers::Bf16(piece)) => params[at..][..piece.len()].copy_from_slice(piece),
        (Numbers::F16(params), Numbers::F16(piece)) => params[at..][..piece.len()].copy_from_slice(piece),
        _ => unreachable!("one format"),
    }
}

/// What processes would do that have a part each.
fn step_in_parts(
    model: &Model,
    parts: &mut [(Optimizer<AnyRule>, Range<usize>)],
    params: &mut Numbers,
    grads: &[f32],
    pipeline: &Pipeline,
) -> Result<Report, Error> {
    let lens: Vec<_> = parts.iter().map(|(_, part)| model.cut(part)).collect();
    let mut own: Vec<_> = parts.iter().map(|(_, part)| piece(params, part.clone())).collect();
    let places: Vec<_> = parts.iter().map(|(_, part)| part.clone()).collect();
    let mut steps: Vec<_> =
        parts.iter_mut().map(|(optimizer, _)| optimizer.in_parts(pipeline)).collect::<Result<_, _>>()?;

    if steps[0].measures() {
        let mut sums = Vec::new();
        for (i, step) in steps.iter().enumerate() {
            let here = &mut tensors(&lens[i], &mut own[i], &grads[places[i].clone()]);
            sums.extend(step.measure(places[i].start, here)?);
        }
        for step in &mut steps {
            step.decide(&sums)?;
        }
    }
    if steps[0].is_layerwise() {
        let mut before = OpenLeaf::default();
        let mut sums = Vec::new();
        for (i, step) in steps.iter_mut().enumerate() {
            step.set_layers(&model.tensors)?;
            let here = &tensors(&lens[i], &mut own[i], &grads[places[i].clone()]);
            let leaves = step.layer_leaves(here, &before)?;
            if !places[i].is_empty() {
                before = step.open_leaf(here)?;
            }
            sums.extend(leaves);
        }
        for step in &mut steps {
            step.know_layers(&sums)?;
        }
    }
    let mut changes = vec![[0.0; 2]; model.len().div_ceil(LEAF)];
    for (i, step) in steps.iter_mut().enumerate() {
        let mut buckets: Vec<_> = places[i]
            .clone()
            .step_by(model.bucket)
            .map(|at| at..places[i].end.min(at + model.bucket))
            .collect();
        buckets.reverse(); // in any order
        for bucket in buckets {
            let mut here = piece(params, bucket.clone());
            let found = step
                .step(bucket.start, &mut tensors(&model.cut(&bucket), &mut here, &grads[bucket.clone()]))?;
            changes[bucket.start / LEAF..][..found.len()].copy_from_slice(&found);
            put(params, bucket.start, &here);
        }
    }
    let reports = steps.into_iter().map(|step| step.finish(&changes)).collect::<Result<Vec<_>, _>>()?;
    assert!(reports.iter().all(|report| format!("{report:?}") == format!("{:?}", reports[0])));
    Ok(reports[0])
}

/// Compares a run over the whole with one in parts.
fn check(seed: u64, rules: &[AnyRule]) {
    let model = Model::new(seed, rules);
    let context = &(seed, &model.tensors, &model.cuts, model.format, model.params, &model.groups);
    let rng = &mut fastrand::Rng::with_seed(seed);
    let mut whole = model.optimizer(Layout::from(model.len()));
    let mut parts = model.parts();
    let levels = Level::available();
    for (k, (optimizer, _)) in parts.iter_mut().enumerate() {
        optimizer.set_level(levels[k % levels.len()]);
        if k % 2 == 0 {
            optimizer.set_parallelism(Parallelism::Serial);
        }
    }
    let layerwise = rules.iter().any(layerwise);
    let start = Numbers::new(&ordinary(rng, model.len()), model.params);
    let (mut expected, mut found) = (piece(&start, 0..model.len()), start);
    for step in 0..3 {
        let mut grads = ordinary(rng, model.len());
        let pipeline = Pipeline {
            scale: [1.0, 0.25][rng.usize(..2)],
            max_norm: [None, Some(1.0)][rng.usize(..2)],
            non_finite: [NonFinite::Propagate, NonFinite::Skip, NonFinite::Error][rng.usize(..3)],
            measure_grads: rng.bool(),
            measure_update: !layerwise && rng.bool(),
            ..Pipeline::default()
        };
        if step == 1 && pipeline.non_finite != NonFinite::Propagate {
            for _ in 0..2 {
                grads[rng.usize(..model.len())] = f32::INFINITY;
            }
        }
        let report = whole.step_with(&mut tensors(&model.tensors, &mut expected, &grads), &pipeline);
        let in_parts = step_in_parts(&model, &mut parts, &mut found, &grads, &pipeline);
        assert_eq!(format!("{report:?}"), format!("{in_parts:?}"), "{context:?}");
        assert_bits(&found.to_f32(), &expected.to_f32(), context);
        for name in whole.state_names() {
            let mut expected = vec![0.0; model.len()];
            whole.read_state(name, &mut expected).unwrap();
            for (optimizer, part) in &parts {
                let mut found = vec![0.0; part.len()];
                optimizer.read_state(name, &mut found).unwrap();
                assert_bits(&found, &expected[part.clone()], &(name, context));
            }
        }
        for (optimizer, part) in &parts {
            assert_eq!(optimizer.ema(), whole.ema().map(|ema| &ema[part.clone()]), "{context:?}");
            assert_eq!(optimizer.steps(), whole.steps());
        }
    }
}

#[test]
fn every_rule_has_the_bits_of_the_whole() {
    for (seed, rule) in (0..).zip(AnyRule::all()) {
        (0..4).for_each(|k| check(4 * seed + k, &[rule]));
    }
}

#[test]
fn groups_of_several_rules_have_the_bits_of_the_whole() {
    for seed in 1000..1040 {
        let rules = [
            AnyRule::from(AdamW::default()),
            Sgd { momentum: 0.9, ..Sgd::default() }.into(),
            Lamb { weight_decay: 0.1, ..Lamb::default() }.into(),
        ];
        check(seed, &rules[..2 + (seed % 2) as usize]);
    }
}

/// With the bits of its places, and a norm of its own gradients.
#[test]
fn a_part_is_an_optimizer_by_itself() {
    let (len, part) = (3 * LEAF, LEAF..2 * LEAF);
    let rng = &mut fastrand::Rng::with_seed(5);
    let groups = || {
        let sgd = Sgd { momentum: 0.9, ..Sgd::default() };
        let cut = LEAF + 1000;
        [Group::new(AnyRule::from(AdamW::default()), 0..cut), Group::new(sgd.into(), cut..len)]
    };
    let make = |layout: Layout| {
        let mut optimizer = Optimizer::with_groups(groups(), layout).unwrap();
        optimizer.set_state_format(None, Format::Block8).unwrap();
        optimizer.set_rounding(Rounding::Stochastic { seed: 1 });
        optimizer.set_ema(0.5).unwrap();
        optimizer
    };
    let (mut whole, mut own) = (make(len.into()), make(Layout::from(len).part(part.clone()).unwrap()));
    let start = ordinary(rng, len);
    let (mut expected, mut found) = (start.clone(), start[part.clone()].to_vec());
    for _ in 0..3 {
        let grads = ordinary(rng, len);
        whole.step(&mut expected, &grads).unwrap();
        own.step(&mut found, &grads[part.clone()]).unwrap();
        assert_bits(&found, &expected[part.clone()], &"params");
    }
    assert_eq!(own.ema(), whole.ema().map(|ema| &ema[part.clone()]));
    // State is that of the part, in and out, and stays with a switch.
    let read = |optimizer: &Optimizer<AnyRule>, name| crate::formats::read(optimizer, name);
    for name in ["exp_avg", "exp_avg_sq", "momentum_buffer"] {
        assert_eq!(read(&own, name), read(&whole, name)[part.clone()], "{name}");
        let numbers = read(&own, name);
        own.set_state(name, &numbers).unwrap();
        assert_eq!(read(&own, name), numbers);
    }
    let not_zero = vec![1.0; LEAF];
    let stateless = own.set_state("exp_avg", &not_zero).unwrap_err();
    assert_eq!(stateless, Error::Stateless { group: 1, name: "exp_avg", first: LEAF + 1000 });
    for optimizer in [&mut own, &mut whole] {
        optimizer.set_rule(1, AdamW::default()).unwrap();
        optimizer.set_state_format(None, Format::Bf16).unwrap();
    }
    assert_eq!(own.state_names().collect::<Vec<_>>(), ["exp_avg", "exp_avg_sq"]);
    assert_eq!(read(&own, "exp_avg"), read(&whole, "exp_avg")[part.clone()]);

    let report = own
        .step_with(
            &mut [Tensor::new(&mut found, &not_zero)],
            &Pipeline { max_norm: Some(1.0), ..Pipeline::default() },
        )
        .unwrap();
    assert_eq!(report.norm(), Some((LEAF as f64).sqrt()));
    let nan: Vec<f32> = (0..LEAF).map(|i| if i == 7 { f32::NAN } else { 1.0 }).collect();
    let pipeline = Pipeline { non_finite: NonFinite::Error, ..Pipeline::default() };
    let error = own.step_with(&mut [Tensor::new(&mut found, &nan)], &pipeline).unwrap_err();
    assert_eq!(error, Error::NonFinite { count: 1, first: LEAF + 7, tensor: None });
}

#[test]
fn what_is_no_part_and_what_has_not_been_told_is_refused() {
    let layout = Layout::new([("a", LEAF + 5), ("b", LEAF)]).unwrap();
    let len = layout.len();
    let of = (0, len);
    for (start, end) in [(1, LEAF), (0, LEAF + 5), (LEAF, len + 1), (LEAF, 0), (len, len + 1)] {
        assert_eq!(layout.part(start..end).unwrap_err(), Error::Part { start, end, of });
    }
    let part = layout.part(LEAF..len).unwrap();
    assert_eq!(part.part(0..LEAF).unwrap_err(), Error::Part { start: 0, end: LEAF, of: (LEAF, len) });
    assert_eq!((part.whole(), part.places(), part.len()), (len, LEAF..len, len - LEAF));

    let make = |rule: AnyRule| Optimizer::new(rule, &part).unwrap();
    let mut optimizer = make(AdamW::default().into());
    let (mut params, grads) = (vec![1.0_f32; len - LEAF], vec![0.5_f32; len - LEAF]);
    let clipped = Pipeline { max_norm: Some(1.0), measure_update: true, ..Pipeline::default() };
    let mut step = optimizer.in_parts(&clipped).unwrap();
    let gradients = Error::Unmeasured { what: "sums of gradients" };
    let tensors = &mut [Tensor::new(&mut params, &grads)];
    assert_eq!(step.step(LEAF, tensors), Err(gradients.clone()));
    let place = |start| Error::Part { start, end: start + len - LEAF, of: (LEAF, len) };
    assert_eq!(step.measure(0, tensors).unwrap_err(), place(0));
    assert_eq!(step.measure(2 * LEAF, tensors).unwrap_err(), place(2 * LEAF));
    let own = step.measure(LEAF, tensors).unwrap();
    assert_eq!(own.len(), 2);
    let what = "the list of sums of gradients";
    assert_eq!(step.decide(&own), Err(Error::Length { what, expected: 3, found: 2 }));
    assert!(step.decide(&[own[0], own[0], own[1]]).unwrap());
    assert!(step.gradients().is_some());
    assert_eq!(
        step.step(usize::MAX, tensors).unwrap_err(),
        Error::Part { start: usize::MAX, end: usize::MAX, of: (LEAF, len) }
    );
    let (mut ten, nine) = ([1.0_f32; 10], [0.5_f32; 9]);
    let short = &mut [Tensor::new(&mut ten, &nine)];
    assert_eq!(
        step.step(LEAF, short).unwrap_err(),
        Error::Tensor { index: 0, name: None, params: 10, grads: 9 }
    );
    let changes = step.step(LEAF, tensors).unwrap();
    let what = "the list of changes";
    assert_eq!(step.finish(&changes), Err(Error::Length { what, expected: 3, found: 2 }));
    // That was none, nor is one that is dropped.
    assert_eq!(optimizer.steps(), 0);
    drop(optimizer.in_parts(&clipped).unwrap());
    assert_eq!(optimizer.in_parts(&clipped).unwrap().finish(&[]), Err(gradients));
    let wrong = Pipeline { scale: -1.0, ..Pipeline::default() };
    assert!(matches!(optimizer.in_parts(&wrong), Err(Error::Hyperparameter { name: "scale", .. })));
    assert_eq!(optimizer.steps(), 0);

    let mut optimizer = make(Lamb::default().into());
    assert!(matches!(optimizer.in_parts(&clipped), Err(Error::LayerwiseUpdate)));
    let plain = Pipeline::default();
    let mut step = optimizer.in_parts(&plain).unwrap();
    let mut params = vec![1.0_f32; len - LEAF];
    let tensors = &mut [Tensor::new(&mut params, &grads)];
    let ends = Error::Unmeasured { what: "ends of layers" };
    assert_eq!(step.step(LEAF, tensors), Err(ends.clone()));
    assert_eq!(step.know_layers(&[]), Err(ends.clone()));
    assert_eq!(step.open_leaf(tensors), Err(ends.clone()));
    assert_eq!(step.layer_leaves(tensors, &OpenLeaf::default()), Err(ends));
    let what = "the list of tensors";
    assert_eq!(step.set_layers(&[1, 2]), Err(Error::Length { what, expected: len, found: 3 }));
    step.set_layers(&[LEAF + 5, LEAF]).unwrap();
    let what = "the list of sums of layers";
    assert_eq!(step.know_layers(&[[0.0; 2]; 2]), Err(Error::Length { what, expected: 3, found: 2 }));
    assert_eq!(step.step(LEAF, tensors), Err(Error::Unmeasured { what: "sums of layers" }));
    step.know_layers(&[[1.0; 2]; 3]).unwrap();
    // One tensor of the end of one layer and the other.
    let beyond = Error::Layer { start: LEAF, end: len, layer: (0, LEAF + 5) };
    assert_eq!(step.step(LEAF, tensors), Err(beyond.clone()));
    assert_eq!(step.open_leaf(tensors), Err(beyond.clone()));
    step.set_layers(&[LEAF + 5, LEAF]).unwrap();
    assert_eq!(step.step(LEAF, tensors), Err(Error::Unmeasured { what: "sums of layers" }));
    assert!(params.iter().all(|p| *p == 1.0));
}
