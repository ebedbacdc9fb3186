//! Files of how numbers are kept: formats, seeds, lower halves, blocks and their scales.

use crate::cases::{assert_bits, hostile, ordinary, parallelisms};
use crate::checkpoint::edited;
use crate::formats::read;
use crate::loaded::{load, loaded, open};
use crate::variants::each_option;
use half::bf16;
use lanestep::checkpoint::{Error, Snapshot};
use lanestep::{
    Adam, AdamW, Adan, AnyRule, Format, Group, Layout, Level, Lion, Optimizer, Pipeline, Rounding, Sgd,
    Tensor,
};
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};

/// A step over halves or over what is whole.
fn step(optimizer: &mut Optimizer<AnyRule>, halves: &mut [bf16], whole: &mut [f32], grads: &[f32]) {
    let pipeline = Pipeline::default();
    if optimizer.is_split() {
        optimizer.step_with(&mut [Tensor::new(halves, grads)], &pipeline).unwrap();
    } else {
        optimizer.step_with(&mut [Tensor::new(whole, grads)], &pipeline).unwrap();
    }
}

fn saved(optimizer: &Optimizer<AnyRule>, halves: &mut [bf16], whole: &mut [f32]) -> Vec<u8> {
    let mut file = Vec::new();
    let tensors = [if optimizer.is_split() { Tensor::of(halves) } else { Tensor::of(whole) }];
    Snapshot::of(optimizer).params(&tensors).write(&mut file).unwrap();
    file
}

/// In groups that cut blocks, of which tensors cut others.
#[test]
fn a_run_in_any_formats_goes_on_with_its_bits() {
    let rng = &mut fastrand::Rng::with_seed(1);
    let rules = each_option();
    for (index, rule) in rules.iter().copied().enumerate() {
        let len = *rng.choice(&[5, 255, 257, 530]).unwrap();
        let (seam, cut) = (rng.usize(1..len - 1), rng.usize(1..len));
        let other = *rng.choice(&rules).unwrap();
        let groups = [Group::over(rule, [0..seam, len - 1..len]), Group::new(other, seam..len - 1)];
        let layout = Layout::new([("a", cut), ("b", len - cut)]).unwrap();
        let layout = if rng.bool() { layout } else { len.into() };
        let mut optimizer = Optimizer::with_groups(groups, &layout).unwrap();
        optimizer.set_state_format(None, *rng.choice(Format::all()).unwrap()).unwrap();
        for name in optimizer.state_names().collect::<Vec<_>>() {
            if rng.bool() {
                optimizer.set_state_format(name, *rng.choice(Format::all()).unwrap()).unwrap();
            }
        }
        optimizer.set_rounding(match rng.u8(0..3) {
            0 => Rounding::Nearest,
            1 => Rounding::Stochastic { seed: 0 },
            _ => Rounding::Stochastic { seed: u64::MAX },
        });
        optimizer.set_ema(rng.bool().then_some(0.75)).unwrap();
        optimizer.set_split(rng.bool()).unwrap();
        let numbers = if index % 2 == 0 { hostile } else { ordinary };
        let (mut halves, mut whole) = (vec![bf16::ONE; len], numbers(rng, len));
        if optimizer.is_split() {
            optimizer.set_masters(&whole, &mut [Tensor::of(&mut halves)]).unwrap();
        }
        for _ in 0..rng.u8(0..3) {
            step(&mut optimizer, &mut halves, &mut whole, &numbers(rng, len));
        }
        if rng.bool() {
            optimizer.set_rule(1, *rng.choice(&rules).unwrap()).unwrap();
        }
        optimizer.set_frozen(rng.usize(0..2), rng.bool()).unwrap();

        let file = saved(&optimizer, &mut halves, &mut whole);
        let mut checkpoint = open(&file).unwrap();
        let mut other: Optimizer<AnyRule> = checkpoint.optimizer(&layout).unwrap();
        let (mut others, mut other_whole) = (vec![bf16::ZERO; len], vec![0.0; len]);
        if optimizer.is_split() {
            checkpoint.params(&mut [Tensor::of(&mut others)]).unwrap();
        } else {
            checkpoint.params(&mut [Tensor::of(&mut other_whole)]).unwrap();
        }
        assert!(saved(&other, &mut others, &mut other_whole) == file, "{index}: {optimizer:?}");
        assert_eq!((other.rounding(), other.is_split()), (optimizer.rounding(), optimizer.is_split()));
        for name in optimizer.state_names() {
            assert_eq!(other.state_format(name), optimizer.state_format(name));
        }
        other.set_level(*rng.choice(&Level::available()).unwrap());
        other.set_parallelism(*rng.choice(&parallelisms()).unwrap());
        // What comes later is kept as all state was asked to be.
        let later = *rng.choice(&rules).unwrap();
        for round in 0..3 {
            let grads = ordinary(rng, len);
            step(&mut optimizer, &mut halves, &mut whole, &grads);
            step(&mut other, &mut others, &mut other_whole, &grads);
            let same = same(
                &saved(&optimizer, &mut halves, &mut whole),
                &saved(&other, &mut others, &mut other_whole),
            );
            assert!(same, "{index}, {round}: {optimizer:?}");
            optimizer.set_rule(0, later).unwrap();
            other.set_rule(0, later).unwrap();
        }
    }
}

