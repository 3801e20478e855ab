//! `users`: the accounts of the platform, and the policy for their passwords.

use crate::{
    commands::{PASSWORD, log_in, output_text, password_file},
    harness::server::Server,
};

#[tokio::test]
async fn a_password_is_set_by_name_and_by_address() {
    let server = Server::dev().await;
    let setup = server.setup();
    let file = password_file(setup, PASSWORD);
    let create = ["users", "create", "--admin", "wolf", "--email", "wolf@l\u{e4}den.example", "--password-file", &file];
    assert!(setup.run(&create).await.status.success());
    let set = async |named: &str, password: &str| {
        let file = password_file(setup, password);
        setup.run(&["users", "set-password", named, "--password-file", &file]).await
    };
    for (named, password) in [
        ("wolf", "granite-Kettle-38-opal"),
        ("wolf@l\u{e4}den.example", "sorrel-Anchor-51-tundra"),
        ("WOLF@xn--lden-loa.example", "walnut-Ferry-27-quartz"),
    ] {
        let output = set(named, password).await;
        assert!(output.status.success(), "{named}: {}", output_text(&output));
        assert!(String::from_utf8_lossy(&output.stdout).contains("the password of wolf"), "{output:?}");
        assert_eq!(log_in(&server.http(), "wolf", password).await, 200, "{named}");
    }
    for unknown in ["eve", "eve@example.com", "no name"] {
        let output = set(unknown, PASSWORD).await;
        assert!(
            output.status.code() == Some(1) && output_text(&output).contains("account not found"),
            "{unknown}: {}",
            output_text(&output)
        );
    }
}

#[tokio::test]
async fn the_strongest_account_has_the_strictest_policy() {
    let server = Server::dev().await;
    let setup = server.setup();
    let create = async |name: &str, content: &[u8]| {
        let file = password_file(setup, content);
        setup.run(&["users", "create", "--admin", name, "--password-file", &file]).await
    };
    for weak in ["12345678", "password", "admin123", "opsopsops", "opsopsopsops", "passwordpassword", "admin", ""] {
        let output = create("ops", weak.as_bytes()).await;
        assert!(
            output.status.code() == Some(1) && output_text(&output).contains("password"),
            "{weak}: {}",
            output_text(&output)
        );
        let file = password_file(setup, weak);
        let output = setup.run(&["users", "set-password", "admin", "--password-file", &file]).await;
        assert_eq!(output.status.code(), Some(1), "{weak}: {}", output_text(&output));
    }
    let address = "wolfgang.schroedinger@quantenladen.example";
    let file = password_file(setup, PASSWORD);
    let wolf = ["users", "create", "--name", "wolf", "--email", address, "--password-file", &file];
    assert!(setup.run(&wolf).await.status.success());
    let file = password_file(setup, address);
    let output = setup.run(&["users", "set-password", "wolf", "--password-file", &file]).await;
    assert_eq!(output.status.code(), Some(1), "the account's own address: {}", output_text(&output));
    for own in ["\"wolfgang.schroedinger\"@quantenladen.example", "wolfgang.schroedinger@quantenladen\u{3002}example"] {
        let file = password_file(setup, own);
        let set = setup.run(&["users", "set-password", "wolf", "--password-file", &file]).await;
        let create = ["users", "create", "--name", "wolf2", "--email", address, "--password-file", &file];
        for output in [set, setup.run(&create).await] {
            let text = output_text(&output);
            assert!(output.status.code() == Some(1) && text.contains("must not be the name or email"), "{own}: {text}");
        }
    }
    assert_eq!(log_in(&server.http(), "admin", "admin").await, 200, "the development account must still work");
    for (name, content) in [
        ("mark", format!("\u{feff}{PASSWORD}\r\n")),
        ("plain", format!("{PASSWORD}\nmore\n")),
        ("old", format!("{PASSWORD}\r")),
    ] {
        let output = create(name, content.as_bytes()).await;
        assert!(output.status.success(), "{}", output_text(&output));
        assert_eq!(log_in(&server.http(), name, PASSWORD).await, 200, "{name}");
    }
    let output = create("nul", format!("{PASSWORD}\0\n").as_bytes()).await;
    assert!(
        output.status.code() == Some(1) && output_text(&output).contains("control character"),
        "{}",
        output_text(&output)
    );
    // The encoding in which PowerShell writes a file.
    let wide: Vec<u8> = format!("\u{feff}{PASSWORD}\r\n").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let output = create("wide", &wide).await;
    assert!(output.status.code() == Some(1) && output_text(&output).contains("UTF-8"), "{}", output_text(&output));
}
