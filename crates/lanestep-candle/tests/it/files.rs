//! A run that is saved and resumed has the bits of one that goes on.

use crate::{bits, network, numbers, random, sorted};
use candle_core::{DType, Result, Tensor};
use candle_nn::{Optimizer as _, VarMap};
use lanestep::checkpoint::Checkpoint;
use lanestep::{Format, Parallelism};
use lanestep_candle::{AdamW, Error, lanestep};

fn inputs() -> Result<Vec<Tensor>> {
    let mut rng = fastrand::Rng::with_seed(12);
    (0..8).map(|_| random(&[4, 5], DType::F32, &mut rng)).collect()
}

fn params(varmap: &VarMap) -> Result<Vec<u32>> {
    Ok(bits(&numbers(sorted(varmap).iter().map(|(_, var)| var.as_tensor()))?))
}

fn adamw(varmap: &VarMap) -> std::result::Result<AdamW, Error> {
    let mut optimizer =
        AdamW::from_varmap(varmap, lanestep::AdamW { lr: 0.1, ..lanestep::AdamW::default() })?;
    optimizer.optimizer_mut().set_ema(0.75)?;
    optimizer.optimizer_mut().set_state_format("exp_avg", Format::Block8)?;
    Ok(optimizer)
}

#[test]
fn beside_the_map() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let [model, optimizer] = ["model", "optimizer"].map(|name| folder.path().join(name));
    let (inputs, (varmap, loss)) = (inputs()?, network(13)?);
    let mut first = adamw(&varmap)?;
    for (step, input) in inputs.iter().enumerate() {
        if step == 4 {
            varmap.save(&model)?;
            first.set_learning_rate(0.05);
            first.save(&optimizer)?;
        }
        first.backward_step(&loss(input)?)?;
    }

    let (mut resumed_map, resumed_loss) = network(14)?;
    resumed_map.load(&model)?;
    let mut resumed = AdamW::from_varmap(&resumed_map, lanestep::AdamW::default())?;
    resumed.optimizer_mut().set_parallelism(Parallelism::Serial);
    resumed.set_learning_rate(f64::NAN); // which the file's takes the place of
    resumed.load(&optimizer)?;
    assert_eq!((resumed.learning_rate(), resumed.optimizer().steps()), (0.05, 4));
    assert_eq!(resumed.optimizer().parallelism(), Parallelism::Serial);
    for input in &inputs[4..] {
        resumed.backward_step(&resumed_loss(input)?)?;
    }
    assert_eq!(params(&resumed_map)?, params(&varmap)?);
    assert_eq!(resumed.optimizer().ema(), first.optimizer().ema());
    Ok(())
}

#[test]
fn all_in_one_file() -> std::result::Result<(), Error> {
    let folder = tempfile::tempdir().map_err(candle_core::Error::from)?;
    let path = folder.path().join("run");
    let (inputs, (varmap, loss)) = (inputs()?, network(15)?);
    let mut first = adamw(&varmap)?;
    for (step, input) in inputs.iter().enumerate() {
        if step == 4 {
            first.snapshot(|snapshot| snapshot.extra(&step).save(&path))?;
        }
        first.backward_step(&loss(input)?)?;
    }

    let (resumed_map, resumed_loss) = network(16)?;
    let mut resumed = adamw(&resumed_map)?;
    let mut checkpoint = Checkpoint::open(&path)?;
    resumed.resume(&mut checkpoint)?;
    for input in &inputs[checkpoint.extra()?..] {
        resumed.backward_step(&resumed_loss(input)?)?;
    }
    assert_eq!(params(&resumed_map)?, params(&varmap)?);
    Ok(())
}

/// Whichever byte is wrong.
#[test]
fn a_broken_file_changes_nothing() -> std::result::Result<(), Error> {
    let (inputs, (varmap, loss)) = (inputs()?, network(17)?);
    let mut optimizer = adamw(&varmap)?;
    optimizer.backward_step(&loss(&inputs[0])?)?;
    let mut file = Vec::new();
    optimizer.snapshot(|snapshot| snapshot.write(&mut file))?;
    optimizer.backward_step(&loss(&inputs[1])?)?;
    let before = params(&varmap)?;
    for place in (file.len() - 1000..file.len()).step_by(61) {
        file[place] ^= 1;
        let resumed = Checkpoint::read(std::io::Cursor::new(&file)).map_err(Error::from);
        let resumed = resumed.and_then(|mut checkpoint| optimizer.resume(&mut checkpoint));
        assert!(matches!(resumed, Err(Error::Checkpoint(_))), "{place}");
        assert_eq!((params(&varmap)?, optimizer.optimizer().steps()), (before.clone(), 2));
        file[place] ^= 1;
    }
    let (other_map, _) = network(18)?;
    other_map.data().lock().unwrap().remove("z.bias");
    let mut other = adamw(&other_map)?;
    let mut checkpoint = Checkpoint::read(std::io::Cursor::new(&file))?;
    assert!(matches!(other.resume(&mut checkpoint), Err(Error::Checkpoint(_))));
    optimizer.resume(&mut checkpoint)?;
    assert_eq!(optimizer.optimizer().steps(), 1);
    Ok(())
}

#[test]
fn a_file_takes_names() -> Result<()> {
    let (varmap, _) = network(19)?;
    let path = tempfile::tempdir()?.path().join("none");
    let mut optimizer = AdamW::new(varmap.all_vars(), lanestep::AdamW::default())?;
    assert!(matches!(optimizer.save(&path), Err(Error::NoNames)));
    assert!(matches!(optimizer.load(&path), Err(Error::NoNames)));
    assert!(matches!(optimizer.snapshot(|snapshot| snapshot.save(&path)), Err(Error::NoNames)));
    assert!(!path.exists());
    Ok(())
}
