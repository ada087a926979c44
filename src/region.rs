//! The regions that an instance plays: the home region of the settings, and those that the seed
//! file adds. Each has an address of its own; a request belongs to the region of the address it
//! came to. What lies in a region is the business of the chapters.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// A region with the address that stands for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// Its name, which is also that of every account's project there.
    pub name: String,
    /// Where it listens, with the real port.
    pub address: SocketAddr,
    /// The first name of its registry, `host[:port]`, as `path` shows it: the one that was given
    /// first, else the address by which the machine itself can reach it.
    pub registry_host: String,
    /// All names under which images of its registry are known.
    pub registry_names: Vec<String>,
}

impl Region {
    /// A region whose registry has these names besides the address and those by which everybody
    /// calls it.
    pub fn new(name: &str, registry_hosts: &[String], address: SocketAddr) -> Self {
        let port = address.port();
        let mut registry_names = registry_hosts.to_vec();
        for known in [
            reachable(address).to_string(),
            format!("127.0.0.1:{port}"),
            format!("localhost:{port}"),
            format!("swr.{name}.myhuaweicloud.com"),
        ] {
            if !registry_names.contains(&known) {
                registry_names.push(known);
            }
        }
        Self {
            name: name.to_owned(),
            address,
            registry_host: registry_names[0].clone(),
            registry_names,
        }
    }

    /// Host and port under which clients on this machine reach it.
    pub fn authority(&self) -> String {
        reachable(self.address).to_string()
    }

    /// Where clients on this machine reach it.
    pub fn url(&self) -> String {
        format!("http://{}", self.authority())
    }
}

impl Region {
    /// Where the console shows a push.
    pub fn page_of_push(&self, namespace: &str, repository: &str, push_id: i64) -> String {
        let url = self.url();
        format!("{url}/_emulator/#/push/{namespace}/{repository}/{push_id}")
    }
}

/// All regions of an instance, the home region first, then in the seed file's order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Regions(Vec<Region>);

impl Regions {
    /// Brings regions together. A registry's name that several would have is the first one's.
    pub fn new(mut regions: Vec<Region>) -> Self {
        for at in 1..regions.len() {
            let (earlier, later) = regions.split_at_mut(at);
            let is_free = |name: &String| {
                let mut earlier = earlier.iter();
                !earlier.any(|region| region.registry_names.contains(name))
            };
            later[0].registry_names.retain(is_free);
        }
        Self(regions)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Region> {
        self.0.iter()
    }

    /// The home region; there is none only where there are no regions at all.
    pub fn home(&self) -> Option<&Region> {
        self.0.first()
    }

    /// The name of the home region.
    pub fn home_name(&self) -> &str {
        self.home().map_or("", |region| region.name.as_str())
    }

    /// The region with this name.
    pub fn get(&self, name: &str) -> Option<&Region> {
        self.iter().find(|region| region.name == name)
    }

    /// All names of the registry of a region; none where the instance does not play it any more.
    pub fn registry_names(&self, region: &str) -> &[String] {
        self.get(region)
            .map_or(&[], |region| region.registry_names.as_slice())
    }

    /// What `{registry}` in the image of a workload stands for: the first name of the home region's registry.
    pub fn seed_registry(&self) -> &str {
        self.home()
            .map_or("", |region| region.registry_host.as_str())
    }
}

/// The address under which a listener can be reached from this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port())
    } else {
        address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(name: &str, hosts: &[&str], address: &str) -> Region {
        let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
        Region::new(name, &hosts, address.parse().expect("an address"))
    }

    #[test]
    fn a_registry_is_named_by_what_was_given_else_by_what_reaches_it() {
        let check = |hosts: &[&str], address: &str, expected: &str| {
            assert_eq!(region("r1", hosts, address).registry_host, expected);
        };
        check(&[], "127.0.0.1:7970", "127.0.0.1:7970");
        check(&[], "0.0.0.0:7970", "127.0.0.1:7970");
        check(&[], "[::1]:7970", "[::1]:7970");
        check(&["swr.test", "other.test"], "0.0.0.0:7970", "swr.test");
    }

    #[test]
    fn a_name_of_a_registry_belongs_to_one_region_only() {
        let regions = Regions::new(vec![
            region("r1", &[], "127.0.0.1:7970"),
            region("r2", &[], "127.0.0.2:7970"),
        ]);
        assert_eq!(
            regions.registry_names("r2"),
            ["127.0.0.2:7970", "swr.r2.myhuaweicloud.com"]
        );
        assert!(
            regions
                .registry_names("r1")
                .contains(&"localhost:7970".to_owned())
        );
        assert!(regions.registry_names("r3").is_empty());
    }
}
