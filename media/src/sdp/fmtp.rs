//! `a=fmtp` as the hub's players get it: what the publisher wrote, with the parameter sets that are known now.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::MAX_LINE;
use crate::codec::{aac, h264, h265};
use crate::frame::{Parameters, Track};

/// Bytes of a line besides its parameters: `a=fmtp:127 `, with room.
const AROUND: usize = 16;

/// The parameters of a track, without its payload type; empty if there are none. Sets that would make the line longer than
/// [`MAX_LINE`], which the next hub would not read, are left to the stream itself.
pub(super) fn fmtp(track: &Track) -> String {
    let mut list = List::read(&track.fmtp);
    match &track.parameters {
        Some(Parameters::H264(parameters)) => list.fill_h264(parameters),
        Some(Parameters::H265(parameters)) => list.fill_h265(parameters),
        // Its configuration is that of the multiplex, or comes in the stream.
        Some(Parameters::Aac(_)) if track.is_latm() => return track.fmtp.clone(),
        Some(Parameters::Aac(config)) => list.fill_aac(config),
        // Its sequence header comes in the stream only.
        Some(Parameters::Av1(_)) | None => return track.fmtp.clone(),
    }
    let filled = list.0.join("; ");
    if filled.len() + AROUND > MAX_LINE { track.fmtp.clone() } else { filled }
}

/// `name=value` each, in the publisher's order.
struct List(Vec<String>);

impl List {
    fn read(fmtp: &str) -> Self {
        Self(fmtp.split(';').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect())
    }

    fn is(part: &str, name: &str) -> bool {
        part.split('=').next().unwrap_or_default().trim().eq_ignore_ascii_case(name)
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|part| Self::is(part, name))
    }

    /// Adds a parameter that is missing.
    fn add(&mut self, name: &str, value: &str) {
        if !self.has(name) {
            self.0.push(format!("{name}={value}"));
        }
    }

    /// Replaces a parameter at its place, or adds it.
    fn set(&mut self, name: &str, value: &str) {
        let at = self.0.iter().position(|part| Self::is(part, name)).unwrap_or(self.0.len());
        self.0.retain(|part| !Self::is(part, name));
        self.0.insert(at.min(self.0.len()), format!("{name}={value}"));
    }

    /// RFC 6184, section 8.1. The hub's own packets have fragments and so need mode 1.
    fn fill_h264(&mut self, parameters: &h264::Parameters) {
        let [profile, constraints, level] = parameters.profile_level();
        self.add("packetization-mode", "1");
        self.set("profile-level-id", &format!("{profile:02X}{constraints:02X}{level:02X}"));
        self.set("sprop-parameter-sets", &base64(std::iter::once(&parameters.sps).chain(&parameters.pps)));
    }

    /// RFC 7798, section 7.1.
    fn fill_h265(&mut self, parameters: &h265::Parameters) {
        self.set("sprop-vps", &base64([&parameters.vps]));
        self.set("sprop-sps", &base64([&parameters.sps]));
        self.set("sprop-pps", &base64(&parameters.pps));
    }

    /// RFC 3640, section 4.1. The lengths of AU headers are named as they are understood here, see
    /// [`crate::rtp::depacketize`]: those of the mode where the publisher left them out.
    fn fill_aac(&mut self, config: &aac::Config) {
        let low = self.0.iter().any(|part| part.replace(' ', "").eq_ignore_ascii_case("mode=AAC-lbr"));
        if !self.has("sizelength") {
            let (size, index) = if low { ("6", "2") } else { ("13", "3") };
            self.add("streamtype", "5");
            self.add("profile-level-id", "1");
            self.add("mode", "AAC-hbr");
            self.add("sizelength", size);
            self.add("indexlength", index);
            self.add("indexdeltalength", index);
        }
        let hex: String = config.raw.iter().map(|byte| format!("{byte:02X}")).collect();
        self.set("config", &hex);
    }
}

