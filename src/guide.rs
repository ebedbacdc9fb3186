// Of two definitions of a link the first holds: the chapters' own are for those who read them in the repository. Tests
// do without, so that they are known by the chapter's file and line.
#![cfg_attr(not(doctest), doc = include_str!("guide/links.md"))]
#![doc = include_str!("../docs/guide/README.md")]

#[cfg_attr(not(doctest), doc = include_str!("guide/links.md"))]
#[doc = include_str!("../docs/guide/start.md")]
pub mod start {}

#[cfg_attr(not(doctest), doc = include_str!("guide/links.md"))]
#[doc = include_str!("../docs/guide/groups.md")]
pub mod groups {}

#[cfg_attr(not(doctest), doc = include_str!("guide/links.md"))]
#[doc = include_str!("../docs/guide/pipeline.md")]
pub mod pipeline {}

// Its examples take feature `half`.
#[cfg_attr(not(doctest), doc = include_str!("guide/links.md"))]
#[cfg_attr(any(feature = "half", not(doctest)), doc = include_str!("../docs/guide/formats.md"))]
pub mod formats {}

// Its examples take feature `checkpoint`.
#[cfg_attr(not(doctest), doc = include_str!("guide/links.md"))]
#[cfg_attr(any(feature = "checkpoint", not(doctest)), doc = include_str!("../docs/guide/checkpoints.md"))]
pub mod checkpoints {}

#[cfg_attr(not(doctest), doc = include_str!("guide/links.md"))]
#[doc = include_str!("../docs/guide/adapters.md")]
pub mod adapters {}

#[cfg_attr(not(doctest), doc = include_str!("guide/links.md"))]
#[doc = include_str!("../docs/guide/distributed.md")]
pub mod distributed {}

#[cfg_attr(not(doctest), doc = include_str!("guide/links.md"))]
#[doc = include_str!("../docs/guide/numbers.md")]
pub mod numbers {}

#[cfg_attr(not(doctest), doc = include_str!("guide/links.md"))]
#[doc = include_str!("../docs/guide/speed.md")]
pub mod speed {}

#[cfg_attr(not(doctest), doc = include_str!("guide/links.md"))]
#[doc = include_str!("../docs/guide/cores.md")]
pub mod cores {}
