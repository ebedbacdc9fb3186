//! What is saved comes back with its bits, and anything else is an error that says what it is.

use crate::cases::{assert_bits, hostile, ordinary, parallelisms};
use crate::loaded::{bytes, load, loaded, open};
use lanestep::checkpoint::{Checkpoint, Error, Recorded, Snapshot};
use lanestep::rule::Shared;
use lanestep::{
    Adam, AdamW, AnyRule, Group, Health, Layout, Level, Lion, LossScaler, Optimizer, ReduceOnPlateau,
    RmsProp, Rule, Schedule, Sgd, Stopping, Tensor, WithFormula,
};
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Two tensors with shapes, each in a group of its own, of which one has state that the other has not, and an average.
fn two() -> (Optimizer<AnyRule>, Vec<f32>) {
    let layout = Layout::with_shapes([("a", vec![2, 3]), ("none", vec![0]), ("b", vec![3])]).unwrap();
    let groups = [
        Group {
            lr_scale: 0.5,
            ..Group::over(AnyRule::from(Adam::default()), layout.select(|name| name == "a"))
        },
        Group::over(Lion::default().into(), layout.select(|name| name == "b")),
    ];
    let mut optimizer = Optimizer::with_groups(groups, layout).unwrap();
    optimizer.set_ema(0.75).unwrap();
    let mut params = ordinary(&mut fastrand::Rng::with_seed(1), 9);
    for _ in 0..3 {
        optimizer.step(&mut params, &[0.5; 9]).unwrap();
    }
    optimizer.set_frozen(1, true).unwrap();
    optimizer.step(&mut params, &[-0.25; 9]).unwrap();
    (optimizer, params)
}

/// And with all else that there can be in a file.
fn everything() -> Vec<u8> {
    let (optimizer, mut params) = two();
    let mut file = Vec::new();
    let tensors = [Tensor::of(&mut params)];
    Snapshot::of(&optimizer).params(&tensors).extra(&Trainer::default()).write(&mut file).unwrap();
    file
}

/// All of a file.
fn all(file: &[u8]) -> Result<(Optimizer<AnyRule>, Vec<f32>, Trainer), Error> {
    let mut checkpoint = open(file)?;
    let optimizer = checkpoint.optimizer(9)?;
    let mut params = vec![0.0; 9];
    let read = checkpoint.params(&mut [Tensor::of(&mut params)]);
    assert!(read.is_ok() || params.iter().all(|&p| p == 0.0), "wrote parameters, and failed");
    read?;
    Ok((optimizer, params, checkpoint.extra()?))
}

#[derive(Debug, Serialize, Deserialize)]
struct Trainer {
    schedule: Schedule,
    scaler: LossScaler,
    health: Health,
    stopping: Stopping,
    plateau: ReduceOnPlateau,
    of_its_own: BTreeMap<String, f64>,
    by_number: BTreeMap<i32, Option<f32>>,
    seed: u64,
}

impl Default for Trainer {
    fn default() -> Self {
        let hostile =
            [f64::NAN, f64::INFINITY, -0.0, 5e-324, f64::MAX, 0.1, f64::from_bits(0x7ff8_0000_0000_0123)];
        Self {
            schedule: Schedule::cosine(0.1, 100).warmup(3),
            scaler: LossScaler { clean_steps: u64::MAX, ..LossScaler::default() },
            health: Health { norm: Some(f64::NAN), last_norm: Some(f64::INFINITY), ..Health::default() },
            stopping: Stopping { goal: Some(f64::NEG_INFINITY), best: Some(-0.3), ..Stopping::default() },
            plateau: ReduceOnPlateau { best: Some(f64::INFINITY), ..ReduceOnPlateau::new(0.1) },
            of_its_own: hostile.iter().enumerate().map(|(i, x)| (format!("number {i}"), *x)).collect(),
            by_number: BTreeMap::from([(-1, Some(f32::NAN)), (7, None)]),
            seed: u64::MAX,
        }
    }
}

#[test]
fn what_a_trainer_adds_comes_back_with_its_bits() {
    let (_, _, found) = all(&everything()).unwrap();
    let expected = Trainer::default();
    assert_eq!(format!("{found:?}"), format!("{expected:?}"));
    let bits = |trainer: &Trainer| trainer.of_its_own.values().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&found), bits(&expected));

    let (optimizer, _) = two();
    let error = open(&bytes(&optimizer)).unwrap().extra::<Trainer>().unwrap_err();
    assert_eq!(error.to_string(), r#"there is no tensor "extra": was anything added when it was saved?"#);
    let extra = json!({"dtype": "U8", "shape": [2], "data_offsets": [0, 2]});
    let none = bytes(&Optimizer::new(Adam::default(), 0).unwrap());
    let two_values = [edited(&none, |header, _| header["extra"] = extra), vec![1, 2]].concat();
    let error = open(&two_values).unwrap().extra::<u64>().unwrap_err();
    assert_eq!(error.to_string(), "what was added to the checkpoint: 1 bytes are behind it");
    let error = open(&everything()).unwrap().extra::<u64>().unwrap_err();
    assert_eq!(error.to_string(), "what was added to the checkpoint: invalid type: map, expected integer");
    #[derive(Serialize)]
    struct Unwritable(#[serde(serialize_with = "no")] ());
    fn no<S: serde::Serializer>(_: &(), _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("not this"))
    }
    let error = Snapshot::of(&optimizer).extra(&Unwritable(())).write(Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "what was added to the checkpoint: not this");
}

