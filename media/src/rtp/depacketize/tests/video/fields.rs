//! Interlaced H.264 whose frames are coded as two fields. The parameter sets are those of x264, which codes no fields by
//! itself; the slice headers are made for these cases: `88` begins an intra slice, then come `frame_num` and parity.

use super::{Case, Codec, Step, run};

const SETS: Step = Step("0", "18 0015 674d4015f4226c0440000003004000000c87c50aa8 0004 68de0fc8");
const TOP_0: &str = "65 8885 aa";
const BOTTOM_0: &str = "41 8887 bb";
const TOP_1: &str = "41 888d cc";
const BOTTOM_1: &str = "41 888f dd";
const FRAME_1: &str = "41 888b ee";
/// A slice that is not its picture's first.
const REST: &str = "41 6200 ff";

const CASES: &[Case] = &[
    Case {
        name: "one timestamp, a marker each",
        packets: &[SETS, Step("0 m", TOP_0), Step("0 m", BOTTOM_0), Step("3600 m", TOP_1), Step("3600 m", BOTTOM_1)],
        out: &[("0 k p", &[TOP_0, BOTTOM_0]), ("3600", &[TOP_1, BOTTOM_1])],
        errors: 0,
        dropped: 0,
    },
    Case {
        name: "two timestamps",
        packets: &[SETS, Step("0 m", TOP_0), Step("1800 m", BOTTOM_0), Step("3600 m", BOTTOM_1), Step("5400 m", TOP_1)],
        out: &[("0 k p", &[TOP_0, BOTTOM_0]), ("3600", &[BOTTOM_1, TOP_1])],
        errors: 0,
        dropped: 0,
    },
    Case {
        name: "one access unit",
        packets: &[SETS, Step("0", TOP_0), Step("0 m", BOTTOM_0), Step("3600", TOP_1), Step("3600 m", BOTTOM_1)],
        out: &[("0 k p", &[TOP_0, BOTTOM_0]), ("3600", &[TOP_1, BOTTOM_1])],
        errors: 0,
        dropped: 0,
    },
    Case {
        name: "SEI and several slices a field",
        packets: &[
            SETS,
            Step("0", TOP_0),
            Step("0 m", REST),
            Step("0", "06 0102aabb80"),
            Step("0", BOTTOM_0),
            Step("0 m", REST),
            Step("3600 m", FRAME_1),
        ],
        out: &[("0 k p", &[TOP_0, REST, "06 0102aabb80", BOTTOM_0, REST]), ("3600", &[FRAME_1])],
        errors: 0,
        dropped: 0,
    },
    Case {
        name: "a frame among fields does not wait, a field alone goes when something else comes",
        packets: &[SETS, Step("0 m", TOP_0), Step("3600 m", FRAME_1), Step("7200 m", TOP_1), Step("9000 m", TOP_0)],
        out: &[("0 k p", &[TOP_0]), ("3600", &[FRAME_1]), ("7200", &[TOP_1])],
        errors: 0,
        dropped: 0,
    },
    Case {
        name: "the second field is lost",
        packets: &[SETS, Step("0 m", TOP_0), Step("3600 lm", TOP_1), Step("7200 m", TOP_0), Step("7200 m", BOTTOM_0)],
        out: &[("0 k p", &[TOP_0]), ("7200 k", &[TOP_0, BOTTOM_0])],
        errors: 0,
        dropped: 1,
    },
];

#[test]
fn two_fields_are_a_frame() {
    run(Codec::H264, "packetization-mode=1", CASES);
}

/// In a progressive stream nothing waits: its slice headers have no field.
#[test]
fn frames_of_other_streams_do_not_wait() {
    let progressive = Case {
        name: "progressive",
        packets: &[Step("0", "18 0018 SPS 0005 PPS"), Step("0 m", TOP_0), Step("3600 m", BOTTOM_0)],
        out: &[("0 k p", &[TOP_0]), ("3600", &[BOTTOM_0])],
        errors: 0,
        dropped: 0,
    };
    run(Codec::H264, "packetization-mode=1", &[progressive]);
}
