//! What was saved in some parts is loaded in others, to the bit.

use crate::cases::ordinary;
use crate::formats::Numbers;
use crate::parts::{Model, piece, tensors};
use core::ops::Range;
use lanestep::checkpoint::{Checkpoint, Error, Snapshot};
use lanestep::{
    Adam, AdamW, AnyRule, Format, Group, Lamb, Layout, Optimizer, Pipeline, Rounding, Sgd, Tensor,
};
use std::io::Cursor;

const LEAF: usize = Layout::LEAF;

/// Cuts `len` parameters into so many parts, some of which may be empty.
fn parts(len: usize, count: usize) -> Vec<Range<usize>> {
    let leaves = len.div_ceil(LEAF);
    let cut = |part: usize| (part * leaves / count * LEAF).min(len);
    (0..count).map(|part| cut(part)..cut(part + 1)).collect()
}

fn save(optimizer: &Optimizer<AnyRule>, params: &Numbers) -> Vec<u8> {
    let (mut file, snapshot) = (Vec::new(), Snapshot::of(optimizer).extra(&7));
    match params {
        Numbers::F32(params) => snapshot.params([&params[..]]),
        Numbers::Bf16(params) => snapshot.params([&params[..]]),
        Numbers::F16(params) => snapshot.params([&params[..]]),
    }
    .write(&mut file)
    .unwrap();
    file
}

fn open<'f>(files: impl IntoIterator<Item = &'f Vec<u8>>) -> Result<Checkpoint<Cursor<&'f [u8]>>, Error> {
    Checkpoint::read_parts(files.into_iter().map(|file| Cursor::new(&file[..])))
}

/// The files of all parts, from those of others.
fn reshard(files: &[Vec<u8>], model: &Model, layout: &Layout, count: usize) -> Vec<Vec<u8>> {
    let load = |part: Range<usize>| {
        let layout = layout.part(part.clone()).unwrap();
        let mut checkpoint = open(files).unwrap();
        let optimizer = checkpoint.optimizer(&layout).unwrap();
        let mut params = Numbers::new(&vec![0.0; part.len()], model.params);
        // Parts of parameters with names are cut anywhere.
        let lens = if part.len() == model.len() {
            vec![part.len()]
        } else {
            vec![part.len() / 3, part.len() - part.len() / 3]
        };
        checkpoint.params_of(&layout, &mut tensors(&lens, &mut params, &vec![0.0; part.len()])).unwrap();
        assert_eq!(checkpoint.extra::<i32>().unwrap(), 7);
        save(&optimizer, &params)
    };
    parts(model.len(), count).into_iter().map(load).collect()
}

#[test]
fn parts_become_other_parts_and_the_whole() {
    let rules = [
        AnyRule::from(AdamW::default()),
        Sgd { momentum: 0.9, ..Sgd::default() }.into(),
        Lamb::default().into(),
        Adam { amsgrad: true, ..Adam::default() }.into(),
    ];
    for seed in 2000..2030 {
        let rng = &mut fastrand::Rng::with_seed(seed);
        let model = Model::new(seed, &rules[rng.usize(..2)..][..1 + rng.usize(..3)]);
        let layout = if rng.bool() {
            let names = (0..).map(|index| format!("tensor {index}"));
            Layout::new(names.zip(model.tensors.iter().copied())).unwrap()
        } else {
            model.len().into()
        };
        let mut optimizer = model.optimizer(layout.clone());
        let mut params = Numbers::new(&ordinary(rng, model.len()), model.params);
        for _ in 0..2 {
            let grads = ordinary(rng, model.len());
            let tensors = &mut tensors(&model.tensors, &mut params, &grads);
            optimizer.step_with(tensors, &Pipeline::default()).unwrap();
        }
        let whole = [save(&optimizer, &params)];
        let four = reshard(&whole, &model, &layout, 4);
        let mut three = reshard(&four, &model, &layout, 3);
        three.reverse();
        assert!(reshard(&three, &model, &layout, 1) == whole, "{seed}");
        open(&three).unwrap().verify().unwrap();

        // A file has its part alone.
        let all: usize = four.iter().map(Vec::len).sum();
        let headers: usize =
            four.iter().map(|file| u64::from_le_bytes(*file.first_chunk().unwrap()) as usize).sum();
        assert!(all - headers <= whole[0].len() + 4 * (100 + 8 * model.tensors.len()));
    }
}