/// Whether two files have the same numbers, where any NaN equals any other.
fn same(a: &[u8], b: &[u8]) -> bool {
    let [a, b] = [a, b].map(|file| SafeTensors::deserialize(file).unwrap());
    let all = |file: &SafeTensors<'_>| {
        let mut all: Vec<_> = file
            .iter()
            .filter(|(name, _)| *name != "checksum")
            .map(|(name, tensor)| {
                let data = tensor.data();
                let data: Vec<u32> = match tensor.dtype() {
                    Dtype::F32 => {
                        let numbers = data.chunks_exact(4).map(|x| f32::from_le_bytes(x.try_into().unwrap()));
                        numbers.map(|x| if x.is_nan() { f32::NAN } else { x }.to_bits()).collect()
                    }
                    Dtype::BF16 => {
                        let numbers =
                            data.chunks_exact(2).map(|x| bf16::from_le_bytes(x.try_into().unwrap()));
                        numbers.map(|x| if x.is_nan() { bf16::NAN } else { x }.to_bits().into()).collect()
                    }
                    Dtype::F16 => {
                        let numbers =
                            data.chunks_exact(2).map(|x| half::f16::from_le_bytes(x.try_into().unwrap()));
                        numbers
                            .map(|x| if x.is_nan() { half::f16::NAN } else { x }.to_bits().into())
                            .collect()
                    }
                    _ => data.iter().map(|x| (*x).into()).collect(),
                };
                (name.to_owned(), tensor.shape().to_vec(), data)
            })
            .collect();
        all.sort();
        all
    };
    all(&a) == all(&b)
}

const LEN: usize = 262;

/// Two tensors whose parameters are halves, with state in every format, of which a group and a tensor cut blocks.
fn mixed() -> (Optimizer<AnyRule>, Vec<bf16>) {
    let layout = Layout::with_shapes([("a", vec![10, 25]), ("none", vec![0]), ("b", vec![12])]).unwrap();
    let groups = [
        Group::over(AnyRule::from(Adan::default()), [0..7, 200..LEN]),
        Group { lr_scale: 0.5, ..Group::new(Lion::default().into(), 7..200) },
    ];
    let mut optimizer = Optimizer::with_groups(groups, layout).unwrap();
    optimizer.set_state_format(None, Format::Block8).unwrap();
    optimizer.set_state_format("exp_avg_diff", Format::Bf16).unwrap();
    optimizer.set_state_format("neg_pre_grad", Format::F16).unwrap();
    optimizer.set_rounding(Rounding::Stochastic { seed: u64::MAX });
    optimizer.set_ema(0.75).unwrap();
    optimizer.set_split(true).unwrap();
    let rng = &mut fastrand::Rng::with_seed(1);
    let mut params = vec![bf16::ZERO; LEN];
    optimizer.set_masters(&ordinary(rng, LEN), &mut [Tensor::of(&mut params)]).unwrap();
    for frozen in [false, true] {
        optimizer.set_frozen(1, frozen).unwrap();
        step(&mut optimizer, &mut params, &mut [], &ordinary(rng, LEN));
    }
    (optimizer, params)
}

