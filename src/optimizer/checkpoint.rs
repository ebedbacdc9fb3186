//! Optimizers in files.
#![doc = include_str!("../../docs/checkpoint.md")]

mod error;
mod file;
mod record;
mod recorded;
mod replace;
mod snapshot;
mod tensors;

pub use error::Error;
pub use recorded::Recorded;
pub use snapshot::{Params, Snapshot};

use crate::store::{Stream, block8};
use crate::{Format, Group, Layout, Optimizer, Rounding, Tensor};
use core::ops::Range;
use file::Tensors;
use record::Record;
use safetensors::Dtype;
use serde::de::DeserializeOwned;
use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;
use tensors::{Content, EXTRA, cut, dtype, scales};

#[cfg(target_endian = "big")]
compile_error!("feature `checkpoint` writes memory as it is, which must be little-endian");

impl<R: Recorded> Optimizer<R> {
    /// Writes all of the optimizer to a file. What else can go into it is said at [`Snapshot`], and what is in it at
    /// [`checkpoint`](crate::checkpoint).
    ///
    /// # Errors
    /// As [`Snapshot::save`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        Snapshot::of(self).save(path)
    }

    /// The optimizer that was [saved](Self::save), for parameters that are so many, or laid out so: the next step has the
    /// same bits as if there had been no interruption. At the best level of this CPU, in parallel if feature `rayon` is on.
    ///
    /// # Errors
    /// As [`Checkpoint::open`] and [`Checkpoint::optimizer`].
    pub fn load(path: impl AsRef<Path>, layout: impl Into<Layout>) -> Result<Self, Error> {
        Checkpoint::open(path)?.optimizer(layout)
    }
}

/// A file to resume from.
pub struct Checkpoint<F = File> {
    record: Record,
    layout: Layout,
    tensors: Tensors<F>,
}

impl Checkpoint {
    /// Opens a file, and reads what it says of itself.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be opened, or as [`read`](Self::read).
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let open = || Self::read(File::open(path)?);
        open().map_err(|error: Error| error.of(path))
    }
}

impl<F: Read + Seek> Checkpoint<F> {
    /// Reads from what is open, or in memory, from its beginning to its end.
    ///
    /// # Errors
    /// What is wrong with the header and the metadata; tensors have not been read then.
    pub fn read(source: F) -> Result<Self, Error> {
        let (record, tensors) = file::read(source)?;
        let layout = record.layout()?;
        // What an optimizer does not ask for is looked at here.
        if tensors.names().any(|name| name.starts_with("model.")) {
            for parameter in layout.parameters() {
                let name = parameter.model();
                tensors.expect(&name, tensors.dtype(&name).unwrap_or(Dtype::F32), &parameter.shape)?;
            }
        }
        if tensors.has(EXTRA) {
            tensors.expect(EXTRA, Dtype::U8, &[tensors.len(EXTRA)?])?;
        }
        Ok(Self { record, layout, tensors })
    }

    /// Calls `progress`, from now on, with the bytes that have been read into their places, and those of all tensors together:
    /// it stays below them if not all is asked for, and goes beyond if something is asked for twice.
    #[must_use]
    pub fn on_progress(mut self, progress: impl FnMut(u64, u64) + Send + 'static) -> Self {
        self.tensors.progress = Box::new(progress);
        self
    }

    /// What the parameters are.
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// How many steps had been taken.
    pub const fn steps(&self) -> u64 {
        self.record.steps
    }

    /// Reads every tensor, and compares it with its checksum, if the file has them: whether all that was saved is still there.
    ///
    /// # Errors
    /// [`Error::Checksum`], [`Error::Io`].
    pub fn verify(&mut self) -> Result<(), Error> {
        let names: Vec<_> = self.tensors.names().map(str::to_owned).collect();
        names.iter().try_for_each(|name| self.tensors.verify(name))
    }

    /// The optimizer that was saved, for parameters that are so many, or laid out so. Where a layout tells shapes and the
    /// file does too, they must be the same; what has no names may stand for what has.
    ///
    /// Its state is read to where it stays. State that is subnormal, as no step leaves it, becomes zero.
    ///
    /// # Errors
    /// [`Error::Optimizer`] or [`Error::Shape`] if the parameters of the file are others; [`Error::Optimizer`] if no optimizer can
    /// be made of what it says, as it is too large; [`Error::Rule`] and [`Error::Options`] if a rule is not of the type `R`; what
    /// is wrong with tensors.
    pub fn optimizer<R: Recorded>(&mut self, layout: impl Into<Layout>) -> Result<Optimizer<R>, Error> {
        let layout = self.layout.in_place_of(layout.into())?;
        let mut optimizer = self.without_state(layout)?;
        self.set_formats(&mut optimizer)?;
        self.check(&optimizer)?;
        optimizer.settled();
        optimizer.fill_scales(&mut self.tensors)?;
        for parameter in self.layout.parameters() {
            for (name, content) in optimizer.tensors_of(&parameter) {
                optimizer.fill(&mut self.tensors, parameter.range.clone(), name, content)?;
            }
        }
        Ok(optimizer)
    }