/// Whatever has been done before, at every level, on any number of threads.
#[test]
fn a_run_goes_on_from_anywhere() {
    type Change = fn(&mut Optimizer<AnyRule>);
    let changes: [Change; 9] = [
        |_| {},
        |optimizer| optimizer.set_rule(0, RmsProp { momentum: 0.5, ..RmsProp::default() }).unwrap(),
        |optimizer| optimizer.set_rule(1, AdamW::default()).unwrap(),
        |optimizer| optimizer.set_frozen(0, true).unwrap(),
        |optimizer| optimizer.set_lr(0.3).unwrap(),
        |optimizer| optimizer.set_group_lr(1, 0.7).unwrap(),
        |optimizer| optimizer.set_ema(None).unwrap(),
        |optimizer| optimizer.set_ema(0.5).unwrap(), // it has not begun then
        |optimizer| optimizer.set_group_steps(0, (1 << 24) + 1).unwrap(),
    ];
    let rng = &mut fastrand::Rng::with_seed(3);
    for (index, level) in (0..400).zip(Level::available().into_iter().cycle()) {
        let (mut optimizer, mut params) = two();
        for _ in 0..rng.usize(0..5) {
            rng.choice(&changes).unwrap()(&mut optimizer);
            if rng.bool() {
                optimizer.step(&mut params, &hostile(rng, 9)).unwrap();
            }
        }
        let (mut other, mut others) = (loaded(&optimizer), params.clone());
        other.set_level(level);
        other.set_parallelism(*rng.choice(&parallelisms()).unwrap());
        for lr in [0.0, 0.2] {
            let grads = ordinary(rng, 9);
            for (optimizer, params) in [(&mut optimizer, &mut params), (&mut other, &mut others)] {
                optimizer.step(params, &grads).unwrap();
                optimizer.set_lr(lr).unwrap();
            }
            assert_bits(&others, &params, &index);
        }
        assert_bits(other.ema().unwrap_or_default(), optimizer.ema().unwrap_or_default(), &index);
    }
}

