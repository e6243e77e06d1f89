//! Which layers of a model take which, as its description has them.
//!
//! ```text
//! Keras 3      "inbound_nodes": [{"args": [{…, "keras_history": ["conv2d", 0, 0]}], "kwargs": {}}]
//! Keras 2      "inbound_nodes": [[["conv2d", 0, 0, {}]]]
//! Entry        of a layer: the last layer through which all ways from the input to it lead. Of one
//!              that joins branches it is where they began; of any other it is the one that it takes
//! ```

use super::described::Flaw;
use super::order::Takes;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::HashMap;

/// More than Keras says of what a layer takes.
const INBOUND: usize = 1 << 16;
/// What to do with a network that is not rebuilt.
pub(super) const BUILD: &str = "build the network here and take its weights with Import::keras";

/// The layers of a model but for its input, by their places in the description.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub(super) takes: Vec<Takes>,
    /// Each behind those that it takes.
    pub(super) order: Vec<usize>,
    /// The one that gives the output; the input itself if there is none.
    pub(super) last: Option<usize>,
    /// The entry of each, of which `None` is the input.
    pub(super) entries: Vec<Option<usize>>,
}

/// What a model says of its layers: names, and the names of what each takes.
#[derive(Debug, Default)]
pub(super) struct Named {
    pub(super) input: Option<String>,
    pub(super) layers: Vec<(String, Vec<String>)>,
    /// Those that it names as its outputs.
    pub(super) outputs: Vec<String>,
}

impl Named {
    /// The input's name.
    pub(super) fn begin(&mut self, name: String) -> Result<(), Flaw> {
        if let Some(first) = &self.input {
            let reason = format!("an input beside {first:?}, and a network here has one: {BUILD}");
            return Err(Flaw::wired(&name, reason));
        }
        self.input = Some(name);
        Ok(())
    }

    /// Each takes the one before it, whatever they say.
    pub(super) fn chain(&mut self) {
        let mut before = "the input of the model".to_owned();
        self.input = Some(before.clone());
        for (name, takes) in &mut self.layers {
            *takes = vec![std::mem::replace(&mut before, name.clone())];
        }
    }
}

impl Graph {
    /// Layers that take each other by name.
    pub(super) fn of(named: &Named) -> Result<Self, Flaw> {
        let mut places: HashMap<&str, Option<usize>> = HashMap::new();
        places.extend(named.input.as_deref().map(|name| (name, None)));
        for (i, (name, _)) in named.layers.iter().enumerate() {
            if name.is_empty() || places.insert(name, Some(i)).is_some() {
                return Err(Flaw::Format(format!("{name:?} is no name for layer {}", i + 1)));
            }
        }
        let takes = named.layers.iter().map(|(name, takes)| {
            let place = |taken: &String| {
                let missing =
                    || Flaw::wired(name, format!("it takes {taken:?}, which is not there"));
                places.get(taken.as_str()).copied().ok_or_else(missing)
            };
            match takes.as_slice() {
                [] => Err(Flaw::wired(name, "it takes nothing, and is not the input")),
                takes => takes.iter().map(place).collect(),
            }
        });
        let takes: Vec<Takes> = takes.collect::<Result<_, _>>()?;
        let name = |i: usize| named.layers[i].0.as_str();
        let order = sorted(&takes).map_err(|i| Flaw::wired(name(i), "it takes what it gives"))?;
        let last = last(&takes, named, &places)?;
        let entries = entries(&takes, &order);
        Ok(Self { takes, order, last, entries })
    }
}

/// The layers in an order in which each follows those that it takes; one on a circle if there is none.
fn sorted(takes: &[Takes]) -> Result<Vec<usize>, usize> {
    let mut takers = vec![Vec::new(); takes.len()];
    let mut missing = vec![0; takes.len()];
    for (i, takes) in takes.iter().enumerate() {
        for before in takes.iter().flatten() {
            takers[*before].push(i);
            missing[i] += 1;
        }
    }
    let mut order: Vec<usize> = (0..takes.len()).filter(|i| missing[*i] == 0).collect();
    let mut next = 0;
    while let Some(&i) = order.get(next) {
        next += 1;
        for &taker in &takers[i] {
            missing[taker] -= 1;
            if missing[taker] == 0 {
                order.push(taker);
            }
        }
    }
    missing.iter().position(|missing| *missing > 0).map_or(Ok(order), Err)
}

/// The one layer that nobody takes, which is the output.
fn last(
    takes: &[Takes],
    named: &Named,
    places: &HashMap<&str, Option<usize>>,
) -> Result<Option<usize>, Flaw> {
    let mut taken = vec![false; takes.len()];
    takes.iter().flatten().flatten().for_each(|before| taken[*before] = true);
    let mut ends = (0..takes.len()).filter(|i| !taken[*i]);
    let last = ends.next();
    let others = ends.map(|i| named.layers[i].0.as_str());
    let outputs = named.outputs.iter().map(String::as_str);
    let wrong = |name: &&str| places.get(name).is_none_or(|place| *place != last);
    match others.chain(outputs).find(wrong) {
        None => Ok(last),
        Some(other) => {
            let first = last.map_or("", |i| named.layers[i].0.as_str());
            Err(Flaw::wired(
                other,
                format!("an output beside {first:?}, and a network here has one: {BUILD}"),
            ))
        }
    }
}