    /// Reads the parameters. The tensors are those of a [step](Optimizer::step_with); their gradients are not looked at, and may
    /// be left out.
    ///
    /// # Errors
    /// [`Error::Missing`] if the file has none, [`Error::Optimizer`] if the tensors are others, [`Error::Checksum`],
    /// [`Error::Io`]. Nothing has been written then, as they are read once before to see whether they are whole; unless the file
    /// itself changes in between.
    pub fn params(&mut self, tensors: &mut [Tensor<'_>]) -> Result<(), Error> {
        self.layout.check(tensors)?;
        let parameters = self.layout.parameters();
        let formats = cut(tensors.iter().map(Tensor::params), &parameters);
        for (parameter, pieces) in parameters.iter().zip(formats) {
            for piece in pieces {
                self.tensors.expect(&parameter.model(), dtype(piece.code.format()), &parameter.shape)?;
            }
            self.tensors.verify(&parameter.model())?;
        }
        let slices = tensors.iter_mut().map(Tensor::params_mut);
        for (parameter, pieces) in parameters.iter().zip(cut(slices, &parameters)) {
            let mut pieces: Vec<_> = pieces.into_iter().map(|piece| piece.bytes).collect();
            self.tensors.get(&parameter.model(), &mut pieces, |_| ())?;
        }
        Ok(())
    }

    /// Whether the trainer has added anything. What comes from PyTorch has nothing.
    pub fn has_extra(&self) -> bool {
        self.tensors.has(EXTRA)
    }

    /// What the trainer has added.
    ///
    /// # Errors
    /// [`Error::Missing`] if it has not, [`Error::Extra`] if it is of another type, [`Error::Checksum`], [`Error::Io`],
    /// also where it does not fit into memory.
    pub fn extra<T: DeserializeOwned>(&mut self) -> Result<T, Error> {
        let bytes = bytemuck::allocation::try_zeroed_vec::<u8>(self.tensors.len(EXTRA)?);
        let mut bytes = bytes.map_err(|()| io::Error::from(io::ErrorKind::OutOfMemory))?;
        self.tensors.get(EXTRA, &mut [&mut bytes], |_| ())?;
        let mut rest = &*bytes;
        let value = ciborium::from_reader(&mut rest).map_err(|error| match error {
            ciborium::de::Error::Semantic(_, reason) => Error::Extra { reason },
            other => Error::Extra { reason: format!("not CBOR: {other}") },
        })?;
        let reason = || format!("{} bytes are behind it", rest.len());
        if rest.is_empty() { Ok(value) } else { Err(Error::Extra { reason: reason() }) }
    }

    /// What the metadata says.
    fn without_state<R: Recorded>(&self, layout: Layout) -> Result<Optimizer<R>, Error> {
        let group = |(index, group): (usize, &record::Group)| {
            let rule = recorded::from_options(index, &group.options)?;
            let ranges = group.ranges.iter().map(|&(start, end)| start..end).collect();
            Ok(Group { rule, ranges, lr_scale: group.lr_scale, frozen: group.frozen })
        };
        let records = &self.record.param_groups;
        let mut groups = records.iter().enumerate().map(group).collect::<Result<Vec<_>, Error>>()?;
        // Without parameters there is one group without parameters, which only `new` can make.
        let mut optimizer = if layout.is_empty() && groups.len() == 1 {
            Optimizer::new(groups.remove(0).rule, layout)?
        } else {
            Optimizer::with_groups(groups, layout)?
        };
        optimizer.set_steps(self.record.steps);
        for (group, record) in records.iter().enumerate() {
            optimizer.set_frozen(group, record.frozen)?;
            optimizer.set_group_steps(group, record.steps)?;
            optimizer.set_group_lr(group, record.lr).map_err(|error| optimizer.in_group(group, error))?;
        }
        if let Some(record) = &self.record.ema {
            optimizer.set_ema(record.decay)?;
            optimizer.ema.iter_mut().for_each(|ema| ema.begun = record.begun);
        }
        Ok(optimizer)
    }

    /// State is kept as the file has it. A slot has one format everywhere.
    fn set_formats<R: Recorded>(&self, optimizer: &mut Optimizer<R>) -> Result<(), Error> {
        if let Some(formats) = &self.record.formats {
            let format = Format::all().iter().find(|format| format.name() == formats.state);
            let reason = || format!("there is no format {:?}", formats.state);
            optimizer.format = *format.ok_or_else(|| Error::Record { reason: reason() })?;
            optimizer.rounding = formats.seed.map_or(Rounding::Nearest, |seed| Rounding::Stochastic { seed });
            optimizer.set_split(formats.split)?;
        }
        let parameters = self.layout.parameters();
        for name in optimizer.state_names().collect::<Vec<_>>() {
            let found = parameters.iter().find_map(|parameter| self.tensors.dtype(&parameter.state(name)));
            // Also where there are no parameters.
            let found = found.or_else(|| self.tensors.has(&scales(name)).then_some(Dtype::U8));
            let is = |format: &&Format| Some(dtype(**format)) == found;
            if let Some(format) = Format::all().iter().find(is) {
                optimizer.set_state_format(name, *format)?;
            }
        }
        Ok(())
    }

    /// Whether the file has the tensors of an optimizer, and no others.
    fn check<R: Recorded>(&self, optimizer: &Optimizer<R>) -> Result<(), Error> {
        let mut known: HashSet<_> = [EXTRA, file::CHECKSUM].map(str::to_owned).into();
        for parameter in self.layout.parameters() {
            for (name, content) in optimizer.tensors_of(&parameter) {
                self.tensors.expect(&name, optimizer.dtype_of(&content), content.shape(&parameter))?;
                known.insert(name);
            }
            known.insert(parameter.model());
        }
        for slot in optimizer.scaled().into_iter().map(|slot| &optimizer.state[slot]) {
            self.tensors.expect(&scales(slot.name), Dtype::F32, &[slot.scales().len()])?;
            known.insert(scales(slot.name));
        }
        match self.tensors.names().find(|name| !known.contains(*name)) {
            Some(name) => Err(Error::Unknown { name: name.to_owned() }),
            None => Ok(()),
        }
    }
}

impl<R: Recorded> Optimizer<R> {
    /// Reads the scales of what is kept in blocks.
    fn fill_scales<F: Read + Seek>(&mut self, tensors: &mut Tensors<F>) -> Result<(), Error> {
        for slot in self.scaled() {
            let slot = &mut self.state[slot];
            let name = scales(slot.name);
            tensors.get(&name, &mut slot.scales_mut(), |_| ())?;
            let is_scale = |bytes: &&[u8]| {
                let scale = bytes.first_chunk().map(|bytes| f32::from_le_bytes(*bytes));
                scale.is_some_and(|scale| block8::is_scale(slot.code.is_signed(), scale))
            };
            if let Some(block) = slot.scales().iter().position(|bytes| !is_scale(bytes)) {
                return Err(Error::Scale { name, block });
            }
        }
        Ok(())
    }