#[test]
fn parameters_go_into_the_tensors_of_a_step_however_they_are_cut() {
    let (optimizer, expected) = two();
    let mut params = expected.clone();
    let files = [everything(), {
        let (a, b) = params.split_at_mut(6);
        let tensors = [Tensor::of(a).named("a"), Tensor::default().named("none"), Tensor::of(b).named("b")];
        let (mut file, snapshot) = (Vec::new(), Snapshot::of(&optimizer).params(&tensors));
        snapshot.extra(&Trainer::default()).write(&mut file).unwrap();
        file
    }];
    assert_eq!(files[0], files[1]);
    let mut checkpoint = open(&files[0]).unwrap();
    let (mut a, mut b) = (vec![0.0; 6], vec![0.0; 3]);
    let mut tensors = [Tensor::of(&mut a), Tensor::default(), Tensor::of(&mut b).named("b")];
    checkpoint.params(&mut tensors).unwrap();
    assert_bits(&[a, b].concat(), &expected, &"tensor by tensor");

    let (mut a, mut b) = (vec![1.0; 6], vec![1.0; 3]);
    let mut tensors = [Tensor::of(&mut a), Tensor::default(), Tensor::of(&mut b).named("c")];
    let error = checkpoint.params(&mut tensors).unwrap_err();
    assert_eq!(error.to_string(), r#"tensor 2 is "c", but must be "b""#);
    let error = Snapshot::of(&optimizer).params(&tensors).write(Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), r#"tensor 2 is "c", but must be "b""#);
    let error = open(&bytes(&optimizer)).unwrap().params(&mut [Tensor::of(&mut [1.0; 9])]).unwrap_err();
    assert_eq!(error.to_string(), r#"there is no tensor "model.a": were parameters saved with it?"#);
    assert!(a.iter().chain(&b).all(|&p| p == 1.0), "nothing has been written");

    // Without names, all is one tensor, and slices may end anywhere.
    let optimizer = Optimizer::new(AdamW::default(), 9).unwrap();
    let (left, right) = params.split_at_mut(4);
    let mut file = Vec::new();
    Snapshot::of(&optimizer).params(&[Tensor::of(left), Tensor::of(right)]).write(&mut file).unwrap();
    let (mut left, mut right) = (vec![0.0; 7], vec![0.0; 2]);
    let tensors = &mut [Tensor::of(&mut left), Tensor::of(&mut right)];
    open(&file).unwrap().params(tensors).unwrap();
    assert_bits(&[left, right].concat(), &expected, &"one tensor");
}

#[test]
fn other_readers_find_pytorchs_names() {
    let file = everything();
    let read = SafeTensors::deserialize(&file).unwrap();
    let mut found: Vec<_> =
        read.iter().map(|(name, view)| (name, view.dtype(), view.shape().to_vec())).collect();
    found.sort_by_key(|(name, ..)| *name);
    let extra = found.iter().find(|(name, ..)| *name == "extra").unwrap().2.clone();
    let expected = [
        ("checksum", Dtype::U8, vec![8]),
        ("ema.a", Dtype::F32, vec![2, 3]),
        ("ema.b", Dtype::F32, vec![3]),
        ("extra", Dtype::U8, extra),
        ("model.a", Dtype::F32, vec![2, 3]),
        ("model.b", Dtype::F32, vec![3]),
        ("state.a.exp_avg", Dtype::F32, vec![2, 3]),
        ("state.a.exp_avg_sq", Dtype::F32, vec![2, 3]),
        ("state.a.step", Dtype::F32, vec![]),
        ("state.b.exp_avg", Dtype::F32, vec![3]),
        ("state.b.step", Dtype::F32, vec![]),
    ];
    assert_eq!(found, expected);
    assert_eq!(read.tensor("state.a.step").unwrap().data(), 4_f32.to_le_bytes());
    assert_eq!(read.tensor("state.b.step").unwrap().data(), 3_f32.to_le_bytes());
    let (_, header) = SafeTensors::read_metadata(&file).unwrap();
    let metadata = header.metadata().as_ref().unwrap();
    assert_eq!(metadata.len(), 1);
    let mut record: Value = serde_json::from_str(&metadata["lanestep"]).unwrap();
    assert_eq!(record["checksums"].as_object_mut().unwrap().len(), 10);
    record["checksums"] = Value::Null;
    let of = |rule: AnyRule| serde_json::to_value(rule).unwrap();
    let group = |rule, lr, lr_scale, frozen, steps, range: [usize; 2]| json!({"options": of(rule), "lr": lr, "lr_scale": lr_scale, "frozen": frozen, "steps": steps, "ranges": [range]});
    let expected = json!({
        "version": 1,
        "steps": 4,
        "parameters": [["a", [2, 3]], ["none", [0]], ["b", [3]]],
        "param_groups": [
            group(Adam::default().into(), 1e-3, 0.5, false, 4, [0, 6]),
            group(Lion::default().into(), 1e-4, 1.0, true, 3, [6, 9]),
        ],
        "ema": {"decay": 0.75, "begun": true},
        "checksums": null,
    });
    assert_eq!(record, expected);
}

#[test]
fn a_parameter_has_the_state_of_its_own_group_alone() {
    let layout = Layout::new([("x", 1), ("y", 2), ("z", 1)]).unwrap();
    let rules = [AnyRule::from(Sgd::default()), Adam::default().into(), Lion::default().into()];
    let groups = rules.into_iter().zip(layout.iter()).map(|(rule, (_, range))| Group::new(rule, range));
    let file = bytes(&Optimizer::with_groups(groups, &layout).unwrap());
    let read = SafeTensors::deserialize(&file).unwrap();
    let mut names = read.names();
    names.sort_unstable();
    let y = ["state.y.exp_avg", "state.y.exp_avg_sq", "state.y.step"];
    let expected = [&["checksum", "state.x.step"][..], &y, &["state.z.exp_avg", "state.z.step"]].concat();
    assert_eq!(names, expected);
}

/// A file that a former build has written. While this holds, files of version 1 can be read, and are written no otherwise.
#[test]
fn version_1_stays_as_it_is() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/version-1.safetensors");
    let kept = std::fs::read(path).unwrap();
    let (optimizer, mut params, trainer) = all(&kept).unwrap();
    let (expected, expected_params) = two();
    assert_bits(&params, &expected_params, &"params");
    for name in expected.state_names() {
        assert_bits(optimizer.state(name).unwrap(), expected.state(name).unwrap(), &name);
    }
    let (mut file, tensors) = (Vec::new(), [Tensor::of(&mut params)]);
    Snapshot::of(&optimizer).params(&tensors).extra(&trainer).write(&mut file).unwrap();
    assert!(file == kept && file == everything());
}

#[test]
fn every_flipped_bit_and_every_cut_is_found() {
    flip_and_cut(&everything(), 1, |file| all(file).map(|(optimizer, ..)| optimizer));
    // Each bit of a byte in one of seven.
    #[cfg(feature = "half")]
    flip_and_cut(&crate::kept::everything(), 7, |file| {
        crate::kept::all(file).map(|(optimizer, ..)| optimizer)
    });
}

fn flip_and_cut(file: &[u8], every: usize, all: impl Fn(&[u8]) -> Result<Optimizer<AnyRule>, Error>) {
    let optimizer = all(file).unwrap();
    for bit in (0..8 * file.len()).step_by(every) {
        let mut broken = file.to_vec();
        broken[bit / 8] ^= 1 << (bit % 8);
        let error =
            all(&broken).err().unwrap_or_else(|| panic!("bit {bit} of {} was not missed", 8 * file.len()));
        assert!(!error.to_string().is_empty());
        assert!(open(&broken).and_then(|mut checkpoint| checkpoint.verify()).is_err(), "{bit}: {error}");
    }
    for len in 0..file.len() {
        let error = open(&file[..len]).unwrap_err();
        assert!(matches!(error, Error::FileLength { found, .. } if found == len as u64), "{len}: {error}");
    }
    let longer = [file, &[0]].concat();
    let (expected, found) = (file.len(), longer.len());
    let error = open(&longer).unwrap_err().to_string();
    assert_eq!(error, format!("the file has {found} bytes, but must have {expected}"));
    assert_eq!(bytes(&all(file).unwrap()), bytes(&optimizer));
}

/// The file with another header and another record, and without its checksums.
pub fn edited(file: &[u8], edit: impl FnOnce(&mut Value, &mut Value)) -> Vec<u8> {
    let start = 8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&file[8..start]).unwrap();
    let mut record: Value =
        serde_json::from_str(header["__metadata__"]["lanestep"].as_str().unwrap()).unwrap();
    let tensors = header.as_object_mut().unwrap();
    let checksum = tensors.remove("checksum").unwrap()["data_offsets"][0].as_u64().unwrap();
    for offset in
        tensors.values_mut().filter_map(|tensor| tensor.get_mut("data_offsets")?.as_array_mut()).flatten()
    {
        let place = offset.as_u64().unwrap();
        *offset = (if place > checksum { place - 8 } else { place }).into();
    }
    record["checksums"] = Value::Null;
    edit(&mut header, &mut record);
    if header["__metadata__"].get("lanestep").is_some() {
        header["__metadata__"]["lanestep"] = record.to_string().into();
    }
    let (before, behind) = file[start..].split_at(checksum as usize);
    raw(&header.to_string(), &[before, &behind[8..]].concat())
}

