use std::time::Duration;

use super::*;

const NOW: Duration = Duration::from_secs(1000);
const ASKED: Asked<'_> = Asked { method: "DESCRIBE", uri: "rtsp://h/a/b" };

fn nonces() -> Nonces {
    Nonces::new([7; 32])
}

/// As a client makes it.
fn answer(algorithm: Algorithm, nonce: &str, nc: Option<u32>, password: &str) -> DigestAnswer {
    let ha1 = Ha1::of("bob", password);
    let ha1 = ha1.by(algorithm);
    let uri = "rtsp://h:1554/A/b/";
    let ha2 = algorithm.hex(&format!("DESCRIBE:{uri}"));
    let (text, more) = match nc {
        None => (format!("{ha1}:{nonce}:{ha2}"), String::new()),
        Some(nc) => {
            (format!("{ha1}:{nonce}:{nc:08x}:xyz:auth:{ha2}"), format!(", qop=auth, nc={nc:08x}, cnonce=\"xyz\""))
        }
    };
    let response = algorithm.hex(&text);
    let name = algorithm.name();
    let header = format!(
        "Digest username=\"bob\", realm=\"ipchub\",nonce=\"{nonce}\", uri=\"{uri}\", response=\"{response}\", algorithm={name}{more}"
    );
    match Authorization::read(&header) {
        Some(Authorization::Digest(answer)) => answer,
        other => panic!("{header}: {other:?}"),
    }
}

#[test]
fn an_example_of_the_rfc() {
    // RFC 7616, section 3.9.1, with its realm and URI.
    let header = "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"/dir/index.html\", algorithm=MD5, \
                  nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", nc=00000001, \
                  cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth, \
                  response=\"8ca523f5e9506fed4657c9700eebdbec\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"";
    let Some(Authorization::Digest(answer)) = Authorization::read(header) else { panic!("valid") };
    let text = "Mufasa:http-auth@example.org:Circle of Life";
    let ha1 = Ha1 { md5: md5_hex(text.as_bytes()), sha256: sha256_hex(text.as_bytes()) };
    assert!(answer.is_right(&ha1, "GET") && !answer.is_right(&ha1, "POST"));
    let sha256 = header.replace("MD5", "SHA-256").replace(
        "8ca523f5e9506fed4657c9700eebdbec",
        "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
    );
    let Some(Authorization::Digest(answer)) = Authorization::read(&sha256) else { panic!("valid") };
    assert!(answer.is_right(&ha1, "GET"));
}

#[test]
fn right_stale_and_wrong() {
    let ha1 = Ha1::of("bob", "right");
    for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
        let mut verifier = Verifier::new(nonces());
        let nonce = nonces().make(NOW);
        let mut check = |nc, password, now| verifier.check(&answer(algorithm, &nonce, nc, password), &ha1, ASKED, now);
        assert_eq!(check(Some(1), "wrong", NOW), Check::Wrong);
        assert_eq!(check(Some(1), "right", NOW), Check::Right, "one wrong answer locks nothing");
        assert_eq!(check(Some(1), "right", NOW), Check::Stale, "heard and sent again");
        assert_eq!(check(Some(5), "right", NOW), Check::Right);
        assert_eq!(check(Some(4), "right", NOW), Check::Stale);
        assert_eq!(check(None, "right", NOW), Check::Right, "as RFC 2069 has it");
        assert_eq!(check(Some(6), "right", NOW + Duration::from_secs(300)), Check::Right);
        assert_eq!(check(Some(7), "right", NOW + Duration::from_secs(301)), Check::Stale);
        assert_eq!(check(Some(8), "wrong", NOW + Duration::from_secs(301)), Check::Wrong);
    }
}

#[test]
fn nonces_of_others_are_stale_for_who_knows_the_password_and_nothing_else() {
    let ha1 = Ha1::of("bob", "right");
    let mut verifier = Verifier::new(nonces());
    let ours = nonces().make(NOW);
    let other = Nonces::new([8; 32]).make(NOW);
    let later = format!("{:016x}{}", 9_999_999, &ours[16..]);
    for nonce in ["x", "", &other, &later, &ours[..40], "äöüäöüäöüäöü"] {
        if !nonce.is_empty() {
            assert_eq!(
                verifier.check(&answer(Algorithm::Md5, nonce, Some(1), "right"), &ha1, ASKED, NOW),
                Check::Stale
            );
            assert_eq!(
                verifier.check(&answer(Algorithm::Md5, nonce, Some(1), "wrong"), &ha1, ASKED, NOW),
                Check::Wrong
            );
        }
    }
}

