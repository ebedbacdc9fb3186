//! Optimizers in files.

use crate::lend::{Loan, lend};
use crate::numbers::Numbers;
use crate::{Error, Optimizer};
use lanestep::checkpoint::{Checkpoint, Params, Recorded, Snapshot};
use std::io::{Read, Seek};
use std::path::Path;

impl<R: Recorded> Optimizer<R> {
    /// Writes the optimizer to a file, without its variables: beside that of [`VarMap::save`](candle_nn::VarMap::save).
    ///
    /// Two files that are written one after the other are of two different steps if the process dies in between. One for both is
    /// [`snapshot`](Self::snapshot)'s.
    ///
    /// # Errors
    /// [`Error::NoNames`], or as [`Snapshot::save`](lanestep::checkpoint::Snapshot::save).
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        self.check_names()?;
        Ok(self.optimizer.save(path)?)
    }

    /// Goes on from what was [saved](Self::save), with its steps, groups, rules and learning rates; the next step has the bits that it
    /// would have had. Level, parallelism and [`pipeline`](Self::pipeline) stay what they are.
    ///
    /// # Errors
    /// [`Error::NoNames`], or as [`Checkpoint::open`] and [`Checkpoint::optimizer`].
    pub fn load(&mut self, path: impl AsRef<Path>) -> Result<(), Error> {
        self.check_names()?;
        let saved = Checkpoint::open(path)?.optimizer(self.optimizer.layout())?;
        self.go_on(saved);
        Ok(())
    }

    /// Hands over the optimizer together with its variables, to be saved in one file, with whatever belongs to a run besides.
    ///
    /// # Errors
    /// [`Error::NoNames`], [`Error::Candle`], or that of `save`, which is lanestep's.
    pub fn snapshot<T>(
        &self,
        save: impl FnOnce(Snapshot<'_, R>) -> Result<T, lanestep::checkpoint::Error>,
    ) -> Result<T, Error> {
        self.check_names()?;
        let guards: Vec<_> = self.vars.iter().map(|(_, var)| var.storage_and_layout()).collect();
        let params = guards.iter().map(|(storage, layout)| {
            Ok(match Numbers::of(storage, layout)? {
                Numbers::F32(numbers) => Params::from(numbers),
                Numbers::Bf16(numbers) => Params::from(numbers),
                Numbers::F16(numbers) => Params::from(numbers),
            })
        });
        let params = params.collect::<Result<Vec<_>, candle_core::Error>>()?;
        Ok(save(Snapshot::of(&self.optimizer).params(params))?)
    }

    /// [Goes on](Self::load) from a [snapshot](Self::snapshot), and sets the variables to what they were then.
    ///
    /// # Errors
    /// [`Error::NoNames`], or as [`Checkpoint::optimizer`] and [`Checkpoint::params`].
    pub fn resume<F: Read + Seek>(&mut self, checkpoint: &mut Checkpoint<F>) -> Result<(), Error> {
        self.check_names()?;
        let saved = checkpoint.optimizer(self.optimizer.layout())?;
        let loans: Vec<Loan<'_>> = self.vars.iter().map(|(_, var)| (var, None)).collect();
        lend(&loans, |tensors| checkpoint.params(tensors))??;
        self.go_on(saved);
        Ok(())
    }

    fn go_on(&mut self, mut saved: lanestep::Optimizer<R>) {
        saved.set_level(self.optimizer.level());
        saved.set_parallelism(self.optimizer.parallelism());
        self.optimizer = saved;
        self.refused = None;
    }

    fn check_names(&self) -> Result<(), Error> {
        let layout = self.optimizer.layout();
        if layout.iter().next().is_some() || layout.is_empty() { Ok(()) } else { Err(Error::NoNames) }
    }
}
