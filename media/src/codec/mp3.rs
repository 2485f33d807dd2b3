//! The header of an MPEG audio frame (ISO 11172-3, section 2.4.1.3; ISO 13818-3 for the lower rates; "MPEG-2.5" below them).

/// Bitrates in kbit/s by `bitrate_index` 1 to 14: MPEG-1 layers I, II, III; MPEG-2 layer I, and II with III.
const RATES: [[u16; 14]; 5] = [
    [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
    [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
    [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
    [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
    [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
];

/// Bytes of the frame that begins with these; `None` if none does, or if its bitrate is free, so that nothing says it.
pub(crate) fn frame_len(bytes: &[u8]) -> Option<usize> {
    let [0xff, b1, b2, _, ..] = *bytes else { return None };
    let (version, layer) = (b1 >> 3 & 3, 4 - (b1 >> 1 & 3));
    if b1 & 0xe0 != 0xe0 || version == 1 || layer == 4 {
        return None;
    }
    let first = version == 3;
    let row = match (first, layer) {
        (true, layer) => usize::from(layer) - 1,
        (false, 1) => 3,
        (false, _) => 4,
    };
    let rate = 1000 * u32::from(*RATES[row].get(usize::from(b2 >> 4).checked_sub(1)?)?);
    let sampling = [44_100, 48_000, 32_000].get(usize::from(b2 >> 2 & 3))? >> [2, 0, 1, 0][usize::from(version)];
    let padding = u32::from(b2 >> 1 & 1);
    Some(match (layer, first) {
        (1, _) => 4 * (12 * rate / sampling + padding),
        (3, false) => 72 * rate / sampling + padding,
        _ => 144 * rate / sampling + padding,
    } as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_frames() {
        for (header, expected) in [
            ([0xff, 0xfb, 0x90, 0x64], Some(417)), // MPEG-1 layer III, 128 kbit/s, 44.1 kHz
            ([0xff, 0xfb, 0x92, 0x64], Some(418)),
            ([0xff, 0xfd, 0xa4, 0x00], Some(576)), // layer II, 192 kbit/s, 48 kHz
            ([0xff, 0xff, 0x18, 0x00], Some(48)),  // layer I, 32 kbit/s, 32 kHz
            ([0xff, 0xf3, 0x84, 0x64], Some(192)), // MPEG-2 layer III, 64 kbit/s, 24 kHz
            ([0xff, 0xe3, 0x18, 0x00], Some(72)),  // MPEG-2.5 layer III, 8 kbit/s, 8 kHz
            ([0xff, 0xfb, 0x00, 0x64], None),
            ([0xff, 0xfb, 0xf0, 0x64], None),
            ([0xff, 0xfb, 0x9c, 0x64], None),
            ([0xff, 0xf9, 0x90, 0x64], None),
            ([0xff, 0xeb, 0x90, 0x64], None),
            ([0x7f, 0xfb, 0x90, 0x64], None),
        ] {
            assert_eq!(frame_len(&header), expected, "{header:02x?}");
        }
        assert_eq!(frame_len(&[0xff, 0xfb, 0x90]), None);
    }
}