#[test]
fn one_rank_needs_only_the_files_that_have_its_part() {
    let layout = Layout::from(4 * LEAF);
    let mut optimizer = Optimizer::<AnyRule>::new(AdamW::default().into(), &layout).unwrap();
    let mut params = vec![1.0; 4 * LEAF];
    optimizer.step(&mut params, &vec![0.5; 4 * LEAF]).unwrap();
    let whole = [save(&optimizer, &Numbers::F32(params))];
    let files: Vec<_> = (0..4).map(|part| part * LEAF..(part + 1) * LEAF).collect();
    let of_part = |part: &Range<usize>| {
        let layout = layout.part(part.clone()).unwrap();
        let mut checkpoint = open(&whole).unwrap();
        let mut params = vec![0.0; part.len()];
        checkpoint.params_of(&layout, &mut [Tensor::of(&mut params)]).unwrap();
        save(&checkpoint.optimizer(&layout).unwrap(), &Numbers::F32(params))
    };
    let files: Vec<_> = files.iter().map(of_part).collect();

    let some = [files[2].clone(), files[1].clone()];
    let mut checkpoint = open(&some).unwrap();
    assert_eq!((checkpoint.layout().places(), checkpoint.layout().whole()), (LEAF..3 * LEAF, 4 * LEAF));
    let part = layout.part(LEAF..2 * LEAF).unwrap();
    let part: Optimizer<AnyRule> = checkpoint.optimizer(part).unwrap();
    assert_eq!(part.state("exp_avg").unwrap(), &optimizer.state("exp_avg").unwrap()[LEAF..2 * LEAF]);

    let hole = |result: Result<Optimizer<AnyRule>, Error>, start, end| match result {
        Err(Error::Hole { start: s, end: e }) => assert_eq!((s, e), (start, end)),
        other => panic!("{other:?}"),
    };
    hole(checkpoint.optimizer(4 * LEAF), 0, LEAF);
    hole(checkpoint.optimizer(layout.part(2 * LEAF..4 * LEAF).unwrap()), 3 * LEAF, 4 * LEAF);
    hole(checkpoint.optimizer(layout.part(0..LEAF).unwrap()), 0, LEAF);
    let mut all = vec![0.0; 4 * LEAF];
    assert!(matches!(
        checkpoint.params_of(&layout, &mut [Tensor::of(&mut all)]),
        Err(Error::Hole { start: 0, end: LEAF })
    ));
    assert!(all.iter().all(|p| *p == 0.0));

    const THREE: usize = 3 * LEAF;
    const TWO: usize = 2 * LEAF;
    assert!(matches!(open([]), Err(Error::NoFile)));
    assert!(matches!(open([&files[0], &files[2]]), Err(Error::Hole { start: LEAF, end: TWO })));
    assert!(matches!(open([&files[2], &files[3], &files[2]]), Err(Error::Twice { start: TWO, end: THREE })));
    assert!(matches!(open([&files[2], &whole[0]]), Err(Error::Twice { start: TWO, end: THREE })));

    // Files of another step, another learning rate.
    optimizer.step(&mut vec![1.0; 4 * LEAF], &vec![0.5; 4 * LEAF]).unwrap();
    let later = save(&optimizer, &Numbers::F32(vec![1.0; 4 * LEAF]));
    assert!(matches!(open([&files[0], &later]), Err(Error::Apart { index: 1 })));
}