pub fn everything() -> Vec<u8> {
    let (optimizer, mut params) = mixed();
    written(&optimizer, &mut params, 7)
}

fn written(optimizer: &Optimizer<AnyRule>, params: &mut [bf16], extra: u64) -> Vec<u8> {
    let (mut file, tensors) = (Vec::new(), [Tensor::of(params)]);
    Snapshot::of(optimizer).params(&tensors).extra(&extra).write(&mut file).unwrap();
    file
}

/// All of a file.
pub fn all(file: &[u8]) -> Result<(Optimizer<AnyRule>, Vec<bf16>, u64), Error> {
    let mut checkpoint = open(file)?;
    let optimizer = checkpoint.optimizer(LEN)?;
    let mut params = vec![bf16::ZERO; LEN];
    let read = checkpoint.params(&mut [Tensor::of(&mut params)]);
    assert!(read.is_ok() || params.iter().all(|p| p.to_bits() == 0), "wrote parameters, and failed");
    read?;
    Ok((optimizer, params, checkpoint.extra()?))
}

/// A file that a former build has written. While this holds, files of version 2 can be read, and are written no otherwise.
#[test]
fn version_2_stays_as_it_is() {
    let kept = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/version-2.safetensors")).unwrap();
    let (optimizer, mut params, extra) = all(&kept).unwrap();
    let (expected, expected_params) = mixed();
    assert!(params == expected_params);
    assert_eq!((optimizer.rounding(), extra), (Rounding::Stochastic { seed: u64::MAX }, 7));
    for name in expected.state_names() {
        assert_eq!(optimizer.state_format(name), expected.state_format(name));
        assert_eq!(read(&optimizer, name), read(&expected, name), "{name}");
    }
    assert!(written(&optimizer, &mut params, extra) == kept && kept == everything());
}

#[test]
fn other_readers_find_codes_scales_and_lower_halves() {
    let file = everything();
    let read = SafeTensors::deserialize(&file).unwrap();
    let mut found: Vec<_> =
        read.iter().map(|(name, view)| (name, view.dtype(), view.shape().to_vec())).collect();
    found.sort_by_key(|(name, ..)| *name);
    let (a, b) = (vec![10, 25], vec![12]);
    let expected = [
        ("checksum", Dtype::U8, vec![8]),
        ("ema.a", Dtype::F32, a.clone()),
        ("ema.b", Dtype::F32, b.clone()),
        ("extra", Dtype::U8, vec![1]),
        ("lower.a", Dtype::U16, a.clone()),
        ("lower.b", Dtype::U16, b.clone()),
        ("model.a", Dtype::BF16, a.clone()),
        ("model.b", Dtype::BF16, b.clone()),
        ("scales.exp_avg", Dtype::F32, vec![4]),
        ("scales.exp_avg_sq", Dtype::F32, vec![4]),
        ("state.a.exp_avg", Dtype::U8, a.clone()),
        ("state.a.exp_avg_diff", Dtype::BF16, a.clone()),
        ("state.a.exp_avg_sq", Dtype::U8, a.clone()),
        ("state.a.neg_pre_grad", Dtype::F16, a),
        ("state.a.step", Dtype::F32, vec![]),
        ("state.b.exp_avg", Dtype::U8, b.clone()),
        ("state.b.exp_avg_diff", Dtype::BF16, b.clone()),
        ("state.b.exp_avg_sq", Dtype::U8, b.clone()),
        ("state.b.neg_pre_grad", Dtype::F16, b),
        ("state.b.step", Dtype::F32, vec![]),
    ];
    assert_eq!(found, expected);
    let (_, header) = SafeTensors::read_metadata(&file).unwrap();
    let record: Value = serde_json::from_str(&header.metadata().as_ref().unwrap()["lanestep"]).unwrap();
    assert_eq!(record["version"], 2);
    assert_eq!(record["formats"], json!({"state": "BLOCK8", "seed": u64::MAX, "split": true}));
}

