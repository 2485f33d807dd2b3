use super::*;

const OLD: &str = "[\n\t{\n\t\t\"name\": \"Admin\",\n\t\t\"password\": \"21232f297a57a5a743894a0e4a801fc3\",\n\t\t\"admin\": true\n\t},\n\
                   \t{\n\t\t\"name\": \"bob\",\n\t\t\"password\": \"pw1\",\n\t\t\"push\": \"/live/*;/test/+/cam\",\n\
                   \t\t\"mail\": {\"b\": 1, \"a\": [2]}\n\t},\n\t{\n\t\t\"name\": \"dave\"\n\t}\n]\n";

#[test]
fn an_old_file_is_read_and_written_in_our_form() {
    let mut users = Users::parse(OLD).expect("valid");
    let names: Vec<_> = users.after("").map(|user| user.name.as_str()).collect();
    assert_eq!(names, ["admin", "bob", "dave"]);
    let admin = users.user("admin").expect("there");
    assert!(admin.has_default_password() && admin.push.allow("/any/thing"), "empty masks of an administrator");
    let bob = users.user("bob").expect("there");
    assert!(bob.push.allow("/test/x/cam") && !bob.pull.allow("/test/x/cam") && !bob.has_default_password());
    assert_eq!(users.user("dave").map(|dave| dave.secret.clone()), Some(Secret::None));

    users.prepare();
    let text = users.text();
    assert!(!text.contains("pw1") && !text.contains("21232f29"), "{text}");
    assert!(text.starts_with("[\n\t{\n\t\t\"name\": \"admin\",\n\t\t\"password\": \"$argon2id$"), "{text}");
    assert!(text.contains("\"mail\": {\n"), "unknown fields are kept: {text}");
    let again = Users::parse(&text).expect("our own form");
    assert_eq!(again.users, users.users);
    assert_eq!(again.text(), text);
    assert!(
        again.user("admin").expect("there").has_default_password()
            || again.user("admin").expect("there").secret.lacks_digest()
    );
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    for (text, parts) in [
        ("[\n {\"name\": 5}]", &["line 2 column 11", "string"][..]),
        ("[\n {\"password\": \"x\"}]", &["line 2", "name"]),
        ("[{\"name\":\"a\",\"admin\":\"yes\"}]", &["line 1", "boolean"]),
        ("[\n\n{\"name\":\" \"}]", &["line 3", "without a name"]),
        ("[{\"name\":\"a:b\"}]", &["line 1", "':'"]),
        ("[{\"name\":\"a\"},{\"name\":\"A\"}]", &["a", "twice"]),
        ("[{\"name\":\"a\",\"password\":\"$argon2id$x\"}]", &["line 1", "the user a", "Argon2id"]),
        ("[{\"name\":\"a\",\"ha1_md5\":\"zz\"}]", &["line 1", "the user a", "ha1_md5"]),
        ("{\"users\":[]}", &["line 1", "sequence"]),
        ("[{\"name\":\"a\"}", &["line 1"]),
        ("[{\"name\":\"a\"}]]", &["line 1 column 15"]),
    ] {
        let error = Users::parse(text).expect_err(text);
        assert!(parts.iter().all(|part| error.contains(part)), "{text}: {error}");
    }
    let error = Users::parse("[{\"name\":\"a\",\"password\":\"$argon2id$secret\"}]").expect_err("no hash");
    assert!(!error.contains("secret"), "{error}");
}

#[test]
fn names() {
    assert_eq!(name(" Bob ").as_deref(), Ok("bob"));
    assert_eq!(name("Jürgen.K-1 x").as_deref(), Ok("jürgen.k-1 x"));
    for wrong in ["", "  ", "a:b", "a/b", "a\nb", "a\"b", &"x".repeat(65)] {
        assert!(name(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn without_a_file_there_is_the_default() {
    let users = Users::absent();
    assert!(users.user("admin").is_some_and(|admin| admin.admin && admin.has_default_password()));
    assert!(!users.has_admin_besides("admin") && users.has_admin_besides("bob"));
}