#[test]
fn progress_is_that_of_all_files() {
    use std::sync::{Arc, Mutex};
    let layout = Layout::from(4 * LEAF);
    let optimizer = Optimizer::<AnyRule>::new(AdamW::default().into(), &layout).unwrap();
    let whole = [save(&optimizer, &Numbers::F32(vec![1.0; 4 * LEAF]))];
    let of_part = |part: usize| {
        let layout = layout.part(part * LEAF..(part + 1) * LEAF).unwrap();
        let optimizer: Optimizer<AnyRule> = open(&whole).unwrap().optimizer(&layout).unwrap();
        save(&optimizer, &piece(&Numbers::F32(vec![1.0; 4 * LEAF]), part * LEAF..(part + 1) * LEAF))
    };
    let files: Vec<_> = (0..4).map(of_part).collect();
    let seen = Arc::new(Mutex::new(vec![]));
    let writes = seen.clone();
    let mut checkpoint =
        open(&files).unwrap().on_progress(move |done, total| writes.lock().unwrap().push((done, total)));
    let _: Optimizer<AnyRule> = checkpoint.optimizer(&layout).unwrap();
    let seen = seen.lock().unwrap();
    assert!(seen.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 == pair[1].1));
    let state = 4 * (LEAF as u64 * 8 + 4 + 8); // with the steps and the checksum of each file
    assert_eq!(seen.last().unwrap().0, state);
    assert!(seen[0].1 >= state + 4 * LEAF as u64 * 4);
}

/// The file of a part after two steps: the end of three groups, in every way in which a number can be kept.
fn last_part() -> Vec<u8> {
    let layout =
        Layout::with_shapes([("a", vec![4, LEAF / 4]), ("b", vec![2, 150]), ("c", vec![3])]).unwrap();
    let part = layout.part(LEAF..LEAF + 303).unwrap();
    let mut optimizer = Optimizer::<AnyRule>::with_groups(
        [
            Group::new(AdamW::default().into(), 0..LEAF),
            Group::new(AdamW { lr: 0.01, ..AdamW::default() }.into(), LEAF..LEAF + 290),
            Group::new(Sgd { momentum: 0.9, ..Sgd::default() }.into(), LEAF + 290..LEAF + 303),
        ],
        part,
    )
    .unwrap();
    optimizer.set_state_format("exp_avg", Format::Block8).unwrap();
    optimizer.set_state_format("momentum_buffer", Format::Bf16).unwrap();
    optimizer.set_rounding(Rounding::Stochastic { seed: 11 });
    optimizer.set_split(true).unwrap();
    optimizer.set_ema(0.5).unwrap();
    let masters: Vec<f32> = (0..303).map(|i| (i % 17) as f32 * 0.1 - 0.8).collect();
    let mut params = vec![half::bf16::ZERO; 303];
    optimizer.set_masters(&masters, &mut [Tensor::of(&mut params)]).unwrap();
    for step in 0..2 {
        let grads: Vec<f32> = (0..303).map(|i| ((i + step) % 13) as f32 * 0.25 - 1.5).collect();
        optimizer.step_with(&mut [Tensor::new(&mut params, &grads)], &Pipeline::default()).unwrap();
    }
    save(&optimizer, &Numbers::Bf16(params))
}

#[test]
fn a_file_of_version_3_is_what_it_was_and_is_read() {
    let kept = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/version-3.safetensors")).unwrap();
    assert!(last_part() == kept, "another file is written");
    let mut checkpoint = open([&kept]).unwrap();
    assert_eq!((checkpoint.layout().places(), checkpoint.steps()), (LEAF..LEAF + 303, 2));
    let layout = checkpoint.layout().clone();
    let optimizer = checkpoint.optimizer::<AnyRule>(&layout).unwrap();
    let mut params = vec![half::bf16::ZERO; 303];
    checkpoint.params(&mut [Tensor::of(&mut params)]).unwrap();
    assert!(save(&optimizer, &Numbers::Bf16(params)) == kept);
    assert_eq!(optimizer.state_format("momentum_buffer"), Some(Format::Bf16));
}
