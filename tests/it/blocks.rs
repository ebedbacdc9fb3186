//! State in eight bits, against who means harm: what a step may do at worst, and what it must never do.

use crate::cases::{assert_bits, hostile, ordinary};
use crate::loaded::bytes;
use crate::variants::{each_option, layerwise};
use half::bf16;
use lanestep::formula::Factor;
use lanestep::rule::Shared;
use lanestep::{
    AdamW, AnyRule, Element, Error, Format, Formula, Group, Lane, Lars, Level, NonFinite, Optimizer,
    Parallelism, Pipeline, RmsProp, Rounding, Rule, Sgd, Tensor, WithFormula,
};
use std::collections::BTreeMap;

fn read<R: Rule>(optimizer: &Optimizer<R>, name: &str) -> Vec<f32> {
    let mut numbers = vec![0.0; optimizer.len()];
    optimizer.read_state(name, &mut numbers).unwrap();
    numbers
}

fn in_blocks(rule: impl Into<AnyRule>, len: usize) -> Optimizer<AnyRule> {
    let mut optimizer = Optimizer::new(rule.into(), len).unwrap();
    optimizer.set_state_format(None, Format::Block8).unwrap();
    optimizer
}

/// The longest update of a run, and whether all were finite.
fn longest(mut optimizer: Optimizer<AnyRule>, grads: &[Vec<f32>]) -> (f32, bool) {
    let mut params = vec![0.0; optimizer.len()];
    let (mut longest, mut finite) = (0.0_f32, true);
    for grads in grads {
        let before = params.clone();
        optimizer.step(&mut params, grads).unwrap();
        for (after, before) in params.iter().zip(before) {
            longest = longest.max((after - before).abs());
            finite &= after.is_finite();
        }
    }
    (longest, finite)
}

/// Gradients whose sizes spread by so much within a block: random; all but constant; for a while, and then none.
fn spread(by: f64, steps: usize) -> [Vec<Vec<f32>>; 3] {
    let rng = &mut fastrand::Rng::with_seed(1);
    let sizes: Vec<_> = (0..256).map(|_| by.powf(-rng.f64()) * (0.5 + rng.f64())).collect();
    [0, 1, 2].map(|kind| {
        let mut step = |t| {
            let factor = |rng: &mut fastrand::Rng| match kind {
                0 => rng.f64() - 0.4,
                1 => 1.0,
                _ if t % 64 < 24 => rng.f64() - 0.3,
                _ => 0.0,
            };
            sizes.iter().map(|size| (size * factor(rng)) as f32).collect()
        };
        (0..steps).map(&mut step).collect()
    })
}

/// A first moment that is too small for its block is the least code or nothing, and a second one no less than its own least
/// code, whose root is half as large: no update is much longer than the longest without blocks.
#[test]
fn no_update_blows_up() {
    for (index, rule) in each_option().into_iter().filter(|rule| !rule.slots().is_empty()).enumerate() {
        // A difference of squares of which either is rounded: no longer than over the fresh square alone.
        let difference = match rule {
            AnyRule::RmsProp(rule) => rule.centered,
            AnyRule::Yogi(rule) => rule.betas.1 == 0.0,
            _ => false,
        };
        // Its norm spans twice the octaves of its average, of which chance makes eight times as much at most.
        let factor = match rule {
            _ if difference => 100.0,
            AnyRule::Adamax(_) => 10.0,
            _ => 3.0,
        };
        for grads in spread([1e8, 1e12][index % 2], 80) {
            let (plain, _) = longest(Optimizer::new(rule, 256).unwrap(), &grads);
            let (found, finite) = longest(in_blocks(rule, 256), &grads);
            assert!(finite && found <= factor * plain, "{rule:?}: {found:e}, without blocks {plain:e}");
        }
    }
}

