//! What the person at the terminal sees meanwhile: a table that is drawn anew, or lines where there is no terminal.

use crate::commands::status;
use crate::fleet::{Channel, Standing};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use std::io::{IsTerminal, Write};

/// Where there is no terminal, a line this often.
const LINE_EVERY_SECONDS: u32 = 5;

/// The live view.
#[derive(Debug)]
pub(super) struct Live {
    bar: ProgressBar,
    seconds: u32,
}

impl Live {
    pub(super) fn new(seconds: u32) -> Self {
        let target = if std::io::stdout().is_terminal() {
            ProgressDrawTarget::stdout()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(u64::from(seconds)), target);
        let style = ProgressStyle::with_template("{msg}\n\n{bar:60} {pos}/{len} s")
            .expect("the template is well formed");
        bar.set_style(style);
        Self { bar, seconds }
    }

    /// Says what happens, above the table.
    pub(super) fn say(&self, text: &str) {
        self.line(&format!("» {text}"));
    }

    /// Shows the fleet at a second.
    pub(super) fn show(&self, second: u32, fleet: &[Channel]) {
        self.bar.set_message(status::render(fleet, Timestamp::now()));
        self.bar.set_position(u64::from(second));
        if self.bar.is_hidden() && second.is_multiple_of(LINE_EVERY_SECONDS) {
            let recording = fleet
                .iter()
                .filter(|channel| channel.standing == Standing::Recording)
                .count();
            self.line(&format!(
                "{second:3}/{} s: {recording} of {} wanted channels record",
                self.seconds,
                fleet.len()
            ));
        }
    }

    /// Leaves the last table on the screen.
    pub(super) fn end(&self) {
        self.bar.finish();
    }

    fn line(&self, text: &str) {
        if self.bar.is_hidden() {
            // A closed pipe must not end the demo.
            _ = writeln!(std::io::stdout(), "{text}");
        } else {
            self.bar.println(text);
        }
    }
}
