//! The loops of a graph: its strongly connected components of more than one file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Files from each of which every other one of the same set can be reached.
pub(super) fn find<'a>(
    arrows: impl Iterator<Item = &'a (PathBuf, PathBuf)>,
) -> Vec<BTreeSet<PathBuf>> {
    let mut forth: Graph<'a> = BTreeMap::new();
    let mut back: Graph<'a> = BTreeMap::new();
    for (from, to) in arrows {
        forth.entry(from).or_default().insert(to);
        back.entry(to).or_default().insert(from);
    }
    // Kosaraju: in the order in which the files are left, last first, what reaches a file backwards
    // and is not yet placed is in one circle with it.
    let mut left = Vec::new();
    let mut seen = BTreeSet::new();
    for file in forth.keys().copied() {
        visit(&forth, file, &mut seen, &mut left);
    }
    let mut placed = BTreeSet::new();
    let mut circles = Vec::new();
    for file in left.into_iter().rev() {
        let mut circle = Vec::new();
        visit(&back, file, &mut placed, &mut circle);
        if circle.len() > 1 {
            circles.push(circle.into_iter().cloned().collect());
        }
    }
    circles.sort();
    circles
}

type Graph<'a> = BTreeMap<&'a PathBuf, BTreeSet<&'a PathBuf>>;

/// Adds what can be reached from a file, the furthest first. As deep as the longest way.
fn visit<'a>(
    graph: &Graph<'a>,
    file: &'a PathBuf,
    seen: &mut BTreeSet<&'a PathBuf>,
    left: &mut Vec<&'a PathBuf>,
) {
    if !seen.insert(file) {
        return;
    }
    for next in graph.get(file).into_iter().flatten() {
        visit(graph, next, seen, left);
    }
    left.push(file);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circles(arrows: &[(&str, &str)]) -> Vec<Vec<String>> {
        let arrows: Vec<(PathBuf, PathBuf)> = arrows
            .iter()
            .map(|(from, to)| (PathBuf::from(from), PathBuf::from(to)))
            .collect();
        find(arrows.iter())
            .into_iter()
            .map(|files| {
                files
                    .iter()
                    .map(|file| file.display().to_string())
                    .collect()
            })
            .collect()
    }

    #[test]
    fn finds_every_loop_and_nothing_beside_it() {
        let arrows = [
            ("above", "a"),
            ("a", "b"),
            ("b", "c"),
            ("c", "a"),
            ("c", "below"),
            ("below", "x"),
            ("x", "y"),
            ("y", "x"),
        ];
        assert_eq!(circles(&arrows), [vec!["a", "b", "c"], vec!["x", "y"]]);
    }

    #[test]
    fn a_graph_without_loops_has_no_circle() {
        assert!(circles(&[("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]).is_empty());
    }
}
