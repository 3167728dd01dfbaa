//! Rules that hold whatever is configured and whatever happens.

use std::collections::{BTreeMap, BTreeSet};

use burrow_protocol::hooks::HookName::{OnCreate, PostCreate, PostStart};
use burrow_protocol::hooks::HookOrigin::{Burrow, Devcontainer};
use burrow_protocol::hooks::{HookName, HookOrigin, HookState};
use proptest::prelude::*;

use super::tests::{DONE, FAILED, NOW, caller, command, configure, machine, what};
use super::{Cancel, Cause, CommandEnd, Ended, Machine, Phase, RunId};
use crate::hooks::command::{Command, Stage};
use crate::hooks::fate::Fate;

/// Commands that need only earlier ones: any graph without a circle is of that form.
fn graphs() -> impl Strategy<Value = Vec<Command>> {
    let one = (any::<u8>(), any::<bool>(), 0..3_u32);
    proptest::collection::vec(one, 1..9).prop_map(|all| {
        let of = |(index, (needs, optional, retries)): (usize, (u8, bool, u32))| Command {
            needs: (0..index).filter(|other| needs >> other & 1 == 1).map(|other| format!("c{other}")).collect(),
            optional,
            retries,
            ..command(&format!("c{index}"))
        };
        all.into_iter().enumerate().map(of).collect()
    })
}

fn fates() -> impl Strategy<Value = Fate> {
    prop_oneof![
        5 => Just(DONE),
        3 => Just(FAILED),
        1 => Just(Fate::TimedOut { duration_ms: 1 }),
        1 => Just(Fate::Interrupted),
        1 => Just(Fate::Cancelled { duration_ms: 1 }),
    ]
}

/// Whether the command is held back by one that it needs, however far away.
fn is_held(commands: &[Command], ends: &BTreeMap<String, Fate>, name: &str) -> bool {
    let command = commands.iter().find(|command| command.name == name).unwrap();
    command.needs.iter().any(|need| {
        let needed = commands.iter().find(|command| command.name == *need).unwrap();
        let failed = ends.get(need).is_some_and(Fate::is_bad) && !needed.optional;
        failed || is_held(commands, ends, need)
    })
}

proptest! {
    /// In any graph: a command starts after all that it needs, no more run at once than may, each is started as often as it
    /// may be tried, and each comes to exactly one end: its own where nothing that it needs failed, else blocked.
    #[test]
    fn any_graph_is_run_in_its_order(
        commands in graphs(),
        jobs in proptest::option::of(1..4_usize),
        choices in proptest::collection::vec((any::<prop::sample::Index>(), fates()), 40),
    ) {
        let mut machine = machine(&[]);
        let stage = Stage { hook: PostCreate, origin: Burrow, commands: commands.clone(), jobs };
        configure(&mut machine, vec![stage]);
        machine.up(&caller());
        let run = machine.next(NOW).unwrap().run;
        let mut choices = choices.into_iter();
        let mut running: Vec<String> = Vec::new();
        let mut starts: BTreeMap<String, u32> = BTreeMap::new();
        let mut ends: BTreeMap<String, Fate> = BTreeMap::new();
        let mut records = Vec::new();
        loop {
            for launch in machine.launches(NOW) {
                let name = launch.command.name.clone();
                for need in &launch.command.needs {
                    prop_assert!(ends.contains_key(need), "{} started before {}", name, need);
                }
                prop_assert!(!is_held(&commands, &ends, &name), "{} started, and what it needs failed", name);
                let count = starts.entry(name.clone()).or_default();
                *count += 1;
                prop_assert_eq!(*count, launch.start);
                prop_assert!(*count <= launch.command.retries + 1, "{} was tried too often", name);
                prop_assert!(!running.contains(&name), "{} runs twice", name);
                running.push(name);
            }
            prop_assert!(running.len() <= jobs.unwrap_or(usize::MAX), "{:?} are more than {:?}", running, jobs);
            if running.is_empty() {
                break;
            }
            let (which, fate) = choices.next().unwrap();
            let name = running.remove(which.index(running.len()));
            match machine.ended(run, &name, CommandEnd::bare(fate.clone())).unwrap() {
                Ended::Pause { start, .. } | Ended::Anew { start, .. } => machine.resume(run, &name, start),
                Ended::Over(settle) => {
                    prop_assert!(ends.insert(name.clone(), fate).is_none(), "{} ended twice", name);
                    records.extend(settle.record);
                }
            }
        }
        prop_assert_eq!(records.len(), 1, "the run ends once");
        prop_assert!(machine.is_idle());
        for recorded in &records[0].commands {
            match &recorded.fate {
                Fate::Blocked { .. } => prop_assert!(is_held(&commands, &ends, &recorded.name) && !starts.contains_key(&recorded.name)),
                fate => prop_assert_eq!(Some(fate), ends.get(&recorded.name)),
            }
        }
        for standing in &machine.rows()[0].commands {
            let held = is_held(&commands, &ends, &standing.name);
            prop_assert_eq!(standing.state == HookState::Blocked, held, "{} in the plan", standing.name);
        }
    }
}

