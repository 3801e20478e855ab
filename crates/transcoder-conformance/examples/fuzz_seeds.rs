//! Writes seeds for the fuzz targets, taken from the tables: `fuzz_seeds CORPUS`. See `fuzz/README.md`.

use std::{error::Error, fs, path::Path};

use prost::Message as _;
use transcoder::json::{Msg, decode};
use transcoder_conformance::{
    checks::{self, PLAIN},
    proto::conformance::v1::Everything,
    tables::Table,
};

fn main() -> Result<(), Box<dyn Error>> {
    let corpus = std::env::args_os().nth(1).ok_or("usage: fuzz_seeds CORPUS")?;
    let corpus = Path::new(&corpus);
    let texts = checks::seeds(Table::Proto3Json);
    let read = texts.iter().filter_map(|text| decode::<Msg<Everything>>(text.as_bytes(), &PLAIN).ok());
    let binary: Vec<_> = read.map(|message| message.encode_to_vec()).collect();
    let bytes = |texts: Vec<String>| texts.into_iter().map(String::into_bytes).collect();
    for (target, seeds) in [
        ("decode", bytes(texts)),
        ("encode", binary),
        ("match", bytes(checks::seeds(Table::HttpRules))),
        ("bind", bytes(checks::seeds(Table::QueryParams))),
    ] {
        write(&corpus.join(target), &seeds)?;
        println!("{target}: {}", seeds.len());
    }
    Ok(())
}

fn write(folder: &Path, seeds: &[Vec<u8>]) -> Result<(), Box<dyn Error>> {
    if seeds.is_empty() {
        return Err(format!("the tables have nothing for {}", folder.display()).into());
    }
    fs::create_dir_all(folder)?;
    for (index, seed) in seeds.iter().enumerate() {
        fs::write(folder.join(format!("table-{index}")), seed)?;
    }
    Ok(())
}