/// Layers are measured one after the other then, also those of a group that has no block.
#[test]
fn blocks_of_one_group_are_nothing_to_the_layers_of_another() {
    let rng = &mut fastrand::Rng::with_seed(9);
    let (start, grads) = (ordinary(rng, 700), ordinary(rng, 700));
    let run = |format| {
        let lars = AnyRule::from(Lars { momentum: 0.9, ..Lars::default() });
        let groups = [Group::new(lars, 0..500), Group::new(AdamW::default().into(), 500..700)];
        let mut optimizer = Optimizer::with_groups(groups, 700).unwrap();
        optimizer.set_state_format("exp_avg", format).unwrap();
        let mut params = start.clone();
        for _ in 0..3 {
            let ((a, b), (c, d)) = (params.split_at_mut(200), grads.split_at(200));
            let tensors = &mut [Tensor::new(a, c), Tensor::new(b, d)];
            optimizer.step_with(tensors, &Pipeline::default()).unwrap();
        }
        params
    };
    let (plain, blocks) = (run(Format::F32), run(Format::Block8));
    assert_bits(&blocks[..500], &plain[..500], &"LARS");
    assert_ne!(blocks[500..], plain[500..]);
}

/// A variance below zero has no root. Here it is that of a gradient that does not vary, of which both moments are rounded.
#[test]
fn a_centered_variance_is_never_below_zero() {
    let grads: Vec<_> = (0..256).map(|i| 0.3 + i as f32 / 256.0).collect();
    for momentum in [0.0, 0.5] {
        let rule = RmsProp { centered: true, momentum, ..RmsProp::default() };
        for format in Format::all() {
            let mut optimizer = Optimizer::<AnyRule>::new(rule.into(), 256).unwrap();
            optimizer.set_state_format(None, *format).unwrap();
            let (_, finite) = longest(optimizer, &vec![grads.clone(); 1000]);
            assert!(finite, "{format} {momentum}");
        }
    }
}

/// Of the mean of many, each of which loses less than half of a place in a step.
#[test]
fn second_moments_decay_and_grow_as_they_should() {
    for beta2 in [0.999, 0.9999] {
        let mut optimizer = in_blocks(AdamW { betas: (0.9, beta2), ..AdamW::default() }, 4096);
        let mut params = vec![0.0; 4096];
        // What grows, from a first step on, stands beside what decays.
        let grads: Vec<_> = (0..4096).map(|i| if i % 2 == 0 { 1.0 } else { 0.0 }).collect();
        optimizer.step(&mut params, &[1.0; 4096]).unwrap();
        for _ in 0..1000 {
            optimizer.step(&mut params, &grads).unwrap();
        }
        let squares = read(&optimizer, "exp_avg_sq");
        let kept = beta2.powi(1000);
        for (first, expected) in [(1, kept * (1.0 - beta2)), (0, 1.0 - kept * beta2)] {
            let sum: f64 = squares[first..].iter().step_by(2).map(|x| f64::from(*x)).sum();
            let off = sum / 2048.0 / expected - 1.0;
            // Steps of an eighth, a few of which each has taken at random.
            assert!(off.abs() < 0.05, "{beta2} {first}: {off}");
        }
    }
}

/// One gradient of a block is not finite: it is the business of its element alone, for as long as it is not.
#[test]
fn infinity_and_nan_are_nothing_to_neighbours() {
    for rule in each_option().into_iter().filter(|rule| !rule.slots().is_empty() && !layerwise(rule)) {
        let rng = &mut fastrand::Rng::with_seed(2);
        let grads: Vec<_> = (0..4).map(|_| ordinary(rng, 256)).collect();
        for other in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
            let run = |by: Option<f32>| {
                let mut optimizer = in_blocks(rule, 256);
                let mut params = vec![1.0; 256];
                for (step, grads) in grads.iter().enumerate() {
                    let mut grads = grads.clone();
                    // What is not the largest of its block.
                    grads[7] = by.filter(|_| step == 1).unwrap_or(1e-3);
                    optimizer.step(&mut params, &grads).unwrap();
                }
                let mut all = vec![params];
                all.extend(rule.slots().iter().map(|name| read(&optimizer, name)));
                all.iter_mut().for_each(|numbers| numbers[7] = 0.0);
                all.concat()
            };
            assert_bits(&run(Some(other)), &run(None), &(rule, other));
        }
    }
}