/// Something that happens to the machine.
#[derive(Clone, Debug)]
enum Happening {
    Up,
    Retry,
    Again(HookName),
    Skip(HookName),
    Begin,
    /// What begins next cannot be written down.
    Unwritable,
    /// The nth command that runs ends.
    End(prop::sample::Index, Fate),
    /// The nth service shows that it is ready, or was not in time.
    Ready(prop::sample::Index, bool),
    /// Pauses are over.
    Resume,
    /// The nth run that waits is cancelled, or the nth that goes on.
    Unqueue(prop::sample::Index),
    Cancel(prop::sample::Index),
    CancelAll,
    /// The daemon ends its services.
    Stop,
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let hook = prop_oneof![Just(OnCreate), Just(PostCreate), Just(PostStart)];
    let nth = any::<prop::sample::Index>;
    let fate = prop_oneof![4 => fates(), 1 => Just(Fate::NeverStarted)];
    let happening = prop_oneof![
        4 => Just(Happening::Up),
        2 => Just(Happening::Retry),
        1 => hook.clone().prop_map(Happening::Again),
        1 => hook.prop_map(Happening::Skip),
        8 => Just(Happening::Begin),
        1 => Just(Happening::Unwritable),
        9 => (nth(), fate).prop_map(|(nth, fate)| Happening::End(nth, fate)),
        3 => (nth(), prop::bool::weighted(0.8)).prop_map(|(nth, ready)| Happening::Ready(nth, ready)),
        3 => Just(Happening::Resume),
        1 => nth().prop_map(Happening::Unqueue),
        1 => nth().prop_map(Happening::Cancel),
        1 => prop_oneof![9 => Just(Happening::CancelAll), 1 => Just(Happening::Stop)],
    ];
    proptest::collection::vec(happening, 0..80)
}

/// The machine, and what was started by it and has not ended.
struct World {
    machine: Machine,
    running: Vec<(RunId, String)>,
    stopped: bool,
}

impl World {
    fn new() -> Self {
        let needing = |name: &str, needs: &[&str]| Command {
            needs: needs.iter().map(|need| (*need).to_owned()).collect(),
            ..command(name)
        };
        let own = vec![
            Command { background: true, ..needing("db", &[]) },
            Command { retries: 1, ..needing("deps", &[]) },
            needing("seed", &["db", "deps"]),
            Command { optional: true, ..needing("lint", &["deps"]) },
            needing("last", &["lint"]),
        ];
        let plain = |names: &[&str]| names.iter().map(|name| command(name)).collect();
        let stage = |hook, origin, commands, jobs| Stage { hook, origin, commands, jobs };
        let mut machine = machine(&[]);
        let stages = vec![
            stage(OnCreate, Burrow, own, Some(2)),
            stage(OnCreate, Devcontainer, plain(&[""]), None),
            stage(PostCreate, Devcontainer, plain(&["x", "y"]), None),
            stage(PostStart, Devcontainer, plain(&[""]), None),
        ];
        configure(&mut machine, stages);
        Self { machine, running: Vec::new(), stopped: false }
    }

    /// Starts what may start.
    fn launch(&mut self) -> Result<(), TestCaseError> {
        for launch in self.machine.launches(NOW) {
            let key = (launch.job.run, launch.command.name.clone());
            prop_assert!(!self.running.contains(&key), "{:?} runs already", key);
            let same = |(run, name): &&(RunId, String)| run.hook == key.0.hook && *name == key.1;
            let other = self.running.iter().find(same).filter(|_| !key.1.is_empty());
            prop_assert!(other.is_none(), "{:?} runs while {:?} does", key, other);
            prop_assert!(!self.stopped, "nothing begins after the stop");
            self.running.push(key);
        }
        Ok(())
    }

    fn pick(&self, nth: prop::sample::Index) -> Option<(RunId, String)> {
        (!self.running.is_empty()).then(|| self.running[nth.index(self.running.len())].clone())
    }
}

fn runs_of(machine: &Machine) -> Vec<RunId> {
    machine.active().map(|record| record.run).collect()
}

