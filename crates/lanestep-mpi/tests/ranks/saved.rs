//! Runs that are saved by some ranks and go on with others.

use crate::model::{gradient, summed};
use half::bf16;
use lanestep::checkpoint::{Checkpoint, Snapshot};
use lanestep::{AdamW, AnyRule, Format, Group, Lamb, Layout, Optimizer, Pipeline, Rounding, Tensor};
use lanestep_mpi::{Error, Sharded, parts};
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives};
use std::fmt::Display;
use std::path::PathBuf;
use std::{env, fs, process};

/// Where the jobs of one test leave files for each other.
pub(crate) const FOLDER: &str = "LANESTEP_MPI_FOLDER";

const LEN: usize = 4 * Layout::LEAF + 99;
const BATCHES: usize = 5;

fn file(name: &str) -> PathBuf {
    PathBuf::from(env::var(FOLDER).expect("a folder")).join(name)
}

fn text(error: impl Display) -> String {
    error.to_string()
}

fn layout() -> Layout {
    Layout::with_shapes([("embed", vec![1000, 50]), ("bias", vec![99]), ("head", vec![LEN - 50_099])])
        .expect("names that differ")
}

fn groups() -> Vec<Group<AnyRule>> {
    vec![Group::new(AdamW::default().into(), 0..50_000), Group::new(Lamb::default().into(), 50_000..LEN)]
}

fn set(optimizer: &mut Optimizer<AnyRule>) -> Result<(), lanestep::Error> {
    optimizer.set_state_format("exp_avg_sq", Format::Block8)?;
    optimizer.set_rounding(Rounding::Stochastic { seed: 3 });
    optimizer.set_ema(0.9)
}

fn begin() -> Vec<bf16> {
    (0..LEN).map(|i| bf16::from_f32((i % 1013) as f32 * 1e-3 - 0.5)).collect()
}

const PIPELINE: Pipeline = Pipeline {
    scale: 0.2,
    max_norm: Some(1.0),
    clip_value: None,
    non_finite: lanestep::NonFinite::Propagate,
    min_param: None,
    max_param: None,
    measure_grads: false,
    measure_update: false,
};

/// A file of one process that has taken so many steps without interruption.
fn in_one(steps: u64) -> Result<Vec<u8>, Error> {
    let mut optimizer = Optimizer::with_groups(groups(), layout())?;
    set(&mut optimizer)?;
    let mut params = begin();
    for step in 0..steps {
        let leaf = |batch| {
            let mut grads = vec![0.0; LEN];
            gradient(1, step as usize, batch, &mut grads);
            grads
        };
        let grads = summed(0, BATCHES.next_power_of_two(), BATCHES, &leaf);
        let (mut params, mut grads) = (&mut params[..], &grads[..]);
        let tensors: Vec<_> = layout().iter().map(|(_, range)| range.len()).collect();
        let tensors = tensors.into_iter().map(|len| {
            let params = params.split_off_mut(..len).expect("as long as the layout");
            Tensor::new(params, grads.split_off(..len).expect("as long as the layout"))
        });
        optimizer.step_with(&mut tensors.collect::<Vec<_>>(), &PIPELINE)?;
    }
    whole(&optimizer, &params, steps)
}

fn whole(optimizer: &Optimizer<AnyRule>, params: &[bf16], extra: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    Snapshot::of(optimizer).params([params]).extra(&extra).write(&mut bytes)?;
    Ok(bytes)
}

/// Takes steps until there are so many.
fn go_on(
    sharded: &mut Sharded<AnyRule>,
    params: &mut [bf16],
    until: u64,
    mut before: impl FnMut(u64),
) -> Result<(), Error> {
    for step in sharded.optimizer().steps()..until {
        before(step);
        for batch in sharded.micro_batches() {
            gradient(1, step as usize, batch, sharded.grads(batch)?);
        }
        let (embed, rest) = params.split_at_mut(50_000);
        let (bias, head) = rest.split_at_mut(99);
        sharded.step_tensors(&mut [embed, bias, head], &PIPELINE)?;
    }
    Ok(())
}

