#![doc = include_str!("../docs/scaling.md")]
