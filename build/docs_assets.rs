//! Extracts the files of Swagger UI for `/docs`, and compresses each with gzip, the form in which the program contains
//! and serves them.

use std::{
    env, fs,
    io::{self, Cursor, Read, Write},
    path::PathBuf,
};

use flate2::{Compression, write::GzEncoder};
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
use zip::ZipArchive;

/// The files, in the archive's folder `dist`.
const FILES: [&str; 4] =
    ["favicon-32x32.png", "swagger-ui-bundle.js", "swagger-ui-standalone-preset.js", "swagger-ui.css"];

/// Writes `docs/NAME.gz` in OUT_DIR for each of the files.
pub fn write() -> io::Result<()> {
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("docs");
    fs::create_dir_all(&out)?;
    let mut archive = ZipArchive::new(Cursor::new(SWAGGER_UI_VENDORED))?;
    for file in FILES {
        let end = format!("/dist/{file}");
        // The parent folder is named after the version.
        let mut names = archive.file_names().filter_map(Result::ok);
        let name =
            names.find(|name| name.ends_with(&end) && name.matches('/').count() == 2).map(|name| name.into_owned());
        drop(names);
        let name = name.ok_or_else(|| io::Error::other(format!("Swagger UI has no file {file}")))?;
        let mut bytes = Vec::new();
        archive.by_name(&name)?.read_to_end(&mut bytes)?;
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        packed.write_all(&bytes)?;
        fs::write(out.join(format!("{file}.gz")), packed.finish()?)?;
    }
    Ok(())
}
