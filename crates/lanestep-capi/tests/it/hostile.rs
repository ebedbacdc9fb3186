//! Whatever is handed over, if only memory is what it says: an answer, no panic, and nothing written if it is an error.

use crate::hands::{Handle, message};
use lanestep_capi::*;
use std::ffi::{CString, c_char, c_void};
use std::ptr::{null, null_mut};

const FLOATS: usize = 64;
const NAMES: [&std::ffi::CStr; 5] = [c"a", c"b", c"exp_avg", c"none", c"\xff"];
const RULES: [&str; 7] = [
    r#"{"rule": "AdamW", "lr": 0.01}"#,
    r#"{"rule": "SGD", "lr": 0.1, "momentum": 0.9}"#,
    r#"{"rule": "LAMB"}"#,
    r#"[{"rule": {"rule": "Adam"}, "tensors": ["a"]}, {"rule": {"rule": "Lion"}, "tensors": ["b"]}]"#,
    r#"{"rule": "AdamW", "lr": "Infinity"}"#,
    r#"[{"rule": {"rule": "Adam"}, "ranges": [[0, 4]]}]"#,
    "[[[",
];
const LAYOUTS: [&str; 5] =
    ["8", r#"[["a", [2, 2]], ["b", [4]]]"#, r#"[["a", [6]], ["b", [2]]]"#, "0", "[[0]]"];

struct Random(fastrand::Rng);

impl Random {
    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.0.usize(..all.len())]
    }

    fn number(&mut self) -> f64 {
        self.of(&[0.0, 0.5, 1.0, -1.0, 1e-300, 1e300, f64::NAN, f64::INFINITY, 0.01])
    }

    /// Small in most cases.
    fn count(&mut self) -> usize {
        if self.0.u8(..) < 8 {
            return self.of(&[usize::MAX, isize::MAX as usize, usize::MAX / 4, 1 << 40]);
        }
        self.of(&[0, 1, 2, 4, 8])
    }

    fn flag(&mut self) -> i32 {
        if self.0.u8(..) < 8 { self.0.i32(..) } else { self.of(&[0, 0, 0, 1, 1, 2, 3]) }
    }

    fn text(&mut self, all: &[*const c_char]) -> *const c_char {
        if self.0.u8(..) < 8 { null() } else { self.of(all) }
    }

    /// Null, misaligned, or with room for `FLOATS / 2` numbers.
    fn place(&mut self, memory: *mut f32) -> *mut c_void {
        let at = memory.wrapping_add(self.0.usize(..=FLOATS / 2));
        match self.0.u8(..) {
            0..8 => null_mut(),
            8..16 => at.cast::<u8>().wrapping_add(self.0.usize(1..4)).cast(),
            16..20 => (usize::MAX - 1) as *mut c_void,
            _ => at.cast(),
        }
    }

    /// No longer than there is room for, or longer than there can be.
    fn tensor(&mut self, memory: [*mut f32; 3]) -> LanestepTensor {
        let names = NAMES.map(std::ffi::CStr::as_ptr);
        let [p, g, m] = memory;
        let other = self.of(&memory);
        let none = null_mut();
        let mirror = self.of(&[none, none, m, other]);
        let grads = if self.0.u8(..) < 16 { other } else { g };
        let len = self.count();
        LanestepTensor {
            params: self.place(p),
            grads: self.place(grads),
            mirror: if mirror.is_null() { none.cast() } else { self.place(mirror) },
            name: if self.0.bool() { null() } else { self.text(&names) },
            len: if (FLOATS / 2..1 << 60).contains(&len) { usize::MAX } else { len },
            params_format: self.of(&[0, 0, 0, 0, 1, 2, 3, -1]),
            grads_format: self.of(&[0, 0, 0, 0, 1, 2, 3, i32::MAX]),
            mirror_format: self.of(&[0, 1, 2, 3, i32::MIN]),
            zero_grads: self.flag(),
        }
    }

    fn pipeline(&mut self) -> LanestepPipeline {
        LanestepPipeline {
            scale: if self.0.bool() { 1.0 } else { self.number() },
            max_norm: self.number().abs(),
            clip_value: self.number(),
            min_param: self.number(),
            max_param: self.number(),
            has_max_norm: self.flag(),
            has_clip_value: self.of(&[0, 0, 1]),
            has_min_param: self.of(&[0, 0, 0, 1]),
            has_max_param: self.of(&[0, 0, 0, 1]),
            non_finite: self.of(&[0, 0, 1, 2, 2, 2, 3]),
            measure_grads: self.flag(),
            measure_update: self.flag(),
        }
    }
}

