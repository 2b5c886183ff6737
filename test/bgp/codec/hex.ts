/** Bytes written as people read them: blanks and line breaks mean nothing, `|` is a fence for the eye. */
export function hex(text: string): Uint8Array {
  const digits = text.replace(/[\s|]/g, '');
  if (!/^([0-9a-f]{2})*$/i.test(digits)) throw new Error(`"${text}" is not hexadecimal`);
  return Uint8Array.from(Buffer.from(digits, 'hex'));
}

export const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** A path attribute: flags and type in hexadecimal, then the value; the length is counted here. */
export function attribute(flags: number, code: number, value: string): string {
  const length = hex(value).length;
  const head = flags & 0x10 ? [flags, code, length >> 8, length & 255] : [flags, code, length];
  return toHex(Uint8Array.from(head)) + value;
}

/** The body of an UPDATE from its three parts in hexadecimal. */
export function updateBody({
  withdrawn = '',
  attributes = '',
  nlri = '',
}: {
  withdrawn?: string;
  attributes?: string;
  nlri?: string;
}): Uint8Array {
  const counted = (part: string): string => hex(part).length.toString(16).padStart(4, '0') + part;
  return hex(`${counted(withdrawn)}${counted(attributes)}${nlri}`);
}
