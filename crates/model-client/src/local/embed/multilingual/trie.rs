//! Finds all pieces of a vocabulary that a text begins with.

use std::collections::VecDeque;

/// No piece ends at a node.
const NO_PIECE: u32 = u32::MAX;

/// A piece of the vocabulary.
pub(super) struct Piece<'a> {
    /// The bytes that the piece stands for; not empty.
    pub(super) text: &'a [u8],
    /// Id of the piece that ends here.
    pub(super) id: u32,
}

/// A prefix tree over bytes. The children of a node lie behind one another, ordered by their bytes.
pub(super) struct Trie {
    nodes: Vec<Node>,
    /// The byte that leads to each node; the root's is not used.
    labels: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Node {
    first_child: u32,
    child_count: u16,
    piece: u32,
}

/// The sorted pieces that begin with a node's bytes.
struct Subtree {
    node: usize,
    start: usize,
    end: usize,
    depth: usize,
}

/// A match: the piece `id` is `length` bytes long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Match {
    pub(super) length: usize,
    pub(super) id: u32,
}

impl Trie {
    /// Builds the tree of distinct pieces.
    pub(super) fn new(mut pieces: Vec<Piece<'_>>) -> Self {
        pieces.sort_unstable_by(|a, b| a.text.cmp(b.text));
        let mut trie = Self { nodes: Vec::new(), labels: Vec::new() };
        trie.push(0);
        let mut subtrees = VecDeque::from([Subtree { node: 0, start: 0, end: pieces.len(), depth: 0 }]);
        while let Some(Subtree { node, mut start, end, depth }) = subtrees.pop_front() {
            // In sorted order, the piece that ends here is the first.
            if let Some(piece) = pieces[start..end].first().filter(|piece| piece.text.len() == depth) {
                trie.nodes[node].piece = piece.id;
                start += 1;
            }
            trie.nodes[node].first_child = u32::try_from(trie.nodes.len()).unwrap_or(u32::MAX);
            while let Some(label) = pieces[start..end].first().map(|piece| piece.text[depth]) {
                let count = pieces[start..end].partition_point(|piece| piece.text[depth] == label);
                subtrees.push_back(Subtree { node: trie.push(label), start, end: start + count, depth: depth + 1 });
                trie.nodes[node].child_count += 1;
                start += count;
            }
        }
        trie
    }

    fn push(&mut self, label: u8) -> usize {
        self.nodes.push(Node { first_child: 0, child_count: 0, piece: NO_PIECE });
        self.labels.push(label);
        self.nodes.len() - 1
    }

    /// The pieces that `text` begins with, the shortest first.
    pub(super) fn prefixes(&self, text: &[u8]) -> impl Iterator<Item = Match> {
        let mut node = self.nodes[0];
        let path = text.iter().map_while(move |byte| {
            let first = node.first_child as usize;
            let children = &self.labels[first..first + usize::from(node.child_count)];
            node = self.nodes[first + children.binary_search(byte).ok()?];
            Some(node.piece)
        });
        path.zip(1..).filter(|(piece, _)| *piece != NO_PIECE).map(|(id, length)| Match { length, id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn trie(pieces: &[&str]) -> Trie {
        let pieces = pieces.iter().zip(0..).map(|(text, id)| Piece { text: text.as_bytes(), id });
        Trie::new(pieces.collect())
    }

    #[test]
    fn prefixes_are_found_from_the_shortest_to_the_longest() {
        let trie = trie(&["pump", "p", "pumps", "q", "pu"]);
        let found = |text: &str| trie.prefixes(text.as_bytes()).map(|found| found.id).collect::<Vec<_>>();
        assert_eq!(found("pumping"), [1, 4, 0]);
        assert_eq!(found("pumps"), [1, 4, 0, 2]);
        assert_eq!(found("valve"), [0_u32; 0]);
        assert_eq!(found(""), [0_u32; 0]);
    }

    proptest! {
        #[test]
        fn the_trie_finds_what_a_comparison_with_every_piece_finds(
            pieces in prop::collection::btree_set("[ab\u{e9}]{1,4}", 1..30), text in "[ab\u{e9}]{0,8}"
        ) {
            let pieces: Vec<_> = pieces.iter().map(String::as_str).collect();
            let mut expected: Vec<_> = pieces
                .iter()
                .zip(0..)
                .filter(|(piece, _)| text.starts_with(**piece))
                .map(|(piece, id)| Match { length: piece.len(), id })
                .collect();
            expected.sort_by_key(|found| found.length);
            prop_assert_eq!(trie(&pieces).prefixes(text.as_bytes()).collect::<Vec<_>>(), expected);
        }
    }
}