/// The place of a tensor in a file.
fn place(file: &[u8], name: &str) -> usize {
    let (header, metadata) = SafeTensors::read_metadata(file).unwrap();
    8 + header + metadata.info(name).unwrap().data_offsets.0
}

type Edit = fn(&mut Value, &mut Value);

#[test]
fn what_cannot_be_kept_is_an_error_that_says_so() {
    let file = everything();
    assert!(load(&edited(&file, |_, _| {})));
    let edits: &[(Edit, &str)] = &[
        (|_, record| record["version"] = 1.into(), "what it says is of version 2, but it is of 1"),
        (
            |_, record| drop(record.as_object_mut().unwrap().remove("formats")),
            "what it says is of version 1, but it is of 2",
        ),
        (|_, record| record["formats"] = Value::Null, "what it says is of version 1, but it is of 2"),
        (|_, record| record["formats"]["state"] = "BLOCK9".into(), "there is no format \"BLOCK9\""),
        (|_, record| record["formats"]["seed"] = (-1).into(), "invalid value: integer `-1`"),
        (|_, record| record["formats"]["evil"] = 1.into(), "unknown field `evil`"),
        (|_, record| drop(record["formats"].as_object_mut().unwrap().remove("seed")), "missing field `seed`"),
        (
            |_, record| drop(record["formats"].as_object_mut().unwrap().remove("split")),
            "missing field `split`",
        ),
        (|_, record| record["formats"]["split"] = false.into(), "\" belongs to nothing"),
        (
            |header, _| {
                let lower = header.as_object_mut().unwrap().remove("lower.b").unwrap();
                header["model.c"] = lower;
            },
            "there is no tensor \"lower.b\"",
        ),
        (
            |header, _| header["lower.a"]["dtype"] = "BF16".into(),
            "the tensor \"lower.a\" has numbers of the type BF16, but must have U16",
        ),
        (
            |header, _| {
                let scales = header.as_object_mut().unwrap().remove("scales.exp_avg").unwrap();
                header["scales.other"] = scales;
            },
            "there is no tensor \"scales.exp_avg\"",
        ),
        (
            |header, _| header["scales.exp_avg"]["shape"] = json!([2, 2]),
            "the tensor \"scales.exp_avg\" has the shape [2, 2], but must have [4]",
        ),
        (
            |header, _| header["state.b.exp_avg"]["dtype"] = "I8".into(),
            "the tensor \"state.b.exp_avg\" has numbers of the type I8, but must have U8",
        ),
        (
            |header, _| header["state.a.exp_avg_diff"]["dtype"] = "F16".into(),
            "the tensor \"state.b.exp_avg_diff\" has numbers of the type BF16, but must have F16",
        ),
    ];
    for (edit, expected) in edits {
        let edited = edited(&file, edit);
        let found = all(&edited).err().map_or_else(|| "no error".to_owned(), |error| error.to_string());
        assert!(found.contains(expected), "{found}, but expected {expected}");
        assert!(!load(&edited), "{expected}");
    }
    for (name, scale, block) in [
        ("exp_avg", f32::NAN, 0),
        ("exp_avg", -1.0, 1),
        ("exp_avg", f32::INFINITY, 2),
        ("exp_avg_sq", 1e-40, 3),
        ("exp_avg_sq", f32::MAX, 2),
        ("exp_avg_sq", 0.1, 0),
        ("exp_avg_sq", -0.0, 1),
    ] {
        let mut broken = edited(&file, |_, _| {});
        let name = format!("scales.{name}");
        let at = place(&broken, &name) + 4 * block;
        broken[at..at + 4].copy_from_slice(&scale.to_le_bytes());
        let error = all(&broken).unwrap_err();
        assert!(
            matches!(&error, Error::Scale { name: found, block: at } if *found == name && *at == block),
            "{error}"
        );
        let expected =
            format!("the tensor {name:?} has a number at {block} that is not the scale of a block");
        assert_eq!(error.to_string(), expected);
        assert!(!load(&broken));
    }
}

