//! Every rule on one page: a picture, formula, state, paper, and when to use it. The options of each are in
//! [`rule`](crate::rule), with its order of operations in its module there, and its plain loop is in
//! [`reference`](crate::reference).
//!
#![doc = include_str!("../docs/gallery.svg")]
// The page begins with a heading and a link to the picture, which would lead nowhere from here: it ends this comment.
//!
//! <!--
#![doc = include_str!("../docs/rules.md")]
