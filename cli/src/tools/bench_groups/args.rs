//! The flags of `millrace bench-groups`, and what of them makes no sense.

use std::time::Duration;

use super::super::bench::duration;
use super::super::{Bootstrap, Error, Result};

/// Most members at once: each has a connection of its own, as real consumers have.
const MEMBERS_MAX: u64 = 60_000;

/// Measure a broker as the coordinator of many classic consumer groups, or of a large one.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Groups.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub groups: u32,
    /// Members of each group.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub members: u32,
    /// Partitions of the topic that is made for the run, and deleted after it.
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub partitions: i32,
    /// How often each member sends a heartbeat.
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = duration)]
    pub heartbeat: Duration,
    /// How long a member may be silent.
    #[arg(long, value_name = "TIME", default_value = "45s", value_parser = duration)]
    pub session: Duration,
    /// How long the groups are left alone once they are all stable, and measured.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub duration: Duration,
    /// How often each member commits the offsets of its partitions; 0 is one commit after the
    /// other. Without this nothing is committed.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub commit: Option<Duration>,
    /// Longest wait for all groups to be stable.
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration)]
    pub patience: Duration,
    /// Process id of the broker, if it is on this machine: its CPU time and memory are measured.
    #[arg(long, value_name = "PID")]
    pub broker_pid: Option<u32>,
    /// Where the broker is.
    #[command(flatten)]
    pub bootstrap: Bootstrap,
}

impl Args {
    /// Refuses what makes no sense.
    pub fn check(&self) -> Result<()> {
        let usage = |text: String| Err(Error::Usage(text));
        if self.groups == 0 || self.members == 0 || self.partitions < 1 {
            return usage("--groups, --members and --partitions: at least 1".into());
        }
        if u64::from(self.groups) * u64::from(self.members) > MEMBERS_MAX {
            return usage(format!("--groups times --members: at most {MEMBERS_MAX}"));
        }
        if self.heartbeat.is_zero() || self.heartbeat >= self.session {
            return usage("--heartbeat: more than 0 and less than --session".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn refusal(flags: &[&str]) -> String {
        let command = Command::try_parse_from([&["bench-groups"], flags].concat()).unwrap();
        command.args.check().unwrap_err().to_string()
    }

    #[test]
    fn nonsense_is_refused_with_the_flag() {
        assert!(refusal(&["--groups", "0"]).starts_with("--groups"));
        let too_many = refusal(&["--groups", "60000", "--members", "60000"]);
        assert!(too_many.starts_with("--groups times --members"));
        assert!(refusal(&["--heartbeat", "45s"]).starts_with("--heartbeat"));
        assert!(refusal(&["--heartbeat", "0"]).starts_with("--heartbeat"));
    }
}
