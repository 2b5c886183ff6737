/**
 * How much one object may ask of a node. Whoever may write a policy in one namespace reaches every node's agent with it, so the size of an
 * object bounds neither work nor memory by itself: products of lists do not follow it. What is past a bound is told on the object.
 */

/** Values in an object's spec: its lists, members and texts, each counted. 5,000 blocks are 15,000 values. */
export const MOST_VALUES = 16_000;
/** Characters of text in it, names of fields included. */
export const MOST_TEXT = 128 * 1024;
/** Kernel rules that the rules of one object may become. */
export const MOST_KERNEL_RULES = 2_048;
/** Conditions in one kernel rule. */
export const MOST_CONDITIONS = 64;
/** Terms and values of one label selector. */
export const MOST_SELECTOR_VALUES = 1_024;
/** Problems of one object that are told one by one. */
export const MOST_PROBLEMS = 20;
/** Addresses of one HostEndpoint, and its ports. */
export const MOST_HOST_ITEMS = 1_024;
/** Addresses of one EndpointSlice (the API takes 1,000 endpoints, and controllers give each one), and its addresses times its ports. */
export const MOST_SLICE_ADDRESSES = 1_000;
export const MOST_SLICE_MEMBERS = 50_000;

export interface Weight {
  readonly values: number;
  readonly text: number;
}

/** Counts until a bound is passed: what is too large is not walked to its end, and depth costs no stack. */
export function weigh(value: unknown): Weight {
  const waiting: unknown[] = [value];
  let text = 0;
  let values = 0;
  while (waiting.length > 0 && values + waiting.length <= MOST_VALUES && text <= MOST_TEXT) {
    const one = waiting.pop();
    values++;
    if (typeof one === 'string') text += one.length;
    else if (Array.isArray(one)) for (const item of one) waiting.push(item);
    else if (typeof one === 'object' && one !== null)
      for (const [key, item] of Object.entries(one)) {
        text += key.length;
        waiting.push(item);
      }
  }
  return { values: values + waiting.length, text };
}

/** What is too much about a value, as a sentence's end; undefined when it is within bounds. */
export function excess(weight: Weight): string | undefined {
  if (weight.values > MOST_VALUES) return `may hold at most ${MOST_VALUES} values`;
  return weight.text > MOST_TEXT ? `may hold at most ${MOST_TEXT} characters` : undefined;
}
