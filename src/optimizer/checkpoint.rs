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

use super::group;
use super::slot::{self, Slot};
use crate::store::{SCALE, Stream, block8};
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
use std::sync::{Arc, Mutex, PoisonError};
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

/// A file to resume from, or several with a part of the parameters each.
pub struct Checkpoint<F = File> {
    /// What all files say alike.
    record: Record,
    /// What the parameters are that they have together.
    layout: Layout,
    parts: Vec<Part<F>>,
}

/// A file, and the parameters that it has.
struct Part<F> {
    layout: Layout,
    tensors: Tensors<F>,
}

impl Checkpoint {
    /// Opens a file, and reads what it says of itself.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be opened, or as [`read`](Self::read).
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_parts([path])
    }

    /// Opens files that were saved from optimizers of [parts](Layout::part) of the same parameters after the same step, in any order.
    ///
    /// What they have together is one checkpoint: for an optimizer of all of it, or of any part, wherever it was cut when it was
    /// saved. For a part, the files that have some of it are enough.
    ///
    /// # Errors
    /// As [`open`](Self::open), [`Error::Apart`] if files are not of one optimizer at one step, [`Error::Hole`] and [`Error::Twice`] if their parts
    /// do not lie end to end.
    pub fn open_parts(paths: impl IntoIterator<Item = impl AsRef<Path>>) -> Result<Self, Error> {
        let open = |path: &Path| -> Result<_, Error> { file::read(File::open(path)?) };
        let mut files = Vec::new();
        for path in paths {
            files.push(open(path.as_ref()).map_err(|error| error.of(path.as_ref()))?);
        }
        Self::of(files)
    }
}

impl<F: Read + Seek> Checkpoint<F> {
    /// Reads from what is open, or in memory, from its beginning to its end.
    ///
    /// # Errors
    /// What is wrong with the header and the metadata; tensors have not been read then.
    pub fn read(source: F) -> Result<Self, Error> {
        Self::read_parts([source])
    }

    /// Reads from several, each of a part, as [`open_parts`](Checkpoint::open_parts).
    ///
    /// # Errors
    /// As [`open_parts`](Checkpoint::open_parts).
    pub fn read_parts(sources: impl IntoIterator<Item = F>) -> Result<Self, Error> {
        Self::of(sources.into_iter().map(file::read).collect::<Result<_, _>>()?)
    }

    fn of(files: Vec<(Record, Tensors<F>)>) -> Result<Self, Error> {
        let (mut parts, mut first): (Vec<Part<F>>, Option<Record>) = (Vec::new(), None);
        for (index, (record, tensors)) in files.into_iter().enumerate() {
            let layout = record.layout()?;
            // What an optimizer does not ask for is looked at here.
            if tensors.names().any(|name| name.starts_with("model.")) {
                for parameter in layout.parameters() {
                    let name = parameter.model();
                    let dtype = tensors.dtype(&name).unwrap_or(Dtype::F32);
                    tensors.expect(&name, dtype, &parameter.shape)?;
                }
            }
            if tensors.has(EXTRA) {
                tensors.expect(EXTRA, Dtype::U8, &[tensors.len(EXTRA)?])?;
            }
            if first.as_ref().is_some_and(|first| !record.goes_with(first)) {
                return Err(Error::Apart { index });
            }
            first.get_or_insert(record);
            parts.push(Part { layout, tensors });
        }
        let record = first.ok_or(Error::NoFile)?;
        parts.sort_by_key(|part| (part.layout.places().start, part.layout.places().end));
        let mut end = parts[0].layout.places().start;
        for part in &parts {
            let places = part.layout.places();
            if places.start > end {
                return Err(Error::Hole { start: end, end: places.start });
            }
            if places.start < end {
                return Err(Error::Twice { start: places.start, end: end.min(places.end) });
            }
            end = places.end;
        }
        let layout = parts[0].layout.clone();
        let start = layout.places().start;
        Ok(Self { record, layout: layout.with_places(start..end), parts })
    }

