use super::*;

fn layers(text: &str, variables: &[(&str, &str)]) -> Result<Layers> {
    let variables = variables.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    let mut layers = Layers::read(Some(Path::new("/dev/null")), variables)?;
    layers.file = Some(("hub.toml".into(), text.into()));
    Ok(layers)
}

#[test]
fn the_shipped_file_holds_every_key_with_its_default() {
    let text = include_str!("../../config.toml");
    let config = layers(text, &[]).and_then(|l| l.config()).expect("valid");
    assert_eq!(config, Config::default());
    let table: Table = text.parse().expect("valid");
    let ours = Table::try_from(Config::default()).expect("valid");
    for (key, value) in ours {
        let there = table.get(&key).unwrap_or_else(|| panic!("{key} is not in config.toml"));
        for name in value.as_table().into_iter().flat_map(|section| section.keys()) {
            assert!(there.get(name).is_some(), "{key}.{name} is not in config.toml");
        }
    }
}

#[test]
fn environment_counts_over_the_file_and_the_command_line_over_both() {
    let variables = [("IPCHUB_LISTEN", ":2"), ("IPCHUB_LIMITS_SOURCES", "7"), ("IPCHUB_TIMEOUTS_WRITE", "2.5")];
    let mut layers = layers("listen = \":1\"\nworkers = 3\n", &variables).expect("valid");
    let config = layers.config().expect("valid");
    assert_eq!((config.listen.as_str(), config.workers, config.limits.sources), (":2", 3, 7));
    assert_eq!(config.settings().expect("valid").write_timeout, Duration::from_millis(2500));
    layers.set("listen", ":3".into());
    assert_eq!(layers.config().expect("valid").listen, ":3");
}

#[test]
fn mistakes_are_named() {
    for (text, variables, expected) in [
        ("listen = 5", &[][..], "line 1"),
        ("\n\nlissten = \":1\"", &[], "line 3"),
        ("listen = \"x\"", &[], "it is not HOST:PORT"),
        ("listen = \":99999\"", &[], "is no port"),
        ("[timeouts]\nwrite = 0", &[], "line 2: timeouts.write = 0"),
        ("[pull]\nstall = -1", &[], "pull.stall = -1"),
        ("", &[("IPCHUB_PULL_IDLE", "x")], "IPCHUB_PULL_IDLE"),
        ("[limits]\nsources = 0", &[], "limits.sources = 0"),
        ("[rtsp]\nudp_port = 1555", &[], "rtsp.udp_port = 1555"),
        ("auth_secret = \"tooshort\"", &[], "auth_secret = ***: it must have 16"),
        ("[users]\nprovider = \"redis\"", &[], "line 2: users.provider = \"redis\""),
        ("[rtsp]\nmulticast_groups = \"192.0.2.0/24\"", &[], "must be multicast groups"),
        ("[rtsp]\nmulticast_groups = \"224.0.0.0/24\"", &[], "must be multicast groups"),
        ("[rtsp]\nmulticast_groups = \"239.0.0.0/33\"", &[], "8 to 32"),
        ("[rtsp]\nmulticast_groups = \"ff02::1\"", &[], "239.200.0.0/24"),
        ("[rtsp]\nmulticast_ports = \"16667-20000\"", &[], "an even port"),
        ("[rtsp]\nmulticast_ports = \"16666\"", &[], "an even port"),
        ("[rtsp]\nmulticast_ttl = 0", &[], "line 2: rtsp.multicast_ttl = 0"),
        ("[rtsp]\nmulticast_interface = \"eth0\"", &[], "the IPv4 address of an interface"),
        ("log = \"loud\"", &[], "log = \"loud\""),
        ("", &[("IPCHUB_LISSTEN", ":1")], "IPCHUB_LISSTEN"),
        ("", &[("IPCHUB_WORKERS", "many")], "IPCHUB_WORKERS"),
        ("", &[("IPCHUB_DEMO", "maybe")], "IPCHUB_DEMO"),
        ("", &[("IPCHUB_LOG", "loud")], "IPCHUB_LOG"),
    ] {
        let error = layers(text, variables).and_then(|l| l.config()).expect_err(text);
        assert!(format!("{error:#}").contains(expected), "{text:?} {variables:?}: {error:#}");
    }
}
