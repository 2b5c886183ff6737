/**
 * What becomes of a conflist that an operator has edited: chained plugins, MTU, version and whatever else he wrote stay; the
 * socket, by which the runtime finds this agent, is ours. What we wrote ourselves the last time, and nobody changed since,
 * follows what we would write now. Pure.
 */

type Json = Readonly<Record<string, unknown>>;

export interface MergedConflist {
  readonly text: string;
  /** The file that was there cannot be used and has to be kept aside; why, in words. */
  readonly unusable?: string;
}

const OURS = 'tortie';
/** Keys of the list that we write, and of our own plugin's object. */
const LIST_KEYS = ['cniVersion', 'name'];
const PLUGIN_KEYS = ['mtu'];

/**
 * @param found what the file holds now; undefined: there is none
 * @param wanted what we would write into an empty folder
 * @param before what we wrote the last time; undefined: not known, so that all that differs from `wanted` is the operator's
 * @param asked keys of `wanted` that the operator of this agent has asked for by an option: they win
 */
export function mergeConflist(
  found: string | undefined,
  wanted: string,
  before: string | undefined,
  asked: ReadonlySet<string> = new Set(),
): MergedConflist {
  if (found === undefined) return { text: wanted };
  const list = parseList(found);
  if (typeof list === 'string') return { text: wanted, unusable: list };
  const fresh = parseOwn(wanted);
  const last = before === undefined ? fresh : parseOwn(before);
  const hasPortMapper = list.plugins.some((plugin) => plugin !== list.own && takesPortMappings(plugin));
  const plugins = list.plugins.map((plugin) => {
    if (plugin !== list.own) return plugin;
    const own = { ...chosen(plugin, fresh.own, last.own, PLUGIN_KEYS, asked), socket: fresh.own['socket'] };
    return hasPortMapper ? withoutPortMappings(own) : withPortMappings(own);
  });
  const merged = { ...chosen(list.list, fresh.list, last.list, LIST_KEYS, asked), plugins };
  return { text: `${JSON.stringify(merged, undefined, 2)}\n` };
}

/** `found`, with those of the keys renewed that are as we left them, or were asked for. */
function chosen(found: Json, fresh: Json, last: Json, keys: readonly string[], asked: ReadonlySet<string>): Json {
  const result: Record<string, unknown> = { ...found };
  for (const key of keys) {
    if (!asked.has(key) && found[key] !== last[key]) continue;
    if (fresh[key] === undefined) delete result[key];
    else result[key] = fresh[key];
  }
  return result;
}

/** Does a plugin of the chain translate host ports? Two that did would do it twice. */
export function takesPortMappings(plugin: Json): boolean {
  const { capabilities } = plugin;
  return isJson(capabilities) && capabilities['portMappings'] === true;
}

/** An operator who wants none writes `false`. */
function withPortMappings({ capabilities, ...own }: Json): Json {
  return { ...own, capabilities: { portMappings: true, ...(isJson(capabilities) ? capabilities : {}) } };
}

function withoutPortMappings({ capabilities, ...own }: Json): Json {
  if (!isJson(capabilities)) return capabilities === undefined ? own : { ...own, capabilities };
  const { portMappings, ...rest } = capabilities;
  return Object.keys(rest).length === 0 ? own : { ...own, capabilities: rest };
}

interface ParsedList {
  readonly list: Json;
  readonly plugins: readonly Json[];
  readonly own: Json;
}

/** Or why it is none that leads to us. */
function parseList(text: string): ParsedList | string {
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch (error) {
    return `it is not JSON (${error instanceof Error ? error.message : String(error)})`;
  }
  if (!isJson(list) || !Array.isArray(list['plugins']) || !list['plugins'].every(isJson))
    return 'it is no object with a list "plugins"';
  const plugins = list['plugins'] as readonly Json[];
  const own = plugins.find((plugin) => plugin['type'] === OURS);
  return own === undefined ? `it has no plugin of type "${OURS}"` : { list, plugins, own };
}

function parseOwn(text: string): ParsedList {
  const parsed = parseList(text);
  if (typeof parsed === 'string') throw new Error(`Cannot read the conflist that Tortie itself wrote: ${parsed}`);
  return parsed;
}

const isJson = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);