#[test]
fn an_answer_is_worth_something_for_its_own_path_only() {
    let ha1 = Ha1::of("bob", "right");
    let mut verifier = Verifier::new(nonces());
    let answer = answer(Algorithm::Md5, &nonces().make(NOW), None, "right");
    for (uri, check) in [
        ("rtsp://other/a/b", Check::Right),
        ("/a/b/trackID=1", Check::Right),
        ("rtsp://h/A/B?token=x", Check::Right),
        ("rtsp://h/a", Check::Wrong),
        ("rtsp://h/a/bc", Check::Wrong),
        ("*", Check::Wrong),
    ] {
        assert_eq!(verifier.check(&answer, &ha1, Asked { method: "DESCRIBE", uri }, NOW), check, "{uri}");
    }
    let other = Asked { method: "PLAY", uri: ASKED.uri };
    assert_eq!(verifier.check(&answer, &ha1, other, NOW), Check::Wrong);
}

#[test]
fn the_memory_of_used_nonces_is_bounded_and_forgets_nothing_that_could_be_used_again() {
    let ha1 = Ha1::of("bob", "right");
    let mut verifier = Verifier::new(nonces());
    let at = |n: u64| NOW + Duration::from_millis(n);
    let first = answer(Algorithm::Md5, &nonces().make(at(0)), Some(1), "right");
    for n in 0..10_100 {
        let answer = answer(Algorithm::Md5, &nonces().make(at(n)), Some(1), "right");
        assert_eq!(verifier.check(&answer, &ha1, ASKED, at(n)), Check::Right);
    }
    assert_eq!(verifier.used.len(), 10_000);
    assert_eq!(verifier.check(&first, &ha1, ASKED, at(10_100)), Check::Stale);
}

#[test]
fn headers() {
    let basic = Authorization::read("basic Ym9iOmE6Yg==");
    assert_eq!(basic, Some(Authorization::Basic { user: "bob".into(), password: "a:b".into() }));
    assert_eq!(Authorization::read("Bearer  abc "), Some(Authorization::Bearer("abc".into())));
    let quoted =
        r#"Digest username="b\"o\\b",realm="",nonce=n,response=R , uri="a,b=c",qop="auth",nc=0000000a,cnonce="c""#;
    let Some(Authorization::Digest(answer)) = Authorization::read(quoted) else { panic!("valid") };
    assert_eq!((answer.username.as_str(), answer.uri.as_str(), answer.response.as_str()), ("b\"o\\b", "a,b=c", "r"));
    assert_eq!(answer.qop.map(|qop| qop.nc), Some(10));
    for wrong in [
        "",
        "Digest",
        "Digest x",
        "Basic",
        "Basic !!",
        "Basic Ym9i",
        "Negotiate abc",
        "Digest username=\"bob",
        "Digest username=\"bob\"",
        "Digest username=bob, nonce=n, response=r, algorithm=MD5-sess",
        "Digest username=bob, nonce=n, response=r, qop=auth",
        "Digest username=bob, nonce=n, response=r, qop=auth-int, nc=1, cnonce=c",
        "Digest username=bob, nonce=n, response=r, qop=auth, nc=xyz, cnonce=c",
        "Digest username=\"bob\\",
    ] {
        assert_eq!(Authorization::read(wrong), None, "{wrong}");
        // Nothing that is cut off may panic.
        (0..wrong.len())
            .filter(|end| wrong.is_char_boundary(*end))
            .for_each(|end| drop(Authorization::read(&wrong[..end])));
    }
    let many = format!("Digest {}", "a=b,".repeat(1000));
    assert_eq!(Authorization::read(&many), None);
    for end in 0..quoted.len() {
        Authorization::read(&quoted[..end]);
    }
}

#[test]
fn challenges_are_in_the_order_that_clients_need() {
    let both = Ways { digest: true, basic: true };
    let offers = challenge("abc", false, both.on(false));
    assert_eq!(offers.len(), 2);
    assert_eq!(offers[1], "Digest realm=\"ipchub\", nonce=\"abc\", algorithm=MD5, qop=\"auth\"");
    assert!(offers[0].contains("SHA-256") && !offers[0].contains("stale"));
    let offers = challenge("abc", true, both.on(true));
    assert!(offers[1].ends_with(", stale=true") && offers[2].starts_with("Basic "));
    let basic = Ways { digest: false, basic: true };
    assert_eq!(challenge("abc", false, basic.on(true)).len(), 1);
    assert_eq!(challenge("abc", false, basic.on(false)), Vec::<String>::new());
}

#[test]
fn ha1_reads_back_and_is_not_shown() {
    let ha1 = Ha1::of("bob", "pw");
    assert_eq!(Ha1::read(&ha1.md5.to_uppercase(), &ha1.sha256), Some(ha1.clone()));
    assert!(Ha1::read("x", &ha1.sha256).is_none() && Ha1::read(&ha1.md5, "").is_none());
    assert_eq!(format!("{ha1:?}"), "Ha1(***)");
}
