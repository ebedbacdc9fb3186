//! What is to be saved.

use super::file::{self, Entry, Progress};
use super::record::{self, Record};
use super::replace::replace;
use super::tensors::{Content, EXTRA, cut, dtype, lens, scales};
use super::{Error, Recorded, recorded};
use crate::store::Source;
use crate::{Element, Format, Optimizer, Rounding, Tensor};
use ciborium::de::from_reader_with_recursion_limit;
use safetensors::Dtype;
use serde::Serialize;
use serde::de::IgnoredAny;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::io::Write;
use std::path::Path;

/// An optimizer to be saved, with what else belongs to a run: its parameters, and whatever a trainer keeps.
pub struct Snapshot<'a, R> {
    optimizer: &'a Optimizer<R>,
    params: Option<Result<Vec<Params<'a>>, crate::Error>>,
    extra: Option<Result<Vec<u8>, Error>>,
    progress: Progress<'a>,
}

impl<'a, R: Recorded> Snapshot<'a, R> {
    /// All of an optimizer.
    #[must_use]
    pub fn of(optimizer: &'a Optimizer<R>) -> Self {
        Self { optimizer, params: None, extra: None, progress: Box::new(|_, _| ()) }
    }

    /// And the parameters: slices, or slices with names, or the tensors of a [step](Optimizer::step_with), which they must fit.
    ///
    /// ```
    /// # use lanestep::{AdamW, Layout, Optimizer, checkpoint::Snapshot};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (weight, bias) = (vec![0.5; 6], vec![0.0; 2]);
    /// let optimizer = Optimizer::new(AdamW::default(), Layout::new([("weight", 6), ("bias", 2)])?)?;
    /// let mut file = Vec::new();
    /// Snapshot::of(&optimizer).params([("weight", &weight[..]), ("bias", &bias)]).write(&mut file)?;
    /// # let mut again = Vec::new();
    /// Snapshot::of(&optimizer).params([&weight[..], &bias]).write(&mut again)?;
    /// assert_eq!(file, again);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn params(self, tensors: impl IntoIterator<Item = impl Into<Params<'a>>>) -> Self {
        let tensors: Vec<Params<'a>> = tensors.into_iter().map(Into::into).collect();
        let named = tensors.iter().map(|tensor| (tensor.name, tensor.params.len()));
        let checked = self.optimizer.layout.check_all(named);
        Self { params: Some(checked.map(|()| tensors)), ..self }
    }

    /// And a value of the trainer's: a [`Schedule`](crate::Schedule), a [`Health`](crate::Health), counters, seeds, or a
    /// structure of all these. Every number in it comes back with its bits, but for those of a signaling NaN in an `f32`;
    /// `Some(None)` comes back as `None`, for which the format has but one word.
    #[must_use]
    pub fn extra(self, value: &impl Serialize) -> Self {
        Self { extra: Some(to_cbor(value)), ..self }
    }

    /// Calls `progress` with the bytes that have been written, and those of all tensors together. Before the first call checksums are
    /// computed, and after the last the disk gets what is still on its way, which may take as long again.
    #[must_use]
    pub fn on_progress(self, progress: impl FnMut(u64, u64) + Send + 'a) -> Self {
        Self { progress: Box::new(progress), ..self }
    }

    /// What the optimizer is besides its numbers, in JSON: steps, layout, groups with their options and learning rates, average, formats. Two
    /// that go on alike from the same numbers have the same, also those of different [parts](crate::Layout::part) of the same parameters.
    ///
    /// # Errors
    /// [`Error::Options`] if a rule has no form in files.
    pub fn record(&self) -> Result<String, Error> {
        let text = serde_json::to_string(&record(self.optimizer, true)?.of_whole());
        text.map_err(|error| Error::Record { reason: error.to_string() })
    }

    /// Writes the file, or replaces it: at any moment, also if the process is killed or the power fails, there is either the old
    /// one or the new one, whole. When this returns, the new one is on the disk.
    ///
    /// It is written beside its place, so there must be room for both. A link is followed. On Linux the new file has no name until
    /// it is whole and on the disk, so that only a process that is killed just then leaves `.<name>.<six letters>` behind; on file
    /// systems that know no such files, any that is killed does.
    ///
    /// # Errors
    /// [`Error::File`] if there is no room, no permission or no such folder, or what is there is no file, or as
    /// [`write`](Self::write). The old file is as it was.
    pub fn save(self, path: impl AsRef<Path>) -> Result<(), Error> {
        let path = path.as_ref();
        replace(path, |file| self.write(file)).map_err(|error| error.of(path))
    }

    /// Writes the bytes of a file. The same optimizer, parameters and value make the same bytes, but for what has no order, such as a
    /// `HashMap`.
    ///
    /// # Errors
    /// [`Error::Io`] if they cannot be written; [`Error::Optimizer`] if the parameters are in the place of their
    /// [average](Optimizer::swap_ema), or are not the optimizer's; [`Error::Options`], [`Error::Extra`] if a rule or the value
    /// has no form in files; [`Error::Mixed`] if parameters of one tensor are in several formats; [`Error::Doubled`] if names of parameters and state run together, [`Error::HeaderLength`] if there
    /// are too many.
    pub fn write(mut self, mut out: impl Write) -> Result<(), Error> {
        let optimizer = self.optimizer;
        optimizer.check_unswapped()?;
        let (params, extra) = (self.params.transpose()?, self.extra.transpose()?);
        let mut entries = entries(optimizer);
        if let Some(params) = params {
            let parameters = optimizer.layout.parameters();
            let params = params.iter().map(|tensor| tensor.params);
            for (parameter, pieces) in parameters.iter().zip(cut(params, lens(&parameters))) {
                entries.push(numbers(parameter.model(), &parameter.shape, &pieces)?);
            }
        }
        if let Some(bytes) = extra {
            let (name, dtype, shape) = (EXTRA.to_owned(), Dtype::U8, vec![bytes.len()]);
            entries.push(Entry { name, dtype, shape, pieces: vec![Cow::Owned(bytes)] });
        }
        let record = record(optimizer, optimizer.layout.is_part())?;
        file::write(&mut out, record, entries, &mut self.progress)
    }
}

