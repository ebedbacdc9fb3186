//! Whether all ranks are about to do the same.

use crate::Error;
use mpi::Count;
use mpi::datatype::PartitionMut;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives, Root};
use serde_json::Value;
use twox_hash::XxHash3_64;

pub(crate) fn digest(bytes: &[u8]) -> u64 {
    XxHash3_64::oneshot(bytes)
}

/// Ends on all ranks alike: well, if all are here without an error, with the same `digest` of the same text, and with the same
/// parameters. The texts, in JSON, are asked for where digests differ only.
pub(crate) fn agree(
    world: &SimpleCommunicator,
    here: Result<(), Error>,
    digest: u64,
    params: u64,
    text: impl FnOnce() -> Result<String, Error>,
) -> Result<(), Error> {
    let here_word = [u64::from(here.is_err()), digest, params];
    let mut words = vec![0; 3 * world.size() as usize];
    world.all_gather_into(&here_word, &mut words);
    let (words, _) = words.as_chunks::<3>();
    let first = |differs: &dyn Fn(&[u64; 3]) -> bool| words.iter().position(differs);

    if first(&|word| word[0] != 0).is_some() {
        return elsewhere(world, here);
    }
    if first(&|word| word[1] != words[0][1]).is_some() {
        let text = text();
        alike(world, text.as_deref().unwrap_or_default())?;
        elsewhere(world, text.map(drop))?;
    }
    match first(&|word| word[2] != words[0][2]) {
        Some(rank) => Err(Error::Params { rank }),
        None => Ok(()),
    }
}

/// This rank's error, or that of the first other that has one.
pub(crate) fn elsewhere(world: &SimpleCommunicator, here: Result<(), Error>) -> Result<(), Error> {
    let message = here.as_ref().err().map(ToString::to_string);
    let messages = all_texts(world, message.as_deref().unwrap_or_default());
    here?;
    match messages.into_iter().enumerate().find(|(_, message)| !message.is_empty()) {
        Some((rank, message)) => Err(Error::Elsewhere { rank, message }),
        None => Ok(()),
    }
}

/// Whether all ranks have rank 0's text.
fn alike(world: &SimpleCommunicator, text: &str) -> Result<(), Error> {
    let root = world.process_at_rank(0);
    let mut len = text.len();
    root.broadcast_into(&mut len);
    let mut expected = if world.rank() == 0 { text.as_bytes().to_vec() } else { vec![0; len] };
    for chunk in expected.chunks_mut(1 << 30) {
        root.broadcast_into(chunk);
    }
    let parse = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap_or_default();
    let found = difference(String::new(), &parse(&expected), &parse(text.as_bytes()));
    let found = found.map(|found| Value::from(found.to_vec()).to_string());
    let all = all_texts(world, found.as_deref().unwrap_or_default());
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
            a.iter().zip(b).find_map(|((key, a), (_, b))| difference(format!("{path}{dot}{key}"), a, b))
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().find_map(|(i, (a, b))| difference(format!("{path}[{i}]"), a, b))
        }
        (expected, found) => (expected != found).then(|| [path, expected.to_string(), found.to_string()]),
    }
}

/// The text of each rank. For short ones.
fn all_texts(world: &SimpleCommunicator, text: &str) -> Vec<String> {
    const LONGEST: usize = 1 << 16;
    let text = &text.as_bytes()[..text.len().min(LONGEST)];
    let mut counts = vec![0; world.size() as usize];
    world.all_gather_into(&(text.len() as Count), &mut counts);
    let mut places = Vec::with_capacity(counts.len());
    let mut end = 0;
    for count in &counts {
        places.push(end);
        end += count;
    }
    let mut all = vec![0; end as usize];
    world.all_gather_varcount_into(text, &mut PartitionMut::new(&mut all, &counts[..], &places[..]));
    let mut rest = &all[..];
    let mut next = |count: &Count| {
        let (here, after) = rest.split_at(*count as usize);
        rest = after;
        String::from_utf8_lossy(here).into_owned()
    };
    counts.iter().map(&mut next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