fn raw(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

#[test]
fn a_file_without_checksums_is_read_too() {
    let (optimizer, _) = two();
    let file = edited(&bytes(&optimizer), |_, _| {});
    let loaded: Optimizer<AnyRule> = open(&file).unwrap().optimizer(9).unwrap();
    assert_eq!(bytes(&loaded), bytes(&optimizer));
    assert!(load(&file));
}

type Edit = fn(&mut Value, &mut Value);

#[test]
fn what_a_file_should_not_say_is_an_error_that_says_so() {
    let (optimizer, _) = two();
    let file = bytes(&optimizer);
    let edits: &[(Edit, &str)] = &[
        (
            |_, record| record["version"] = 4.into(),
            "a checkpoint of version 4, but none after version 3 can be read",
        ),
        (|_, record| record["version"] = 3.into(), "what it says is of version 1, but it is of 3"),
        (|_, record| record["part"] = json!([0, 5]), "what it says is of version 3, but it is of 1"),
        (
            |_, record| (record["version"], record["part"]) = (3.into(), json!([0, 5])),
            "a part of parameters 0..9 must begin and end with them or at a multiple of 16384, but this is 0..5",
        ),
        (|_, record| (record["version"], record["part"]) = (3.into(), json!([9, 0])), "but this is 9..0"),
        (
            |_, record| (record["version"], record["part"]) = (3.into(), json!([0, 0])),
            "no file has the parameters 0..9",
        ),
        (|_, record| record["version"] = "1".into(), "is not what it must be: invalid type: string \"1\""),
        (|_, record| record["evil"] = 1.into(), "unknown field `evil`"),
        (|_, record| record["steps"] = (-1).into(), "invalid value: integer `-1`"),
        (|header, _| header["__metadata__"] = json!({"other": "{}"}), "has no key \"lanestep\""),
        (
            |header, _| {
                header["state.c.exp_avg"] = json!({"dtype": "F32", "shape": [0], "data_offsets": [104, 104]});
            },
            "the tensor \"state.c.exp_avg\" belongs to nothing",
        ),
        (
            |header, _| header["state.a.exp_avg"]["dtype"] = "I32".into(),
            "the tensor \"state.a.exp_avg\" has numbers of the type I32, but must have F32",
        ),
        (
            |header, _| header["state.a.exp_avg"]["shape"] = json!([3, 2]),
            "the tensor \"state.a.exp_avg\" has the shape [3, 2], but must have [2, 3]",
        ),
        (
            |header, _| header["state.a.exp_avg"]["shape"] = json!([3, 3]),
            "invalid shape, data type, or offset",
        ),
        (|header, _| header["state.a.exp_avg"]["data_offsets"] = json!([0, 24]), "invalid offset for tensor"),
        (|header, _| header["state.a.exp_avg"]["shape"] = json!([usize::MAX, 2]), "overflow"),
        (
            |header, _| header["ema.a"]["data_offsets"] = json!([0, -1]),
            "not the header of a safetensors file",
        ),
        (
            |header, _| {
                let tensor = header.as_object_mut().unwrap().remove("state.b.exp_avg").unwrap();
                header["state.b.momentum_buffer"] = tensor;
            },
            "there is no tensor \"state.b.exp_avg\"",
        ),
        (|_, record| record["param_groups"][1]["options"]["rule"] = "Signum".into(), "unknown field `betas`"),
        (|_, record| record["param_groups"][1]["options"]["rule"] = "Lyon".into(), "unknown variant `Lyon`"),
        (
            |_, record| record["param_groups"][1]["options"]["lr"] = (-1.0).into(),
            "group 1 (\"b\"): lr is -1, but must be in [0, f32::MAX]",
        ),
        (|_, record| record["param_groups"][1]["lr"] = "NaN".into(), "group 1 (\"b\"): lr is NaN"),
        (|_, record| record["param_groups"][0]["lr_scale"] = "Infinity".into(), "lr_scale is inf"),
        (
            |_, record| record["param_groups"][1]["steps"] = 7.into(),
            "the tensor \"state.b.step\" says 3 steps, but must say 7",
        ),
        (
            |_, record| record["param_groups"][1]["ranges"] = json!([[6, 10]]),
            "has parameters 6..10, but there are only 9",
        ),
        (
            |_, record| record["param_groups"][1]["ranges"] = json!([[7, 9]]),
            "parameters 6..7 (in \"b\") are in no group",
        ),
        (|_, record| record["param_groups"][1]["ranges"] = json!([[5, 9]]), "are in group 0 and in group 1"),
        (|_, record| record["param_groups"][1]["ranges"] = json!([[9, 6]]), "has a range without parameters"),
        (|_, record| record["param_groups"] = json!([]), "parameters 0..9 (in \"a\") are in no group"),
        (
            |_, record| record["parameters"] = json!([["a", [2, 3]], ["a", [3]]]),
            "two tensors are named \"a\"",
        ),
        (|_, record| record["parameters"] = json!([["a", [usize::MAX, 2]]]), "more than"),
        (
            |_, record| record["parameters"] = json!([["a", [2, 3]], ["b", [4]]]),
            "the checkpoint has 10 elements, but must have 9",
        ),
        (|_, record| record["parameters"] = json!(usize::MAX >> 4), "but must have 9"),
        (|_, record| drop(record.as_object_mut().unwrap().remove("ema")), "missing field `ema`"),
        (|_, record| drop(record.as_object_mut().unwrap().remove("checksums")), "missing field `checksums`"),
        (|_, record| record["parameters"] = (-9).into(), "neither a number nor names with shapes"),
        (|_, record| record["ema"] = Value::Null, "the tensor \"ema.a\" belongs to nothing"),
        (|_, record| record["ema"]["decay"] = 1.0.into(), "decay is 1, but must be in [0, 1)"),
        (
            |header, _| {
                let tensor = header.as_object_mut().unwrap().remove("ema.b").unwrap();
                header["model.b"] = tensor;
            },
            "there is no tensor \"model.a\"",
        ),
        (
            |header, _| {
                let tensor = header.as_object_mut().unwrap().remove("ema.b").unwrap();
                header["extra"] = tensor;
            },
            "the tensor \"extra\" has numbers of the type F32, but must have U8",
        ),
        (
            |_, record| record["checksums"] = json!({"state.a.exp_avg": "0123456789abcdef"}),
            "there is no checksum of",
        ),
        (
            |_, record| record["checksums"] = json!({"what": "0123456789abcdef"}),
            "there is no tensor \"what\"",
        ),
        (
            |_, record| record["checksums"] = json!({"ema.a": "+123456789abcdef"}),
            "not sixteen hexadecimal digits",
        ),
    ];
    for (edit, expected) in edits {
        let edited = edited(&file, edit);
        let found = open(&edited).and_then(|mut checkpoint| checkpoint.optimizer::<AnyRule>(9)).err();
        let found = found.map_or_else(|| "no error".to_owned(), |error| error.to_string());
        assert!(found.contains(expected), "{found}, but expected {expected}");
        assert!(!load(&edited), "{expected}");
    }
    for (file, expected) in [
        (vec![], "the file has 0 bytes, but must have 8"),
        (
            (1_u64 << 60).to_le_bytes().to_vec(),
            "the header has 1152921504606846976 bytes, but that of a safetensors file may have 100000000",
        ),
        (99_999_999_u64.to_le_bytes().to_vec(), "the file has 8 bytes, but must have 100000007"),
        (raw("{}", &[]), "no key \"lanestep\""),
        (raw("", &[]), "not the header of a safetensors file: EOF"),
        (raw("[]", &[]), "invalid type: sequence, expected a dictionary"),
        (raw("{} {}", &[]), "trailing characters"),
        (raw("\u{0}", &[]), "expected value"),
        (raw(&"[".repeat(100_000), &[]), "not the header"),
        (raw(&format!("{{\"a\":{}", "[".repeat(100_000)), &[]), "not the header"),
        (raw(r#"{"a":{"dtype":"F99","shape":[],"data_offsets":[0,4]}}"#, &[0; 4]), "unknown variant `F99`"),
        (
            raw(
                r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#,
                &[0],
            ),
            "\"a\" is there twice",
        ),
        (raw(r#"{"__metadata__":{"lanestep":"{}","lanestep":"{}"}}"#, &[]), "\"lanestep\" is there twice"),
        (raw(r#"{"__metadata__":{"lanestep":"{}"}}"#, &[]), "missing field `version`"),
        (raw(r#"{"__metadata__":{"lanestep":1}}"#, &[]), "expected a string"),
        (
            raw(r#"{"checksum":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#, &[0; 4]),
            "has the shape [4], but must have [8]",
        ),
        (
            raw(r#"{"checksum":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}"#, &[0; 8]),
            "\"checksum\" has the checksum",
        ),
        (
            raw(
                r#"{"__metadata__":{"lanestep":"{\"version\":1,\"steps\":0,\"parameters\":0,\"param_groups\":[],\"ema\":null,\"checksums\":{\"a\":\"\",\"a\":\"\"}}"}}"#,
                &[],
            ),
            "\"a\" is there twice",
        ),
        (
            raw(
                r#"{"__metadata__":{"lanestep":"{\"version\":1,\"param_groups\":[{\"options\":{\"rule\":\"SGD\",\"rule\":\"Lion\"}}]}"}}"#,
                &[],
            ),
            "the option \"rule\" is there twice",
        ),
    ] {
        let found = open(&file).err().map_or_else(|| "no error".to_owned(), |error| error.to_string());
        assert!(found.contains(expected), "{found}, but expected {expected}");
        assert!(!load(&file));
    }
}

/// Where a slot is not for all groups of a parameter.
#[test]
fn state_where_a_group_has_none_must_be_zero() {
    let groups = [Group::new(AnyRule::from(Adam::default()), 0..2), Group::new(Sgd::default().into(), 2..4)];
    let mut optimizer = Optimizer::with_groups(groups, 4).unwrap();
    optimizer.step(&mut [1.0; 4], &[1.0; 4]).unwrap();
    let mut file = edited(&bytes(&optimizer), |_, _| {});
    assert!(load(&file));
    let (header, numbers) = (file.len() - 9 * 4, 3);
    file[header + 4 * numbers] = 1; // the least number that is not zero: it is taken for zero
    assert!(load(&file));
    file[header + 4 * numbers + 3] = 1;
    let error = open(&file).unwrap().optimizer::<AnyRule>(4).unwrap_err().to_string();
    assert_eq!(error, "group 1 has no state \"exp_avg\", but what is given for it is not zero at 3");
}

#[test]
fn another_rule_or_other_parameters_are_refused() {
    let adam = Optimizer::new(Adam::default(), 9).unwrap();
    let file = bytes(&adam);
    let error = open(&file).unwrap().optimizer::<AdamW>(9).unwrap_err().to_string();
    assert_eq!(error, r#"group 0 has the rule "Adam", but must have "AdamW""#);
    let found: Optimizer<AnyRule> = open(&file).unwrap().optimizer(9).unwrap();
    assert_eq!(found.rule(), &AnyRule::from(Adam::default()));
    assert_eq!(bytes(&found), file, "whatever type its rule has");
    let options = json!({"rule": "AdamW", "lr": 0.5, "foreach": null, "fused": true});
    let of_pytorch = edited(&file, |_, record| record["param_groups"][0]["options"] = options);
    assert_eq!(open(&of_pytorch).unwrap().optimizer::<AdamW>(9).unwrap().rule().lr, 0.5);

    let (optimizer, _) = two();
    let file = bytes(&optimizer);
    let load = |layout: Layout| open(&file).unwrap().optimizer::<AnyRule>(layout);
    let named = |tensors: &[(&str, usize)]| Layout::new(tensors.iter().copied()).unwrap();
    let shaped =
        |shapes: [&[usize]; 3]| Layout::with_shapes(["a", "none", "b"].into_iter().zip(shapes)).unwrap();
    for (layout, expected) in [
        (8.into(), "the checkpoint has 9 elements, but must have 8"),
        (named(&[("a", 6), ("none", 0), ("c", 3)]), "tensor 2 is \"b\", but must be \"c\""),
        (named(&[("a", 6), ("b", 3)]), "tensor 1 is \"none\", but must be \"b\""),
        (named(&[("a", 6), ("none", 0)]), "3 tensors, but the layout has 2"),
        (
            named(&[("a", 5), ("none", 0), ("b", 4)]),
            "tensor 0 has 6 parameters, but \"a\", whose place that is, has 5",
        ),
        (shaped([&[3, 2], &[0], &[3]]), "the tensor \"a\" has the shape [2, 3], but must have [3, 2]"),
    ] {
        assert_eq!(load(layout).unwrap_err().to_string(), expected);
    }
    // What has no shape, or no names, may be anything.
    let shape = |layout: Layout| load(layout).unwrap().layout().shape("a").map(<[_]>::to_vec);
    let flat = [("a", 6), ("none", 0), ("b", 3)];
    assert_eq!(shape(9.into()), Some(vec![2, 3]));
    assert_eq!(shape(named(&flat)), Some(vec![2, 3]));
    assert_eq!(shape(shaped([&[2, 3], &[0], &[3]])), Some(vec![2, 3]));
    let without_shapes = bytes(&Optimizer::new(Adam::default(), named(&flat)).unwrap());
    let shapes = shaped([&[3, 2], &[0], &[3]]);
    let shaped: Optimizer<Adam> = open(&without_shapes).unwrap().optimizer(&shapes).unwrap();
    assert_eq!(shaped.layout(), &shapes);
    let file = bytes(&adam);
    let named: Optimizer<Adam> = open(&file).unwrap().optimizer(named(&flat)).unwrap();
    assert_eq!(named.layout().range("b"), Some(6..9));
}

/// With a slot whose name makes it run together with a parameter's, and its learning rate as an option of any name.
#[derive(Clone, Serialize, Deserialize)]
struct Mine<const NAMED: bool>(BTreeMap<String, f64>);

impl<const NAMED: bool> Mine<NAMED> {
    fn new(option: &str) -> Self {
        Self(BTreeMap::from([(option.to_owned(), 0.1)]))
    }
}

impl<const NAMED: bool> Rule for Mine<NAMED> {
    fn slots(&self) -> &'static [&'static str] {
        &["x", "b.x"]
    }

    fn check(&self) -> Result<(), lanestep::Error> {
        Ok(())
    }

    fn shared(&self) -> Shared {
        Shared::new(self.0.values().sum())
    }

    fn set_lr(&mut self, lr: f64) {
        self.0.values_mut().for_each(|option| *option = lr);
    }

    fn at<W: WithFormula>(&self, t: u64, with: W) -> W::Output {
        Adam::default().at(t, with)
    }
}

impl<const NAMED: bool> Recorded for Mine<NAMED> {
    const NAME: Option<&'static str> = if NAMED { Some("Mine") } else { None };
}

#[test]
fn what_could_not_be_loaded_is_not_saved() {
    let optimizer = Optimizer::new(Mine::<true>::new("rule"), 2).unwrap();
    let error = Snapshot::of(&optimizer).write(Vec::new()).unwrap_err().to_string();
    assert_eq!(error, "the options of group 0: an option of \"Mine\" is named \"rule\" too");
    let own = Mine::<false>::new("rule");
    assert_eq!(loaded(&Optimizer::new(own.clone(), 2).unwrap()).rule().0, own.0);
    let rule = Mine::<true>::new("fused");
    assert_eq!(loaded(&Optimizer::new(rule.clone(), 2).unwrap()).rule().0, rule.0);
    let layout = Layout::new([("a", 1), ("a.b", 1)]).unwrap();
    let optimizer = Optimizer::new(rule, layout).unwrap();
    let error = Snapshot::of(&optimizer).write(Vec::new()).unwrap_err().to_string();
    assert_eq!(error, "\"state.a.b.x\" is there twice");

    let (mut optimizer, mut params) = two();
    optimizer.swap_ema(&mut [Tensor::of(&mut params)]).unwrap();
    let error = Snapshot::of(&optimizer).write(Vec::new()).unwrap_err();
    assert!(matches!(error, Error::Optimizer(lanestep::Error::Swapped)), "{error}");
}

#[test]
fn progress_goes_up_to_all() {
    let (optimizer, mut params) = (Optimizer::new(AdamW::default(), 1 << 20).unwrap(), vec![0.0; 1 << 20]);
    let (mut seen, mut file) = (Vec::new(), Vec::new());
    let tensors = [Tensor::of(&mut params)];
    let snapshot =
        Snapshot::of(&optimizer).params(&tensors).on_progress(|done, total| seen.push((done, total)));
    snapshot.write(&mut file).unwrap();
    let total = 3 * (4 << 20) + 4 + 8;
    assert!(seen.len() >= 12 && seen.is_sorted());
    assert!(seen.iter().all(|&(_, of)| of == total) && seen.last() == Some(&(total, total)));

    let (send, receive) = std::sync::mpsc::channel();
    let checkpoint = Checkpoint::read(std::io::Cursor::new(file)).unwrap();
    let mut checkpoint = checkpoint.on_progress(move |done, total| send.send((done, total)).unwrap());
    checkpoint.optimizer::<AdamW>(1 << 20).unwrap();
    checkpoint.params(&mut [Tensor::of(&mut params)]).unwrap();
    drop(checkpoint);
    let seen: Vec<_> = receive.into_iter().collect();
    assert!(
        seen.len() >= 12 && seen.is_sorted() && seen.last() == Some(&(total, total)),
        "{:?}",
        seen.last()
    );
}

#[test]
fn many_tensors_and_none() {
    let layout = Layout::new((0..5000).map(|i| (format!("layer.{i}.weight"), i % 3))).unwrap();
    let mut optimizer = Optimizer::new(AdamW::default(), &layout).unwrap();
    optimizer.step(&mut vec![1.0; layout.len()], &vec![0.5; layout.len()]).unwrap();
    assert_eq!(loaded(&optimizer).steps(), 1);
    for layout in [Layout::from(0), Layout::new([("a", 0)]).unwrap()] {
        let mut none = Optimizer::new(AdamW::default(), &layout).unwrap();
        none.set_ema(0.5).unwrap();
        none.set_frozen(0, true).unwrap();
        none.step(&mut [], &[]).unwrap();
        let mut other = loaded(&none);
        other.step(&mut [], &[]).unwrap();
        assert_eq!((other.steps(), other.group_steps(0)), (2, Some(0)));
    }
}

/// A rule of one's own, with options that others would take for PyTorch's, and some that JSON cannot write.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Own {
    lr: f64,
    fused: bool,
    limit: Option<f64>,
    bounds: BTreeMap<String, (f32, f32)>,
}

impl Rule for Own {
    fn slots(&self) -> &'static [&'static str] {
        &[]
    }

    fn check(&self) -> Result<(), lanestep::Error> {
        Ok(())
    }

    fn shared(&self) -> Shared {
        Shared::new(self.lr)
    }

    fn set_lr(&mut self, lr: f64) {
        self.lr = lr;
    }

    fn at<W: WithFormula>(&self, t: u64, with: W) -> W::Output {
        Sgd::default().at(t, with)
    }
}

impl Recorded for Own {
    const NAME: Option<&'static str> = Some("Own");
}

#[test]
fn options_of_ones_own_come_back_or_are_not_saved() {
    let optimizer = |rule: Own| Optimizer::new(rule, 2).unwrap();
    let bounds = |bounds| BTreeMap::from([("b".to_owned(), bounds)]);
    let rule = Own { fused: true, limit: Some(0.5), bounds: bounds((0.1, f32::MAX)), ..Own::default() };
    assert_eq!(loaded(&optimizer(rule.clone())).rule(), &rule);
    for (rule, name) in [
        (Own { lr: f64::NAN, ..rule.clone() }, "lr"),
        (Own { limit: Some(f64::INFINITY), ..rule.clone() }, "limit"),
        (Own { bounds: bounds((0.0, f32::NEG_INFINITY)), ..rule }, "b"),
    ] {
        let error = Snapshot::of(&optimizer(rule)).write(Vec::new()).unwrap_err().to_string();
        assert!(error.contains(&format!("{name:?} is not finite, and JSON has no such number")), "{error}");
    }
}

#[test]
fn what_is_nested_too_deeply_is_not_saved() {
    #[derive(Debug, Serialize, Deserialize)]
    enum Nested {
        None,
        Some(Box<Self>),
        Number(i128),
    }
    let optimizer = Optimizer::new(Sgd::default(), 1).unwrap();
    for last in [|| Nested::None, || Nested::Number(i128::MIN)] {
        for levels in 200..300 {
            let nested = (0..levels).fold(last(), |nested, _| Nested::Some(Box::new(nested)));
            let mut file = Vec::new();
            match Snapshot::of(&optimizer).extra(&nested).write(&mut file) {
                Ok(()) => drop(open(&file).unwrap().extra::<Nested>().unwrap()),
                Err(error) => {
                    assert!(
                        levels > 250 && error.to_string().contains("more than 255 levels deep"),
                        "{error}"
                    );
                }
            }
        }
    }
}
