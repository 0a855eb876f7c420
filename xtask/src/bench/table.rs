//! The figures as a Markdown table.

use super::wrk::Series;

/// One workload at one number of connections, on every server.
#[derive(Debug)]
pub(super) struct Row {
    workload: &'static str,
    connections: u32,
    cells: Vec<Cell>,
}

#[derive(Debug)]
struct Cell {
    server: &'static str,
    /// The series with the median rate.
    median: Series,
    slowest: f64,
    fastest: f64,
    failed: u64,
}

impl Row {
    /// Sums up the series of each server.
    pub(super) fn new(
        workload: &'static str,
        connections: u32,
        series: impl IntoIterator<Item = (&'static str, Vec<Series>)>,
    ) -> Self {
        let cells = series
            .into_iter()
            .filter_map(|(server, series)| Cell::new(server, series))
            .collect();
        Self {
            workload,
            connections,
            cells,
        }
    }

    /// Requests that went wrong on any server.
    pub(super) fn failures(&self) -> u64 {
        self.cells.iter().map(|cell| cell.failed).sum()
    }
}

impl Cell {
    fn new(server: &'static str, mut series: Vec<Series>) -> Option<Self> {
        series.sort_by(|a, b| a.rate.total_cmp(&b.rate));
        Some(Self {
            server,
            median: *series.get(series.len() / 2)?,
            slowest: series.first()?.rate,
            fastest: series.last()?.rate,
            failed: series.iter().map(|series| series.failed).sum(),
        })
    }
}

/// The table, with the ratio of the first server to the second when there are two.
pub(super) fn markdown(rows: &[Row]) -> String {
    let mut lines = Vec::new();
    if let Some(first) = rows.first() {
        let mut head = "| workload | connections |".to_owned();
        let mut rule = "|---|--:|".to_owned();
        for cell in &first.cells {
            head.push_str(&format!(
                " {0} rps (min–max) | {0} p50 / p99 ms |",
                cell.server
            ));
            rule.push_str("--:|--:|");
        }
        if first.cells.len() == 2 {
            head.push_str(" ratio |");
            rule.push_str("--:|");
        }
        head.push_str(" failed |");
        rule.push_str("--:|");
        lines.extend([head, rule]);
    }
    lines.extend(rows.iter().map(line));
    lines.join("\n")
}

fn line(row: &Row) -> String {
    let mut line = format!("| {} | {} |", row.workload, row.connections);
    for Cell {
        median,
        slowest,
        fastest,
        ..
    } in &row.cells
    {
        line.push_str(&format!(
            " {:.0} ({slowest:.0}–{fastest:.0}) |",
            median.rate
        ));
        line.push_str(&format!(" {:.2} / {:.2} |", median.p50, median.p99));
    }
    if let [ours, theirs] = row.cells.as_slice() {
        line.push_str(&format!(" {:.1} |", ours.median.rate / theirs.median.rate));
    }
    line.push_str(&format!(" {} |", row.failures()));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(rate: f64) -> Series {
        Series {
            rate,
            p50: 1.0,
            p99: 2.0,
            failed: 1,
        }
    }

    #[test]
    fn shows_the_median_and_the_ratio() {
        let row = Row::new(
            "PUT account_data",
            32,
            [
                (
                    "fourfold",
                    vec![series(900.0), series(800.0), series(850.0)],
                ),
                ("Synapse", vec![series(80.0), series(100.0), series(85.0)]),
            ],
        );
        assert_eq!(
            line(&row),
            "| PUT account_data | 32 | 850 (800–900) | 1.00 / 2.00 | 85 (80–100) | 1.00 / 2.00 | \
             10.0 | 6 |"
        );
    }

    #[test]
    fn has_as_many_columns_in_every_line() {
        for servers in [&["fourfold"][..], &["fourfold", "Synapse"]] {
            let cells = servers.iter().map(|&server| (server, vec![series(1.0)]));
            let table = markdown(&[Row::new("GET account_data", 1, cells)]);
            let columns: Vec<usize> = table
                .lines()
                .map(|line| line.matches('|').count())
                .collect();
            assert!(
                columns
                    .windows(2)
                    .all(|pair| matches!(pair, [a, b] if a == b)),
                "{table}"
            );
        }
    }
}