/// Parameters of a [`Snapshot`]: a slice, or with a name, or those of a [`Tensor`].
#[derive(Clone, Copy, Debug)]
pub struct Params<'a> {
    params: Source<'a>,
    name: Option<&'a str>,
}

impl<'a, P: Element> From<&'a [P]> for Params<'a> {
    fn from(params: &'a [P]) -> Self {
        Self { params: Source::of(params), name: None }
    }
}

impl<'a, P: Element> From<(&'a str, &'a [P])> for Params<'a> {
    fn from((name, params): (&'a str, &'a [P])) -> Self {
        Self { params: Source::of(params), name: Some(name) }
    }
}

impl<'a> From<&'a Tensor<'_>> for Params<'a> {
    fn from(tensor: &'a Tensor<'_>) -> Self {
        Self { params: tensor.params(), name: tensor.name }
    }
}

/// What is written with one level less than may be read, which the name of a variant takes.
const DEEPEST: usize = 255;

fn to_cbor(value: &impl Serialize) -> Result<Vec<u8>, Error> {
    let (mut bytes, failed) = (Vec::new(), |reason| Error::Extra { reason });
    ciborium::into_writer(value, &mut bytes).map_err(|error| match error {
        ciborium::ser::Error::Value(reason) => failed(reason),
        ciborium::ser::Error::Io(error) => failed(error.to_string()),
    })?;
    match from_reader_with_recursion_limit::<IgnoredAny, _>(&*bytes, DEEPEST) {
        Ok(IgnoredAny) => Ok(bytes),
        Err(_) => Err(failed(format!("it is nested more than {DEEPEST} levels deep, and could not be read"))),
    }
}

