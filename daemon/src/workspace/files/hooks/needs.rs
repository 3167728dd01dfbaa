//! What the commands of a stage need of each other: it is there, and no circle. Pure.

use super::Command;
use crate::workspace::files::jsonc::{Fault, Node};

/// Needs that are no command of the stage, or that lead back to where they began.
pub(super) fn wrong(commands: &[Command], nodes: &[(&str, Node<'_>)]) -> Vec<Fault> {
    let fault = |index: usize, need: Option<usize>, why: String| {
        let (_, node) = nodes.get(index)?;
        let needs = node.get("needs")?;
        let element = need.and_then(|need| needs.elements()?.get(need).cloned());
        Some(element.unwrap_or(needs).fault(why))
    };
    let mut faults = Vec::new();
    for (index, command) in commands.iter().enumerate() {
        for (position, need) in command.needs.iter().enumerate() {
            if !commands.iter().any(|other| other.name == *need) {
                let names: Vec<_> = commands.iter().map(|command| command.name.as_str()).collect();
                let why = format!("the hook has no command `{need}`; it has {}", names.join(", "));
                faults.extend(fault(index, Some(position), why));
            }
        }
    }
    if faults.is_empty()
        && let Some(cycle) = cycle(commands)
    {
        let index = commands.iter().position(|command| cycle.first() == Some(&command.name.as_str())).unwrap_or(0);
        faults.extend(fault(index, None, format!("these commands wait for each other: {}", cycle.join(" -> "))));
    }
    faults
}

/// Commands that need each other in a circle, the first one also at the end.
fn cycle(commands: &[Command]) -> Option<Vec<&str>> {
    // Commands that nothing of the circle can hold are taken away; what is left leads into one.
    let mut open: Vec<&Command> = commands.iter().collect();
    loop {
        let before = open.len();
        let names: Vec<&str> = open.iter().map(|command| command.name.as_str()).collect();
        open.retain(|command| command.needs.iter().any(|need| names.contains(&need.as_str())));
        if open.len() == before {
            break;
        }
    }
    let mut path = vec![open.first()?.name.as_str()];
    loop {
        let last = open.iter().find(|command| Some(&command.name.as_str()) == path.last())?;
        let next = last.needs.iter().find(|need| open.iter().any(|command| command.name == **need))?.as_str();
        if let Some(start) = path.iter().position(|name| *name == next) {
            path.push(next);
            return Some(path.split_off(start));
        }
        path.push(next);
    }
}