/// The entry of each: the nearest that the entries of all that it takes lead back to.
fn entries(takes: &[Takes], order: &[usize]) -> Vec<Option<usize>> {
    let (mut entries, mut depths) = (vec![None; takes.len()], vec![0usize; takes.len()]);
    let depth = |i: Option<usize>, depths: &[usize]| i.map_or(0, |i| depths[i]);
    for &i in order {
        let mut entry = takes[i].first().copied().flatten();
        for &other in takes[i].iter().skip(1) {
            let mut other = other;
            while entry != other {
                let deeper = match depth(entry, &depths) >= depth(other, &depths) {
                    true => &mut entry,
                    false => &mut other,
                };
                *deeper = deeper.and_then(|i| entries[i]);
            }
        }
        entries[i] = entry;
        depths[i] = depth(entry, &depths) + 1;
    }
    entries
}

/// The names of the layers that one takes, in the one place where it stands.
pub(super) fn taken(inbound: &RawValue) -> Result<Vec<String>, String> {
    let calls = value(inbound)?;
    let several = calls.as_array().map_or(0, Vec::len);
    if several > 1 {
        return Err(format!(
            "it stands in {several} places, and a layer here in one, with weights of its own: {BUILD}"
        ));
    }
    Ok(histories(&calls))
}

/// The names of the layers that give what a model gives.
pub(super) fn outputs(outputs: &RawValue) -> Result<Vec<String>, String> {
    Ok(histories(&value(outputs)?))
}

fn value(text: &RawValue) -> Result<Value, String> {
    let length = text.get().len();
    if length > INBOUND {
        return Err(format!("what it takes is described in {length} bytes, of at most {INBOUND}"));
    }
    serde_json::from_str(text.get()).map_err(|e| e.to_string())
}

/// The names in `keras_history` of Keras 3, and in the lists of Keras 2.
fn histories(value: &Value) -> Vec<String> {
    fn find(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Array(values) => match values.as_slice() {
                [Value::String(name), Value::Number(_), Value::Number(_), ..] => {
                    found.push(name.clone());
                }
                values => values.iter().for_each(|value| find(value, found)),
            },
            Value::Object(map) => map.values().for_each(|value| find(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    find(value, &mut found);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(layers: &[(&str, &[&str])]) -> Result<Graph, String> {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let layers = layers.iter().map(|(name, takes)| ((*name).to_owned(), own(takes))).collect();
        let named = Named { input: Some("in".to_owned()), layers, outputs: Vec::new() };
        Graph::of(&named).map_err(|flaw| format!("{flaw:?}"))
    }

    #[test]
    fn branches_begin_at_the_entry_of_what_joins_them() {
        let layers: [(&str, &[&str]); 6] = [
            ("sum", &["d", "a"]),
            ("d", &["b", "c"]),
            ("c", &["a"]),
            ("b", &["a"]),
            ("a", &["in"]),
            ("top", &["sum", "in"]),
        ];
        let graph = graph(&layers).unwrap();
        let place = |name: &str| layers.iter().position(|(it, _)| *it == name);
        assert_eq!(graph.last, place("top"));
        let entry = |name: &str| graph.entries[place(name).unwrap()];
        assert_eq!([entry("sum"), entry("d"), entry("b")], [place("a"); 3]);
        assert_eq!([entry("a"), entry("top")], [None; 2]);
        assert_eq!((graph.order.len(), graph.order[0]), (6, 4));
    }

    #[test]
    fn what_is_no_network_is_told_by_name() {
        let has = |layers: &[(&str, &[&str])], text: &str| {
            let error = graph(layers).unwrap_err();
            assert!(error.contains(text), "{error}");
        };
        has(&[("a", &["b"]), ("b", &["a"])], "\"a\", reason: \"it takes what it gives");
        has(&[("a", &["a", "in"])], "it takes what it gives");
        has(&[("a", &["x"])], "it takes \\\"x\\\", which is not there");
        has(&[("a", &[])], "it takes nothing");
        has(&[("a", &["in"]), ("a", &["in"])], "is no name for layer 2");
        has(&[("in", &["in"])], "is no name for layer 1");
        has(&[("a", &["in"]), ("b", &["in"])], "\"b\", reason: \"an output beside");
    }

    #[test]
    fn thousands_of_branches_are_sorted_in_no_time() {
        let names: Vec<String> = (0..5000).map(|i| format!("l{i}")).collect();
        let layers = names.iter().enumerate().map(|(i, name)| {
            let takes = match i {
                0 => vec!["in".to_owned()],
                _ => vec![names[i - 1].clone(), names[i / 2].clone()],
            };
            (name.clone(), if i == 1 { vec![names[0].clone()] } else { takes })
        });
        let named =
            Named { input: Some("in".to_owned()), layers: layers.collect(), ..Named::default() };
        let graph = Graph::of(&named).unwrap();
        assert_eq!(graph.order, (0..5000).collect::<Vec<_>>());
    }
}
