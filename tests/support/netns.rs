//! Machines that are network namespaces: a switch, and hosts with an address each. They are gone when dropped.

use std::process::Command;

use super::process::wrapped;

/// A network of its own, not connected to the real one.
pub struct Network {
    /// Part of each namespace's name.
    tag: String,
    hosts: Vec<String>,
}

fn run(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(arguments).output().map_err(|error| format!("ip: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}

impl Network {
    /// With that many hosts: 10.77.0.1, 10.77.0.2, ... `None` where this machine cannot do it; then it says why.
    pub fn new(tag: &str, hosts: usize) -> Option<Self> {
        let mut network = Self { tag: format!("ipchub-{tag}-{}", std::process::id()), hosts: Vec::new() };
        match network.build(hosts) {
            Ok(()) => Some(network),
            Err(error) => {
                eprintln!("NOT TESTED, no network namespaces: {error}");
                eprintln!(
                    "It needs iproute2 (tests/setup.sh installs it) and root: run the tests as root, or in `unshare -rnm`."
                );
                None
            }
        }
    }

    fn build(&mut self, hosts: usize) -> Result<(), String> {
        let switch = format!("{}-switch", self.tag);
        self.add(&switch)?;
        run(&["-n", &switch, "link", "add", "bridge", "type", "bridge", "mcast_snooping", "0"])?;
        run(&["-n", &switch, "link", "set", "bridge", "up"])?;
        for n in 1..=hosts {
            let host = self.name(n);
            self.add(&host)?;
            let port = format!("port{n}");
            run(&["-n", &switch, "link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &host])?;
            run(&["-n", &switch, "link", "set", &port, "master", "bridge", "up"])?;
            run(&["-n", &host, "link", "set", "lo", "up"])?;
            run(&["-n", &host, "address", "add", &format!("{}/24", Self::address(n)), "dev", "eth0"])?;
            run(&["-n", &host, "link", "set", "eth0", "up"])?;
            // To the groups too.
            run(&["-n", &host, "route", "add", "default", "dev", "eth0"])?;
        }
        Ok(())
    }

    fn add(&mut self, name: &str) -> Result<(), String> {
        run(&["netns", "add", name])?;
        self.hosts.push(name.to_owned());
        Ok(())
    }

    fn name(&self, host: usize) -> String {
        format!("{}-{host}", self.tag)
    }

    /// Its name, of no other network.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// A host's address; the first is 1.
    pub fn address(host: usize) -> String {
        format!("10.77.0.{host}")
    }

    /// The command, run on a host.
    pub fn on(&self, host: usize, command: &Command) -> Command {
        let mut inside = Command::new("ip");
        inside.args(["netns", "exec", &self.name(host)]);
        wrapped(inside, command)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for name in &self.hosts {
            // Gone with the machine if not now.
            let _ = run(&["netns", "delete", name]);
        }
    }
}
