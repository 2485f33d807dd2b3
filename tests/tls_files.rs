//! The certificate's files: what is wrong with them is said at the start and by --check, they are read again when they change,
//! and --self-signed makes a pair.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use rcgen::date_time_ymd;
use support::camera::{self, Camera};
use support::flv::Reader;
use support::http;
use support::hub::{self, Hub};
use support::process::Process;
use support::tls::{Pair, secure, text};
use support::{SOON, temporary, wait_until};

/// Exit code and messages of the hub, which is to end by itself.
fn run(environment: &[(&str, &str)], arguments: &[&str]) -> (Option<i32>, String) {
    let mut process = Process::start(hub::command(environment, arguments));
    let (status, _) = process.wait(SOON);
    (status.code(), process.lines().join("\n"))
}

#[test]
fn what_is_wrong_is_said_before_anything_starts() {
    let (good, other) = (Pair::make("good"), Pair::make("other"));
    let bad = |name: &str, text: &str| {
        let path = temporary(name);
        std::fs::write(&path, text).expect("a file can be written");
        path
    };
    let empty = bad("empty.pem", "");
    let words = bad("words.pem", "no certificate\n");
    let cut = bad("cut.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n");
    let no_x509 = bad("no-x509.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let long = bad("long.pem", &"x".repeat(2 << 20));
    let (cert, key) = (good.cert.as_path(), good.key.as_path());
    let cases: [(&Path, &Path, &str); 9] = [
        (Path::new("/none/such.pem"), key, "No such file"),
        (cert, Path::new("/none/such.pem"), "No such file"),
        (&empty, key, "has no certificate"),
        (&words, key, "has no certificate"),
        (&cut, key, "is no PEM file"),
        (&no_x509, key, "is no X.509 certificate"),
        (&long, key, "has 2097152 bytes"),
        (cert, cert, "has no private key"),
        (cert, &other.key, "is not the key of the first certificate"),
    ];
    for (cert, key, message) in cases {
        let environment = [("IPCHUB_TLS_CERT", text(cert)), ("IPCHUB_TLS_KEY", text(key))];
        for arguments in [&["--check"][..], &["--listen", "127.0.0.1:0", "--udp-port", "-1"]] {
            let (code, said) = run(&environment, arguments);
            assert!(code.is_some_and(|code| code != 0), "{message}: {said}");
            assert!(said.contains(message) && said.contains("tls."), "{message}: {said}");
            assert!(!said.contains("listening"), "{said}");
        }
    }
    let (code, said) = run(&[("IPCHUB_TLS_CERT", text(cert))], &["--check"]);
    assert!(code == Some(2) && said.contains("tls.key is missing"), "{said}");
    assert_eq!(run(&good.environment(), &["--check"]).0, Some(0));
}

#[test]
fn a_certificate_out_of_its_time() {
    let expired = Pair::make_with("expired", |params| {
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 2, 29);
    });
    let (code, said) = run(&expired.environment(), &["--check"]);
    assert!(code == Some(2) && said.contains("expired at 2020-02-29T00:00:00Z"), "{said}");
    let early = Pair::make_with("early", |params| params.not_before = date_time_ymd(4000, 1, 1));
    let (code, said) = run(&early.environment(), &["--check"]);
    assert!(code == Some(2) && said.contains("from 4000-01-01T00:00:00Z on only"), "{said}");
    // A hub starts with it all the same: its clock may not be set yet.
    let hub = expired.hub(&[], &[]);
    hub.wait_log(&["WARN", "expired at 2020-02-29", "clients will refuse it"]);
}

/// Keys in the forms that tools write.
#[test]
fn keys_of_every_form() {
    for (name, make) in [
        ("pkcs8", "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out K"),
        ("pkcs1", "openssl genrsa -traditional -out K 2048"),
        ("sec1", "openssl ecparam -name prime256v1 -genkey -noout -out K"),
    ] {
        let (cert, key) = (temporary(&format!("{name}.cert.pem")), temporary(&format!("{name}.key.pem")));
        let sign = "openssl req -x509 -new -key K -subj /CN=localhost -days 2 -out C";
        let script = format!("{make} && {sign}").replace(" K", &format!(" {}", text(&key)));
        let script = script.replace(" C", &format!(" {}", text(&cert)));
        let output = Command::new("sh").args(["-c", &script]).output().expect("openssl is there");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let environment = [("IPCHUB_TLS_CERT", text(&cert)), ("IPCHUB_TLS_KEY", text(&key))];
        let (code, said) = run(&environment, &["--check"]);
        assert_eq!(code, Some(0), "{name}: {said}");
    }
}

