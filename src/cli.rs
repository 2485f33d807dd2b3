//! The command line. It counts over the environment, and that over the file.

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;

use crate::config::{Config, Layers};

/// A live media hub for cameras: RTSP in, websocket-flv and http-flv out, on one port.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Arguments {
    /// Configuration file [default: ./config.toml if it is there]
    #[arg(short, long = "config", value_name = "FILE", env = "IPCHUB_CONFIG")]
    pub config_file: Option<PathBuf>,
    /// Address and port, such as :1554, 127.0.0.1:1554 or [::1]:1554
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// RTP over UDP: an even port; 0: any, -1: none
    #[arg(long, value_name = "PORT", allow_negative_numbers = true)]
    pub udp_port: Option<i32>,
    /// Folder of users.json, routetable.json and the pair of --self-signed
    #[arg(long, value_name = "FOLDER")]
    pub data_dir: Option<String>,
    /// Streams ask for a login and for rights
    #[arg(long)]
    pub auth: bool,
    /// What is logged: error, warn, info, debug, trace
    #[arg(long, value_name = "LEVEL")]
    pub log: Option<String>,
    /// Publish a built-in clip as /demo/clock
    #[arg(long)]
    pub demo: bool,
    /// Speak TLS with a certificate made for this machine, kept in the data folder: for a first try
    #[arg(long)]
    pub self_signed: bool,
    /// Say whether the configuration is right, and end
    #[arg(long)]
    pub check: bool,
}

impl Arguments {
    /// The configuration from all layers.
    pub fn config(&self) -> Result<Config> {
        let mut layers = Layers::read(self.config_file.as_deref(), std::env::vars())?;
        if let Some(listen) = &self.listen {
            layers.set("listen", listen.clone().into());
        }
        if let Some(port) = self.udp_port {
            layers.set("rtsp.udp_port", i64::from(port).into());
        }
        if let Some(folder) = &self.data_dir {
            layers.set("data_dir", folder.clone().into());
        }
        if let Some(log) = &self.log {
            layers.set("log", log.clone().into());
        }
        if self.auth {
            layers.set("auth", true.into());
        }
        if self.demo {
            layers.set("demo", true.into());
        }
        layers.config()
    }
}
