//! A siege: whatever strangers and users may do to the server as it comes, one attack after another,
//! while somebody else works.

mod attacks;
mod party;
mod scene;
mod wire;
mod witness;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use self::attacks::{ATTACKS, Attack};
use self::scene::{Scene, yield_the_processor};
use self::witness::{Witness, Work};
use crate::failure::Failure;
use crate::live::{self, Server};
use crate::report;
use crate::workspace::Workspace;

/// How much slower the 99th percentile may become.
const MOST_SLOWED: f64 = 3.0;

/// The memory that the server may take: 300 MiB, in KiB.
const MOST_RESIDENT: u64 = 300 * 1024;

/// From the beginning of an attack until it is measured.
const GATHERING: Duration = Duration::from_secs(3);

/// The pause between two looks at the memory of the server.
const LOOK: Duration = Duration::from_millis(50);

/// `cargo xtask bench siege [ATTACK…]`: fails when the 99th percentile of another user more than
/// triples, when the server takes too much memory, or when an acknowledged write is lost.
pub(super) fn run(workspace: &Workspace, only: &[String]) -> Result<(), Failure> {
    let unknown = only
        .iter()
        .find(|name| !ATTACKS.iter().any(|it| it.name == *name));
    if let Some(name) = unknown {
        let names: Vec<_> = ATTACKS.iter().map(|it| it.name).collect();
        return Err(Failure::Usage(format!(
            "no attack {name:?}; there are {}",
            names.join(", ")
        )));
    }
    report::line(
        "| attack | requirement | answered / refused | quiet, p50 / p99 ms | under attack | ratio of \
         p99 | MiB at most | failed | lost |",
    );
    report::line("|---|---|--:|--:|--:|--:|--:|--:|--:|");
    let mut findings = Vec::new();
    let wanted = |it: &&Attack| only.is_empty() || only.iter().any(|name| it.name == name);
    for (number, attack) in (1_u8..).zip(ATTACKS).filter(|(_, it)| wanted(it)) {
        // Each attack meets a server of its own, so that its memory is its own.
        let server = live::start_fourfold_with_limits(workspace)?;
        match play(&server, number, attack) {
            Ok(outcome) => {
                report::line(outcome.row(attack));
                findings.extend(outcome.findings(attack));
                server.finish()?;
            }
            Err(failure) => return Err(server.blame(&failure)),
        }
    }
    report::line("");
    for attack in ATTACKS.iter().filter(wanted) {
        report::line(format_args!("- {}: {}", attack.name, attack.what));
    }
    Failure::from_findings(findings)
}

/// What an attack did to the one who works.
struct Outcome {
    counts: [u64; 2],
    quiet: Work,
    attacked: Work,
    /// In KiB.
    resident: u64,
}

impl Outcome {
    fn ratio(&self) -> f64 {
        self.attacked.series.p99 / self.quiet.series.p99
    }

    fn row(&self, attack: &Attack) -> String {
        let [answered, refused] = self.counts;
        let (quiet, attacked) = (&self.quiet.series, &self.attacked.series);
        format!(
            "| {} | {} | {answered} / {refused} | {:.2} / {:.2} | {:.2} / {:.2} | {:.1} | {} | {} | {} |",
            attack.name,
            attack.requirement,
            quiet.p50,
            quiet.p99,
            attacked.p50,
            attacked.p99,
            self.ratio(),
            self.resident / 1024,
            self.attacked.failed,
            self.attacked.lost,
        )
    }

    fn findings(&self, attack: &Attack) -> Vec<String> {
        let mut findings = Vec::new();
        let name = attack.name;
        if self.ratio() > MOST_SLOWED {
            let ratio = self.ratio();
            findings.push(format!(
                "{name}: the 99th percentile is {ratio:.1} times the quiet one"
            ));
        }
        if self.resident > MOST_RESIDENT {
            findings.push(format!(
                "{name}: the server took {} MiB",
                self.resident / 1024
            ));
        }
        let (failed, lost) = (self.attacked.failed, self.attacked.lost + self.quiet.lost);
        if failed > 0 {
            findings.push(format!("{name}: {failed} requests of another user failed"));
        }
        if lost > 0 {
            findings.push(format!("{name}: {lost} acknowledged writes are lost"));
        }
        findings
    }
}

fn play(server: &Server, number: u8, attack: &Attack) -> Result<Outcome, Failure> {
    let to = server
        .base()
        .strip_prefix("http://")
        .and_then(|to| to.parse().ok());
    let to = to.ok_or_else(|| Failure::Check(format!("no address: {}", server.base())))?;
    let scene = Scene::new(to, number);
    let mut witness = Witness::new(&scene)?;
    let mut parties = (attack.prepare)(&scene)?;
    let quiet = witness.work()?;

    let (most, is_watched) = (AtomicU64::new(0), AtomicBool::new(true));
    let victim = witness.second.named();
    let attacked = thread::scope(|scope| {
        scope.spawn(|| {
            while is_watched.load(Ordering::SeqCst) {
                most.fetch_max(server.resident().unwrap_or(0), Ordering::SeqCst);
                thread::sleep(LOOK);
            }
        });
        let attackers: Vec<_> = parties
            .iter_mut()
            .map(|party| {
                scope.spawn(|| {
                    yield_the_processor()?;
                    (attack.act)(&scene, party, &victim)
                })
            })
            .collect();
        thread::sleep(GATHERING);
        let attacked = witness.work();
        scene.end();
        let mut failures = Vec::new();
        for attacker in attackers {
            if let Ok(Err(failure)) = attacker.join() {
                failures.push(failure);
            }
        }
        is_watched.store(false, Ordering::SeqCst);
        // An attack that did nothing shows nothing.
        match (failures.pop(), scene.counts()) {
            (Some(failure), [0, 0]) => Err(failure),
            _ => attacked,
        }
    })?;
    Ok(Outcome {
        counts: scene.counts(),
        quiet,
        attacked,
        resident: most.load(Ordering::SeqCst),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attack_has_its_own_name_and_a_requirement() {
        for (number, attack) in ATTACKS.iter().enumerate() {
            assert!(attack.requirement.starts_with("SRV-"), "{}", attack.name);
            let others = ATTACKS.iter().skip(number + 1);
            assert!(others.clone().all(|other| other.name != attack.name));
        }
    }

    #[test]
    fn fails_for_slowness_memory_refusals_and_losses() {
        let work = |p99, failed, lost| Work {
            series: crate::bench::wrk::Series {
                rate: 1.0,
                p50: 1.0,
                p99,
                failed: 0,
            },
            failed,
            lost,
        };
        let found = |p99, failed, lost, resident| {
            let outcome = Outcome {
                counts: [1, 1],
                quiet: work(2.0, 0, 0),
                attacked: work(p99, failed, lost),
                resident,
            };
            outcome.findings(&ATTACKS[0]).len()
        };
        assert_eq!(found(6.0, 0, 0, MOST_RESIDENT), 0);
        assert_eq!(found(6.1, 0, 0, 1), 1);
        assert_eq!(found(1.0, 0, 0, MOST_RESIDENT + 1), 1);
        assert_eq!(found(1.0, 1, 0, 1), 1);
        assert_eq!(found(1.0, 0, 1, 1), 1);
    }
}