    /// Reads one of its tensors, of the parameters in a range.
    fn fill<F: Read + Seek>(
        &mut self,
        tensors: &mut Tensors<F>,
        range: Range<usize>,
        name: String,
        content: Content,
    ) -> Result<(), Error> {
        match content {
            Content::Slot(slot) => {
                let code = self.state[slot].code;
                let pieces = &mut self.state[slot].pieces_mut(&range);
                tensors.get(&name, pieces, |bytes| Stream { code, bytes }.flush())?;
                let slot = &self.state[slot];
                self.check_stateless(slot.name, self.parts(&range), |part| slot.first_not_zero(part))?;
            }
            Content::Average => {
                if let Some(ema) = &mut self.ema {
                    tensors.get(&name, &mut ema.average.pieces_mut(&range), |_| ())?;
                }
            }
            Content::Lower => {
                if let Some(lower) = &mut self.lower {
                    tensors.get(&name, &mut lower.pieces_mut(&range), |_| ())?;
                }
            }
            Content::Steps(expected) => {
                let mut steps = [0.0_f32];
                tensors.get(&name, &mut [&mut steps], |_| ())?;
                let [found] = steps;
                if found.to_bits() != expected.to_bits() {
                    return Err(Error::Steps { name, expected, found });
                }
            }
        }
        Ok(())
    }
}

impl<F> fmt::Debug for Checkpoint<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpoint")
            .field("steps", &self.record.steps)
            .field("layout", &self.layout)
            .finish_non_exhaustive()
    }
}