#[test]
fn random_arguments() {
    let mut random = Random(fastrand::Rng::with_seed(11));
    let (mut counts, mut slots) = ([0; 19], [const { None::<Handle> }; 3]);
    let mut memory = [[0.5_f32; FLOATS]; 3];
    let rules = RULES.map(|rule| CString::new(rule).unwrap());
    let rules: Vec<_> = rules.iter().map(|rule| rule.as_ptr()).collect();
    let layouts = LAYOUTS.map(|layout| CString::new(layout).unwrap());
    let layouts: Vec<_> = layouts.iter().map(|layout| layout.as_ptr()).collect();
    let names = NAMES.map(std::ffi::CStr::as_ptr);
    for call in 0..30_000 {
        let slot = random.0.usize(..slots.len());
        let h = slots[slot].as_ref().map_or(null_mut(), |handle| handle.0);
        let memories = memory.each_mut().map(|memory| memory.as_mut_ptr());
        let tensors: Vec<_> = (0..random.0.usize(..4)).map(|_| random.tensor(memories)).collect();
        let (t, n) = (tensors.as_ptr(), tensors.len());
        let (mut out, mut text) = (null_mut(), null_mut());
        let (mut number, mut double, mut size, mut long) = (0, 0.0, 0, 0);
        let (group, start, end) = (random.count().min(1 << 20), random.count(), random.count());
        let floats = random.place(memories[0]).cast::<f32>();
        // What is long enough not to be found too long must not be read, so that ranges are of eight at most.
        let len = if (FLOATS / 2..1 << 60).contains(&start) { 8 } else { start };
        let (flag, value, name) = (random.flag(), random.number(), random.text(&names));
        let rule = random.text(&rules);
        let before = memory.map(|memory| memory.map(f32::to_bits));
        // SAFETY: pointers are null, misaligned, beyond what can be, or have room for half of `FLOATS` numbers of this test.
        let status = unsafe {
            match random.0.u8(..80) {
                0 => lanestep_new(rule, end.min(8), &mut out),
                1..4 => lanestep_new_with(rule, random.text(&layouts), &mut out),
                4 => lanestep_clone(h, &mut out),
                5 => lanestep_set_threads(h, end),
                6 => lanestep_threads(h, &mut size),
                7 => lanestep_groups(h, &mut text),
                8 => lanestep_layout(h, &mut text),
                9 => lanestep_len(h, &mut size),
                10 => lanestep_group_rule(h, group, &mut text),
                11 => lanestep_set_rule(h, group, rule),
                12 => lanestep_frozen(h, group, &mut number),
                13 => lanestep_set_frozen(h, group, flag),
                14 => lanestep_group_lr(h, group, &mut double),
                15 => lanestep_set_lr(h, value),
                16 => lanestep_set_group_lr(h, group, value),
                17 => lanestep_set_steps(h, end as u64),
                18 => lanestep_group_steps(h, group, &mut long),
                19 => lanestep_set_group_steps(h, group, end as u64),
                20 => lanestep_state_names(h, &mut text),
                21 => lanestep_read_state(h, name, start, end, floats),
                22 => lanestep_set_state(h, name, start, end, floats),
                23 => lanestep_state_format(h, name, &mut number),
                24 => lanestep_set_state_format(h, name, flag),
                25 => lanestep_set_rounding(h, flag, end as u64),
                26 => lanestep_rounding(h, &mut number, &mut long),
                27 => lanestep_set_split(h, random.of(&[0, 0, 0, 1])),
                28 => lanestep_masters(h, t, n, floats, len),
                29 => lanestep_set_masters(h, floats, len, t, n),
                30 => lanestep_ema(h, &mut number, &mut double),
                31 => lanestep_set_ema(h, value),
                32 => lanestep_end_ema(h),
                33 => lanestep_read_ema(h, start, end, floats),
                34 => lanestep_restore_ema(h, floats, len),
                35 => lanestep_swap_ema(h, t, n),
                36 => lanestep_rule_state(rule, &mut text),
                _ => {
                    let pipeline = random.pipeline();
                    let pipeline = if random.0.bool() { null() } else { &raw const pipeline };
                    lanestep_step(h, t, n, pipeline, null_mut())
                }
            }
        };
        // SAFETY: it is null or a text of the library.
        unsafe { lanestep_text_free(text) };
        counts[status as usize] += 1;
        assert_ne!(status, LanestepStatus::Panic, "call {call}: {}", message());
        assert_ne!(status, LanestepStatus::Other, "call {call}: {}", message());
        if status == LanestepStatus::Ok {
            if !out.is_null() {
                slots[slot] = Some(Handle(out));
            }
            if random.0.u8(..) < 4 {
                slots[slot] = None;
            }
        } else {
            assert!(out.is_null() && text.is_null() && !message().is_empty());
            let after = memory.map(|memory| memory.map(f32::to_bits));
            assert!(before == after, "call {call} has written: {}", message());
        }
        match random.0.u8(..) {
            0..8 => memory = [[0.5; FLOATS]; 3],
            8..32 => memory[1][random.0.usize(..FLOATS)] = f32::NAN,
            _ => {}
        }
    }
    use LanestepStatus::*;
    for status in [Ok, Null, Alignment, Length, Overlap, Value, Text, Name, Groups, Format, State, NonFinite]
    {
        assert!(counts[status as usize] > 0, "{status:?} is never met: {counts:?}");
    }
}
