/**
 * Does any object of a JSON text have a key twice? `JSON.parse` lets the last one win in silence; of a router's configuration that is
 * a mistake to tell. The text is known to be good JSON.
 */

/** Strings, and the marks that open, close and part things. */
const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],]/g;

export function hasRepeatedKey(json: string): boolean {
  /** For each open bracket the keys so far; undefined for a list. BOUNDED by the nesting that JSON.parse took. */
  const open: (Set<string> | undefined)[] = [];
  let isKeyNext = false;
  for (const [token] of json.matchAll(TOKEN)) {
    const keys = open.at(-1);
    if (token === '{') {
      open.push(new Set());
      isKeyNext = true;
    } else if (token === '[') {
      open.push(undefined);
      isKeyNext = false;
    } else if (token === '}' || token === ']') {
      open.pop();
      isKeyNext = false;
    } else if (token === ',') isKeyNext = keys !== undefined;
    else if (isKeyNext && keys !== undefined) {
      const key = JSON.parse(token) as string;
      if (keys.has(key)) return true;
      keys.add(key);
      isKeyNext = false;
    }
  }
  return false;
}