/// The viewer lacks no picture; who comes then sees the new certificate; a bad one changes nothing.
#[test]
fn swapped_while_a_stream_plays() {
    let (pair, next) = (Pair::make("swapped"), Pair::make("next"));
    let old = std::fs::read_to_string(&pair.cert).expect("it is there");
    let hub = pair.hub(&[], &[]);
    let _camera = Camera::publish(&hub, "/live/a", 3_000);
    hub.wait_live("/live/a");
    let file = temporary("swapped.flv");
    let _ = std::fs::remove_file(&file);
    let mut command = Command::new("curl");
    command.args(["-sSk", "--no-buffer", "-o", text(&file), &hub.url("https", "/streams/live/a.flv")]);
    let mut curl = Process::start(command);
    let numbers = || {
        let (mut reader, mut tags) = (Reader::default(), Vec::new());
        let bytes = std::fs::read(&file).unwrap_or_default();
        reader.push(&bytes, false, &mut tags).expect("whole tags");
        camera::check_complete(&tags);
        camera::numbers(&tags).len()
    };
    assert!(wait_until(SOON, || numbers() > 10));
    let works = |pair: &Pair| secure(http::connect(hub.address()), pair.client(&[])).is_ok();
    let trusts_old = Pair { cert: temporary("old.cert.pem"), key: pair.key.clone() };
    std::fs::write(&trusts_old.cert, old).expect("a file can be written");
    assert!(works(&trusts_old) && !works(&next));

    // A key that does not fit, as between the two steps of a careless tool: the old pair stays.
    std::fs::copy(&next.key, &pair.key).expect("a file can be written");
    hub.wait_log(&["ERROR", "the certificate that was read before stays in use", "is not the key"]);
    assert!(works(&trusts_old) && !works(&next));
    std::fs::copy(&next.cert, &pair.cert).expect("a file can be written");
    hub.wait_log(&["new connections get the new certificate"]);
    assert!(wait_until(SOON, || works(&next)) && !works(&trusts_old));

    std::fs::remove_file(&pair.cert).expect("it is there");
    hub.wait_log(&["stays in use", "No such file"]);
    assert!(works(&next));
    let before = numbers();
    assert!(wait_until(SOON, || numbers() > before + 25), "the viewer goes on");
    assert!(curl.is_running(), "{:?}", curl.lines());
    let told = hub.log().iter().filter(|line| line.contains("stays in use")).count();
    assert!(told <= 3, "each trouble is told once: {told} lines");
}

#[test]
fn self_signed() {
    let folder = temporary("self-signed-data");
    let _ = std::fs::remove_dir_all(&folder);
    let arguments = ["--self-signed", "--data-dir", text(&folder)];
    let (cert, key) = (folder.join("tls/cert.pem"), folder.join("tls/key.pem"));
    let pair = Pair { cert: cert.clone(), key: key.clone() };
    let mut made = String::new();
    for said in ["made a self-signed certificate for localhost", "of an earlier --self-signed is used"] {
        let hub = Hub::start(&[], &arguments);
        hub.wait_log(&[said]);
        secure(http::connect(hub.address()), pair.client(&[])).expect("it counts for localhost");
        let text = std::fs::read_to_string(&cert).expect("it is there");
        assert!(made.is_empty() || made == text, "it was written over");
        made = text;
    }
    let mode = std::fs::metadata(&key).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    std::fs::remove_file(&cert).expect("it is there");
    let (code, said) = run(&[], &arguments);
    assert!(code == Some(2) && said.contains("there is") && said.contains("but no"), "{said}");
    assert!(key.exists(), "the key is left alone");
    let good = Pair::make("conflict");
    let (code, said) = run(&good.environment(), &arguments);
    assert!(code == Some(2) && said.contains("--self-signed does not go with tls.cert"), "{said}");
}