/// Whether one process finds in the files what it would have itself.
fn check(world: &SimpleCommunicator, name: &str, steps: u64) -> Result<(), String> {
    if world.rank() == 0 {
        let mut checkpoint = Checkpoint::open_parts(parts(file(name)).map_err(text)?).map_err(text)?;
        let mut params = begin();
        let optimizer = checkpoint.optimizer::<AnyRule>(layout()).map_err(text)?;
        checkpoint.params(&mut [Tensor::of(&mut params)]).map_err(text)?;
        let extra = checkpoint.extra::<u64>().map_err(text)?;
        if whole(&optimizer, &params, extra).map_err(text)? != in_one(steps).map_err(text)? {
            return Err(format!("after {steps} steps there is something else in the files"));
        }
    }
    Ok(())
}

/// Goes on for two steps from where the ranks before have left off.
pub(crate) fn handed_on(world: &SimpleCommunicator) -> Result<(), String> {
    let (mut params, path) = (begin(), file("handed-on"));
    let mut sharded = if path.exists() {
        params.fill(bf16::ZERO);
        let loaded = Sharded::load_with::<_, u64>(world, &path, layout(), BATCHES, &mut [&mut params])
            .map_err(text)?;
        if loaded.1 != loaded.0.optimizer().steps() {
            return Err(format!("{} has been added", loaded.1));
        }
        loaded.0
    } else {
        let mut sharded = Sharded::with_groups(world, groups(), layout(), BATCHES).map_err(text)?;
        set(sharded.optimizer_mut()).map_err(text)?;
        sharded
    };
    let until = sharded.optimizer().steps() + 2;
    go_on(&mut sharded, &mut params, until, |_| ()).map_err(text)?;
    let (embed, rest) = params.split_at(50_000);
    sharded.save_with(&path, &[embed, &rest[..99], &rest[99..]], &until).map_err(text)?;
    check(world, "handed-on", until)?;

    if world.rank() == 0 {
        // Of the time before, nothing is left.
        let files = fs::read_dir(file("")).map_err(text)?.flatten().map(|entry| entry.file_name());
        let files = files.filter(|name| name.to_string_lossy().starts_with("handed-on")).count();
        let expected = 1 + parts(&path).map_err(text)?.len();
        if files != expected {
            return Err(format!("{files} files, but {expected} are there to stay"));
        }
    }
    Ok(())
}

/// Saves after each step, until one rank is killed in the fourth.
pub(crate) fn killed(world: &SimpleCommunicator) -> Result<(), String> {
    let (mut params, path) = (begin(), file("killed"));
    let mut sharded = Sharded::with_groups(world, groups(), layout(), BATCHES).map_err(text)?;
    set(sharded.optimizer_mut()).map_err(text)?;
    for until in 1.. {
        let one = world.rank() == 1;
        let kill = |step| {
            if one && step == 3 {
                process::abort();
            }
        };
        go_on(&mut sharded, &mut params, until, kill).map_err(text)?;
        sharded.save_with(&path, &[&params], &until).map_err(text)?;
    }
    Ok(())
}

/// Goes on from there with other ranks.
pub(crate) fn resumed(world: &SimpleCommunicator) -> Result<(), String> {
    let (mut params, path) = (vec![bf16::ZERO; LEN], file("killed"));
    let (mut sharded, steps) =
        Sharded::load_with::<_, u64>(world, &path, layout(), BATCHES, &mut [&mut params]).map_err(text)?;
    if steps != 3 {
        return Err(format!("{steps} steps have been saved"));
    }
    go_on(&mut sharded, &mut params, 5, |_| ()).map_err(text)?;
    sharded.save_with(file("resumed"), &[&params], &5_u64).map_err(text)?;
    check(world, "resumed", 5)
}