/// A huge gradient takes from its neighbours what is 2^14 times smaller, of averages, and 2^30 times, of squares: their steps are
/// shorter until its square has decayed, and never longer.
#[test]
fn a_huge_gradient_shortens_the_steps_of_its_neighbours() {
    let mut optimizer = in_blocks(AdamW { betas: (0.9, 0.9), weight_decay: 0.0, ..AdamW::default() }, 512);
    let mut params = vec![0.0; 512];
    let mut step = |huge: f32| {
        let (before, mut grads) = (params.clone(), vec![1.0; 512]);
        grads[3] = huge;
        optimizer.step(&mut params, &grads).unwrap();
        let far: Vec<_> = params.iter().zip(before).map(|(p, q)| (p - q).abs() / 1e-3).collect();
        assert!(far.iter().all(|step| step.is_finite()));
        assert!(far[256..].iter().all(|step| (0.7..1.4).contains(step)), "another block");
        far[4..256].iter().fold((f32::INFINITY, 0.0_f32), |(least, most), x| (least.min(*x), most.max(*x)))
    };
    for _ in 0..50 {
        step(1.0);
    }
    step(1e15);
    let (_, most) = step(1.0);
    assert!(most < 1e-3, "{most}");
    let mut least = 0.0;
    for _ in 0..500 {
        let (shortest, most) = step(1.0);
        assert!(most < 1.5, "{most}");
        least = shortest;
    }
    assert!(least > 0.8, "they have recovered: {least}");
}

/// A slot is kept without a sign where it never needs one, and only there.
#[test]
fn slots_that_are_said_to_be_no_negative_numbers_are_none() {
    let rng = &mut fastrand::Rng::with_seed(3);
    let mut negative = BTreeMap::new();
    for rule in each_option() {
        for case in 0..8 {
            let mut optimizer = Optimizer::new(rule, 200).unwrap();
            let numbers = if case % 2 == 0 { hostile } else { ordinary };
            let mut params = numbers(rng, 200);
            for _ in 0..5 {
                optimizer.step(&mut params, &numbers(rng, 200)).unwrap();
                for name in rule.slots() {
                    let found = read(&optimizer, name).iter().any(|x| *x < 0.0);
                    assert!(!(found && rule.non_negative(name)), "{name} of {rule:?}");
                    *negative.entry((rule.name(), *name, rule.non_negative(name))).or_insert(false) |= found;
                }
            }
        }
    }
    for ((rule, name, non_negative), found) in negative {
        assert_ne!(non_negative, found, "{name} of {rule}");
    }
}

/// The parts of all slices between cuts.
fn tensors<'a, P: Element>(
    (mut params, mut grads, mut mirror): (&'a mut [P], &'a mut [f32], &'a mut [bf16]),
    cuts: &[usize],
    (zeroing, mirrored): (bool, bool),
) -> Vec<Tensor<'a>> {
    let (mut all, mut start) = (Vec::new(), 0);
    for cut in cuts {
        let (p, g, m);
        (p, params) = params.split_at_mut(cut - start);
        (g, grads) = grads.split_at_mut(cut - start);
        (m, mirror) = mirror.split_at_mut(cut - start);
        let tensor = if zeroing { Tensor::zeroing(p, g) } else { Tensor::new(p, g) };
        all.push(if mirrored { tensor.mirrored(m) } else { tensor });
        start = *cut;
    }
    all
}

fn sorted(rng: &mut fastrand::Rng, count: usize, len: usize) -> Vec<usize> {
    let mut places: Vec<_> = (0..rng.usize(..count)).map(|_| rng.usize(0..=len)).collect();
    places.push(len);
    places.sort_unstable();
    places
}