    /// Calls `progress`, from now on, with the bytes that have been read into their places, and those of all tensors together:
    /// it stays below them if not all is asked for, and goes beyond if something is asked for twice.
    #[must_use]
    pub fn on_progress(mut self, progress: impl FnMut(u64, u64) + Send + 'static) -> Self {
        let total = self.parts.iter().map(|part| part.tensors.total).sum();
        let all = Arc::new(Mutex::new((progress, 0)));
        for part in &mut self.parts {
            let (all, mut before) = (all.clone(), 0);
            part.tensors.progress = Box::new(move |done, _| {
                let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
                all.1 += done - before;
                before = done;
                let done = all.1;
                (all.0)(done, total);
            });
        }
        self
    }

    /// What the parameters are.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// How many steps had been taken.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.record.steps
    }

    /// Reads every tensor, and compares it with its checksum, if the file has them: whether all that was saved is still there.
    ///
    /// # Errors
    /// [`Error::Checksum`], [`Error::Io`].
    pub fn verify(&mut self) -> Result<(), Error> {
        for Part { tensors, .. } in &mut self.parts {
            let names: Vec<_> = tensors.names().map(str::to_owned).collect();
            names.iter().try_for_each(|name| tensors.verify(name))?;
        }
        Ok(())
    }

    /// The optimizer that was saved, for parameters that are so many, or laid out so, or for a [part](Layout::part) of them. Where a
    /// layout tells shapes and the file does too, they must be the same; what has no names may stand for what has.
    ///
    /// Its state is read to where it stays. State that is subnormal, as no step leaves it, becomes zero.
    ///
    /// # Errors
    /// [`Error::Optimizer`] or [`Error::Shape`] if the parameters of the file are others; [`Error::Optimizer`] if no optimizer can
    /// be made of what it says, as it is too large; [`Error::Hole`] if the files do not have all parameters; [`Error::Rule`] and
    /// [`Error::Options`] if a rule is not of the type `R`; what is wrong with tensors.
    pub fn optimizer<R: Recorded>(&mut self, layout: impl Into<Layout>) -> Result<Optimizer<R>, Error> {
        let layout = self.layout.in_place_of(layout.into())?;
        let places = layout.places();
        self.check_has(&places)?;
        let mut optimizer = self.without_state(layout)?;
        self.set_formats(&mut optimizer)?;
        optimizer.settled();
        for part in &self.parts {
            part.check(&optimizer)?;
        }
        for Part { layout, tensors } in &mut self.parts {
            let here = both(&layout.places(), &places);
            optimizer.fill_scales(tensors, &layout.places(), &here)?;
            for parameter in layout.parameters() {
                let here = both(&parameter.range, &here);
                for (name, content) in optimizer.tensors_of(&parameter) {
                    optimizer.fill(tensors, &parameter.range, &here, name, content)?;
                }
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
        self.params_of(&self.layout.clone(), tensors)
    }

    /// Reads the parameters of a [part](Layout::part).
    ///
    /// # Errors
    /// As [`params`](Self::params), [`Error::Hole`] if the files do not have all of it.
    pub fn params_of(&mut self, layout: &Layout, tensors: &mut [Tensor<'_>]) -> Result<(), Error> {
        let layout = self.layout.in_place_of(layout.clone())?;
        layout.check(tensors)?;
        self.check_has(&layout.places())?;
        // Which tensor of which file has what of them, in order.
        let mut wanted = Vec::new();
        for (part, Part { layout: of_part, .. }) in self.parts.iter().enumerate() {
            for parameter in of_part.parameters() {
                let here = both(&parameter.range, &layout.places());
                if !here.is_empty() {
                    wanted.push((part, parameter.model(), parameter.shape, parameter.range.start, here));
                }
            }
        }
        let lens: Vec<_> = wanted.iter().map(|(.., here)| here.len()).collect();
        let formats = cut(tensors.iter().map(Tensor::params), lens.iter().copied());
        for ((part, name, shape, ..), pieces) in wanted.iter().zip(formats) {
            let tensors = &mut self.parts[*part].tensors;
            for piece in pieces {
                tensors.expect(name, dtype(piece.code.format()), shape)?;
            }
            tensors.verify(name)?;
        }
        let slices = tensors.iter_mut().map(Tensor::params_mut);
        for ((part, name, _, start, here), pieces) in wanted.iter().zip(cut(slices, lens)) {
            let width = pieces.first().map_or(0, |piece| piece.code.width());
            let mut pieces: Vec<_> = pieces.into_iter().map(|piece| piece.bytes).collect();
            let first = (here.start - start) * width;
            self.parts[*part].tensors.get(name, first, &mut pieces, |_| ())?;
        }
        Ok(())
    }

    /// Whether the files have all of some parameters.
    fn check_has(&self, range: &Range<usize>) -> Result<(), Error> {
        let places = self.layout.places();
        if range.is_empty() || places.start <= range.start && range.end <= places.end {
            return Ok(());
        }
        if range.start < places.start {
            return Err(Error::Hole { start: range.start, end: places.start.min(range.end) });
        }
        Err(Error::Hole { start: places.end.max(range.start), end: range.end })
    }

    /// Whether the trainer has added anything. What comes from PyTorch has nothing.
    #[must_use]
    pub fn has_extra(&self) -> bool {
        self.parts.iter().any(|part| part.tensors.has(EXTRA))
    }

    /// What the trainer has added; of several files, to the first that has something.
    ///
    /// # Errors
    /// [`Error::Missing`] if it has not, [`Error::Extra`] if it is of another type, [`Error::Checksum`], [`Error::Io`],
    /// also where it does not fit into memory.
    pub fn extra<T: DeserializeOwned>(&mut self) -> Result<T, Error> {
        let part = self.parts.iter_mut().find(|part| part.tensors.has(EXTRA));
        let Part { tensors, .. } = part.ok_or_else(|| Error::Missing { name: EXTRA.to_owned() })?;
        let bytes = bytemuck::allocation::try_zeroed_vec::<u8>(tensors.len(EXTRA)?);
        let mut bytes = bytes.map_err(|()| io::Error::from(io::ErrorKind::OutOfMemory))?;
        tensors.get(EXTRA, 0, &mut [&mut bytes], |_| ())?;
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
        let mut optimizer = if layout.whole() == 0 && groups.len() == 1 {
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
        let named = |name: &str| {
            let format = Format::all().iter().find(|format| format.name() == name).copied();
            format.ok_or_else(|| Error::Record { reason: format!("there is no format {name:?}") })
        };
        if let Some(formats) = &self.record.formats {
            optimizer.format = named(&formats.state)?;
            optimizer.rounding = formats.seed.map_or(Rounding::Nearest, |seed| Rounding::Stochastic { seed });
            optimizer.set_split(formats.split)?;
        }
        let slots = self.record.formats.as_ref().and_then(|formats| formats.slots.as_ref());
        for name in optimizer.state_names().collect::<Vec<_>>() {
            // A part may have no tensor to tell it.
            let format = if let Some(slots) = slots {
                let reason = || format!("it tells no format of the state {name:?}");
                Some(named(slots.get(name).ok_or_else(|| Error::Record { reason: reason() })?)?)
            } else {
                let found = self.parts.iter().find_map(|part| part.dtype(name));
                Format::all().iter().find(|format| Some(dtype(**format)) == found).copied()
            };
            if let Some(format) = format {
                optimizer.set_state_format(name, format)?;
            }
        }
        Ok(())
    }
}

impl<F: Read + Seek> Part<F> {
    /// What the file has a slot in.
    fn dtype(&self, slot: &str) -> Option<Dtype> {
        let parameters = self.layout.parameters();
        let found = parameters.iter().find_map(|parameter| self.tensors.dtype(&parameter.state(slot)));
        // Also where there are no parameters.
        found.or_else(|| self.tensors.has(&scales(slot)).then_some(Dtype::U8))
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
        let places = self.layout.places();
        for slot in optimizer.scaled().into_iter().map(|slot| &optimizer.state[slot]) {
            let blocks = optimizer.scales_of(slot, &places, places.clone());
            self.tensors.expect(&scales(slot.name), Dtype::F32, &[blocks])?;
            known.insert(scales(slot.name));
        }
        match self.tensors.names().find(|name| !known.contains(*name)) {
            Some(name) => Err(Error::Unknown { name: name.to_owned() }),
            None => Ok(()),
        }
    }
}

impl<R: Recorded> Optimizer<R> {
    /// How many scales a file with a part of the parameters has of a slot for some of them.
    fn scales_of(&self, slot: &Slot, part: &Range<usize>, range: Range<usize>) -> usize {
        slot::scales(slot.code, &group::edges(&self.runs, part.clone()), range).count()
    }

    /// Reads the scales of what is kept in blocks, of parameters that are here and in a file that has those of `part`.
    fn fill_scales<F: Read + Seek>(
        &mut self,
        tensors: &mut Tensors<F>,
        part: &Range<usize>,
        here: &Range<usize>,
    ) -> Result<(), Error> {
        for slot in self.scaled() {
            let before = self.scales_of(&self.state[slot], part, part.start..here.start);
            let slot = &mut self.state[slot];
            let name = scales(slot.name);
            tensors.get(&name, SCALE * before, &mut slot.scales_mut(here), |_| ())?;
            let is_scale = |bytes: &&[u8]| {
                let scale = bytes.first_chunk().map(|bytes| f32::from_le_bytes(*bytes));
                scale.is_some_and(|scale| block8::is_scale(slot.code.is_signed(), scale))
            };
            if let Some(block) = slot.scales(here).iter().position(|bytes| !is_scale(bytes)) {
                return Err(Error::Scale { name, block });
            }
        }
        Ok(())
    }

    /// Reads one of its tensors, which has the parameters of `all`, of those that are here.
    fn fill<F: Read + Seek>(
        &mut self,
        tensors: &mut Tensors<F>,
        all: &Range<usize>,
        here: &Range<usize>,
        name: String,
        content: Content,
    ) -> Result<(), Error> {
        if here.is_empty() {
            return Ok(());
        }
        let before = here.start - all.start;
        match content {
            Content::Slot(slot) => {
                let code = self.state[slot].code;
                let pieces = &mut self.state[slot].pieces_mut(here);
                tensors.get(&name, code.width() * before, pieces, |bytes| Stream { code, bytes }.flush())?;
                let slot = &self.state[slot];
                self.check_stateless(slot.name, self.parts(here), |part| slot.first_not_zero(part))?;
            }
            Content::Average => {
                if let Some(ema) = &mut self.ema {
                    tensors.get(&name, 4 * before, &mut ema.average.pieces_mut(here), |_| ())?;
                }
            }
            Content::Lower => {
                if let Some(lower) = &mut self.lower {
                    tensors.get(&name, 2 * before, &mut lower.pieces_mut(here), |_| ())?;
                }
            }
            Content::Steps(expected) => {
                let mut steps = [0.0_f32];
                tensors.get(&name, 0, &mut [&mut steps], |_| ())?;
                let [found] = steps;
                if found.to_bits() != expected.to_bits() {
                    return Err(Error::Steps { name, expected, found });
                }
            }
        }
        Ok(())
    }
}

/// What is in two ranges; of none, a place in the first.
fn both(a: &Range<usize>, b: &Range<usize>) -> Range<usize> {
    let start = a.start.max(b.start).min(a.end);
    start..a.end.min(b.end).max(start)
}

impl<F> fmt::Debug for Checkpoint<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpoint")
            .field("steps", &self.record.steps)
            .field("layout", &self.layout)
            .finish_non_exhaustive()
    }
}
