/**
 * The rules of validate.ts asked of one part at a time, for whoever makes a configuration out of many sources and has to know which
 * part cannot be used, so that the others can. What every part passes, and names and addresses that differ, is a configuration that
 * `validateConfig` passes.
 *
 * Paths of problems begin inside the part: "remoteAs", "match.prefixes[0]".
 */
import { parsePrefix } from '../address.js';
import type { FilterRule, OriginatedPrefix, PeerConfig, SpeakerConfig } from '../config.js';
import { ruleShape } from './filter-shape.js';
import { checkPeer, checkSession, remoteAsOf } from './peer-rules.js';
import { checkOriginatedPrefix, checkRule } from './route-rules.js';
import type { Problem } from './schema.js';
import { originatedShape, peerShape, speakerFields } from './shape.js';

/** `frame`: the configuration around the peer, of which localAs, listen and the names of filters count. */
export function peerProblems(frame: SpeakerConfig, peer: PeerConfig): readonly Problem[] {
  const problems: Problem[] = [];
  peerShape.check(peer, '', problems);
  if (problems.length > 0) return problems;
  checkPeer(frame, peer, '', problems);
  checkSession(frame, peer, remoteAsOf(frame, peer), '', problems);
  return problems;
}

export function ruleProblems(rule: FilterRule): readonly Problem[] {
  const problems: Problem[] = [];
  ruleShape.check(rule, '', problems);
  if (problems.length === 0) checkRule(rule, '', problems);
  return problems;
}

export function originatedProblems(originated: OriginatedPrefix): readonly Problem[] {
  const problems: Problem[] = [];
  originatedShape.check(originated, '', problems);
  if (problems.length === 0) checkOriginatedPrefix(originated, parsePrefix(originated.prefix), '', problems);
  return problems;
}

/** Of one field of the whole; the path begins with its name. */
export function fieldProblems<Name extends keyof SpeakerConfig>(
  name: Name,
  value: SpeakerConfig[Name],
): readonly Problem[] {
  const problems: Problem[] = [];
  speakerFields.get(name)?.check(value, name, problems);
  return problems;
}