/// Any groups, formats and what goes with a step, on one thread and uncut, or in any number of parts and tensors: the same bits.
fn however_cut(rules: &[AnyRule], seed: u64) {
    let rng = &mut fastrand::Rng::with_seed(seed);
    let len = match seed % 16 {
        0 | 1 => rng.usize(1..8),
        2 => 16_384 + rng.usize(..3000),
        _ => rng.usize(1..2000),
    };
    let (mut ranges, mut start) = (vec![vec![]; rng.usize(1..=4)], 0);
    for end in sorted(rng, 8, len) {
        let group = rng.usize(..ranges.len());
        if start < end {
            ranges[group].push(start..end);
        }
        start = end;
    }
    let by_layer = rng.u8(..3) == 0;
    let rules: Vec<_> = rules.iter().filter(|rule| by_layer || !layerwise(rule)).collect();
    let groups: Vec<_> = ranges.into_iter().filter(|ranges| !ranges.is_empty()).collect();
    let group =
        |ranges| Group { frozen: rng.u8(..6) == 0, ..Group::over(**rng.choice(&rules).unwrap(), ranges) };
    let Ok(mut whole) = Optimizer::with_groups(groups.into_iter().map(group).collect::<Vec<_>>(), len) else {
        return; // too many slots
    };
    let names: Vec<_> = whole.state_names().collect();
    for name in &names {
        whole.set_state_format(*name, *rng.choice(Format::all()).unwrap()).unwrap();
    }
    whole.set_rounding(*rng.choice(&[Rounding::Nearest, Rounding::Stochastic { seed }]).unwrap());
    whole.set_ema(rng.bool().then_some(0.9)).unwrap();
    whole.set_split(rng.bool()).unwrap();
    let halves = whole.is_split() || rng.bool();
    let mut parts = whole.try_clone().unwrap();
    whole.set_parallelism(Parallelism::Serial);
    whole.set_level(Level::available()[0]);
    #[cfg(feature = "rayon")]
    parts.set_parallelism(Parallelism::Rayon { grain: *rng.choice(&[16, 48, 100, 256, 300, 1000]).unwrap() });
    parts.set_level(*rng.choice(&Level::available()).unwrap());
    let cuts = sorted(rng, 10, len);
    let uncut = if whole.groups().any(|group| layerwise(&group.rule)) { cuts.clone() } else { vec![len] };

    let numbers = if rng.u8(..3) == 0 { hostile } else { ordinary };
    let start = numbers(rng, len);
    let pipeline = Pipeline {
        measure_update: rng.bool(),
        max_norm: rng.bool().then_some(1.0),
        non_finite: *rng.choice(&[NonFinite::Propagate, NonFinite::Skip]).unwrap(),
        ..Pipeline::default()
    };
    let with = (rng.bool(), rng.bool());
    let grads: Vec<_> = (0..3).map(|_| numbers(rng, len)).collect();
    let run = |mut optimizer: Optimizer<AnyRule>, cuts: &[usize]| {
        let mut params = start.clone();
        let mut short: Vec<_> = start.iter().map(|x| bf16::from_f32(*x)).collect();
        let (mut mirror, mut reports, mut all) = (vec![bf16::ZERO; len], vec![], vec![]);
        for grads in &grads {
            let mut grads = grads.clone();
            let beside = (&mut grads[..], &mut mirror[..]);
            let tensors = &mut if halves {
                tensors((&mut short[..], beside.0, beside.1), cuts, with)
            } else {
                tensors((&mut params[..], beside.0, beside.1), cuts, with)
            };
            reports.push(format!("{:?}", optimizer.step_with(tensors, &pipeline)));
            all.push(grads);
        }
        all.extend(names.iter().map(|name| read(&optimizer, name)));
        all.extend(optimizer.ema().map(<[f32]>::to_vec));
        if optimizer.is_split() {
            let mut masters = vec![0.0; len];
            optimizer.masters(&[Tensor::of(&mut short)], &mut masters).unwrap();
            all.push(masters);
        }
        all.extend([&short, &mirror].map(|x| x.iter().map(|x| x.to_f32()).collect()));
        all.push(params);
        (reports, all.concat())
    };
    let (expected, found) = (run(whole, &uncut), run(parts, &cuts));
    assert_eq!(found.0, expected.0, "case {seed}");
    assert_bits(&found.1, &expected.1, &seed);
}

#[test]
fn bits_do_not_depend_on_cuts() {
    let rules = each_option();
    (0..300).for_each(|seed| however_cut(&rules, seed));
}

