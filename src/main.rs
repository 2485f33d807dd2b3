//! The program: arguments, logs, exit code.

use std::process::ExitCode;

use clap::Parser;
use ipchub::cli::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut config = match arguments.config() {
        Ok(config) => config,
        Err(error) => {
            eprintln!("ipchub: {error:#}");
            return ExitCode::from(2);
        }
    };
    if arguments.check {
        if let Err(error) = ipchub::check(&config) {
            eprintln!("ipchub: {error:#}");
            return ExitCode::from(2);
        }
        println!("the configuration is right");
        return ExitCode::SUCCESS;
    }
    if let Err(error) = ipchub::log::init(&config.log) {
        eprintln!("ipchub: {error:#}");
        return ExitCode::from(2);
    }
    if arguments.self_signed
        && let Err(error) = ipchub::tls::self_signed::prepare(&mut config)
    {
        log::error!("{error:#}");
        return ExitCode::from(2);
    }
    match ipchub::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
