/**
 * Between normalised attribute blocks (see update.ts) and readable PathAttributes, both ways, and to text. Called where a
 * person or a policy looks at attributes, once per attribute set and not per prefix.
 */
import { AttributeFlag } from '../iana.js';
import { ATTRIBUTE_ROWS, ROW_OF } from './attribute-table.js';
import type { PathAttributes, UnknownAttribute } from './attribute.js';
import { formatHex, OctetWriter, read16 } from './octets.js';

/** Reads a normalised block; a block that some decoder or encoder of this library made is always readable. */
export function parseAttributes(bytes: Uint8Array, start = 0, end = bytes.length): PathAttributes {
  const attributes: { -readonly [K in keyof PathAttributes]: PathAttributes[K] } = { origin: 'incomplete', asPath: [] };
  const unknown: UnknownAttribute[] = [];
  for (let at = start; at < end; ) {
    const flags = bytes[at] ?? 0;
    const code = bytes[at + 1] ?? 0;
    const isLong = (flags & AttributeFlag.extendedLength) !== 0;
    const value = at + (isLong ? 4 : 3);
    const stop = value + (isLong ? read16(bytes, at + 2) : (bytes[at + 2] ?? 0));
    const row = ROW_OF[code];
    if (row === undefined)
      unknown.push({ flags: flags & ~AttributeFlag.extendedLength, code, value: bytes.slice(value, stop) });
    else Object.assign(attributes, row.parse(bytes, value, stop));
    at = stop;
  }
  if (unknown.length > 0) attributes.unknown = unknown;
  return attributes;
}

/** The normalised block of these attributes. Equal attributes give equal bytes, and parseAttributes gives them back. */
export function encodeAttributes(attributes: PathAttributes): Uint8Array {
  const parts: { readonly code: number; readonly flags: number; readonly value: Uint8Array }[] = [
    ...(attributes.unknown ?? []),
  ];
  for (const row of ATTRIBUTE_ROWS) {
    const value = new OctetWriter(64);
    if (row.encode(attributes, value)) parts.push({ code: row.code, flags: row.flags, value: value.finish() });
  }
  const out = new OctetWriter();
  for (const { code, flags, value } of parts.sort((a, b) => a.code - b.code)) {
    if (value.length > 255)
      out
        .u8(flags | AttributeFlag.extendedLength)
        .u8(code)
        .u16(value.length);
    else out.u8(flags).u8(code).u8(value.length);
    out.bytes(value);
  }
  return out.finish();
}

export interface AttributeText {
  /** The RFC's name. */
  readonly name: string;
  readonly text: string;
}

/** Every attribute that is there, in type order, in words. */
export function formatAttributes(attributes: PathAttributes): AttributeText[] {
  const lines = ATTRIBUTE_ROWS.flatMap((row) => {
    const text = row.format(attributes);
    return text === undefined ? [] : [{ name: row.name, text }];
  });
  for (const { code, value } of attributes.unknown ?? [])
    lines.push({ name: `attribute ${code}`, text: `0x${formatHex(value)}` });
  return lines;
}
