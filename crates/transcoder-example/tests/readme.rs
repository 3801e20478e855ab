//! The README of the transcoder describes this crate: it quotes its code, and its calls return what the README shows.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use transcoder_example::{Shop, app};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The blocks of a language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let blocks = text.split(fence.as_str()).skip(1);
    blocks.map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn the_readme_has_the_code_of_the_example() {
    let readme = read("../transcoder/README.md");
    let ours = ["build.rs", "src/lib.rs", "proto/shop/v1/order_service.proto"].map(read).concat();
    let code =
        [blocks(&readme, "rust"), blocks(&readme, "proto"), blocks(&read("../transcoder-build/README.md"), "rust")];
    let lines: Vec<_> = code.iter().flatten().flat_map(|block| block.lines()).collect();
    assert!(lines.len() > 10);
    for line in lines {
        assert!(ours.lines().any(|own| own == line), "{line:?} is not in the example");
    }
}

#[tokio::test]
async fn the_calls_of_the_readme_return_its_output() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app(Shop::default())).await });
    let console = blocks(&read("../transcoder/README.md"), "console").concat();
    let calls: Vec<_> = console.split("$ ").filter(|call| !call.is_empty()).map(str::to_owned).collect();
    assert!(calls.len() >= 4);
    for call in calls {
        let (command, want) = call.split_once('\n').unwrap();
        let got = tokio::task::spawn_blocking({
            let command = command.to_owned();
            move || run(&command, address)
        });
        assert_eq!(got.await.unwrap().trim_end(), want.trim_end(), "{command}");
    }
}

/// Runs a shell command against this server.
fn run(command: &str, address: SocketAddr) -> String {
    assert!(command.contains("localhost:8081"), "{command}");
    let command = command.replace("localhost:8081", &address.to_string());
    let output = Command::new("sh").args(["-c", &command]).output().unwrap();
    assert!(output.status.success(), "{command}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}
