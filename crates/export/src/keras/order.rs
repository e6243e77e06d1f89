//! The order in which Keras has the layers of a model, by which it files their weights.
//!
//! ```text
//! Distance     of a layer from the output: the longest way there
//! Order        those that are further from the output first; of those that are equally far the one
//!              that a walk back from the output meets first, through what each takes, in order
//! Names        of a class the first conv2d, then conv2d_1, …, whatever the layers are called
//! Reference    Keras 3.15, `ops/function.py`: `map_graph`; `saving/saving_lib.py`:
//!              `_save_container_state`
//! ```

use std::cmp::Reverse;
use std::collections::BTreeMap;

/// What each layer takes, of which `None` is the input.
pub(super) type Takes = Vec<Option<usize>>;

/// What Keras calls each layer among the weights, where the last gives the output.
pub(super) fn names(
    takes: &[Takes],
    last: Option<usize>,
    class: impl Fn(usize) -> String,
) -> Vec<String> {
    let (met, finished) = walk_back(takes, last);
    let mut distances = vec![0; takes.len()];
    for &i in finished.iter().rev() {
        for before in takes[i].iter().flatten() {
            distances[*before] = distances[*before].max(distances[i] + 1);
        }
    }
    let mut order: Vec<usize> = (0..takes.len()).collect();
    order.sort_by_key(|&i| (Reverse(distances[i]), met[i]));
    let (mut counts, mut names) = (BTreeMap::new(), vec![String::new(); takes.len()]);
    for i in order {
        let class = class(i);
        let count: &mut usize = counts.entry(class.clone()).or_default();
        names[i] = if *count == 0 { class } else { format!("{class}_{count}") };
        *count += 1;
    }
    names
}

/// When each layer is met, and all that are met in the order in which the walk leaves them.
fn walk_back(takes: &[Takes], last: Option<usize>) -> (Vec<usize>, Vec<usize>) {
    let (mut met, mut finished) = (vec![usize::MAX; takes.len()], Vec::new());
    // The layers on the way back, and how many of those that each takes were looked at.
    let mut way: Vec<(usize, usize)> = last.map(|last| (last, 0)).into_iter().collect();
    let mut next = 0;
    while let Some((i, seen)) = way.last_mut() {
        if *seen == 0 {
            met[*i] = next;
            next += 1;
        }
        let Some(before) = takes[*i].get(*seen) else {
            finished.push(*i);
            way.pop();
            continue;
        };
        *seen += 1;
        if let Some(before) = before.filter(|before| met[*before] == usize::MAX) {
            way.push((before, 0));
        }
    }
    (met, finished)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_chain_is_walked_without_recursion() {
        let takes: Vec<Takes> = (0..1_000_000usize).map(|i| vec![i.checked_sub(1)]).collect();
        let names = names(&takes, Some(999_999), |_| "d".to_owned());
        assert_eq!((names[0].as_str(), names[999_999].as_str()), ("d", "d_999999"));
    }

    /// a feeds b and c; d takes both, and the input as well.
    #[test]
    fn what_is_equally_far_is_numbered_as_it_is_taken() {
        let named = |of_d: [Option<usize>; 3]| {
            let takes = [vec![None], vec![Some(0)], vec![Some(0)], of_d.to_vec()];
            names(&takes, Some(3), |_| "c".to_owned())
        };
        assert_eq!(named([Some(1), Some(2), None]), ["c", "c_1", "c_2", "c_3"]);
        assert_eq!(named([Some(2), None, Some(1)]), ["c", "c_2", "c_1", "c_3"]);
    }
}