fn base64<'a>(units: impl IntoIterator<Item = &'a Bytes>) -> String {
    let units: Vec<String> = units.into_iter().map(|unit| STANDARD.encode(unit)).collect();
    units.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sdp::{AddressFamily, Description, write};

    const SPS: &str = "67640028acd94078044fde0220000003002000000643e2c5b2c0";
    const PPS: &str = "68fba3cb22c0";
    const SETS: &str = "profile-level-id=640028; sprop-parameter-sets=Z2QAKKzZQHgET94CIAAAAwAgAAAGQ+LFssA=,aPujyyLA";
    const HEVC_VPS: &str = "40010c01ffff016000000300900000030000030078959809";
    const HEVC_SPS: &str = "420101016000000300900000030000030078a003c08010e596566924caf0168080000003008000000c84";
    const HEVC_PPS: &str = "4401c172b46240";
    const HEVC_SETS: &str = "sprop-vps=QAEMAf//AWAAAAMAkAAAAwAAAwB4lZgJ; \
        sprop-sps=QgEBAWAAAAMAkAAAAwAAAwB4oAPAgBDlllZpJMrwFoCAAAADAIAAAAyE; sprop-pps=RAHBcrRiQA==";

    fn hex(text: &str) -> Bytes {
        (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).expect("hex")).collect()
    }

    fn h264() -> Parameters {
        Parameters::H264(h264::Parameters::new(hex(SPS), hex(PPS)).expect("valid"))
    }

    fn h265() -> Parameters {
        Parameters::H265(h265::Parameters::new(hex(HEVC_VPS), hex(HEVC_SPS), hex(HEVC_PPS)).expect("valid"))
    }

    fn aac() -> Parameters {
        Parameters::Aac(aac::Config::parse(hex("1210")).expect("valid"))
    }

    /// What the publisher wrote, what is known now, what players are told.
    #[test]
    fn parameter_sets_are_filled_in() {
        const HBR: &str = "sizelength=13; indexlength=3; indexdeltalength=3; config=1210";
        for (name, encoding, known, published, expected) in [
            ("nothing known", "H264/90000", None, "a=1;b", "a=1;b".to_owned()),
            ("nothing announced", "H264/90000", Some(h264()), "", format!("packetization-mode=1; {SETS}")),
            (
                "no sets announced",
                "H264/90000",
                Some(h264()),
                "packetization-mode=0;",
                format!("packetization-mode=0; {SETS}"),
            ),
            (
                "others announced",
                "H264/90000",
                Some(h264()),
                "Profile-Level-ID=42001f; sprop-parameter-sets=\"Zw==\" ;sprop-parameter-sets=aA==;max-fs=8160",
                format!("{SETS}; max-fs=8160; packetization-mode=1"),
            ),
            ("H.265", "H265/90000", Some(h265()), "", HEVC_SETS.to_owned()),
            (
                "H.265 with others",
                "H265/90000",
                Some(h265()),
                "profile-id=1; sprop-pps=AA==; sprop-vps=AA==",
                "profile-id=1; sprop-pps=RAHBcrRiQA==; sprop-vps=QAEMAf//AWAAAAMAkAAAAwAAAwB4lZgJ; \
                 sprop-sps=QgEBAWAAAAMAkAAAAwAAAwB4oAPAgBDlllZpJMrwFoCAAAADAIAAAAyE"
                    .to_owned(),
            ),
            (
                "AAC, nothing announced",
                "mpeg4-generic/44100/2",
                Some(aac()),
                "",
                format!("streamtype=5; profile-level-id=1; mode=AAC-hbr; {HBR}"),
            ),
            (
                "AAC, config announced",
                "mpeg4-generic/44100/2",
                Some(aac()),
                "profile-level-id=15;mode=AAC-hbr;Config=1588",
                format!("profile-level-id=15; mode=AAC-hbr; config=1210; streamtype=5; {}", &HBR[..HBR.len() - 13]),
            ),
            (
                "AAC, low bit rate",
                "mpeg4-generic/8000/1",
                Some(aac()),
                "mode = AAC-lbr",
                "mode = AAC-lbr; streamtype=5; profile-level-id=1; sizelength=6; indexlength=2; indexdeltalength=2; \
                 config=1210"
                    .to_owned(),
            ),
            (
                "AAC, lengths of its own",
                "mpeg4-generic/8000/1",
                Some(aac()),
                "sizelength=8; indexlength=4",
                "sizelength=8; indexlength=4; config=1210".to_owned(),
            ),
        ] {
            let text = format!("m=video 0 RTP/AVP 96\na=rtpmap:96 {encoding}\na=fmtp:96 {published}\n");
            let mut track = Description::parse(text.as_bytes()).expect("a description").tracks.remove(0);
            track.parameters = known.clone();
            assert_eq!(fmtp(&track), expected, "{name}");
            let written = write("", &[track.clone()], AddressFamily::V4);
            assert!(written.contains(&format!("a=fmtp:96 {expected}\r\n")), "{name}: {written}");
            let read = Description::parse(written.as_bytes()).expect("a description").tracks.remove(0);
            assert_eq!(read.parameters, known, "{name}");
            // The next hub tells the same.
            assert_eq!(fmtp(&read), expected, "{name}");
        }
    }

    #[test]
    fn sets_that_make_the_line_too_long_are_left_out() {
        let text = "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=fmtp:96 packetization-mode=1\n";
        let mut track = Description::parse(text.as_bytes()).expect("a description").tracks.remove(0);
        let mut parameters = h264::Parameters::new(hex(SPS), hex(PPS)).expect("valid");
        for id in [0x40, 0x60, 0x20, 0x28] {
            parameters.add_pps([&[0x68, id][..], &[0x55; 2000]].concat().into()).expect("a valid id");
        }
        track.parameters = Some(Parameters::H264(parameters));
        assert_eq!(fmtp(&track), "packetization-mode=1");
        assert!(Description::parse(write("", &[track], AddressFamily::V4).as_bytes()).is_ok());
    }
}