/// `is_part` says whether the formats of all slots are to be told.
fn record<R: Recorded>(optimizer: &Optimizer<R>, is_part: bool) -> Result<Record, Error> {
    let groups = optimizer.members.iter().enumerate().map(|(index, member)| {
        let group = &member.group;
        Ok(record::Group {
            options: recorded::to_options(index, &group.rule)?,
            lr: member.lr,
            lr_scale: group.lr_scale,
            frozen: group.frozen,
            steps: member.steps,
            ranges: group.ranges.iter().map(|range| (range.start, range.end)).collect(),
        })
    });
    let groups = groups.collect::<Result<_, Error>>()?;
    let ema = optimizer.ema_decay().map(|decay| record::Ema { decay, begun: optimizer.ema().is_some() });
    let blocks = !optimizer.scaled().is_empty();
    let seed = match optimizer.rounding {
        Rounding::Nearest => None,
        Rounding::Stochastic { seed } => Some(seed),
    };
    let plain = optimizer.format == Format::F32 && seed.is_none() && optimizer.lower.is_none() && !blocks;
    let slots = optimizer.state.iter().map(|slot| (slot.name.to_owned(), slot.format().name().to_owned()));
    let kept = record::Formats {
        state: optimizer.format.name().to_owned(),
        seed,
        split: optimizer.is_split(),
        slots: is_part.then(|| slots.collect()),
    };
    let formats = (is_part || !plain).then_some(kept);
    Ok(Record::new(optimizer.steps, &optimizer.layout, groups, ema, formats))
}

/// The tensors of the optimizer itself.
fn entries<R: Recorded>(optimizer: &Optimizer<R>) -> Vec<Entry<'_>> {
    let mut entries = Vec::new();
    for parameter in optimizer.layout.parameters() {
        for (name, content) in optimizer.tensors_of(&parameter) {
            let here = parameter.range.clone();
            let numbers = match content {
                Content::Slot(slot) => Some(&optimizer.state[slot]),
                Content::Average => optimizer.ema.as_ref().map(|ema| &ema.average),
                Content::Lower => optimizer.lower.as_ref(),
                Content::Steps(_) => None,
            };
            let mut pieces: Vec<_> = numbers.map_or_else(Vec::new, |slot| borrowed(slot.pieces(&here)));
            if let Content::Steps(steps) = content {
                pieces.push(Cow::Owned(steps.to_le_bytes().to_vec()));
            }
            let dtype = optimizer.dtype_of(&content);
            let shape = content.shape(&parameter).to_owned();
            entries.push(Entry { name, dtype, shape, pieces });
        }
    }
    for slot in optimizer.scaled().into_iter().map(|slot| &optimizer.state[slot]) {
        let pieces = borrowed(slot.scales(&optimizer.layout.places()));
        let (name, shape) = (scales(slot.name), vec![pieces.len()]);
        entries.push(Entry { name, dtype: Dtype::F32, shape, pieces });
    }
    entries
}

fn borrowed(pieces: Vec<&[u8]>) -> Vec<Cow<'_, [u8]>> {
    pieces.into_iter().map(Cow::Borrowed).collect()
}

/// A tensor of parameters, in the format of all its pieces.
fn numbers<'a>(name: String, shape: &[usize], pieces: &[Source<'a>]) -> Result<Entry<'a>, Error> {
    let dtypes = pieces.iter().map(|piece| dtype(piece.code.format()));
    let [dtype] = dtypes.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>()[..] else {
        return Err(Error::Mixed { name });
    };
    let pieces = pieces.iter().map(|piece| Cow::Borrowed(piece.bytes));
    Ok(Entry { name, dtype, shape: shape.to_owned(), pieces: pieces.collect() })
}

impl<R> fmt::Debug for Snapshot<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("steps", &self.optimizer.steps)
            .field("params", &self.params.is_some())
            .field("extra", &self.extra.is_some())
            .finish_non_exhaustive()
    }
}
