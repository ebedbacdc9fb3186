//! The order in which gradients of micro-batches are summed, whoever has them.

use std::ops::Range;

/// A subtree of the binary tree over all micro-batches: the one with this index among those of its height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    level: u32,
    index: usize,
}

impl Node {
    const fn leaf(index: usize) -> Self {
        Self { level: 0, index }
    }

    const fn is_left_of(self, other: Self) -> bool {
        self.level == other.level && self.index.is_multiple_of(2) && self.index + 1 == other.index
    }

    const fn parent(self) -> Self {
        Self { level: self.level + 1, index: self.index / 2 }
    }
}

/// Subtrees from left to right with their sums, joined as soon as two siblings are there: a binary counter.
#[derive(Debug)]
pub(crate) struct Counter<T> {
    stack: Vec<(Node, T)>,
}

impl<T> Counter<T> {
    pub(crate) const fn new() -> Self {
        Self { stack: Vec::new() }
    }

    pub(crate) fn push_leaf(&mut self, index: usize, sum: T, join: impl FnMut(T, T) -> T) {
        self.push(Node::leaf(index), sum, join);
    }

    fn push(&mut self, mut node: Node, mut sum: T, mut join: impl FnMut(T, T) -> T) {
        while let Some((_, left)) = self.stack.pop_if(|(left, _)| left.is_left_of(node)) {
            (node, sum) = (node.parent(), join(left, sum));
        }
        self.stack.push((node, sum));
    }

    /// The sum of all: what has no right sibling goes up as it is.
    fn finish(mut self, mut join: impl FnMut(T, T) -> T) -> Option<T> {
        let (_, mut sum) = self.stack.pop()?;
        while let Some((_, left)) = self.stack.pop() {
            sum = join(left, sum);
        }
        Some(sum)
    }

    /// Takes the sums that there are, from left to right.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = T> {
        self.stack.drain(..).map(|(_, sum)| sum)
    }
}

/// Which subtrees a run of micro-batches ends in.
pub(crate) fn roots(leaves: Range<usize>) -> Vec<Node> {
    let mut counter = Counter::new();
    leaves.for_each(|leaf| counter.push_leaf(leaf, (), |(), ()| ()));
    counter.stack.into_iter().map(|(node, ())| node).collect()
}

/// How subtrees, from left to right and of all micro-batches, become one: in this order, the second of each two is added to
/// the first. What is left is in the first of all.
pub(crate) fn joins(roots: impl IntoIterator<Item = Node>) -> Vec<(usize, usize)> {
    let (mut counter, mut joins) = (Counter::new(), Vec::new());
    let mut join = |left, right| {
        joins.push((left, right));
        left
    };
    roots.into_iter().enumerate().for_each(|(place, node)| counter.push(node, place, &mut join));
    counter.finish(join);
    joins
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree as it is defined.
    fn whole(level: u32, index: usize, leaves: usize) -> String {
        let right = (2 * index + 1) << level.saturating_sub(1);
        match level {
            0 => index.to_string(),
            _ if right >= leaves => whole(level - 1, 2 * index, leaves),
            _ => format!(
                "({}+{})",
                whole(level - 1, 2 * index, leaves),
                whole(level - 1, 2 * index + 1, leaves)
            ),
        }
    }

    #[test]
    fn every_cut_is_summed_along_the_same_tree() {
        for leaves in 1..40_usize {
            let expected = whole(leaves.next_power_of_two().ilog2(), 0, leaves);
            for ranks in 1..20 {
                let mut all = Vec::new();
                let mut texts = Vec::new();
                for rank in 0..ranks {
                    let run = crate::cut::share(rank, ranks, leaves);
                    all.extend(roots(run.clone()));
                    let mut counter = Counter::new();
                    for leaf in run {
                        counter.push_leaf(leaf, leaf.to_string(), |left, right| format!("({left}+{right})"));
                    }
                    texts.extend(counter.drain());
                }
                assert_eq!(all.len(), texts.len());
                for (left, right) in joins(all) {
                    texts[left] = format!("({}+{})", texts[left], texts[right]);
                }
                assert_eq!(texts[0], expected, "{leaves} micro-batches on {ranks} ranks");
            }
        }
    }

    #[test]
    fn a_power_of_two_on_as_many_ranks_has_one_root_each() {
        assert!((0..8).all(|rank| roots(crate::cut::share(rank, 8, 64)).len() == 1));
        assert!(roots(3..3).is_empty() && joins([]).is_empty());
    }
}