/// Blocks end where their group does, at every place of a block, beside groups and optimizers of one element.
#[test]
fn seams_are_anywhere() {
    for seam in 1..=257 {
        let rule = AnyRule::from(AdamW::default());
        let groups = [Group::over(rule, [0..seam, seam + 1..600]), Group::new(rule, seam..seam + 1)];
        let mut optimizer = Optimizer::with_groups(groups, 600).unwrap();
        optimizer.set_state_format(None, Format::Block8).unwrap();
        let grads: Vec<_> = (0..600)
            .map(|i| {
                if i < seam {
                    1.0
                } else if i == seam {
                    1e6
                } else {
                    1e-6
                }
            })
            .collect();
        let mut params = vec![0.0; 600];
        #[cfg(feature = "rayon")]
        optimizer.set_parallelism(Parallelism::Rayon { grain: 16 });
        for _ in 0..2 {
            optimizer.step(&mut params, &grads).unwrap();
        }
        // Nobody has a neighbour of another size, so nothing is lost.
        let moments = read(&optimizer, "exp_avg");
        for (moment, grad) in moments.iter().zip(&grads) {
            assert!((moment / (0.19 * grad) - 1.0).abs() < 0.13, "{seam}: {moment:e} {grad:e}");
        }
    }
    for len in 0..3 {
        let mut optimizer = in_blocks(AdamW::default(), len);
        optimizer.step(&mut vec![1.0; len], &vec![0.0; len]).unwrap();
        assert!(read(&optimizer, "exp_avg").iter().all(|x| x.to_bits() == 0), "zeros");
    }
}

#[test]
fn what_is_skipped_or_frozen_keeps_every_byte() {
    for rule in each_option() {
        let mut optimizer =
            Optimizer::with_groups([Group::new(rule, 0..300), Group::new(rule, 300..700)], 700).unwrap();
        optimizer.set_state_format(None, Format::Block8).unwrap();
        let rng = &mut fastrand::Rng::with_seed(4);
        let mut params = ordinary(rng, 700);
        let step = |optimizer: &mut Optimizer<AnyRule>, params: &mut [f32], grads: &[f32]| {
            let pipeline = Pipeline { non_finite: NonFinite::Skip, ..Pipeline::default() };
            optimizer.step_with(&mut [Tensor::new(params, grads)], &pipeline).unwrap();
        };
        step(&mut optimizer, &mut params, &ordinary(rng, 700));
        let before = bytes(&optimizer);
        let mut grads = ordinary(rng, 700);
        grads[650] = f32::NAN;
        step(&mut optimizer, &mut params, &grads);
        assert!(bytes(&optimizer) == before, "{rule:?}");

        optimizer.set_frozen(1, true).unwrap();
        let state =
            |optimizer: &Optimizer<AnyRule>| rule.slots().iter().map(|n| read(optimizer, n)).collect();
        let kept: Vec<Vec<f32>> = state(&optimizer);
        step(&mut optimizer, &mut params, &ordinary(rng, 700));
        let after: Vec<Vec<f32>> = state(&optimizer);
        for (now, then) in after.iter().zip(&kept) {
            assert_bits(&now[300..], &then[300..], &rule);
        }
    }
}

/// A rule that says of its sum of gradients whether it may be negative, and may say what is not so.
#[derive(Clone, Copy)]
struct Says {
    non_negative: bool,
}

impl Formula<1> for Says {
    #[inline(always)]
    fn update<L: Lane>(&self, p: L, g: L, [s]: [L; 1]) -> (L, [L; 1]) {
        (p - Factor::new(0.5).times(s + g), [s + g])
    }
}

impl Rule for Says {
    fn slots(&self) -> &'static [&'static str] {
        &["mine"]
    }
    fn non_negative(&self, _slot: &'static str) -> bool {
        self.non_negative
    }
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }
    fn shared(&self) -> Shared {
        Shared::new(0.5)
    }
    fn set_lr(&mut self, _lr: f64) {}
    fn at<W: WithFormula>(&self, _t: u64, with: W) -> W::Output {
        with.formula(*self)
    }
}