/// A scale for what has none.
#[test]
fn codes_where_a_group_has_no_such_state_must_be_zeros() {
    let groups = [Group::new(AnyRule::from(Adam::default()), 0..3), Group::new(Sgd::default().into(), 3..6)];
    let mut optimizer = Optimizer::with_groups(groups, 6).unwrap();
    optimizer.set_state_format(None, Format::Block8).unwrap();
    optimizer.step(&mut [1.0; 6], &[1.0; 6]).unwrap();
    let file = edited(&crate::loaded::bytes(&optimizer), |_, _| {});
    assert!(load(&file));
    let mut broken = file.clone();
    let (codes, scales) = (place(&file, "state.params.exp_avg"), place(&file, "scales.exp_avg"));
    broken[codes + 4] = 100;
    broken.copy_within(scales..scales + 4, scales + 4);
    let error = open(&broken).unwrap().optimizer::<AnyRule>(6).unwrap_err().to_string();
    assert_eq!(error, "group 1 has no state \"exp_avg\", but what is given for it is not zero at 4");
    assert!(!load(&broken));
}

/// Without checksums, what is flipped is refused, or a file like others.
#[test]
fn a_flipped_bit_that_nothing_tells_is_harmless() {
    let (optimizer, mut params) = mixed();
    assert!(written(&loaded(&optimizer), &mut params, 7) == everything());
    let file = edited(&everything(), |_, _| {});
    let (mut found, scales) = (0, place(&file, "scales.exp_avg"));
    for bit in (0..8 * file.len()).filter(|bit| bit % 7 == 0 || (scales..scales + 16).contains(&(bit / 8))) {
        let mut broken = file.clone();
        broken[bit / 8] ^= 1 << (bit % 8);
        found += usize::from(!load(&broken));
    }
    assert!(found > 1000, "only {found} were refused");
}

#[test]
fn nothing_at_all_is_kept_too() {
    let mut optimizer = Optimizer::<AnyRule>::new(AdamW::default().into(), 0).unwrap();
    optimizer.set_state_format(None, Format::Block8).unwrap();
    let other = crate::loaded::loaded(&optimizer);
    assert_eq!(other.state_format("exp_avg"), Some(Format::Block8));
}

/// Long enough for more than a chunk, with seams in blocks. What is not stepped again stays as it is.
#[test]
fn formats_change_in_the_middle_of_a_run() {
    let len = 5000;
    let grads = ordinary(&mut fastrand::Rng::with_seed(12), len);
    let groups =
        [0..1111, 1111..3333, 3333..len].map(|range| Group::new(AnyRule::from(AdamW::default()), range));
    let mut optimizer = Optimizer::with_groups(groups, len).unwrap();
    optimizer.step(&mut vec![0.0; len], &grads).unwrap();
    let read = |optimizer: &Optimizer<AnyRule>| {
        let mut all = [vec![0.0; len], vec![0.0; len]];
        let names = ["exp_avg", "exp_avg_sq"];
        names.iter().zip(&mut all).for_each(|(name, slot)| optimizer.read_state(name, slot).unwrap());
        all
    };
    let [mut first, mut second] = read(&optimizer);
    optimizer.set_state_format(None, Format::Block8).unwrap();
    for run in [0..1111, 1111..3333, 3333..len] {
        crate::piped::round(&mut first[run.clone()], run.start, Format::Block8, true, None);
        crate::piped::round(&mut second[run.clone()], run.start, Format::Block8, false, None);
    }
    let found = read(&optimizer);
    assert_bits(&found[0], &first, &"exp_avg");
    assert_bits(&found[1], &second, &"exp_avg_sq");
    // Of the group alone that loses it.
    optimizer.set_rule(1, Sgd::default()).unwrap();
    first[1111..3333].fill(0.0);
    assert_bits(&read(&optimizer)[0], &first, &"exp_avg after a switch");
    for format in [Format::F16, Format::Bf16, Format::F32] {
        optimizer.set_state_format("exp_avg", format).unwrap();
    }
    crate::piped::round(&mut first, 0, Format::F16, true, None);
    crate::piped::round(&mut first, 0, Format::Bf16, true, None);
    assert_bits(&read(&optimizer)[0], &first, &"exp_avg in f32 again");
}
