//! What came out: a table, a file of comma-separated values, a verdict.

use crate::case::Format;
use crate::measure::median;
use crate::peer::c::CEILING;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use std::io;

/// The claim: no peer is faster than lanestep by more than this.
const CLAIM: f64 = 1.03;

/// A peer in a case on so many threads.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) case: String,
    pub(crate) params: usize,
    pub(crate) threads: usize,
    pub(crate) peer: String,
    pub(crate) format: Format,
    pub(crate) outcome: Outcome,
    /// The share of all cores that others used, on average over the rounds, where the system tells.
    pub(crate) others: Option<f64>,
    /// Rounds that others disturbed.
    pub(crate) repeated: usize,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Outcome {
    /// ns a parameter, of each round.
    Timed(Vec<f64>),
    /// It does not compute AdamW, or does not at all.
    Wrong(String),
}

impl Row {
    pub(crate) fn median(&self) -> Option<f64> {
        match &self.outcome {
            Outcome::Timed(times) => median(times),
            Outcome::Wrong(_) => None,
        }
    }

    fn is_ours(&self) -> bool {
        self.peer.starts_with("lanestep")
    }

    fn place(&self) -> String {
        format!("{}, {}", self.case, threads(self.threads))
    }

    fn line(&self, rows: &[Self]) -> Line {
        let same =
            |row: &&Self| row.case == self.case && row.threads == self.threads && row.peer == "lanestep";
        let ours = rows.iter().find(same).and_then(Self::median);
        let (times, wrong) = match &self.outcome {
            Outcome::Timed(times) => (&**times, None),
            Outcome::Wrong(why) => (&[][..], Some(why.clone())),
        };
        let median = self.median();
        Line {
            case: self.case.clone(),
            params: self.params,
            threads: self.threads,
            peer: self.peer.clone(),
            median,
            min: times.iter().copied().min_by(f64::total_cmp),
            max: times.iter().copied().max_by(f64::total_cmp),
            ratio: median.zip(ours).map(|(theirs, ours)| theirs / ours),
            rounds: times.len(),
            others: self.others,
            repeated: self.repeated,
            wrong,
        }
    }
}

fn threads(count: usize) -> String {
    if count == 1 { "1 thread".into() } else { format!("{count} threads") }
}

/// A line of the file: times in ns a parameter, the ratio to lanestep in `f32`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) case: String,
    pub(crate) params: usize,
    pub(crate) threads: usize,
    pub(crate) peer: String,
    pub(crate) median: Option<f64>,
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
    pub(crate) ratio: Option<f64>,
    pub(crate) rounds: usize,
    pub(crate) others: Option<f64>,
    pub(crate) repeated: usize,
    pub(crate) wrong: Option<String>,
}

pub(crate) fn csv(rows: &[Row], to: impl io::Write) -> Result<()> {
    let mut writer = csv::Writer::from_writer(to);
    rows.iter().try_for_each(|row| writer.serialize(row.line(rows)))?;
    Ok(writer.flush()?)
}

pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = String::new();
    for case in rows.chunk_by(|a, b| a.place() == b.place()) {
        let Row { params, others, repeated, .. } = &case[0];
        let others = others.map_or("an unknown share".into(), |share| format!("{:.1} %", 100.0 * share));
        let tail = format!("others took {others} of the cores, {repeated} rounds repeated");
        _ = writeln!(text, "\n{}: {params} parameters; {tail}", case[0].place());
        for row in case {
            let line = row.line(rows);
            _ = write!(text, "  {:22}", line.peer);
            _ = match (line.wrong, line.median, line.min, line.max) {
                (Some(why), ..) => writeln!(text, " WRONG: {why}"),
                (None, Some(median), Some(min), Some(max)) => {
                    let ratio = line.ratio.map_or("?".into(), |ratio| format!("{ratio:.2}"));
                    writeln!(text, " {median:8.3} [{min:.3} .. {max:.3}] {ratio:>8}")
                }
                _ => writeln!(text, " no time"),
            };
        }
    }
    text
}

/// The worst ratio of ours to theirs in each case, like with like.
pub(crate) fn verdict(rows: &[Row]) -> String {
    let (mut text, mut refuted, mut all) = (String::new(), 0, 0);
    for case in rows.chunk_by(|a, b| a.place() == b.place()) {
        let (ours, theirs): (Vec<_>, Vec<_>) =
            case.iter().filter(|row| row.peer != CEILING).partition(|row| row.is_ours());
        for ours in ours {
            if let Outcome::Wrong(why) = &ours.outcome {
                _ = writeln!(text, "  {:28} {:18} WRONG: {why}", ours.place(), ours.peer);
                (all, refuted) = (all + 1, refuted + 1);
                continue;
            }
            let ratio = |theirs: &&Row| Some((ours.median()? / theirs.median()?, theirs.peer.clone()));
            let like = theirs.iter().filter(|theirs| theirs.format == ours.format);
            let Some((worst, peer)) = like.filter_map(ratio).max_by(|a, b| a.0.total_cmp(&b.0)) else {
                continue;
            };
            let sign = if worst > CLAIM { "REFUTED" } else { "" };
            _ = writeln!(text, "  {:28} {:18} {worst:5.2} x {peer:22} {sign}", ours.place(), ours.peer);
            (all, refuted) = (all + 1, refuted + usize::from(worst > CLAIM));
        }
    }
    format!(
        "\"Never slower than a peer by more than 3 %\": {refuted} of {all} rows refute it. lanestep takes\n{text}"
    )
}
