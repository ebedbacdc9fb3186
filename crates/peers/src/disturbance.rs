//! What others do on the machine meanwhile, from the kernel's counts of ticks (of 10 ms) in `/proc`.

use std::fs::read_to_string;

/// Ticks of all cores since the machine was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticks {
    total: u64,
    busy: u64,
    /// Of this program and its workers.
    own: u64,
}

impl Ticks {
    /// `None` where there is no such count.
    pub(crate) fn now(workers: &[u32]) -> Option<Self> {
        let mut own = process(&read_to_string("/proc/self/stat").ok()?)?;
        for worker in workers {
            // It may have ended.
            own += read_to_string(format!("/proc/{worker}/stat"))
                .ok()
                .and_then(|stat| process(&stat))
                .unwrap_or(0);
        }
        let (total, busy) = machine(&read_to_string("/proc/stat").ok()?)?;
        Some(Self { total, busy, own })
    }

    /// Others' share of all cores since then, and whether that is too much: above 5 %, and two ticks for the grain of the counts.
    pub(crate) fn others_since(self, before: Self) -> (f64, bool) {
        let passed = |of: fn(Self) -> u64| of(self).saturating_sub(of(before));
        let total = passed(|ticks| ticks.total).max(1) as f64;
        let others = passed(|ticks| ticks.busy).saturating_sub(passed(|ticks| ticks.own)) as f64;
        (others / total, others > 0.05 * total + 2.0)
    }
}

/// All ticks and the busy ones: the first line is `cpu user nice system idle iowait irq softirq steal ...`, and what
/// follows is counted in these already.
fn machine(stat: &str) -> Option<(u64, u64)> {
    let fields: Option<Vec<u64>> =
        stat.strip_prefix("cpu ")?.split_whitespace().take(8).map(|field| field.parse().ok()).collect();
    let fields = fields.filter(|fields| fields.len() >= 5)?;
    let total: u64 = fields.iter().sum();
    Some((total, total - fields[3] - fields[4]))
}

/// User's and system's ticks of a process: the 14th and 15th field, of which the second, a name, may hold anything.
fn process(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut field = || fields.next()?.parse::<u64>().ok();
    Some(field()? + field()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_what_is_busy_without_us() {
        let machine_then = "cpu  1000 10 200 5000 100 3 7 20 50 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n";
        let machine_now = "cpu  1100 10 210 5080 100 3 7 30 90 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n";
        let process_then = "42 (a ) b) R 1 1 1 0 -1 4194304 90 80 0 0 300 50 7 9 20 0 4 0";
        let process_now = "42 (a ) b) R 1 1 1 0 -1 4194304 90 80 0 0 370 60 99 99 20 0 4 0";
        let ticks = |stat, own| {
            let (total, busy) = machine(stat).unwrap();
            Ticks { total, busy, own: process(own).unwrap() }
        };
        let then = ticks(machine_then, process_then);
        assert_eq!(then, Ticks { total: 6340, busy: 1240, own: 350 });
        // 200 ticks have passed, 120 of them busy, 80 of those our own.
        assert_eq!(ticks(machine_now, process_now).others_since(then), (0.2, true));
    }

    #[test]
    fn a_tick_or_two_is_no_disturbance() {
        let then = Ticks { total: 100, busy: 50, own: 50 };
        assert!(!Ticks { total: 110, busy: 60, own: 58 }.others_since(then).1);
        assert!(Ticks { total: 110, busy: 60, own: 57 }.others_since(then).1);
        assert!(!Ticks { total: 1100, busy: 550, own: 498 }.others_since(then).1);
        assert!(Ticks { total: 1100, busy: 555, own: 502 }.others_since(then).1);
        assert_eq!(Ticks { total: 100, busy: 50, own: 60 }.others_since(then), (0.0, false));
    }

    #[test]
    fn other_texts_are_no_counts() {
        assert_eq!(machine("cpu0 1 2 3 4 5"), None);
        assert_eq!(machine("cpu  1 2 3"), None);
        assert_eq!(process("42 (name) R 1 1"), None);
    }
}
