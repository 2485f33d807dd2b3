//! AMF0 (Adobe "Action Message Format" 0): just what `onMetaData` needs.

use bytes::{BufMut, BytesMut};

const NUMBER: u8 = 0;
const BOOLEAN: u8 = 1;
const STRING: u8 = 2;
const ECMA_ARRAY: u8 = 8;
const OBJECT_END: [u8; 3] = [0, 0, 9];

/// A value of `onMetaData`.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs)]
pub enum Value<'a> {
    Number(f64),
    Boolean(bool),
    String(&'a str),
}

fn put_text(out: &mut BytesMut, text: &str) {
    let bytes = &text.as_bytes()[..text.len().min(usize::from(u16::MAX))];
    out.put_u16(bytes.len() as u16);
    out.put_slice(bytes);
}

/// Writes a script tag's data: a name and an ECMA array.
pub fn write_script(out: &mut BytesMut, name: &str, values: &[(&str, Value<'_>)]) {
    out.put_u8(STRING);
    put_text(out, name);
    out.put_u8(ECMA_ARRAY);
    out.put_u32(values.len() as u32);
    for (key, value) in values {
        put_text(out, key);
        match value {
            Value::Number(number) => {
                out.put_u8(NUMBER);
                out.put_f64(*number);
            }
            Value::Boolean(yes) => out.put_slice(&[BOOLEAN, u8::from(*yes)]),
            Value::String(text) => {
                out.put_u8(STRING);
                put_text(out, text);
            }
        }
    }
    out.put_slice(&OBJECT_END);
}