/// A slot has signs as long as a rule of any group wants them, and what is kept stays when they come.
#[test]
fn signs_come_and_go_with_rules() {
    let rule = |non_negative| Says { non_negative };
    let groups = [Group::new(rule(true), 0..2), Group::new(rule(true), 2..4)];
    let mut optimizer = Optimizer::with_groups(groups, 4).unwrap();
    optimizer.set_state_format(None, Format::Block8).unwrap();
    let step = |optimizer: &mut Optimizer<Says>, g: f32| {
        optimizer.step(&mut [0.0; 4], &[g; 4]).unwrap();
        read(optimizer, "mine")
    };
    assert_eq!(step(&mut optimizer, 1.0), [1.0; 4]);
    optimizer.set_rule(1, rule(false)).unwrap();
    assert_eq!(read(&optimizer, "mine"), [1.0; 4]);
    assert_eq!(step(&mut optimizer, -3.0), [-2.0; 4], "the slot is that of both groups");
    optimizer.set_rule(1, rule(true)).unwrap();
    assert_eq!(read(&optimizer, "mine"), [2.0; 4], "they are lost with the rule that wanted them");
    optimizer.set_state_format(None, Format::F16).unwrap();
    optimizer.set_state("mine", &[0.0; 4]).unwrap();
    assert_eq!(step(&mut optimizer, 1e-9), [2_f32.powi(-24); 4], "never zero");
    optimizer.set_rule(0, rule(false)).unwrap();
    assert_eq!(step(&mut optimizer, 1e-9), [2_f32.powi(-24); 4]);
    assert_eq!(step(&mut optimizer, -(2_f32.powi(-24))), [0.0; 4]);
}

/// What has no place in a format loses what the format has none for, and nothing else.
#[test]
fn hostile_state_is_kept_as_well_as_can_be() {
    let mut liar = Optimizer::new(Says { non_negative: true }, 3).unwrap();
    liar.set_state_format("mine", Format::Block8).unwrap();
    let mut params = [0.0; 3];
    liar.step(&mut params, &[-1.0, 0.0, 2.0]).unwrap();
    assert_eq!((params, read(&liar, "mine")), ([0.5, 0.0, -1.0], vec![1.0, 0.0, 2.0]), "signs are lost");

    let rng = &mut fastrand::Rng::with_seed(5);
    for format in Format::all() {
        let mut optimizer = Optimizer::<AnyRule>::new(AdamW::default().into(), 600).unwrap();
        optimizer.set_state_format(None, *format).unwrap();
        let numbers = hostile(rng, 600);
        for name in ["exp_avg", "exp_avg_sq"] {
            optimizer.set_state(name, &numbers).unwrap();
            let found = read(&optimizer, name);
            let unsigned = name == "exp_avg_sq" && *format == Format::Block8;
            for (x, found) in numbers.iter().zip(&found) {
                assert_eq!(x.is_nan(), found.is_nan());
                assert!(!(found.is_subnormal() || unsigned && *found < 0.0), "{format} {x:e} {found:e}");
                assert!(unsigned || found.is_nan() || x * found.signum() >= 0.0 || *found == 0.0);
                assert!(x.is_finite() || x.abs().to_bits() == found.abs().to_bits() || x.is_nan());
            }
            let copy = optimizer.try_clone().unwrap();
            assert_bits(&read(&copy, name), &found, format);
            let _ = optimizer.set_state(name, &found);
            assert_bits(&read(&optimizer, name), &found, &("what it can keep stays", format));
        }
        optimizer.step(&mut vec![1.0; 600], &hostile(rng, 600)).unwrap();
        optimizer.set_rule(0, Sgd { momentum: 0.9, ..Sgd::default() }).unwrap();
        optimizer.step(&mut vec![1.0; 600], &hostile(rng, 600)).unwrap();
    }
}

#[test]
fn more_than_there_is_memory_for_is_an_error() {
    // With addresses of 32 bits, what is less may find room.
    let lens = [usize::MAX, usize::MAX / 4, usize::MAX / 8, usize::MAX / 9];
    for len in lens.into_iter().take(if usize::BITS == 64 { 4 } else { 2 }) {
        let mut optimizer = Optimizer::<AnyRule>::new(Sgd::default().into(), len).unwrap();
        optimizer.set_state_format(None, Format::Block8).unwrap();
        let memory = |slots| Error::Memory { slots, len };
        assert_eq!(optimizer.set_rule(0, AdamW::default()), Err(memory(2)));
        assert_eq!(optimizer.set_split(true), Err(memory(1)));
        assert_eq!(Optimizer::new(AdamW::default(), len).unwrap_err(), memory(2));
    }
}
