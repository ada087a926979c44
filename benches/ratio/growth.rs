//! What a create costs as triggers become many, in one repository and spread over many: beside a
//! thousand of them, in the same minutes and in ABBA order.

use std::path::Path;

use crate::Result;
use crate::absolute::Line;
use crate::child::{Build, Child};
use crate::contest::Usage;
use crate::contestant::Contestant;
use crate::figures::{Figures, Row, Short};
use crate::workload::Place;

/// Triggers of what the others are compared with.
const FEW: u32 = 1000;
/// Triggers that are created for one measurement.
const WINDOW: u32 = 1000;

/// What growth says.
#[derive(Debug, Default)]
pub(crate) struct Growth {
    pub(crate) rows: Vec<Row>,
    pub(crate) absolute: Vec<Line>,
    pub(crate) usage: Usage,
}

/// Measures creates beside each of these numbers of triggers, which ascend.
pub(crate) async fn measure(
    folder: &Path,
    build: Build<'_>,
    levels: &[u32],
    rounds: u32,
) -> Result<Growth> {
    let mut growth = Growth::default();
    for (place, places) in [
        (Place::Busy, "one repository"),
        (Place::Many, "200 repositories"),
    ] {
        let start = async |name: &str| -> Result<Instance> {
            let data = folder.join(format!("{}-{name}-{places}", build.name()));
            let child = Child::emulator(build, &data)?;
            child.make_repositories().await?;
            Ok(Instance {
                contestant: Contestant::connect(child).await?,
                place,
                triggers: 0,
            })
        };
        let mut few = start("few").await?;
        let mut many = start("many").await?;
        let children = |few: &Instance, many: &Instance| {
            Usage::of([&few.contestant.child, &many.contestant.child].into_iter())
        };
        let before = children(&few, &many)?;
        for level in levels {
            let mut costs = Vec::new();
            // The first round only warms up.
            for round in 0..=rounds {
                let mut first = [few.window(FEW).await?, many.window(*level).await?];
                let second = [many.window(*level).await?, few.window(FEW).await?];
                first[0].add(&second[1]);
                first[1].add(&second[0]);
                if round > 0 {
                    costs.push(first);
                }
            }
            growth.add(build, *level, places, &costs);
        }
        growth.usage.add(before, children(&few, &many)?);
    }
    Ok(growth)
}

impl Growth {
    /// Adds what was measured at one level.
    fn add(&mut self, build: Build<'_>, level: u32, places: &str, costs: &[[Cost; 2]]) {
        let name = match build {
            Build::Own => format!("create beside {level} triggers of {places}"),
            Build::Other(_) => format!("{}: create beside {level} of {places}", build.name()),
        };
        for (what, value) in [
            ("CPU time", (|cost| cost.cpu) as fn(&Cost) -> f64),
            ("time", |cost| cost.time),
        ] {
            let ratio = |[few, many]: &[Cost; 2]| value(many) / value(few);
            self.rows.push(Row {
                what: format!("{name}: {what}, of that beside {FEW}"),
                figures: costs.iter().map(ratio).collect(),
                unit: " ×",
            });
        }
        let cell = |side: usize| {
            let median = |value: fn(&Cost) -> f64| {
                let creates = f64::from(2 * WINDOW);
                let values = costs.iter().map(|round| value(&round[side]) / creates);
                Short(values.collect::<Figures>().median())
            };
            format!("CPU {} µs, {} µs", median(|c| c.cpu), median(|c| c.time))
        };
        self.absolute.push(Line {
            what: name,
            emulator: format!("{}; beside {FEW}: {}", cell(1), cell(0)),
            naive: None,
            bare: None,
            other: None,
        });
    }
}

/// An emulator with as many triggers as are wanted.
struct Instance {
    contestant: Contestant,
    place: Place,
    triggers: u32,
}

/// What some creates cost, in microseconds.
#[derive(Debug)]
struct Cost {
    cpu: f64,
    time: f64,
}

impl Cost {
    fn add(&mut self, other: &Self) {
        self.cpu += other.cpu;
        self.time += other.time;
    }
}

impl Instance {
    /// Measures creates beside so many triggers.
    async fn window(&mut self, level: u32) -> Result<Cost> {
        // Else the creates themselves would soon have doubled a small number.
        if self.triggers > level + level / 2 {
            self.contestant.child.reset().await?;
            self.triggers = 0;
        }
        self.create(level.saturating_sub(self.triggers)).await?;
        let before = self.contestant.child.threads()?;
        let time = self.create(WINDOW).await?;
        let cpu = self.contestant.child.threads()?.since(&before);
        Ok(Cost {
            cpu: f64::from(u32::try_from(cpu / 1000)?),
            time: time * 1e6,
        })
    }

    /// The time in seconds that it took.
    async fn create(&mut self, count: u32) -> Result<f64> {
        let end = self.triggers + count;
        let time = self
            .contestant
            .create(self.place, self.triggers..end)
            .await?;
        self.triggers = end;
        Ok(time.as_secs_f64())
    }
}
