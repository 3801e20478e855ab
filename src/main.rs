//! The `tenantry` program.

use std::process::ExitCode;

/// This allocator returns freed memory to the system (docs/architecture.md, "Decisions").
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    tenantry::cli::main()
}