/// What cannot be saved or loaded is an error on all ranks.
pub(crate) fn refused(world: &SimpleCommunicator) -> Result<(), String> {
    let mut params = begin();
    let one = world.rank() == 1;
    let expect = |what: &str, error: Option<Error>, expected: &[&str]| {
        let found = error.map_or_else(|| "no error".to_owned(), text);
        let said = expected.iter().all(|part| found.contains(part));
        if said { Ok(()) } else { Err(format!("{what}: {found}")) }
    };
    let sharded = Sharded::with_groups(world, groups(), layout(), BATCHES).map_err(text)?;
    let load = |path: PathBuf, layout: Layout, params: &mut [bf16]| {
        Sharded::<AnyRule>::load(world, path, layout, BATCHES, params).err()
    };
    expect("nowhere", load(file("nowhere"), layout(), &mut params), &["nowhere", "No such file"])?;
    expect("no folder", sharded.save(file("no folder").join("run"), &params).err(), &["No such file"])?;
    let short = if one { &params[1..] } else { &params[..] };
    expect("short", sharded.save(file("short"), short).err(), &["embed", &(LEN - 1).to_string()])?;
    let two = sharded.save_with(file("short"), &[&params[..5], &params[5..]], &());
    expect("two", two.err(), &["embed", "50000"])?;
    let four: [&[bf16]; 4] = [&params[..50_000], &params[50_000..50_099], &params[50_099..], &[]];
    expect("four", sharded.save_with(file("short"), &four, &()).err(), &["4 tensors", "the layout has 3"])?;
    // Each rank somewhere else.
    let apart = file(&format!("short-{}", world.rank()));
    let error = sharded.save(apart, &params).err();
    expect("apart", error, &["on rank 1, path is", "short-1", "short-0"])?;
    if file("short").exists() {
        return Err("something was saved".to_owned());
    }

    let path = file("whole");
    sharded.save(&path, &params).map_err(text)?;
    // One that was moved away keeps its parts.
    if world.rank() == 0 {
        fs::rename(&path, file("whole.before")).map_err(text)?;
    }
    sharded.save(&path, &params).map_err(text)?;
    let names = |of: &str| -> Result<Vec<String>, String> {
        let list = fs::read_to_string(file(of)).map_err(text)?;
        Ok(list.split('"').filter(|name| name.starts_with("whole.")).map(str::to_owned).collect())
    };
    let (now, before) = (names("whole")?, names("whole.before")?);
    if now.iter().any(|name| before.contains(name)) || !before.iter().all(|name| file(name).exists()) {
        return Err(format!("{before:?} was moved, and {now:?} saved"));
    }
    let found = if one {
        let mut others = vec![0.0_f32; LEN];
        Sharded::<AnyRule>::load(world, &path, layout(), BATCHES, &mut others).err()
    } else {
        load(path.clone(), layout(), &mut params)
    };
    expect("elements", found, &["elements is", "f32"])?;
    expect("another length", load(path.clone(), (LEN - 1).into(), &mut params[1..]), &["must have"])?;
    let len = LEN - usize::from(one);
    expect("too few", load(path.clone(), layout(), &mut params[..len]), &[&(LEN - 1).to_string()])?;
    let mut others = vec![0.0_f32; LEN];
    let found = Sharded::<AnyRule>::load(world, &path, layout(), BATCHES, &mut others).err();
    expect("f32", found, &["BF16", "F32"])?;
    let found = Sharded::<AdamW>::load(world, &path, layout(), BATCHES, &mut params).err();
    expect("another rule", found, &["LAMB"])?;
    let batches = BATCHES + usize::from(one);
    let found = Sharded::<AnyRule>::load(world, &path, layout(), batches, &mut params).err();
    expect("micro-batches", found, &["micro_batches is 6, but 5 on rank 0"])?;

    // A part that is damaged, or missing, where only one rank reads it.
    let part = parts(&path).map_err(text)?.pop().ok_or("no parts")?;
    let edit = |text: &str| {
        if one { fs::write(file("whole"), text) } else { Ok(()) }
    };
    if one {
        let mut bytes = fs::read(&part).map_err(text)?;
        let last = bytes.len() - 5;
        bytes[last] ^= 1;
        fs::write(&part, bytes).map_err(text)?;
    }
    world.barrier();
    expect("damaged", load(path.clone(), layout(), &mut params), &["checksum"])?;
    if one {
        fs::remove_file(&part).map_err(text)?;
    }
    world.barrier();
    expect("missing", load(path.clone(), layout(), &mut params), &["No such file"])?;
    for (text, expected) in [
        ("what", "expected value"),
        (r#"{"version":2,"generation":1,"parts":[]}"#, "version 2, but 1 is known"),
        (r#"{"version":1,"generation":1,"parts":[]}"#, "no parts"),
        (
            r#"{"version":1,"generation":1,"parts":[{"file":"../x","start":0,"end":9}]}"#,
            "\"../x\" is no name",
        ),
    ] {
        edit(text).map_err(|error| error.to_string())?;
        world.barrier();
        expect(text, load(path.clone(), layout(), &mut params), &["no list of the parts", expected])?;
    }
    Ok(())
}

/// Small layers with names, some of which are empty, so that the first ranks have nothing: the average too is that of one process.
pub(crate) fn named(world: &SimpleCommunicator) -> Result<(), String> {
    let lens = [("none", 0), ("a", 5), ("empty", 0), ("b", 700), ("last", 0)];
    let layout = Layout::new(lens).map_err(text)?;
    let len = layout.len();
    let path = file(&format!("named-{}", world.size()));
    let start: Vec<f32> = (0..len).map(|i| i as f32 * 1e-3 - 0.3).collect();
    let (mut params, mut expected) = (start.clone(), start);
    fn cut(mut params: &mut [f32]) -> [&mut [f32]; 5] {
        let mut next = |len| params.split_off_mut(..len).expect("as long as the layout");
        [next(0), next(5), next(0), next(700), next(0)]
    }
    let rule = || AnyRule::from(Lamb { weight_decay: 0.1, ..Lamb::default() });
    let mut alone = Optimizer::new(rule(), &layout).map_err(text)?;
    let mut sharded = Sharded::new(world, rule(), &layout, 3).map_err(text)?;
    alone.set_ema(0.5).map_err(text)?;
    sharded.optimizer_mut().set_ema(0.5).map_err(text)?;
    for step in 0..4 {
        // What was begun and is forgotten is begun anew.
        if let Some(batch) = sharded.micro_batches().next() {
            sharded.grads(batch).map_err(text)?.fill(7.0);
            sharded.forget_grads();
        }
        for batch in sharded.micro_batches() {
            gradient(2, step, batch, sharded.grads(batch).map_err(text)?);
        }
        sharded.step_tensors(&mut cut(&mut params), &PIPELINE).map_err(text)?;
        let leaf = |batch| {
            let mut grads = vec![0.0; len];
            gradient(2, step, batch, &mut grads);
            grads
        };
        let grads = summed(0, 4, 3, &leaf);
        let mut grads = &grads[..];
        let tensor = |(params, len): (_, usize)| {
            Tensor::new::<f32, f32>(params, grads.split_off(..len).expect("as long as the layout"))
        };
        let mut tensors: Vec<_> =
            cut(&mut expected).into_iter().zip(lens.map(|(_, len)| len)).map(tensor).collect();
        alone.step_with(&mut tensors, &PIPELINE).map_err(text)?;
        if step == 1 {
            sharded.save_with(&path, &cut(&mut params).map(|slice| &*slice), &step).map_err(text)?;
            params.fill(0.0);
            let slices = &mut cut(&mut params);
            let loaded = Sharded::load_with::<_, usize>(world, &path, &layout, 3, slices).map_err(text)?;
            sharded = loaded.0;
        }
    }
    if params != expected {
        return Err("other parameters".to_owned());
    }
    sharded.swap_ema(&mut cut(&mut params)).map_err(text)?;
    if params.iter().ne(alone.ema().ok_or("no average")?) {
        return Err("another average".to_owned());
    }
    for batch in sharded.micro_batches() {
        sharded.grads(batch).map_err(text)?.fill(1.0);
    }
    match sharded.step(&mut params, &PIPELINE) {
        Err(Error::Optimizer(lanestep::Error::Swapped)) => (),
        other => return Err(format!("a step in the place of the average: {other:?}")),
    }
    sharded.swap_ema(&mut cut(&mut params)).map_err(text)?;
    if params == expected { Ok(()) } else { Err("parameters have not come back".to_owned()) }
}
