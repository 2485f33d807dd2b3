//! The text of playlists (draft-pantos-hls-rfc8216bis, section 4.4).

use std::fmt::{self, Write};
use std::time::Duration;

use super::piece::Piece;
use super::presentation::{Part, Presentation};
use super::wall::date_time;

/// Compatibility version: 9 has `EXT-X-SKIP` (section 8).
const VERSION: u32 = 9;
/// Of what lists no parts: durations with fractions.
const PLAIN_VERSION: u32 = 3;
/// Players stay three part targets behind the newest part (section 4.4.3.8: at least two, three are advised).
const PART_HOLD_BACK: u32 = 3;
/// Players that know no parts stay three target durations behind the end (section 4.4.3.8: at least three).
const HOLD_BACK: u64 = 3;
/// Parts are listed of segments within three target durations of the end (section 6.2.2), what is older by six of them may be
/// skipped (section 4.4.3.8: at least six).
const PARTS_WITHIN: u64 = 3;
const SKIP_UNTIL: u64 = 6;

/// How pieces are addressed.
#[derive(Debug, Clone, Copy)]
pub struct Uris<'a> {
    /// Before a piece's name, percent-encoded: `door/`.
    pub folder: &'a str,
    /// After it, with its `?`.
    pub query: &'a str,
}

struct Uri<'a>(Uris<'a>, Piece, &'a Presentation);

impl fmt::Display for Uri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.0.folder, self.1.name(self.2.format), self.0.query)
    }
}

impl Presentation {
    /// The multivariant playlist, whose one media playlist is at `uri`. `None`: what it must say is not known yet.
    pub fn multivariant_playlist(&self, uri: &str) -> Option<String> {
        let newest = self.open.as_ref().map(|open| &open.init).or(self.segments.back().map(|last| &last.init));
        let init = newest.filter(|_| self.has_content())?;
        let (peak, average) = self.bandwidth();
        let mut out = format!("#EXTM3U\n#EXT-X-VERSION:{}\n", self.version());
        if self.is_independent() {
            out.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
        }
        out.push_str("#EXT-X-STREAM-INF:");
        let _ = write!(out, "BANDWIDTH={peak},AVERAGE-BANDWIDTH={average}");
        if !init.codecs.is_empty() {
            let _ = write!(out, ",CODECS=\"{}\"", init.codecs);
        }
        if let Some((width, height)) = init.resolution {
            let _ = write!(out, ",RESOLUTION={width}x{height}");
            // Cameras often declare another rate than they send.
            let close = |declared: &f64| self.frame_rate.is_none_or(|seen| (seen - declared).abs() <= declared * 0.1);
            if let Some(rate) = init.frame_rate.filter(close).or(self.frame_rate) {
                let _ = write!(out, ",FRAME-RATE={rate:.3}");
            }
        }
        let _ = write!(out, ",CLOSED-CAPTIONS=NONE\n{uri}\n");
        Some(out)
    }

    /// The media playlist; with `skip` what the player knows already is left out (a playlist delta update).
    pub fn media_playlist(&self, uris: Uris<'_>, skip: bool) -> String {
        let mut out = String::with_capacity(8 << 10);
        // Writing into a string cannot fail.
        let _ = self.write_media(uris, skip, &mut out);
        out
    }

    fn version(&self) -> u32 {
        if self.format.has_parts() { VERSION } else { PLAIN_VERSION }
    }

    fn is_independent(&self) -> bool {
        self.listed().map(|segment| &**segment).chain(&self.open).all(|segment| segment.independent)
    }