proptest! {
    /// Whatever happens in whatever order: one hook has the turn; what is due by itself never runs when it is done or held
    /// back; nothing runs twice at once; the ledger says `running` of exactly what the records do; what never was written
    /// down changed nothing; numbers only grow.
    #[test]
    fn rules_hold_under_any_events(happenings in happenings()) {
        let mut world = World::new();
        let mut newest = 0;
        for happening in happenings {
            match happening {
                Happening::Up => drop(world.machine.up(&caller())),
                Happening::Retry => drop(world.machine.retry(None, &caller())),
                Happening::Again(hook) => drop(world.machine.run_again(&what(hook), None, &caller())),
                Happening::Skip(hook) => {
                    let lines = world.machine.skip(&what(hook), None).unwrap_or_default();
                    world.machine.apply(lines);
                }
                Happening::Begin | Happening::Unwritable => {
                    world.launch()?;
                    let before = world.machine.rows();
                    let Some(begin) = world.machine.next(NOW) else { continue };
                    prop_assert!(begin.run.number > newest, "runs begin in the order of their numbers");
                    newest = begin.run.number;
                    let row = before.iter().find(|row| row.hook == begin.run.hook && row.origin == begin.record.origin);
                    let row = row.unwrap();
                    let cause = world.machine.active[&begin.run].job.cause.clone();
                    for command in &begin.record.commands {
                        let standing = row.commands.iter().find(|standing| standing.name == command.name).unwrap();
                        prop_assert_ne!(standing.state, HookState::Running, "nothing runs twice at once");
                        if cause == Cause::Due {
                            prop_assert_eq!(standing.state, HookState::Pending, "it is not due");
                        }
                    }
                    if matches!(happening, Happening::Unwritable) {
                        world.machine.not_recorded(begin.run);
                        prop_assert_eq!(world.machine.rows(), before, "as if it had not been tried");
                    } else {
                        world.launch()?;
                    }
                }
                Happening::End(nth, fate) => {
                    if let Some((run, name)) = world.pick(nth) {
                        world.running.retain(|key| *key != (run, name.clone()));
                        let ended = world.machine.ended(run, &name, CommandEnd::bare(fate));
                        prop_assert!(ended.is_some(), "an end is written down");
                    }
                }
                Happening::Ready(nth, ready) => {
                    if let Some((run, name)) = world.pick(nth).filter(|(_, name)| name == "db") {
                        match ready {
                            true => drop(world.machine.ready(run, &name)),
                            false => drop(world.machine.not_ready(run, &name, None)),
                        }
                    }
                }
                Happening::Resume => {
                    for run in runs_of(&world.machine) {
                        for name in ["db", "deps"] {
                            let start = world.machine.start_of(run, name);
                            world.machine.resume(run, name, start);
                        }
                    }
                }
                Happening::Unqueue(nth) => {
                    let queued: Vec<_> = world.machine.queue().map(|job| job.run).collect();
                    if !queued.is_empty() {
                        let cancel = world.machine.cancel(*nth.get(&queued), None);
                        prop_assert_eq!(cancel.unwrap(), Cancel::Unqueued);
                    }
                }
                Happening::Cancel(nth) => {
                    let runs = runs_of(&world.machine);
                    if !runs.is_empty() {
                        let run = *nth.get(&runs);
                        let Cancel::Tell { commands, .. } = world.machine.cancel(run, None).unwrap() else { panic!() };
                        let told: BTreeSet<_> = commands.into_iter().collect();
                        let running = world.running.iter().filter(|(other, _)| *other == run);
                        let running: BTreeSet<_> = running.map(|(_, name)| name.clone()).collect();
                        prop_assert_eq!(told, running, "what runs is told, and nothing else");
                    }
                }
                Happening::CancelAll => drop(world.machine.cancel_all()),
                Happening::Stop => {
                    world.stopped = true;
                    drop(world.machine.stop_services());
                }
            }
            let machine = &world.machine;
            let busy = machine.active().filter(|record| record.origin != HookOrigin::Exec && machine.is_busy(record.run));
            prop_assert!(busy.count() <= 1, "one hook at a time");
            let on_record = machine.active().flat_map(|record| &record.commands).filter(|it| it.fate == Fate::Running).count();
            let in_ledger = machine.entries.iter().filter(|entry| entry.fate == Fate::Running).count();
            prop_assert_eq!(in_ledger, on_record, "the ledger says running of what is on record as such");
            let in_phase = machine.active.values().flat_map(|active| &active.progress).filter(|it| it.phase == Phase::Running);
            prop_assert_eq!(in_phase.count(), world.running.len(), "the machine knows what runs");
        }
    }
}
