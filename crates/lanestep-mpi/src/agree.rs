//! Whether all ranks are about to do the same.

use crate::Error;
use mpi::Count;
use mpi::datatype::{Equivalence, PartitionMut};
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives, Root};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use twox_hash::XxHash3_64;

/// What a rank tells all others before a step.
pub(crate) struct Intent {
    /// Of all that must be alike.
    pub(crate) digest: u64,
    /// Of the parameters, or 0 where they need not be compared.
    pub(crate) params: u64,
}

impl Intent {
    /// To do something with what a text says.
    pub(crate) fn of(text: &Value) -> Self {
        Self { digest: XxHash3_64::oneshot(text.to_string().as_bytes()), params: 0 }
    }
}

/// Ends on all ranks alike: well, if all have the same intent. `text` is what the digest is of, in JSON, to be asked for
/// where digests differ; whether it was, is returned.
pub(crate) fn agree(
    world: &SimpleCommunicator,
    intent: Result<Intent, Error>,
    text: impl FnOnce() -> Result<Value, Error>,
) -> Result<bool, Error> {
    let word = match &intent {
        Ok(Intent { digest, params }) => [0, *digest, *params],
        Err(_) => [1, 0, 0],
    };
    let mut words = vec![0_u64; word.len() * world.size() as usize];
    world.all_gather_into(&word, &mut words);
    let (words, _) = words.as_chunks::<3>();

    if words.iter().any(|[failed, ..]| *failed > 0) {
        elsewhere(world, intent.map(drop))?;
    }
    let [_, digest, params] = words[0];
    let unlike = words.iter().any(|word| word[1] != digest);
    if unlike {
        let text = text();
        let value = text.as_ref().ok().cloned().unwrap_or_default();
        elsewhere(world, text.map(drop))?;
        alike(world, &value)?;
    }
    match words.iter().position(|word| word[2] != params) {
        Some(rank) => Err(Error::Params { rank }),
        None => Ok(unlike),
    }
}

/// What rank 0 has, on all ranks, or its error.
pub(crate) fn from_first<T: Serialize + DeserializeOwned>(
    world: &SimpleCommunicator,
    make: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    let made = if world.rank() == 0 { make().map(Some) } else { Ok(None) };
    let made = elsewhere(world, made)?;
    let text = broadcast(world, json!(made).to_string().into_bytes());
    Ok(serde_json::from_slice(&text).expect("what rank 0 has written"))
}

/// The bytes of rank 0.
fn broadcast(world: &SimpleCommunicator, mut bytes: Vec<u8>) -> Vec<u8> {
    let root = world.process_at_rank(0);
    let mut len = bytes.len();
    root.broadcast_into(&mut len);
    bytes.resize(len, 0);
    bytes.chunks_mut(1 << 30).for_each(|chunk| root.broadcast_into(chunk));
    bytes
}

/// This rank's error, or that of the first other that has one.
pub(crate) fn elsewhere<T>(world: &SimpleCommunicator, here: Result<T, Error>) -> Result<T, Error> {
    let message = here.as_ref().err().map(ToString::to_string);
    let messages = all_texts(world, &message.unwrap_or_default());
    let here = here?;
    match messages.into_iter().enumerate().find(|(_, message)| !message.is_empty()) {
        Some((rank, message)) => Err(Error::Elsewhere { rank, message }),
        None => Ok(here),
    }
}

/// Whether all ranks have rank 0's value.
fn alike(world: &SimpleCommunicator, value: &Value) -> Result<(), Error> {
    let bytes = broadcast(world, value.to_string().into_bytes());
    let expected = serde_json::from_slice(&bytes).unwrap_or_default();
    let found = difference(String::new(), &expected, value);
    let found = found.map(|found| Value::from(found.to_vec()).to_string());
    let all = all_texts(world, &found.unwrap_or_default());
    match all.iter().enumerate().find(|(_, found)| !found.is_empty()) {
        Some((rank, found)) => {
            let [what, expected, found] = serde_json::from_str(found).unwrap_or_default();
            Err(Error::Unlike { rank, what, expected, found })
        }
        None => Ok(()),
    }
}

/// Where two values differ first, and what they are there.
fn difference(path: String, expected: &Value, found: &Value) -> Option<[String; 3]> {
    match (expected, found) {
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
            let dot = if path.is_empty() { "" } else { "." };
            // What others follow from goes first.
            let first = ["len", "parameters", "param_groups"];
            let rest = a.keys().map(String::as_str).filter(|key| !first.contains(key));
            let mut keys = first.into_iter().filter(|key| a.contains_key(*key)).chain(rest);
            keys.find_map(|key| difference(format!("{path}{dot}{key}"), &a[key], &b[key]))
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().find_map(|(i, (a, b))| difference(format!("{path}[{i}]"), a, b))
        }
        (expected, found) => (expected != found).then(|| [path, brief(expected), brief(found)]),
    }
}

/// The beginning of a value, which may be long.
fn brief(value: &Value) -> String {
    const LONGEST: usize = 200;
    let mut text = value.to_string();
    if text.chars().count() > LONGEST {
        text = text.chars().take(LONGEST).chain("...".chars()).collect();
    }
    text
}

/// The text of each rank.
fn all_texts(world: &SimpleCommunicator, text: &str) -> Vec<String> {
    let (all, lens) = all(world, text.as_bytes());
    let mut rest = &all[..];
    let next = |len: usize| {
        let (here, after) = rest.split_at(len);
        rest = after;
        String::from_utf8_lossy(here).into_owned()
    };
    lens.into_iter().map(next).collect()
}

/// What all ranks have, in their order, and how much each has. For what is small.
pub(crate) fn all<T: Equivalence + Clone + Default>(
    world: &SimpleCommunicator,
    own: &[T],
) -> (Vec<T>, Vec<usize>) {
    let mut counts: Vec<Count> = vec![0; world.size() as usize];
    let count = Count::try_from(own.len()).expect("a small message");
    world.all_gather_into(&count, &mut counts);
    let mut end: Count = 0;
    let mut place = |count: &Count| {
        let place = end;
        end = end.checked_add(*count).expect("small messages");
        place
    };
    let places: Vec<_> = counts.iter().map(&mut place).collect();
    // An empty buffer of bytes without memory is at address 1, which is what Open MPI calls `MPI_IN_PLACE`.
    let (mut own, mut all) = (own.to_vec(), vec![T::default(); end as usize]);
    own.reserve(1);
    if end > 0 {
        world.all_gather_varcount_into(&own[..], &mut PartitionMut::new(&mut all, &counts[..], &places[..]));
    }
    (all, counts.into_iter().map(|count| count as usize).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_named() {
        let a = json!({"groups": [{"lr": 0.1}, {"lr": 0.1, "steps": 3}], "len": 5});
        assert_eq!(difference(String::new(), &a, &a), None);
        let mut b = a.clone();
        b["groups"][1]["steps"] = 4.into();
        let expected = ["groups[1].steps", "3", "4"].map(str::to_owned);
        assert_eq!(difference(String::new(), &a, &b), Some(expected));
        let c = json!({"groups": [], "len": 5});
        assert_eq!(difference(String::new(), &c, &json!({"len": 5, "groups": [1]})).unwrap()[0], "groups");
    }
}