    fn write_media(&self, uris: Uris<'_>, skip: bool, out: &mut String) -> fmt::Result {
        let uri = |piece| Uri(uris, piece, self);
        self.write_head(out)?;
        let first = self.listed().next().map(|segment| &**segment).or(self.open.as_ref());
        writeln!(out, "#EXT-X-MEDIA-SEQUENCE:{}", first.map_or(self.next, |segment| segment.number))?;
        writeln!(out, "#EXT-X-DISCONTINUITY-SEQUENCE:{}", self.discontinuity_sequence())?;
        let has_parts = self.format.has_parts();
        let skipped = if skip && has_parts { self.skippable() } else { 0 };
        if skipped > 0 {
            writeln!(out, "#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}")?;
        }
        let parts_from = self.parts_from();
        let mut init = None;
        let open = self.open.as_ref().filter(|_| has_parts);
        for (n, segment) in self.listed().map(|segment| &**segment).chain(open).enumerate() {
            if n < skipped {
                continue;
            }
            if segment.discontinuity && n > 0 {
                out.push_str("#EXT-X-DISCONTINUITY\n");
            }
            if init != Some(segment.init.number) && !segment.init.bytes.is_empty() {
                init = Some(segment.init.number);
                writeln!(out, "#EXT-X-MAP:URI=\"{}\"", uri(Piece::Init(segment.init.number)))?;
            }
            writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{}", date_time(segment.date))?;
            if has_parts && segment.number >= parts_from {
                for (n, part) in segment.parts.iter().enumerate() {
                    write_part(part, &uri(Piece::Part(segment.number, n)), out)?;
                }
            }
            if segment.number < self.next {
                writeln!(out, "#EXTINF:{:.5},", segment.duration.as_secs_f64())?;
                writeln!(out, "{}", uri(Piece::Segment(segment.number)))?;
            }
        }
        if self.ended {
            out.push_str("#EXT-X-ENDLIST\n");
        } else if has_parts {
            let (number, part) = self.hinted();
            writeln!(out, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{}\"", uri(Piece::Part(number, part)))?;
        }
        Ok(())
    }

    fn write_head(&self, out: &mut String) -> fmt::Result {
        let (target, part) = (self.target_duration, self.part_target.as_secs_f64());
        writeln!(out, "#EXTM3U\n#EXT-X-VERSION:{}\n#EXT-X-TARGETDURATION:{target}", self.version())?;
        if !self.format.has_parts() {
            return if self.is_independent() { writeln!(out, "#EXT-X-INDEPENDENT-SEGMENTS") } else { Ok(()) };
        }
        write!(out, "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL={}", SKIP_UNTIL * target)?;
        let part_hold_back = part * f64::from(PART_HOLD_BACK);
        writeln!(out, ",PART-HOLD-BACK={part_hold_back:.5},HOLD-BACK={}", HOLD_BACK * target)?;
        writeln!(out, "#EXT-X-PART-INF:PART-TARGET={part:.5}")?;
        if self.is_independent() {
            out.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
        }
        Ok(())
    }

    /// Those before the first listed segment; its own counts once it is gone.
    fn discontinuity_sequence(&self) -> u64 {
        let unlisted = self.segments.iter().take(self.unlisted()).filter(|segment| segment.discontinuity).count();
        // The first segment of all follows nothing that a player could have; where it comes first in the list, the tag is
        // not written, and it counts as gone.
        let first = self.listed().next().map(|segment| &**segment).or(self.open.as_ref());
        self.discontinuities + unlisted as u64 + u64::from(first.is_some_and(|segment| segment.discontinuity))
    }

    /// The first segment whose parts are listed.
    pub fn parts_from(&self) -> u64 {
        let limit = Duration::from_secs(PARTS_WITHIN * self.target_duration);
        let mut from_end = self.open.as_ref().map_or(Duration::ZERO, |open| open.duration);
        let near = self.listed().rev().take_while(|segment| {
            // Its end lies within.
            let end = from_end;
            from_end += segment.duration;
            end <= limit
        });
        self.next - near.count() as u64
    }

    /// How many segments lie before the skip boundary.
    fn skippable(&self) -> usize {
        let boundary = Duration::from_secs(SKIP_UNTIL * self.target_duration);
        let mut from_end = self.open.as_ref().map_or(Duration::ZERO, |open| open.duration);
        let kept = self.listed().rev().take_while(|segment| {
            from_end += segment.duration;
            // Its beginning, and so the whole, is within.
            from_end <= boundary
        });
        self.listed().count() - kept.count()
    }
}

fn write_part(part: &Part, uri: &Uri<'_>, out: &mut String) -> fmt::Result {
    let independent = if part.independent { ",INDEPENDENT=YES" } else { "" };
    writeln!(out, "#EXT-X-PART:DURATION={:.5},URI=\"{uri}\"{independent}", part.duration.as_secs_f64())
}
